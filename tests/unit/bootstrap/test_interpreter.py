"""The interpreter of a process that serves: it looks for garbage seldom, and still finds what only it can free."""

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from stepbus.orchestrator.bootstrap.interpreter import settle_interpreter

PYTHONS_OWN_SWITCH_S = 0.005


class Knot:
    """Something that refers to itself, so that no reference count frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds, switch_s = gc.get_threshold(), sys.getswitchinterval()
    sys.setswitchinterval(PYTHONS_OWN_SWITCH_S)  # a test before may have left another
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(switch_s)


def test_what_is_there_at_the_start_is_not_looked_through_again() -> None:
    settle_interpreter()
    assert gc.get_freeze_count() > 0
    assert gc.get_objects(generation=2) == []


def test_cycles_are_still_freed_so_that_what_they_hold_stays_bounded() -> None:
    settle_interpreter()
    first = weakref.ref(Knot())
    knots = 0
    while first() is not None:
        Knot()
        knots += 1
        assert knots <= gc.get_threshold()[0]


def test_the_thread_that_commits_has_its_turn_soon() -> None:
    before = sys.getswitchinterval()
    settle_interpreter()
    assert sys.getswitchinterval() < before / 10
