"""The index of timers: what it takes from events, and what it gives when the time has come."""

import json
from uuid import UUID

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.core.commands import DispatchRetry, TimeOutStep, TimeOutTask
from stepbus.orchestrator.runtime.due import DueCommand, DueIndex
from tests.unit.core.examples import accepted, cancelled, completed, dispatched, failed, stories, task_failed, timed_out

ONE, TWO = UUID(int=1), UUID(int=2)
GIVEN = stories("a", "b")


def index(*events: e.Event, task_id: UUID = ONE, into: DueIndex | None = None) -> DueIndex:
    into = DueIndex() if into is None else into
    for event in events:
        into.absorb(task_id, event)
    return into


def at(due_ms: int, name: str = "a", attempt: int = 1) -> e.StepDispatched:
    return dispatched(name, attempt, at=due_ms, timeout=0)


def fired(timers: DueIndex, now_ms: int, limit: int = 100) -> list[DueCommand]:
    return list(timers.due(now_ms, limit))


def test_an_empty_index_has_nothing_to_come() -> None:
    assert DueIndex().next_ms() is None
    assert fired(DueIndex(), 10**15) == []


def test_the_deadline_of_an_attempt_fires_once_and_not_before_its_time() -> None:
    timers = index(at(50, attempt=2))

    assert timers.next_ms() == 50
    assert fired(timers, 49) == []
    assert fired(timers, 50) == [TimeOutStep(ONE, "a", 2, 50)]
    assert fired(timers, 99) == []


def test_what_fires_late_says_the_time_it_is() -> None:
    assert fired(index(at(50)), 70) == [TimeOutStep(ONE, "a", 1, 70)]


@pytest.mark.parametrize("ended", [failed("a", 2, 80), timed_out("a", 2, 80)], ids=["failed", "timed out"])
def test_the_end_of_a_delay_takes_the_place_of_the_deadline(ended: e.Event) -> None:
    timers = index(at(50, attempt=2), ended)

    assert timers.next_ms() == 80
    assert fired(timers, 80) == [DispatchRetry(ONE, "a", 2, 80)]


def test_a_heartbeat_moves_the_deadline() -> None:
    timers = index(at(50), e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=90))

    assert fired(timers, 89) == []
    assert fired(timers, 90) == [TimeOutStep(ONE, "a", 1, 90)]


def test_a_retry_can_be_due_before_the_deadline_it_replaces() -> None:
    timers = index(at(50), failed("a", 1, 10), at(20, attempt=2))

    assert fired(timers, 100) == [TimeOutStep(ONE, "a", 2, 100)]


@pytest.mark.parametrize(
    "ended",
    [completed("a"), failed("a"), timed_out("a"), cancelled("a"), e.StepResolvedManually(step="a", attempt=1)],
    ids=lambda event: event.TYPE,
)
def test_a_step_that_is_over_has_no_timer(ended: e.Event) -> None:
    timers = index(at(50), at(60, "b"), ended)

    assert fired(timers, 100) == [TimeOutStep(ONE, "b", 1, 100)]


def test_the_deadline_of_a_task_fires_until_the_task_has_ended() -> None:
    timers = index(accepted(GIVEN, deadline_at_ms=40), at(50))

    assert fired(timers, 45) == [TimeOutTask(ONE, 45)]


def test_a_task_without_a_deadline_has_no_timer_of_its_own() -> None:
    assert index(accepted(GIVEN)).next_ms() is None


@pytest.mark.parametrize(
    "ended",
    [e.TaskCompleted(), task_failed("a"), e.TaskCancelled(), e.TaskResolvedManually(), e.TaskReopened()],
    ids=lambda event: event.TYPE,
)
def test_a_task_that_stands_still_has_no_timers_and_takes_no_room(ended: e.Event) -> None:
    timers = index(accepted(GIVEN, deadline_at_ms=40), at(50), ended)
    index(at(60), task_id=TWO, into=timers)

    assert fired(timers, 100) == [TimeOutStep(TWO, "a", 1, 100)]
    assert set(timers.tasks) == {TWO}


def test_a_task_whose_last_timer_is_gone_takes_no_room() -> None:
    assert index(at(50), completed("a")).tasks == {}


def test_the_end_of_what_never_had_a_timer_is_no_matter() -> None:
    assert index(completed("a"), at(50), completed("b"), e.TaskCompleted(), e.TaskCompleted()).tasks == {}


def test_events_that_concern_no_timer_are_passed_over() -> None:
    timers = index(e.StepBypassed(step="a"), e.StepReopened(step="a", max_attempts=4), e.MessageResubmitted())

    assert (timers.tasks, timers.heap) == ({}, [])


def test_timers_of_all_tasks_fire_in_the_order_of_their_times() -> None:
    timers = index(at(30), at(10, "b"))
    index(at(20), at(40, "b"), task_id=TWO, into=timers)

    assert fired(timers, 35) == [
        TimeOutStep(ONE, "b", 1, 35),
        TimeOutStep(TWO, "a", 1, 35),
        TimeOutStep(ONE, "a", 1, 35),
    ]
    assert timers.next_ms() == 40


def test_no_more_are_taken_out_than_are_asked_for() -> None:
    timers = index(at(10), at(20, "b"), at(30, "c"))

    assert fired(timers, 100, limit=0) == []
    assert [command.step for command in timers.due(100, 2) if isinstance(command, TimeOutStep)] == ["a", "b"]
    assert fired(timers, 100) == [TimeOutStep(ONE, "c", 1, 100)]


@pytest.mark.parametrize(
    "event", [accepted(GIVEN, deadline_at_ms=50), at(50), failed("a", 1, 50)], ids=["task", "deadline", "retry"]
)
def test_a_timer_that_could_not_be_fired_is_put_back(event: e.Event) -> None:
    timers = index(event)
    (command,) = fired(timers, 60)

    timers.restore(command)

    assert timers.next_ms() == 50
    assert fired(timers, 60) == [command]


def test_a_timer_that_is_gone_meanwhile_is_not_put_back() -> None:
    timers = index(at(50))
    (command,) = fired(timers, 60)
    timers.absorb(ONE, completed("a"))

    timers.restore(command)

    assert timers.next_ms() is None


def test_a_timer_that_has_moved_meanwhile_is_put_back_where_it_is_now() -> None:
    timers = index(at(50))
    (command,) = fired(timers, 60)
    timers.absorb(ONE, e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=90))

    timers.restore(command)

    assert timers.next_ms() == 90


def test_what_was_dumped_as_json_is_loaded_as_it_was() -> None:
    timers = index(accepted(GIVEN, deadline_at_ms=40), at(50), failed("a", 1, 30), at(20, "b"))

    loaded = DueIndex.load(json.loads(json.dumps(timers.dump())))

    assert loaded.tasks == timers.tasks
    assert fired(loaded, 100) == fired(timers, 100)


def test_a_timer_under_way_when_the_index_was_dumped_is_fired_again() -> None:
    timers = index(at(50))
    under_way = fired(timers, 60)

    assert fired(DueIndex.load(timers.dump()), 60) == under_way
