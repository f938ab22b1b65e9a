"""The timeline and the history: when each attempt ran, and everything that happened."""

import json

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.projections.attempts import ATTEMPTS
from stepbus.projections.history import HISTORY
from tests.support.projected import TASK, WORKER, Projected, accepted, completed, dispatched

FAILURE = StepError(code="stock.none")


async def test_each_attempt_has_a_row_from_its_dispatch_to_its_end(log: Projected) -> None:
    first = await log.given(accepted(), dispatched("begin", due=7_000))
    await log.given(e.StepHeartbeatRecorded(step="begin", attempt=1, deadline_at_ms=7_500), actor=WORKER)
    await log.given(e.StepHeartbeatRecorded(step="begin", attempt=1, deadline_at_ms=8_000), actor=WORKER)
    await log.given(e.StepFailed(step="begin", attempt=1, error=FAILURE, retry_at_ms=4_000), actor=WORKER)
    second = await log.given(dispatched("begin", attempt=2))
    await log.given(completed("begin", attempt=2), actor="worker/w-2")

    await log.when(ATTEMPTS)

    failed, passed = await log.rows("SELECT * FROM view_attempts ORDER BY attempt")
    assert (failed["dispatched_at_ms"], failed["started_at_ms"], failed["ended_at_ms"]) == (1000, 1001, 1003)
    assert (failed["outcome"], failed["error_code"], failed["retry_at_ms"]) == ("failed", "stock.none", 4_000)
    assert (failed["deadline_at_ms"], failed["worker"], failed["position"]) == (8_000, "w-1", first)
    assert (passed["outcome"], passed["worker"], passed["started_at_ms"]) == ("completed", "w-2", None)
    assert (passed["position"], passed["record_index"]) == (second, 0)


async def test_an_attempt_ends_once(log: Projected) -> None:
    await log.given(accepted(), dispatched("begin"))
    await log.given(e.StepTimedOut(step="begin", attempt=1))
    await log.given(e.StepResolvedManually(step="begin", attempt=1))

    await log.when(ATTEMPTS)

    row = await log.row("SELECT outcome, ended_at_ms, error_code FROM view_attempts")
    assert tuple(row.values()) == ("timed_out", 1001, "step.timed_out")


async def test_attempts_in_hand_end_by_cancellation_or_by_an_operator(log: Projected) -> None:
    await log.given(accepted(), dispatched("left"), dispatched("right"))
    await log.given(e.StepCancelled(step="left", attempt=1), e.StepCancelled(step="end", attempt=0))
    await log.given(e.StepResolvedManually(step="right", attempt=1))

    await log.when(ATTEMPTS)

    rows = await log.rows("SELECT step, outcome FROM view_attempts ORDER BY step")
    assert [tuple(row.values()) for row in rows] == [("left", "cancelled"), ("right", "resolved_manually")]


async def test_the_history_has_every_event_of_a_task_densely_numbered(log: Projected) -> None:
    await log.given(accepted(context={"a": 1}), dispatched("begin"))
    await log.given_template()
    position = await log.given(completed("begin", result=[1]), dispatched("left"), actor=WORKER)

    await log.when(HISTORY)

    rows = await log.rows("SELECT * FROM view_history ORDER BY sequence")
    assert [(row["sequence"], row["type"], row["step"]) for row in rows] == [
        (1, "TaskAccepted", None),
        (2, "StepDispatched", "begin"),
        (3, "StepCompleted", "begin"),
        (4, "StepDispatched", "left"),
    ]
    last = rows[-1]
    assert (last["position"], last["record_index"], last["version"], last["attempt"]) == (position, 1, 2, 1)
    assert (last["actor"], last["causation_id"], last["correlation_id"]) == (WORKER, "cause", "correlation")
    assert json.loads(rows[2]["data"]) == {"step": "begin", "attempt": 1, "result": [1]}
    assert {row["task_id"] for row in rows} == {str(TASK)}
