"""The step states: every step of a task from its acceptance on, and what it waits for."""

from typing import Any
from uuid import UUID

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import from_mapping
from stepbus.projections.projection import Entry, NotApplicable
from stepbus.projections.queries.blockers import blockers
from stepbus.projections.queries.steps import open_dependencies
from stepbus.projections.steps import STEPS
from tests.support.projected import (
    DIAMOND,
    OTHER_TASK,
    TASK,
    WORKER,
    Projected,
    accepted,
    completed,
    dispatched,
)

FAILURE = StepError(code="stock.none", message="no stock", details={"sku": 7})


async def step(log: Projected, name: str) -> Any:
    return await log.row("SELECT * FROM view_steps WHERE task_id = :task AND step = :step", task=str(TASK), step=name)


async def waits_for(log: Projected, task: UUID = TASK) -> dict[str, list[str]]:
    return await open_dependencies(log.views, task, 0, 100)


async def test_an_accepted_task_has_a_row_for_every_step_of_its_template(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted())

    await log.when(STEPS)

    rows = await log.rows("SELECT step, state, attempt, max_attempts FROM view_steps ORDER BY ordinal")
    assert [tuple(row.values()) for row in rows] == [
        ("begin", "pending", 0, 3),
        ("left", "pending", 0, 3),
        ("right", "pending", 0, 3),
        ("end", "pending", 0, 5),
    ]


async def test_the_plan_of_a_template_has_levels_queues_and_edges(log: Projected) -> None:
    await log.given_template()

    await log.when(STEPS)

    steps = await log.rows("SELECT step, level, handler, queue, skippable FROM view_plan_steps ORDER BY ordinal")
    assert [tuple(row.values()) for row in steps] == [
        ("begin", 0, "shop.begin", "fast", 0),
        ("left", 1, "shop.left", "shop.left", 0),
        ("right", 1, "shop.right", "shop.right", 1),
        ("end", 2, "shop.end", "shop.end", 0),
    ]
    edges = await log.rows("SELECT depends_on, step FROM view_plan_edges ORDER BY depends_on, step")
    assert [tuple(row.values()) for row in edges] == [
        ("begin", "left"),
        ("begin", "right"),
        ("left", "end"),
        ("right", "end"),
    ]


async def test_a_pending_step_waits_for_what_it_depends_on_and_is_not_satisfied_in_its_own_task(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), stream=OTHER_TASK)
    await log.given(accepted(), e.StepBypassed(step="right"), dispatched("begin"))
    await log.when(STEPS)
    assert await waits_for(log) == {"left": ["begin"], "end": ["left"]}
    assert await waits_for(log, OTHER_TASK) == {"left": ["begin"], "right": ["begin"], "end": ["left", "right"]}

    await log.given(completed("begin"), dispatched("left"))
    await log.when(STEPS)
    assert await waits_for(log) == {"end": ["left"]}

    await log.given(e.StepResolvedManually(step="left", attempt=1), dispatched("end"))
    await log.when(STEPS)
    assert await waits_for(log) == {}


async def test_what_a_blocked_step_ends_up_waiting_for_is_found_however_far_above_it_is(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.StepFailed(step="begin", attempt=1, error=FAILURE))
    await log.when(STEPS)

    found = await blockers(log.views, TASK, DIAMOND.hash, "end")

    assert [tuple(row.values()) for row in found] == [("begin", "error")]


async def test_a_step_goes_from_dispatch_over_heartbeat_to_its_result(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin", due=9_000))
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["attempt"], row["deadline_at_ms"], row["dispatched_at_ms"]) == (
        "dispatched",
        1,
        9_000,
        1001,
    )

    beat = e.StepHeartbeatRecorded(step="begin", attempt=1, deadline_at_ms=9_500, progress={"done": 3})
    await log.given(beat, actor=WORKER)
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["heartbeat_at_ms"], row["deadline_at_ms"]) == ("in_progress", 1002, 9_500)
    assert (row["worker"], row["progress"]) == ("w-1", '{"done":3}')

    await log.given(completed("begin", result={"ok": True}), actor=WORKER)
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["result"], row["ended_at_ms"]) == ("complete", '{"ok":true}', 1003)
    assert row["deadline_at_ms"] is None


async def test_a_failed_attempt_waits_for_its_retry_and_the_last_one_for_an_operator(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.StepFailed(step="begin", attempt=1, error=FAILURE, retry_at_ms=4_000), actor=WORKER)
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["retry_at_ms"], row["error_code"]) == ("waiting_for_retry", 4_000, "stock.none")

    await log.given(dispatched("begin", attempt=2))
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["attempt"], row["retry_at_ms"]) == ("dispatched", 2, None)
    assert row["error_message"] == "no stock"

    await log.given(e.StepTimedOut(step="begin", attempt=2))
    await log.when(STEPS)
    row = await step(log, "begin")
    assert (row["state"], row["error_code"], row["error"]) == ("error", "step.timed_out", None)


async def test_an_operator_can_give_a_failed_step_more_attempts(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.StepFailed(step="begin", attempt=1, error=FAILURE))
    await log.given(e.StepReopened(step="begin", max_attempts=4, reason="restocked"), dispatched("begin", attempt=2))

    await log.when(STEPS)

    row = await step(log, "begin")
    assert (row["state"], row["attempt"], row["max_attempts"], row["reason"]) == ("dispatched", 2, 4, "restocked")
    assert row["ended_at_ms"] is None


async def test_a_cancelled_step_is_due_no_more(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.StepCancelled(step="begin", attempt=1), e.StepCancelled(step="left", attempt=0))

    await log.when(STEPS)

    row = await step(log, "begin")
    assert (row["state"], row["deadline_at_ms"], row["ended_at_ms"]) == ("cancelled", None, 1002)
    assert (await step(log, "left"))["state"] == "cancelled"


async def test_many_attempts_of_one_step_in_one_batch_end_in_the_last_of_them(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    for attempt in range(1, 30):
        failed = e.StepFailed(step="begin", attempt=attempt, error=FAILURE, retry_at_ms=4_000)
        await log.given(failed, dispatched("begin", attempt=attempt + 1))

    await log.when(STEPS)

    row = await step(log, "begin")
    assert (row["state"], row["attempt"]) == ("dispatched", 30)


async def test_a_task_of_a_template_that_was_never_registered_stops_the_view(log: Projected) -> None:
    position = await log.given(accepted())

    with pytest.raises(NotApplicable, match=f"stopped at position {position}"):
        await log.when(STEPS)


async def test_an_event_changes_no_more_rows_in_a_task_of_six_thousand_steps_than_in_a_small_one(
    log: Projected,
) -> None:
    steps = [{"name": "s0"}, *({"name": f"s{number}", "depends_on": [f"s{number - 1}"]} for number in range(1, 6000))]
    chain = from_mapping({"name": "chain", "version": "1.0.0", "steps": steps})
    await log.given_template(chain)
    await log.given(accepted(chain), dispatched("s0"))
    for number in range(300):
        await log.given(completed(f"s{number}"), dispatched(f"s{number + 1}"))

    await log.when(STEPS)

    states = await log.rows("SELECT state, COUNT(*) AS steps FROM view_steps GROUP BY state ORDER BY state")
    assert [tuple(row.values()) for row in states] == [("complete", 300), ("dispatched", 1), ("pending", 5699)]
    assert await open_dependencies(log.views, TASK, 5999, 5999) == {"s5999": ["s5998"]}
    assert [row["step"] for row in await blockers(log.views, TASK, chain.hash, "s5999")] == ["s300"]
    level = await log.row("SELECT MAX(level) AS level FROM view_plan_steps")
    assert level["level"] == 5999
    last = [Entry(stored) for stored in await log.store.read(await log.store.head() - 1, 1)]
    assert sum(len(statement.rows) for statement in STEPS.statements(last)) == 2
