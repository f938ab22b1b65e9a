"""The task summary: what a list of tasks shows."""

import pytest

from stepbus.contracts import events as e
from stepbus.projections.projection import NotApplicable
from stepbus.projections.tasks import TASKS
from tests.support.projected import OTHER_TASK, Projected, accepted, completed, dispatched

TASK_ROW = "SELECT * FROM view_tasks"


async def test_an_accepted_task_shows_what_it_runs_and_how_large_it_is(log: Projected) -> None:
    await log.given_template()
    position = await log.given(accepted(context={"b": 1, "a": [2]}, deadline_at_ms=5000), actor="client/http")

    await log.when(TASKS)

    row = await log.row(TASK_ROW)
    assert row["position"] == position
    assert (row["namespace"], row["name"], row["version"]) == ("shop", "diamond", "1.0.0")
    assert (row["status"], row["total_steps"], row["satisfied_steps"]) == ("pending", 4, 0)
    assert (row["context"], row["deadline_at_ms"]) == ('{"a":[2],"b":1}', 5000)
    assert (row["actor"], row["request_id"], row["accepted_at_ms"]) == ("client/http", "request-1", 1001)


async def test_a_task_is_in_progress_from_its_first_dispatch_on(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))

    await log.when(TASKS)

    assert (await log.row(TASK_ROW))["status"] == "in_progress"


async def test_completed_resolved_and_bypassed_steps_count_as_satisfied(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), e.StepBypassed(step="right"), dispatched("begin"))
    await log.given(completed("begin"), dispatched("left"))
    await log.given(e.StepResolvedManually(step="left", attempt=1), dispatched("end"))

    await log.when(TASKS)

    row = await log.row(TASK_ROW)
    assert (row["satisfied_steps"], row["changed_at_ms"]) == (3, 1003)


@pytest.mark.parametrize(
    ("event", "status", "code", "reason", "failed"),
    [
        (e.TaskCompleted(), "complete", None, None, "[]"),
        (
            e.TaskFailed(code="task.blocked_by_failures", failed_steps=("left",)),
            "error",
            "task.blocked_by_failures",
            None,
            '["left"]',
        ),
        (e.TaskCancelled(reason="too late"), "cancelled", None, "too late", "[]"),
        (e.TaskResolvedManually(reason="by hand"), "resolved_manually", None, "by hand", "[]"),
    ],
    ids=lambda value: value.TYPE if isinstance(value, e.Event) else "",
)
async def test_a_task_that_ends_says_when_how_and_why(
    log: Projected, event: e.Event, status: str, code: str | None, reason: str | None, failed: str
) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(event)

    await log.when(TASKS)

    row = await log.row(TASK_ROW)
    assert (row["status"], row["code"], row["reason"], row["failed_steps"]) == (status, code, reason, failed)
    assert row["ended_at_ms"] == 1002


async def test_a_reopened_task_has_not_ended(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.TaskFailed(code="task.blocked_by_failures", failed_steps=("begin",)))
    await log.given(e.TaskReopened())

    await log.when(TASKS)

    row = await log.row(TASK_ROW)
    assert (row["status"], row["code"], row["failed_steps"], row["ended_at_ms"]) == ("in_progress", None, "[]", None)


async def test_a_task_of_a_template_that_was_never_registered_stops_the_view(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), stream=OTHER_TASK)
    position = await log.given(accepted().model_copy(update={"template_hash": "unknown"}))

    with pytest.raises(NotApplicable, match=f"stopped at position {position}"):
        await log.when(TASKS)

    assert [row["task_id"] for row in await log.rows(TASK_ROW)] == [str(OTHER_TASK)]
    assert await log.views.checkpoint("tasks") == position - 1
