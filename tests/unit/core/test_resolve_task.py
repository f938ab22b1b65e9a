"""An operator declares the task done, whatever its steps say."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    accepted,
    cancel,
    cancelled,
    complete,
    completed,
    dispatched,
    failed,
    resolve_task,
    stories,
    task_failed,
)

GIVEN = stories("a", "b < a")
STARTED = (accepted(GIVEN), dispatched("a"))


def test_open_steps_are_cancelled_and_the_task_is_resolved() -> None:
    GIVEN(*STARTED).when(resolve_task(reason="shipped by hand")).then(
        cancelled("a"), cancelled("b", 0), e.TaskResolvedManually(reason="shipped by hand")
    ).then_state("resolved_manually", a="cancelled", b="cancelled")


def test_what_is_done_stays_done() -> None:
    GIVEN(*STARTED, completed("a"), dispatched("b")).when(resolve_task()).then(
        cancelled("b"), e.TaskResolvedManually()
    ).then_state("resolved_manually", a="complete")


def test_a_task_in_error_is_reopened_to_be_resolved() -> None:
    GIVEN(*STARTED, failed("a"), task_failed("a")).when(resolve_task()).then(
        e.TaskReopened(), cancelled("b", 0), e.TaskResolvedManually()
    ).then_state("resolved_manually", a="error")


def test_a_task_resolved_twice_is_resolved_once() -> None:
    GIVEN(*STARTED).when(resolve_task()).when(resolve_task()).then()


@pytest.mark.parametrize("end", [e.TaskCompleted(), e.TaskCancelled()])
def test_a_task_that_ended_otherwise_cannot_be_resolved(end: e.Event) -> None:
    GIVEN(*STARTED, end).when(resolve_task()).refused("task.ended", kind="conflict")


def test_nothing_moves_a_resolved_task() -> None:
    done = GIVEN(*STARTED).when(resolve_task())

    done.when(complete("a")).refused("result.task_ended")
    done.when(cancel()).refused("task.ended")
