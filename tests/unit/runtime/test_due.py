"""What is due of a task: what its state says, and when to look again."""

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.core.commands import DispatchRetry, TimeOutStep, TimeOutTask
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.runtime.due import Due, due_of
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import accepted, cancelled, completed, dispatched, failed, stories, task_failed, timed_out

GIVEN = stories("a", "b", "c")


def due(*events: e.Event, now_ms: int, limit: int = 100) -> Due:
    return due_of(fold(TaskState.blank(TASK_ID, GIVEN.plan), events), now_ms, limit)


def at(due_ms: int, name: str = "a", attempt: int = 1) -> e.StepDispatched:
    return dispatched(name, attempt, at=due_ms, timeout=0)


def test_a_task_without_timers_need_not_be_looked_at_again() -> None:
    assert due(accepted(GIVEN), now_ms=10**15) == Due((), None)


def test_before_the_deadline_of_an_attempt_nothing_is_due() -> None:
    assert due(at(50), now_ms=49) == Due((), 50)


def test_at_the_deadline_of_an_attempt_it_times_out() -> None:
    assert due(at(50, attempt=2), now_ms=50) == Due((TimeOutStep(TASK_ID, "a", 2, 50),), None)


def test_what_is_due_late_says_the_time_it_is() -> None:
    assert due(at(50), now_ms=70) == Due((TimeOutStep(TASK_ID, "a", 1, 70),), None)


@pytest.mark.parametrize("ended", [failed("a", 2, 80), timed_out("a", 2, 80)], ids=["failed", "timed out"])
def test_the_end_of_a_delay_takes_the_place_of_the_deadline(ended: e.Event) -> None:
    assert due(at(50, attempt=2), ended, now_ms=60) == Due((), 80)
    assert due(at(50, attempt=2), ended, now_ms=80) == Due((DispatchRetry(TASK_ID, "a", 2, 80),), None)


def test_a_heartbeat_puts_the_deadline_off() -> None:
    beat = e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=90)

    assert due(at(50), beat, now_ms=89) == Due((), 90)
    assert due(at(50), beat, now_ms=90) == Due((TimeOutStep(TASK_ID, "a", 1, 90),), None)


@pytest.mark.parametrize(
    "ended",
    [completed("a"), failed("a"), timed_out("a"), cancelled("a"), e.StepResolvedManually(step="a", attempt=1)],
    ids=lambda event: event.TYPE,
)
def test_a_step_that_is_over_has_no_timer(ended: e.Event) -> None:
    assert due(at(50), at(60, "b"), ended, now_ms=100) == Due((TimeOutStep(TASK_ID, "b", 1, 100),), None)


def test_the_deadline_of_a_task_comes_before_those_of_its_steps_at_the_same_time() -> None:
    found = due(accepted(GIVEN, deadline_at_ms=40), at(40), now_ms=45)

    assert found == Due((TimeOutTask(TASK_ID, 45), TimeOutStep(TASK_ID, "a", 1, 45)), None)


@pytest.mark.parametrize(
    "ended",
    [e.TaskCompleted(), task_failed("a"), e.TaskCancelled(), e.TaskResolvedManually()],
    ids=lambda event: event.TYPE,
)
def test_a_task_that_stands_still_has_no_timers(ended: e.Event) -> None:
    assert due(accepted(GIVEN, deadline_at_ms=40), at(50), ended, now_ms=100) == Due((), None)


def test_a_task_that_moves_again_has_the_timers_of_its_steps() -> None:
    history = (accepted(GIVEN, deadline_at_ms=40), task_failed("a"), e.TaskReopened(), at(90))

    assert due(*history, now_ms=60) == Due((), 90)


def test_what_is_due_comes_in_the_order_of_its_times_and_what_is_not_is_due_next() -> None:
    found = due(at(30, "a"), at(10, "b"), at(40, "c"), now_ms=35)

    assert found == Due((TimeOutStep(TASK_ID, "b", 1, 35), TimeOutStep(TASK_ID, "a", 1, 35)), 40)


def test_what_is_due_beyond_the_limit_is_due_again_at_once() -> None:
    found = due(at(30, "a"), at(10, "b"), at(20, "c"), now_ms=35, limit=1)

    assert found == Due((TimeOutStep(TASK_ID, "b", 1, 35),), 20)
