"""What an event changes. Total: what has happened is never refused, and an event of no known step changes nothing.

Rule 1: everything that changes a task's state stands in this file. The counts of a state follow from one place,
`_move`.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Final

from stepbus.contracts import events as e
from stepbus.orchestrator.core.state import MOVING, SATISFIED, StepStatus, TaskState, TaskStatus

_BYTE: Final = 255
_IN_PROGRESS: Final = TaskStatus.IN_PROGRESS
_DISPATCHED, _COMPLETE = StepStatus.DISPATCHED, StepStatus.COMPLETE  # sooner here than through their class


def evolve(state: TaskState, event: e.Event) -> TaskState:
    """Give the state after the event; the given one stays as it is."""
    return fold(state, (event,))


def fold(state: TaskState, events: Iterable[e.Event]) -> TaskState:
    """Give the state after all these events, in order; the given one stays as it is."""
    after = state.copy()
    for event in events:
        absorb(after, event)
    return after


def absorb(state: TaskState, event: e.Event) -> None:
    """Apply the event to a state that the caller owns alone. The cost does not depend on the size of the task."""
    state.events += 1
    change = _CHANGES.get(type(event))
    if change is not None:
        change(state, event)


def _accepted(state: TaskState, event: e.TaskAccepted) -> None:
    state.context = event.context
    state.request_id = event.request_id
    state.replyto = event.replyto
    state.deadline_at_ms = event.deadline_at_ms


def _bypassed(state: TaskState, event: e.StepBypassed) -> None:
    _move(state, event.step, StepStatus.BYPASSED)


def _dispatched(state: TaskState, event: e.StepDispatched) -> None:
    state.status = _IN_PROGRESS
    number = _move(state, event.step, _DISPATCHED, event.deadline_at_ms)
    if number is not None:
        attempt = event.attempt
        state.attempts[number] = attempt if 0 <= attempt <= _BYTE else min(max(attempt, 0), _BYTE)


def _heartbeat(state: TaskState, event: e.StepHeartbeatRecorded) -> None:
    _move(state, event.step, StepStatus.IN_PROGRESS, due_ms=event.deadline_at_ms)


def _completed(state: TaskState, event: e.StepCompleted) -> None:
    number = _move(state, event.step, _COMPLETE)
    if number is not None:
        state.results[number] = event.result


def _ended_badly(state: TaskState, event: e.StepFailed | e.StepTimedOut) -> None:
    status = StepStatus.ERROR if event.retry_at_ms is None else StepStatus.WAITING_FOR_RETRY
    _move(state, event.step, status, due_ms=event.retry_at_ms)


def _step_cancelled(state: TaskState, event: e.StepCancelled) -> None:
    _move(state, event.step, StepStatus.CANCELLED)


def _step_resolved(state: TaskState, event: e.StepResolvedManually) -> None:
    number = _move(state, event.step, StepStatus.RESOLVED_MANUALLY)
    if number is not None:
        state.results[number] = event.result


def _reopened(state: TaskState, event: e.StepReopened) -> None:
    number = _move(state, event.step, StepStatus.PENDING)
    if number is not None:
        state.raised[number] = event.max_attempts


def _task_reopened(state: TaskState, _event: e.TaskReopened) -> None:
    state.status = TaskStatus.IN_PROGRESS
    state.deadline_at_ms = None


def _to(status: TaskStatus) -> Callable[[TaskState, Any], None]:
    def change(state: TaskState, _event: e.Event) -> None:
        state.status = status

    return change


def _move(state: TaskState, step: str, status: StepStatus, due_ms: int | None = None) -> int | None:
    """Put the step into this status, keep the counts right, and give its index; None if the task has no such step."""
    number = state.plan.index.get(step)
    if number is None:
        return None
    moving, satisfied, failed = _TURNS[state.step_status[number]][status]
    state.step_status[number] = status
    state.moving += moving
    state.failed += failed
    if satisfied:
        state.satisfied += satisfied
        for dependent in state.plan.dependents[number]:
            state.waiting[dependent] -= satisfied
    if due_ms is None:
        state.due_ms.pop(number, None)
    else:
        state.due_ms[number] = due_ms
    return number


def _turns(satisfied: Container[StepStatus]) -> list[list[tuple[int, int, int]]]:
    """Give what a step's going from one status to another adds to the counts of moving, satisfied and failed ones."""
    counted = [(status in MOVING, status in satisfied, status is StepStatus.ERROR) for status in StepStatus]
    return [[(to[0] - at[0], to[1] - at[1], to[2] - at[2]) for to in counted] for at in counted]


_TURNS: Final = _turns(SATISFIED)
_CHANGES: Mapping[type[e.Event], Callable[[TaskState, Any], None]] = {
    e.TaskAccepted: _accepted,
    e.StepBypassed: _bypassed,
    e.StepDispatched: _dispatched,
    e.StepHeartbeatRecorded: _heartbeat,
    e.StepCompleted: _completed,
    e.StepFailed: _ended_badly,
    e.StepTimedOut: _ended_badly,
    e.StepCancelled: _step_cancelled,
    e.StepResolvedManually: _step_resolved,
    e.StepReopened: _reopened,
    e.TaskCompleted: _to(TaskStatus.COMPLETE),
    e.TaskFailed: _to(TaskStatus.ERROR),
    e.TaskCancelled: _to(TaskStatus.CANCELLED),
    e.TaskReopened: _task_reopened,
    e.TaskResolvedManually: _to(TaskStatus.RESOLVED_MANUALLY),
}
