"""Somebody wants the task stopped: whatever could still run or be answered is cancelled, and the task has ended."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    accepted,
    beat,
    cancel,
    cancelled,
    complete,
    completed,
    dispatched,
    failed,
    resolve,
    resolve_task,
    retry,
    stories,
    task_failed,
)

GIVEN = stories("a", "b", "c < a", "d < a b")
STARTED = (accepted(GIVEN), dispatched("a"), dispatched("b"))


def test_every_open_step_is_cancelled_before_the_task_is() -> None:
    (
        GIVEN(*STARTED)
        .when(cancel(reason="changed my mind"))
        .then(
            cancelled("a"),
            cancelled("b"),
            cancelled("c", 0),
            cancelled("d", 0),
            e.TaskCancelled(reason="changed my mind"),
        )
        .then_state("cancelled", a="cancelled", b="cancelled", c="cancelled", d="cancelled")
    )


def test_what_is_done_stays_done() -> None:
    GIVEN(*STARTED, completed("a"), dispatched("c")).when(cancel()).then(
        cancelled("b"), cancelled("c"), cancelled("d", 0), e.TaskCancelled()
    ).then_state("cancelled", a="complete", b="cancelled")


def test_what_failed_stays_failed() -> None:
    GIVEN(*STARTED, failed("a")).when(cancel()).then(
        cancelled("b"), cancelled("c", 0), cancelled("d", 0), e.TaskCancelled()
    ).then_state("cancelled", a="error")


def test_a_step_that_waits_for_its_retry_is_cancelled_with_its_last_attempt() -> None:
    GIVEN(*STARTED, failed("a", 1, NOW), dispatched("a", 2), failed("a", 2, NOW + 9)).when(cancel()).then(
        cancelled("a", 2), cancelled("b"), cancelled("c", 0), cancelled("d", 0), e.TaskCancelled()
    )


def test_a_step_with_a_heartbeat_is_cancelled() -> None:
    GIVEN(*STARTED).when(beat("b")).when(cancel()).then_state("cancelled", b="cancelled")


def test_a_task_in_error_is_reopened_to_be_cancelled() -> None:
    GIVEN(*STARTED, failed("a"), failed("b"), task_failed("a", "b")).when(cancel()).then(
        e.TaskReopened(), cancelled("c", 0), cancelled("d", 0), e.TaskCancelled()
    )


def test_a_task_cancelled_twice_is_cancelled_once() -> None:
    GIVEN(*STARTED).when(cancel()).when(cancel()).then()


@pytest.mark.parametrize("end", [e.TaskCompleted(), e.TaskResolvedManually()])
def test_a_task_that_ended_otherwise_cannot_be_cancelled(end: e.Event) -> None:
    GIVEN(*STARTED, end).when(cancel()).refused("task.ended", kind="conflict")


def test_nothing_moves_a_cancelled_task() -> None:
    stopped = GIVEN(*STARTED).when(cancel())

    stopped.when(complete("a")).refused("result.task_ended")
    stopped.when(beat("a")).then()
    stopped.when(retry("a")).refused("task.ended")
    stopped.when(resolve("a")).refused("task.ended")
    stopped.when(resolve_task()).refused("task.ended")
