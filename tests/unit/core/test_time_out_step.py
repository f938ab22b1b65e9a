"""The deadline of an attempt has come: the attempt ends as a retryable failure does. A stale timer decides nothing."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    TIMEOUT,
    accepted,
    cancel,
    cancelled,
    complete,
    completed,
    dispatched,
    failed,
    retry_due,
    step,
    stories,
    task_failed,
    time_out,
    timed_out,
)

LINE = stories("a", "b < a")
STARTED = (accepted(LINE), dispatched("a"))
DUE = NOW + TIMEOUT


def test_an_attempt_without_an_answer_is_tried_again() -> None:
    (
        LINE(*STARTED)
        .when(time_out("a"))
        .then(timed_out("a", 1, DUE + 1_000))
        .then_state("in_progress", a="waiting_for_retry")
        .when(retry_due("a", at=DUE + 1_000))
        .then(dispatched("a", 2, at=DUE + 1_000))
    )


def test_the_last_attempt_that_times_out_fails_the_step_for_good() -> None:
    given = stories(step("a", retry={"max_attempts": 1}), "b < a")

    given(accepted(given), dispatched("a")).when(time_out("a")).then(timed_out("a"), task_failed("a")).then_state(
        "error", a="error", b="pending"
    )


def test_a_step_that_timed_out_for_good_leaves_independent_branches_alone() -> None:
    given = stories(step("a", retry={"max_attempts": 1}), "b")

    given(accepted(given), dispatched("a"), dispatched("b")).when(time_out("a")).then(timed_out("a")).then_state(
        "in_progress", a="error", b="dispatched"
    )


def test_a_timer_that_fires_late_still_counts() -> None:
    LINE(*STARTED).when(time_out("a", at=DUE + 3_600_000)).then(timed_out("a", 1, DUE + 3_601_000))


def test_a_timer_that_fires_early_decides_nothing() -> None:
    LINE(*STARTED).when(time_out("a", at=DUE - 1)).then().then_state("in_progress", a="dispatched")


def test_a_timer_that_fires_twice_decides_nothing_more() -> None:
    LINE(*STARTED).when(time_out("a")).when(time_out("a")).then()


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((completed("a"), dispatched("b")), id="complete"),
        pytest.param((failed("a", 1, DUE - 5),), id="waiting for the next attempt"),
        pytest.param((cancelled("a"),), id="cancelled"),
        pytest.param((e.StepResolvedManually(step="a", attempt=1), dispatched("b")), id="resolved"),
        pytest.param((failed("a", 1, NOW), dispatched("a", 2)), id="superseded, though the next is due as well"),
    ],
)
def test_a_timer_of_an_attempt_that_is_over_decides_nothing(events: tuple[e.Event, ...]) -> None:
    LINE(*STARTED, *events).when(time_out("a", at=DUE)).then()


def test_a_timer_of_a_task_that_ended_decides_nothing() -> None:
    LINE(*STARTED).when(cancel()).when(time_out("a")).then()


@pytest.mark.parametrize(("name", "attempt"), [("a", 2), ("b", 1), ("b", 0), ("z", 1)])
def test_a_timer_of_what_was_never_dispatched_decides_nothing(name: str, attempt: int) -> None:
    LINE(*STARTED).when(time_out(name, attempt)).then()


def test_the_answer_that_comes_after_the_deadline_is_late() -> None:
    LINE(*STARTED).when(time_out("a")).when(complete("a")).refused("result.late")


def test_the_answer_that_comes_after_the_deadline_but_before_its_timer_is_taken() -> None:
    LINE(*STARTED).when(complete("a", at=DUE + 5)).then(completed("a"), dispatched("b", at=DUE + 5))
