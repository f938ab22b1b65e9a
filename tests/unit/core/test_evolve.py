"""What an event changes, and that no event is refused and none touches the state it is applied to."""

from typing import Any

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.core.evolve import absorb, evolve, fold
from stepbus.orchestrator.core.state import StepStatus, TaskState, TaskStatus
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import (
    NOW,
    TIMEOUT,
    accepted,
    cancelled,
    completed,
    dispatched,
    failed,
    problem,
    stories,
    task_failed,
    timed_out,
)

GIVEN = stories("a", "b < a", "c < a", "d < b c")
STARTED = (accepted(GIVEN), dispatched("a"))
A, B, C, D = range(4)

ONE_OF_EACH: tuple[e.Event, ...] = (
    accepted(GIVEN, context={"x": 1}, deadline_at_ms=NOW, replyto="_INBOX.x"),
    e.StepBypassed(step="a"),
    dispatched("a"),
    e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=NOW),
    completed("a", result={"x": 1}),
    failed("a", 1, NOW),
    timed_out("a", 1, NOW),
    cancelled("a"),
    e.StepResolvedManually(step="a", attempt=1, result=1),
    e.StepReopened(step="a", max_attempts=7),
    e.TaskCompleted(),
    task_failed("a"),
    e.TaskCancelled(),
    e.TaskReopened(),
    e.TaskResolvedManually(),
)


def after(*events: e.Event) -> TaskState:
    return fold(TaskState.blank(TASK_ID, GIVEN.plan), events)


def same(one: TaskState, other: TaskState) -> bool:
    return one.digest() == other.digest()


def test_there_is_an_example_of_every_event_of_a_task() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(e.TASK_EVENTS)


def test_the_acceptance_brings_what_the_task_keeps() -> None:
    state = after(accepted(GIVEN, context={"x": 1}, deadline_at_ms=NOW, replyto="_INBOX.x"))

    assert (state.status, state.context, state.request_id) == (TaskStatus.PENDING, {"x": 1}, "request-1")
    assert (state.deadline_at_ms, state.replyto, state.events) == (NOW, "_INBOX.x", 1)


def test_a_dispatch_begins_an_attempt_with_its_deadline() -> None:
    state = after(*STARTED)

    assert (state.status, state.step_status[A], state.attempts[A]) == (TaskStatus.IN_PROGRESS, StepStatus.DISPATCHED, 1)
    assert (state.due_ms, state.moving) == ({A: NOW + TIMEOUT}, 1)


def test_a_success_is_counted_once_off_each_dependent() -> None:
    state = after(*STARTED, completed("a", result=5))

    assert (list(state.waiting), state.results, state.due_ms) == ([0, 0, 0, 2], {A: 5}, {})
    assert (state.moving, state.satisfied, state.failed) == (0, 1, 0)


def test_an_event_that_comes_twice_counts_once() -> None:
    state = after(*STARTED, completed("a"), completed("a"))

    assert (list(state.waiting), state.satisfied, state.events) == ([0, 0, 0, 2], 1, 4)


@pytest.mark.parametrize("ended", [failed("a", 1, NOW + 5), timed_out("a", 1, NOW + 5)], ids=["failed", "timed out"])
def test_a_failed_attempt_with_a_next_one_waits_for_it(ended: e.Event) -> None:
    state = after(*STARTED, ended)

    assert (state.step_status[A], state.due_ms) == (StepStatus.WAITING_FOR_RETRY, {A: NOW + 5})
    assert (state.moving, state.failed) == (1, 0)


@pytest.mark.parametrize("ended", [failed("a"), timed_out("a")], ids=["failed", "timed out"])
def test_a_failed_attempt_without_a_next_one_is_the_end_of_the_step(ended: e.Event) -> None:
    state = after(*STARTED, ended)

    assert (state.step_status[A], state.due_ms, state.moving, state.failed) == (StepStatus.ERROR, {}, 0, 1)


def test_a_reopened_step_has_as_many_attempts_as_it_was_given() -> None:
    state = after(*STARTED, failed("a"), e.StepReopened(step="a", max_attempts=9))

    assert (state.step_status[A], state.max_attempts(A), state.max_attempts(B)) == (StepStatus.PENDING, 9, 3)
    assert (state.attempts[A], state.failed) == (1, 0)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (e.TaskCompleted(), TaskStatus.COMPLETE),
        (task_failed("a"), TaskStatus.ERROR),
        (e.TaskCancelled(), TaskStatus.CANCELLED),
        (e.TaskResolvedManually(), TaskStatus.RESOLVED_MANUALLY),
        (e.TaskReopened(), TaskStatus.IN_PROGRESS),
    ],
)
def test_an_event_of_the_task_says_its_status(event: e.Event, status: TaskStatus) -> None:
    assert after(*STARTED, event).status == status


def test_a_reopened_task_has_no_deadline() -> None:
    assert after(accepted(GIVEN, deadline_at_ms=NOW), task_failed("a"), e.TaskReopened()).deadline_at_ms is None


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.TYPE)
def test_an_event_leaves_the_state_it_is_applied_to_as_it_is(event: e.Event) -> None:
    before = after(*STARTED, completed("a", result=[1]), dispatched("b"), failed("b", 1, NOW))
    digest = before.digest()

    later = evolve(before, event)

    assert before.digest() == digest
    assert later.events == before.events + 1


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.TYPE)
def test_every_event_can_be_the_first(event: e.Event) -> None:
    assert after(event).events == 1


@pytest.mark.parametrize(
    "event", [event for event in ONE_OF_EACH if hasattr(event, "step")], ids=lambda event: event.TYPE
)
def test_an_event_of_an_unknown_step_changes_no_step(event: e.Event) -> None:
    before, elsewhere = after(*STARTED), event.model_copy(update={"step": "gone"})

    later = evolve(before, elsewhere)

    later.events -= 1
    assert same(later, before)


@pytest.mark.parametrize("event", e.EVENTS[len(e.TASK_EVENTS) :], ids=lambda event: event.TYPE)
def test_an_event_of_another_kind_of_stream_only_counts(event: type[e.Event]) -> None:
    fields: dict[type[e.Event], dict[str, Any]] = {
        e.TemplateRegistered: {"namespace": "", "name": "", "version": "", "template_hash": "", "template": {}},
        e.MessageQuarantined: {"channel": "", "body": "", "headers": {}, "problems": ()},
        e.MessageResubmitted: {},
        e.AnswerIgnored: {"task_id": TASK_ID, "step": "a", "attempt": 1, "code": "", "reason": "", "answer_type": ""},
        e.WorkerAnnounced: {"worker": "w-1", "handlers": ()},
    }
    before = after(*STARTED)

    later = evolve(before, event(**fields[event]))

    later.events -= 1
    assert same(later, before)


@pytest.mark.parametrize(("attempt", "kept"), [(-(2**63), 0), (-1, 0), (0, 0), (255, 255), (256, 255), (2**63, 255)])
def test_an_attempt_outside_all_bounds_is_not_refused(attempt: int, kept: int) -> None:
    assert after(*STARTED, dispatched("a", attempt)).attempts[A] == kept


def test_absorbing_one_by_one_gives_what_folding_gives() -> None:
    state = TaskState.blank(TASK_ID, GIVEN.plan)
    for event in ONE_OF_EACH:
        absorb(state, event)

    assert same(state, after(*ONE_OF_EACH))


def test_absorbing_copies_nothing_so_that_it_costs_the_same_in_a_task_of_any_size() -> None:
    state = after(*STARTED)
    tables = (state.step_status, state.attempts, state.waiting, state.due_ms, state.raised, state.results)

    for event in ONE_OF_EACH:
        absorb(state, event)

    after_it = (state.step_status, state.attempts, state.waiting, state.due_ms, state.raised, state.results)
    assert all(one is other for one, other in zip(tables, after_it, strict=True))


def test_a_fold_of_nothing_is_a_state_of_its_own() -> None:
    before = after(*STARTED)
    copy = fold(before, ())

    absorb(copy, failed("a", error=problem()))

    assert (before.step_status[A], copy.step_status[A]) == (StepStatus.DISPATCHED, StepStatus.ERROR)
