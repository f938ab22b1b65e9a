"""The timeline and the history: when each attempt ran, and everything that happened."""

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.projections.attempts import ATTEMPTS
from stepbus.projections.history import HISTORY
from stepbus.projections.projection import NotApplicable
from stepbus.projections.queries.tasks import list_attempts, list_history, version_before
from tests.support.projected import OTHER_TASK, TASK, WORKER, Projected, accepted, completed, dispatched

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

    facts, cursor = await list_history(log.views, TASK, None, 10)
    assert cursor is None
    assert [(fact.sequence, fact.event.TYPE) for fact in facts] == [
        (1, "TaskAccepted"),
        (2, "StepDispatched"),
        (3, "StepCompleted"),
        (4, "StepDispatched"),
    ]
    last = facts[-1]
    assert (last.position, last.record_index, last.version, last.meta.actor) == (position, 1, 2, WORKER)
    assert facts[2].event == completed("begin", result=[1])


async def test_a_page_of_the_history_may_end_within_a_record(log: Projected) -> None:
    await log.given(accepted(), dispatched("begin"))
    await log.given(completed("begin"), dispatched("left"), dispatched("right"))
    await log.when(HISTORY)

    pages, cursor = [], None
    while True:
        facts, cursor = await list_history(log.views, TASK, cursor, 2)
        pages.append([fact.sequence for fact in facts])
        if cursor is None:
            break

    assert pages == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(("position", "known"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (99, 2)])
async def test_the_history_tells_how_many_records_stand_before_a_position(
    log: Projected, position: int, known: int
) -> None:
    await log.given(accepted(), dispatched("begin"))
    await log.given_template()
    await log.given(completed("begin"))
    await log.when(HISTORY)

    assert await version_before(log.views, TASK, position) == known


async def test_tasks_that_happen_at_the_same_time_have_attempts_and_histories_of_their_own(log: Projected) -> None:
    await log.given_template()
    for stream in (TASK, OTHER_TASK):
        await log.given(accepted(), dispatched("begin"), stream=stream)
    for stream in (OTHER_TASK, TASK):
        await log.given(completed("begin", result=str(stream)), dispatched("left"), stream=stream)
    await log.when(ATTEMPTS, HISTORY)

    for stream in (TASK, OTHER_TASK):
        attempts = await list_attempts(log.views, stream, None, 10)
        assert [(row["step"], row["outcome"]) for row in attempts.rows] == [("begin", "completed"), ("left", None)]
        facts, _ = await list_history(log.views, stream, None, 10)
        assert [fact.sequence for fact in facts] == [1, 2, 3, 4]
        assert facts[2].event == completed("begin", result=str(stream))


async def test_a_dispatch_of_a_task_that_was_never_accepted_stops_the_view(log: Projected) -> None:
    await log.given(dispatched("begin"))

    with pytest.raises(NotApplicable, match="stopped at position 1"):
        await log.when(ATTEMPTS)
