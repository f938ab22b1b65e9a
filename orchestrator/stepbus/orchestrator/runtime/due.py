"""What is due when: an index over the timers that stand in the log.

A timer is a fact of a task's events (an attempt's deadline, a retry, the deadline of the task), so the index can always
be built again. It may fire too often, never too seldom: whether a timer still means anything is decided by `decide`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.commands import DispatchRetry, TimeOutStep, TimeOutTask

DueCommand = TimeOutStep | DispatchRetry | TimeOutTask

_TASK = ""
"""The key of the task's own timer among those of its steps."""


@dataclass(slots=True)
class Timer:
    """One thing that is due. `retry` tells the end of a delay from the deadline of an attempt."""

    due_ms: int
    attempt: int
    retry: bool = False


@dataclass(slots=True)
class DueIndex:
    """The timers of all open tasks, by task and step, and a heap that is cleaned as it is read."""

    tasks: dict[UUID, dict[str, Timer]] = field(default_factory=dict)
    heap: list[tuple[int, UUID, str]] = field(default_factory=list)

    def absorb(self, task_id: UUID, event: e.Event) -> None:
        """Take in one event of a task."""
        change = _CHANGES.get(type(event))
        if change is not None:
            change(self, task_id, event)

    def next_ms(self) -> int | None:
        """Give when the next timer is due."""
        while self.heap:
            due_ms, task_id, step = self.heap[0]
            timer = self.tasks.get(task_id, {}).get(step)
            if timer is not None and timer.due_ms == due_ms:
                return due_ms
            heappop(self.heap)
        return None

    def due(self, now_ms: int, limit: int) -> Iterator[DueCommand]:
        """Take out and give what is due, at most so much of it."""
        while limit > 0 and (due_ms := self.next_ms()) is not None and due_ms <= now_ms:
            limit -= 1
            _, task_id, step = heappop(self.heap)
            timer = self.tasks[task_id][step]
            if step == _TASK:
                yield TimeOutTask(task_id, now_ms)
            elif timer.retry:
                yield DispatchRetry(task_id, step, timer.attempt, now_ms)
            else:
                yield TimeOutStep(task_id, step, timer.attempt, now_ms)

    def restore(self, command: DueCommand) -> None:
        """Put back a timer that could not be fired, if it is still there."""
        step = _TASK if isinstance(command, TimeOutTask) else command.step
        timer = self.tasks.get(command.task_id, {}).get(step)
        if timer is not None:
            heappush(self.heap, (timer.due_ms, command.task_id, step))

    def dump(self) -> list[Any]:
        """Give the index as JSON."""
        return [
            [str(task_id), [[step, timer.due_ms, timer.attempt, timer.retry] for step, timer in timers.items()]]
            for task_id, timers in self.tasks.items()
        ]

    @classmethod
    def load(cls, dumped: list[Any]) -> "DueIndex":
        """Give the index that `dump` wrote."""
        tasks = {
            UUID(task_id): {step: Timer(due_ms, attempt, retry) for step, due_ms, attempt, retry in timers}
            for task_id, timers in dumped
        }
        heap = [(timer.due_ms, task_id, step) for task_id, timers in tasks.items() for step, timer in timers.items()]
        heapify(heap)
        return cls(tasks, heap)

    def put(self, task_id: UUID, step: str, timer: Timer) -> None:
        """Set the timer of a step, in place of the one it had."""
        self.tasks.setdefault(task_id, {})[step] = timer
        heappush(self.heap, (timer.due_ms, task_id, step))

    def drop(self, task_id: UUID, step: str) -> None:
        """Take the timer of a step away, if it has one."""
        timers = self.tasks.get(task_id)
        if timers is not None:
            timers.pop(step, None)
            if not timers:
                del self.tasks[task_id]


def _accepted(index: DueIndex, task_id: UUID, event: e.TaskAccepted) -> None:
    if event.deadline_at_ms is not None:
        index.put(task_id, _TASK, Timer(event.deadline_at_ms, 0))


def _in_hand(index: DueIndex, task_id: UUID, event: e.StepDispatched | e.StepHeartbeatRecorded) -> None:
    index.put(task_id, event.step, Timer(event.deadline_at_ms, event.attempt))


def _ended_badly(index: DueIndex, task_id: UUID, event: e.StepFailed | e.StepTimedOut) -> None:
    if event.retry_at_ms is None:
        index.drop(task_id, event.step)
    else:
        index.put(task_id, event.step, Timer(event.retry_at_ms, event.attempt, retry=True))


def _step_ended(
    index: DueIndex, task_id: UUID, event: e.StepCompleted | e.StepCancelled | e.StepResolvedManually
) -> None:
    index.drop(task_id, event.step)


def _task_stopped(index: DueIndex, task_id: UUID, _event: e.Event) -> None:
    index.tasks.pop(task_id, None)


_CHANGES: Mapping[type[e.Event], Callable[[DueIndex, UUID, Any], None]] = {
    e.TaskAccepted: _accepted,
    e.StepDispatched: _in_hand,
    e.StepHeartbeatRecorded: _in_hand,
    e.StepFailed: _ended_badly,
    e.StepTimedOut: _ended_badly,
    e.StepCompleted: _step_ended,
    e.StepCancelled: _step_ended,
    e.StepResolvedManually: _step_ended,
    e.TaskCompleted: _task_stopped,
    e.TaskFailed: _task_stopped,
    e.TaskCancelled: _task_stopped,
    e.TaskResolvedManually: _task_stopped,
    e.TaskReopened: _task_stopped,
}
