"""An operator declares a step done, with a result: what depends on it is released as if a worker had answered."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    accepted,
    beat,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    permanent,
    resolve,
    step,
    stories,
    task_failed,
    time_out,
)

GIVEN = stories("a", "b < a", "x", "z < b x")
STARTED = (accepted(GIVEN), dispatched("a"), dispatched("x"))


def resolved(name: str, attempt: int = 1, result: object = None, reason: str = "") -> e.StepResolvedManually:
    return e.StepResolvedManually(step=name, attempt=attempt, result=result, reason=reason)


def test_a_failed_step_resolved_moves_a_failed_task_on() -> None:
    (
        GIVEN(*STARTED, completed("x"), failed("a"), task_failed("a"))
        .when(resolve("a", {"ok": 1}, at=NOW + 4, reason="done by phone"))
        .then(e.TaskReopened(), resolved("a", 1, {"ok": 1}, "done by phone"), dispatched("b", at=NOW + 4))
        .then_state("in_progress", a="resolved_manually", b="dispatched")
    )


def test_a_failed_step_of_a_running_task_is_resolved_without_reopening_the_task() -> None:
    GIVEN(*STARTED, failed("a")).when(resolve("a")).then(resolved("a"), dispatched("b"))


def test_the_attempt_in_hand_is_overruled() -> None:
    (
        GIVEN(*STARTED)
        .when(beat("a"))
        .when(resolve("a"))
        .then(resolved("a"), dispatched("b"))
        .when(complete("a"))
        .refused("result.late")
        .when(time_out("a"))
        .then()
    )


def test_a_step_that_waits_for_its_retry_is_resolved() -> None:
    GIVEN(*STARTED, failed("a", 1, NOW)).when(resolve("a")).then(resolved("a"), dispatched("b"))


def test_a_pending_step_resolved_ahead_of_its_turn_releases_what_waits_for_it_alone() -> None:
    given = stories("a", "b < a", "c < b")

    (
        given(accepted(given), dispatched("a"))
        .when(resolve("b"))
        .then(resolved("b", 0), dispatched("c"))
        .then_state("in_progress", a="dispatched", b="resolved_manually", c="dispatched")
        .when(complete("a"))
        .then(completed("a"))
        .when(complete("c"))
        .then(completed("c"), e.TaskCompleted())
    )


def test_the_last_open_step_resolved_completes_the_task() -> None:
    given = stories("a")

    given(accepted(given), dispatched("a")).when(resolve("a")).then(resolved("a"), e.TaskCompleted()).then_state(
        "complete"
    )


def test_the_last_failed_step_resolved_completes_a_failed_task() -> None:
    given = stories("a")

    given(accepted(given), dispatched("a"), failed("a"), task_failed("a")).when(resolve("a")).then(
        e.TaskReopened(), resolved("a"), e.TaskCompleted()
    )


def test_a_task_with_another_failed_step_is_in_error_again() -> None:
    given = stories("a", "b")
    broken = (accepted(given), dispatched("a"), dispatched("b"), failed("a"), failed("b"), task_failed("a", "b"))

    given(*broken).when(resolve("a")).then(e.TaskReopened(), resolved("a"), task_failed("b")).then_state(
        "error", a="resolved_manually", b="error"
    )


def test_a_pending_step_resolved_in_a_failed_task_leaves_it_in_error_if_nothing_moves() -> None:
    given = stories("a", "b < a", "c < a b")

    given(accepted(given), dispatched("a"), failed("a"), task_failed("a")).when(resolve("b")).then(
        e.TaskReopened(), resolved("b", 0), task_failed("a")
    )


def test_the_only_step_that_moved_resolved_puts_a_blocked_task_in_error() -> None:
    (
        GIVEN(*STARTED)
        .when(fail("a", error=permanent()))
        .when(resolve("x"))
        .then(resolved("x"), task_failed("a"))
        .then_state("error", a="error", x="resolved_manually", z="pending")
    )


def test_a_join_counts_resolved_and_completed_dependencies_alike() -> None:
    given = stories("a", "b", "c < a b")

    given(accepted(given), dispatched("a"), dispatched("b")).when(complete("a")).when(resolve("b")).then(
        resolved("b"), dispatched("c")
    )


def test_a_cancelled_step_is_resolved() -> None:
    expired = (e.StepCancelled(step="a", attempt=1), e.StepCancelled(step="x", attempt=1), task_failed(code="late"))

    GIVEN(*STARTED, *expired).when(resolve("a")).then(e.TaskReopened(), resolved("a"), dispatched("b"))


@pytest.mark.parametrize(
    "done", [completed("a"), resolved("a"), e.StepBypassed(step="a")], ids=["complete", "resolved", "bypassed"]
)
def test_a_step_that_is_done_is_not_resolved_again(done: e.Event) -> None:
    given = stories(step("a", skippable=True), "b < a")

    given(accepted(given), dispatched("a"), done, dispatched("b")).when(resolve("a")).refused(
        "step.ended", kind="conflict"
    )


@pytest.mark.parametrize("end", [e.TaskCompleted(), e.TaskCancelled(), e.TaskResolvedManually()])
def test_a_task_that_has_ended_is_not_moved_on(end: e.Event) -> None:
    GIVEN(*STARTED, failed("a"), end).when(resolve("a")).refused("task.ended", kind="conflict")


def test_a_step_that_the_template_does_not_have_is_missing() -> None:
    GIVEN(*STARTED).when(resolve("unknown")).refused("step.unknown", kind="missing")
