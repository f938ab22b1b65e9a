"""What a task waits for: the commands that its timers come to, read from its state.

A timer is a fact of the state: the deadline of an attempt, the end of a delay, the deadline of the task. What is due
here may mean nothing by the time it is decided; that is for `decide` to say.
"""

from typing import NamedTuple

from stepbus.orchestrator.core.commands import DispatchRetry, TimeOutStep, TimeOutTask
from stepbus.orchestrator.core.state import StepStatus, TaskState, TaskStatus

DueCommand = TimeOutStep | DispatchRetry | TimeOutTask

_RUNNING = (TaskStatus.PENDING, TaskStatus.IN_PROGRESS)
_OF_THE_TASK = -1
"""Stands for the task's own deadline among the indices of its steps, and comes before them."""


class Due(NamedTuple):
    """What a task has to be told now, in the order in which it was due; and when it has to be looked at again."""

    commands: tuple[DueCommand, ...]
    next_ms: int | None


def due_of(state: TaskState, now_ms: int, limit: int) -> Due:
    """Give what is due of a task, at most so much of it; what there is beyond that is due again at once."""
    if state.status not in _RUNNING:
        return Due((), None)
    timers = [(due_ms, number) for number, due_ms in state.due_ms.items()]
    if state.deadline_at_ms is not None:
        timers.append((state.deadline_at_ms, _OF_THE_TASK))
    due = sorted(timer for timer in timers if timer[0] <= now_ms)
    later_ms = [due_ms for due_ms, _ in due[limit:]] or [due_ms for due_ms, _ in timers if due_ms > now_ms]
    commands = tuple(_command(state, number, now_ms) for _, number in due[:limit])
    return Due(commands, min(later_ms, default=None))


def _command(state: TaskState, number: int, now_ms: int) -> DueCommand:
    if number == _OF_THE_TASK:
        return TimeOutTask(state.task_id, now_ms)
    step, attempt = state.plan.steps[number].name, state.attempts[number]
    if state.step_status[number] == StepStatus.WAITING_FOR_RETRY:
        return DispatchRetry(state.task_id, step, attempt, now_ms)
    return TimeOutStep(state.task_id, step, attempt, now_ms)
