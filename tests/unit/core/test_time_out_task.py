"""The deadline of the whole task has come: what moves is cancelled, and the task is in error."""

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.core.commands import TimeOutTask
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import (
    NOW,
    TIMEOUT,
    accepted,
    cancel,
    cancelled,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    permanent,
    resolve,
    resolve_task,
    retry,
    retry_due,
    stories,
    task_failed,
)

GIVEN = stories("a", "b", "c < a", "d < a b", timeout="2m")
DUE = NOW + 120_000
STARTED = (accepted(GIVEN, deadline_at_ms=DUE), dispatched("a"), dispatched("b"))
EXCEEDED = "task.deadline_exceeded"


def expire(at: int = DUE) -> TimeOutTask:
    return TimeOutTask(TASK_ID, at)


def test_what_is_in_hand_is_cancelled_and_what_is_pending_stays() -> None:
    GIVEN(*STARTED).when(expire()).then(cancelled("a"), cancelled("b"), task_failed(code=EXCEEDED)).then_state(
        "error", a="cancelled", b="cancelled", c="pending", d="pending"
    )


def test_what_waits_for_a_retry_is_cancelled() -> None:
    GIVEN(*STARTED, failed("a", 1, DUE + 5)).when(expire()).then(
        cancelled("a"), cancelled("b"), task_failed(code=EXCEEDED)
    )


def test_steps_that_failed_for_good_before_are_named() -> None:
    GIVEN(*STARTED).when(fail("a", error=permanent())).when(expire()).then(
        cancelled("b"), task_failed("a", code=EXCEEDED)
    )


def test_a_timer_that_fires_early_decides_nothing() -> None:
    GIVEN(*STARTED).when(expire(DUE - 1)).then().then_state("in_progress")


def test_a_task_without_a_deadline_is_never_out_of_time() -> None:
    given = stories("a")

    given(accepted(given), dispatched("a")).when(expire(NOW + 10**12)).then()


@pytest.mark.parametrize("end", [e.TaskCompleted(), e.TaskCancelled(), e.TaskResolvedManually(), task_failed("a")])
def test_a_task_that_no_longer_runs_is_not_out_of_time(end: e.Event) -> None:
    GIVEN(*STARTED, end).when(expire()).then()


def test_an_answer_after_the_deadline_changes_nothing() -> None:
    GIVEN(*STARTED).when(expire()).when(complete("a")).refused("result.late")


def test_a_timer_of_a_step_after_the_deadline_decides_nothing() -> None:
    GIVEN(*STARTED, failed("a", 1, DUE)).when(expire()).when(retry_due("a", at=DUE)).then()


def test_a_retried_step_moves_the_task_on_without_a_deadline() -> None:
    (
        GIVEN(*STARTED)
        .when(expire())
        .when(retry("a", at=DUE + 1))
        .then(e.TaskReopened(), e.StepReopened(step="a", max_attempts=3), dispatched("a", 2, at=DUE + 1))
        .then_state("in_progress", a="dispatched", b="cancelled")
        .when(expire(DUE + TIMEOUT))
        .then()
    )


def test_a_task_moved_on_ends_in_error_again_while_other_cancelled_steps_are_left() -> None:
    (
        GIVEN(*STARTED)
        .when(expire())
        .when(retry("a", at=DUE))
        .when(complete("a", 2, at=DUE))
        .then(completed("a", 2), dispatched("c", at=DUE))
        .when(complete("c", at=DUE))
        .then(completed("c"), task_failed("b"))
        .when(resolve("b", at=DUE))
        .then(e.TaskReopened(), e.StepResolvedManually(step="b", attempt=1), dispatched("d", at=DUE))
        .when(complete("d", at=DUE))
        .then(completed("d"), e.TaskCompleted())
    )


def test_a_task_out_of_time_can_be_cancelled_or_resolved() -> None:
    expired = GIVEN(*STARTED).when(expire())

    expired.when(cancel()).then(e.TaskReopened(), cancelled("c", 0), cancelled("d", 0), e.TaskCancelled())
    expired.when(resolve_task()).then(e.TaskReopened(), cancelled("c", 0), cancelled("d", 0), e.TaskResolvedManually())
