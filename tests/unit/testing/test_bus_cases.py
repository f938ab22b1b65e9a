"""The list of the bus's cases: each has a name of its own, so that none hides another."""

from collections import Counter

import pytest

from stepbus.orchestrator.testing.bus_suite.demands import Broken, demand_same, demand_soon, refused
from stepbus.orchestrator.testing.bus_suite.families import FAMILIES


def test_no_two_functions_make_cases_of_one_name() -> None:
    functions = {(case.name, case.check) for family in FAMILIES for case in family}

    assert [name for name, count in Counter(name for name, _ in functions).items() if count > 1] == []


def test_every_family_says_what_it_promises_and_has_cases() -> None:
    assert [family.name for family in FAMILIES if not family or not family.promise] == []
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_a_broken_promise_says_what_was_expected_and_found() -> None:
    with pytest.raises(Broken, match="expected 2, found 1"):
        demand_same(1, 2)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(Broken, match=r"… \(5,003 characters\)$") as broken:
        demand_same(b"a" * 5000, b"")

    assert len(str(broken.value)) < 400


def test_what_takes_too_long_is_broken() -> None:
    with pytest.raises(Broken, match=r"expected it within 0\.5 s"):
        demand_soon(0.0, 0.5)


def test_what_should_be_refused_and_is_done_is_broken() -> None:
    with pytest.raises(Broken, match="expected ValueError, found none: it was done"), refused(ValueError):
        pass


def test_a_refusal_that_says_other_things_is_broken() -> None:
    with pytest.raises(Broken, match="expected ValueError with 'late' in it, found early"), refused(ValueError, "late"):
        raise ValueError("early")
