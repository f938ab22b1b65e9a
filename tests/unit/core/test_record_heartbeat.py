"""A worker says that it has an attempt in hand: the deadline starts anew, and not every beat becomes an event."""

from typing import Any

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    TIMEOUT,
    accepted,
    beat,
    cancelled,
    complete,
    completed,
    dispatched,
    failed,
    step,
    stories,
    time_out,
    timed_out,
)

ONE = stories("a", "b < a")
STARTED = (accepted(ONE), dispatched("a"))
LONG = stories(step("a", timeout="10m"))
LONG_STARTED = (accepted(LONG), dispatched("a", timeout=600_000))


def recorded(at: int, progress: Any = None, attempt: int = 1, timeout: int = TIMEOUT) -> e.StepHeartbeatRecorded:
    return e.StepHeartbeatRecorded(step="a", attempt=attempt, deadline_at_ms=at + timeout, progress=progress)


def test_the_first_beat_is_recorded_at_once() -> None:
    ONE(*STARTED).when(beat("a", at=NOW + 10)).then(recorded(NOW + 10)).then_state("in_progress", a="in_progress")


def test_a_beat_moves_the_deadline() -> None:
    story = ONE(*STARTED).when(beat("a", at=NOW + 20_000))

    story.when(time_out("a", at=NOW + TIMEOUT)).then()
    story.when(time_out("a", at=NOW + 20_000 + TIMEOUT)).then(timed_out("a", 1, NOW + 20_000 + TIMEOUT + 1_000))


@pytest.mark.parametrize(("after", "is_recorded"), [(14_999, False), (15_000, True)])
def test_a_plain_beat_is_recorded_once_in_half_a_timeout(*, after: int, is_recorded: bool) -> None:
    at = NOW + after

    ONE(*STARTED, recorded(NOW)).when(beat("a", at=at)).then(*([recorded(at)] if is_recorded else []))


@pytest.mark.parametrize(("after", "is_recorded"), [(29_999, False), (30_000, True)])
def test_progress_is_recorded_at_most_every_thirty_seconds(*, after: int, is_recorded: bool) -> None:
    at = NOW + after
    expected = [recorded(at, "50 %", timeout=600_000)] if is_recorded else []

    LONG(*LONG_STARTED, recorded(NOW, timeout=600_000)).when(beat("a", progress="50 %", at=at)).then(*expected)


def test_a_plain_beat_of_a_long_attempt_waits_for_half_its_timeout() -> None:
    LONG(*LONG_STARTED, recorded(NOW, timeout=600_000)).when(beat("a", at=NOW + 299_999)).then()


def test_progress_of_a_short_attempt_is_recorded_with_the_beat_that_its_deadline_needs() -> None:
    at = NOW + 15_000

    ONE(*STARTED, recorded(NOW)).when(beat("a", progress={"done": 0}, at=at)).then(recorded(at, {"done": 0}))


def test_progress_of_a_short_attempt_is_not_recorded_before_half_its_timeout() -> None:
    ONE(*STARTED, recorded(NOW)).when(beat("a", progress={"done": 0}, at=NOW + 14_999)).then()


def test_a_beat_delivered_twice_decides_nothing() -> None:
    ONE(*STARTED).when(beat("a", at=NOW + 5)).when(beat("a", at=NOW + 5)).then()


def test_a_beat_from_before_the_last_one_decides_nothing() -> None:
    ONE(*STARTED, recorded(NOW)).when(beat("a", at=NOW - 5_000)).then()


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((completed("a"), dispatched("b")), id="complete"),
        pytest.param((failed("a", 1, NOW + 9),), id="waiting for the next attempt"),
        pytest.param((cancelled("a"),), id="cancelled"),
        pytest.param((timed_out("a", 1, NOW), dispatched("a", 2)), id="superseded"),
    ],
)
def test_a_beat_of_an_attempt_that_is_over_decides_nothing(events: tuple[e.Event, ...]) -> None:
    ONE(*STARTED, *events).when(beat("a")).then()


@pytest.mark.parametrize(("name", "attempt"), [("a", 2), ("b", 1), ("z", 1)])
def test_a_beat_of_what_was_never_dispatched_decides_nothing(name: str, attempt: int) -> None:
    ONE(*STARTED).when(beat(name, attempt)).then()


def test_each_attempt_has_a_first_beat() -> None:
    ONE(*STARTED, recorded(NOW), timed_out("a", 1, NOW), dispatched("a", 2)).when(beat("a", 2, at=NOW + 1)).then(
        recorded(NOW + 1, attempt=2)
    )


def test_a_step_that_beats_can_complete() -> None:
    ONE(*STARTED, recorded(NOW)).when(complete("a")).then(completed("a"), dispatched("b"))
