"""Owners: a process that is gone is known to be, where its number means something."""

import os
import subprocess
import sys

import pytest

from stepbus.orchestrator.runtime.owners import has_died, new_owner

NAMED = "from stepbus.orchestrator.runtime.owners import new_owner; print(new_owner())"


def test_no_two_names_are_the_same_and_a_person_finds_the_process_by_it() -> None:
    assert new_owner() != new_owner()
    assert new_owner().split(":")[1] == str(os.getpid())


@pytest.fixture(scope="module")
def of_the_dead() -> str:
    return subprocess.run([sys.executable, "-c", NAMED], capture_output=True, text=True, check=True).stdout.strip()


def test_a_process_that_has_ended_is_known_to_be_gone(of_the_dead: str) -> None:
    assert has_died(of_the_dead)
    assert not has_died(new_owner())


@pytest.mark.parametrize(("place", "value"), [(2, "another"), (1, "x"), (1, "99999999999999999999"), (3, "a:b")])
def test_of_what_cannot_be_seen_from_here_nothing_is_said(of_the_dead: str, place: int, value: str) -> None:
    parts = of_the_dead.split(":")
    parts[place] = value

    assert not has_died(":".join(parts))
