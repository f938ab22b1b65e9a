"""An operator wants another attempt of a step, now."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    RETRY,
    accepted,
    beat,
    cancelled,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    permanent,
    retry,
    retry_due,
    step,
    stories,
    task_failed,
    timed_out,
)

GIVEN = stories("a", "b < a", "x")
STARTED = (accepted(GIVEN), dispatched("a"), dispatched("x"))


def test_a_failed_task_is_reopened_and_the_step_dispatched_again() -> None:
    (
        GIVEN(*STARTED, completed("x"), failed("a"), task_failed("a"))
        .when(retry("a", at=NOW + 3, reason="mended"))
        .then(
            e.TaskReopened(),
            e.StepReopened(step="a", max_attempts=3, reason="mended"),
            dispatched("a", 2, at=NOW + 3),
        )
        .then_state("in_progress", a="dispatched", b="pending")
        .when(complete("a", 2))
        .then(completed("a", 2), dispatched("b"))
        .when(complete("b"))
        .then(completed("b"), e.TaskCompleted())
    )


def test_a_failed_step_of_a_running_task_is_dispatched_without_reopening_the_task() -> None:
    GIVEN(*STARTED, failed("a")).when(retry("a")).then(e.StepReopened(step="a", max_attempts=3), dispatched("a", 2))


def test_a_step_that_used_up_its_attempts_is_allowed_one_more() -> None:
    given = stories(step("a", retry={"max_attempts": 1}))
    exhausted = (accepted(given), dispatched("a"), failed("a"), task_failed("a"))

    (
        given(*exhausted)
        .when(retry("a"))
        .then(e.TaskReopened(), e.StepReopened(step="a", max_attempts=2), dispatched("a", 2))
        .when(fail("a", 2))
        .then(failed("a", 2), task_failed("a"))
        .when(retry("a"))
        .then(e.TaskReopened(), e.StepReopened(step="a", max_attempts=3), dispatched("a", 3))
    )


def test_attempts_left_over_by_a_permanent_error_are_available_again() -> None:
    (
        GIVEN(*STARTED)
        .when(fail("a", error=permanent()))
        .when(retry("a"))
        .when(fail("a", 2))
        .then(failed("a", 2, NOW + 2_000))
    )


def test_the_hundredth_attempt_can_be_asked_for_and_no_other() -> None:
    given = stories(step("a", retry={**RETRY, "max_attempts": 99}))
    worn = (accepted(given), dispatched("a", 99), failed("a", 99), task_failed("a"))

    (
        given(*worn)
        .when(retry("a"))
        .then(e.TaskReopened(), e.StepReopened(step="a", max_attempts=100), dispatched("a", 100))
        .when(fail("a", 100))
        .then(failed("a", 100), task_failed("a"))
        .when(retry("a"))
        .refused("step.attempts_exhausted", kind="conflict")
        .then_state("error", a="error")
    )


@pytest.mark.parametrize(
    "ended", [failed("a", 1, NOW + 999), timed_out("a", 1, NOW + 999)], ids=["failed", "timed out"]
)
def test_a_step_that_waits_for_its_retry_is_dispatched_now(ended: e.Event) -> None:
    (
        GIVEN(*STARTED, ended)
        .when(retry("a"))
        .then(dispatched("a", 2))
        .when(retry_due("a", at=NOW + 999))
        .then()
        .then_state("in_progress", a="dispatched")
    )


def test_a_cancelled_step_of_a_task_out_of_time_is_dispatched_again() -> None:
    expired = (cancelled("a"), cancelled("x"), task_failed(code="task.deadline_exceeded"))

    GIVEN(*STARTED, *expired).when(retry("a")).then(
        e.TaskReopened(), e.StepReopened(step="a", max_attempts=3), dispatched("a", 2)
    )


@pytest.mark.parametrize("name", ["a", "b", "x"])
def test_a_step_that_did_not_fail_is_not_retried(name: str) -> None:
    GIVEN(*STARTED, completed("x")).when(beat("a")).when(retry(name)).refused("step.not_failed", kind="conflict")


def test_asked_for_twice_it_is_dispatched_once() -> None:
    GIVEN(*STARTED, failed("a")).when(retry("a")).when(retry("a")).refused("step.not_failed")


@pytest.mark.parametrize("end", [e.TaskCompleted(), e.TaskCancelled(), e.TaskResolvedManually()])
def test_a_task_that_has_ended_is_not_moved_on(end: e.Event) -> None:
    GIVEN(*STARTED, failed("a"), end).when(retry("a")).refused("task.ended", kind="conflict")


def test_a_step_that_the_template_does_not_have_is_missing() -> None:
    GIVEN(*STARTED).when(retry("z")).refused("step.unknown", kind="missing")
