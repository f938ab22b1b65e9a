"""The execution context of a task: the words and the order of the rules are Tasker's, the states ours."""

import pytest

from stepbus.projections.context import execution_context, percentage

DIAMONDS = [
    ({"pending": 7}, "waiting_for_dependencies", "wait_for_dependencies", "healthy", 0.0),
    ({"complete": 1, "dispatched": 2, "pending": 4}, "has_ready_steps", "execute_ready_steps", "healthy", 14.29),
    (
        {"complete": 2, "waiting_for_retry": 1, "dispatched": 1, "pending": 3},
        "has_ready_steps",
        "execute_ready_steps",
        "recovering",
        28.57,
    ),
    (
        {"complete": 2, "error": 1, "dispatched": 1, "pending": 3},
        "has_ready_steps",
        "execute_ready_steps",
        "recovering",
        28.57,
    ),
    (
        {"complete": 1, "error": 1, "in_progress": 1, "pending": 4},
        "processing",
        "wait_for_completion",
        "blocked",
        14.29,
    ),
    ({"complete": 1, "in_progress": 2, "pending": 4}, "processing", "wait_for_completion", "healthy", 14.29),
    ({"waiting_for_retry": 1, "pending": 6}, "waiting_for_dependencies", "wait_for_dependencies", "recovering", 0.0),
    ({"error": 1, "pending": 6}, "blocked_by_failures", "handle_failures", "blocked", 0.0),
    ({"error": 1, "waiting_for_retry": 1, "pending": 5}, "blocked_by_failures", "handle_failures", "blocked", 0.0),
    ({"complete": 6, "resolved_manually": 1}, "all_complete", "finalize_task", "healthy", 100.0),
    ({"complete": 5, "bypassed": 2}, "all_complete", "finalize_task", "healthy", 100.0),
    (
        {"complete": 3, "cancelled": 1, "pending": 3},
        "waiting_for_dependencies",
        "wait_for_dependencies",
        "healthy",
        42.86,
    ),
    ({}, "waiting_for_dependencies", "wait_for_dependencies", "unknown", 0.0),
]


@pytest.mark.parametrize(("counts", "status", "action", "health", "completion"), DIAMONDS, ids=str)
def test_the_steps_states_give_status_action_health_and_completion(
    counts: dict[str, int], status: str, action: str, health: str, completion: float
) -> None:
    context = execution_context("in_progress", counts)

    assert context.execution_status == status
    assert context.recommended_action == action
    assert context.health_status == health
    assert context.completion_percentage == completion


def test_the_counts_add_up_to_all_steps() -> None:
    states = ("pending", "dispatched", "in_progress", "waiting_for_retry", "complete", "error", "cancelled", "bypassed")

    context = execution_context("in_progress", dict.fromkeys(states, 1) | {"resolved_manually": 1})

    assert context.total_steps == 9
    assert (context.pending_steps, context.ready_steps, context.in_progress_steps) == (1, 1, 1)
    assert (context.completed_steps, context.failed_steps, context.blocked_steps, context.cancelled_steps) == (
        3,
        2,
        1,
        1,
    )


@pytest.mark.parametrize("task_status", ["cancelled", "resolved_manually"])
def test_nothing_is_recommended_for_a_task_that_was_stopped(task_status: str) -> None:
    assert execution_context(task_status, {"cancelled": 3, "complete": 1}).recommended_action == "none"


def test_a_task_without_steps_is_not_done_by_any_share() -> None:
    assert percentage(0, 0) == 0.0
