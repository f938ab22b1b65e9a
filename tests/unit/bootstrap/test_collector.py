"""The garbage collector of a process that serves: it looks seldom, and still finds what only it can free."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from stepbus.orchestrator.bootstrap.collector import calm_collector


class Knot:
    """Something that refers to itself, so that no reference count frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_there_at_the_start_is_not_looked_through_again() -> None:
    calm_collector()
    assert gc.get_freeze_count() > 0
    assert gc.get_objects(generation=2) == []


def test_cycles_are_still_freed_so_that_what_they_hold_stays_bounded() -> None:
    calm_collector()
    first = weakref.ref(Knot())
    knots = 0
    while first() is not None:
        Knot()
        knots += 1
        assert knots <= gc.get_threshold()[0]
