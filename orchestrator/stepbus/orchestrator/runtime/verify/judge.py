"""The events of one task, judged one by one by what came before."""

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from operator import attrgetter
from typing import Any

from stepbus.contracts import events as e
from stepbus.contracts.template import MAX_ATTEMPTS, TaskTemplate
from stepbus.orchestrator.runtime.verify.invariants import Finding, Invariant

_SHOWN = 5
_STEP = attrgetter("step")


class Step(IntEnum):
    """What a step is doing, as far as it matters for what may come next."""

    WAITING = 0
    IN_HAND = 1
    DELAYED = 2
    DONE = 3
    FAILED = 4
    CANCELLED = 5


_OPEN = (Step.WAITING, Step.IN_HAND, Step.DELAYED)


class Outline:
    """Of a template, what its tasks are judged by."""

    def __init__(self, template: TaskTemplate) -> None:
        self.title = (template.namespace, template.name, template.version)
        self.names = tuple(step.name for step in template.steps)
        self.index = {name: number for number, name in enumerate(self.names)}
        self.needs = tuple(tuple(self.index[name] for name in step.depends_on) for step in template.steps)
        self.most = bytes(step.retry.max_attempts for step in template.steps)


class Judge:
    """One task after its acceptance. Takes in every event, whether it is as it should be or not."""

    __slots__ = ("allowed", "attempts", "end", "outline", "steps")

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.steps = bytearray(len(outline.names))
        self.attempts = bytearray(len(outline.names))
        self.allowed: dict[int, int] = {}
        self.end = ""

    @property
    def is_over(self) -> bool:
        """Say whether nothing may follow any more."""
        return self.end not in ("", e.TaskFailed.TYPE)

    def judge(self, event: e.Event) -> Iterator[Finding]:
        """Give what is wrong with the next event."""
        if self.is_over:
            yield Invariant.ONE_END, f"expected nothing after {self.end}, found {event.TYPE}"
            return
        if self.end and not isinstance(event, e.TaskReopened):
            yield Invariant.ONE_END, f"expected TaskReopened after {self.end}, found {event.TYPE}"
            self.end = ""
        if (of_task := _OF_TASKS.get(type(event))) is not None:
            yield from of_task(self, event)
        elif (of_step := _OF_STEPS.get(type(event))) is None:
            yield Invariant.ONE_ACCEPTANCE, f"expected an event of a task, found {event.TYPE}"
        elif (number := self.outline.index.get(_STEP(event))) is None:
            yield Invariant.TEMPLATE, f"expected a step of the template, found {event.TYPE} of {_STEP(event)!r}"
        else:
            yield from of_step(self, number, event)

    def numbers(self, *kinds: Step) -> list[int]:
        """Give the steps that are one of these."""
        return [number for number, kind in enumerate(self.steps) if kind in kinds]

    def told(self, number: int) -> str:
        """Say of a step what it is doing."""
        return f"is {Step(self.steps[number]).name.lower().replace('_', ' ')}"

    def named(self, numbers: list[int]) -> str:
        """Give the names of steps, not of more than a few."""
        shown = ", ".join(repr(self.outline.names[number]) for number in numbers[:_SHOWN])
        return shown if len(numbers) <= _SHOWN else f"{shown} and {len(numbers) - _SHOWN} more"


def _dispatched(task: Judge, number: int, event: e.StepDispatched) -> Iterator[Finding]:
    missing = [need for need in task.outline.needs[number] if task.steps[need] != Step.DONE]
    if missing:
        yield Invariant.DEPENDENCIES_FIRST, f"expected {event.step!r} to wait for {task.named(missing)}"
    if task.steps[number] not in (Step.WAITING, Step.DELAYED):
        yield Invariant.ATTEMPTS_IN_ORDER, f"expected no dispatch of {event.step!r}, which {task.told(number)}"
    next_one, most = task.attempts[number] + 1, task.allowed.get(number, task.outline.most[number])
    if event.attempt != next_one:
        yield Invariant.ATTEMPTS_IN_ORDER, f"expected attempt {next_one} of {event.step!r}, found {event.attempt}"
    elif event.attempt > most:
        message = f"expected at most {most} attempts of {event.step!r}, found attempt {event.attempt}"
        yield Invariant.ATTEMPTS_IN_ORDER, message
    task.attempts[number] = min(max(event.attempt, 0), 255)
    task.steps[number] = Step.IN_HAND


def _beaten(task: Judge, number: int, event: e.StepHeartbeatRecorded) -> Iterator[Finding]:
    yield from _of_the_attempt_in_hand(task, number, event, Invariant.ATTEMPTS_IN_ORDER)


def _completed(task: Judge, number: int, event: e.StepCompleted) -> Iterator[Finding]:
    yield from _of_the_attempt_in_hand(task, number, event, Invariant.ONE_COMPLETION)
    task.steps[number] = Step.DONE


def _ended_badly(task: Judge, number: int, event: e.StepFailed | e.StepTimedOut) -> Iterator[Finding]:
    yield from _of_the_attempt_in_hand(task, number, event, Invariant.ATTEMPTS_IN_ORDER)
    task.steps[number] = Step.FAILED if event.retry_at_ms is None else Step.DELAYED


def _cancelled(task: Judge, number: int, event: e.StepCancelled) -> Iterator[Finding]:
    if task.steps[number] not in _OPEN:
        yield Invariant.ATTEMPTS_IN_ORDER, f"expected no cancellation of {event.step!r}, which {task.told(number)}"
    yield from _of_the_last_attempt(task, number, event)
    task.steps[number] = Step.CANCELLED


def _resolved(task: Judge, number: int, event: e.StepResolvedManually) -> Iterator[Finding]:
    yield from _not_done(task, number, event)
    yield from _of_the_last_attempt(task, number, event)
    task.steps[number] = Step.DONE


def _bypassed(task: Judge, number: int, event: e.StepBypassed) -> Iterator[Finding]:
    yield from _not_done(task, number, event)
    if task.attempts[number]:
        yield Invariant.ATTEMPTS_IN_ORDER, f"expected no bypass of {event.step!r}, which was dispatched"
    task.steps[number] = Step.DONE


def _reopened(task: Judge, number: int, event: e.StepReopened) -> Iterator[Finding]:
    if task.steps[number] not in (Step.FAILED, Step.CANCELLED):
        yield Invariant.ATTEMPTS_IN_ORDER, f"expected no reopening of {event.step!r}, which {task.told(number)}"
    if event.max_attempts > MAX_ATTEMPTS:
        message = f"expected at most {MAX_ATTEMPTS} attempts of any step, found {event.max_attempts} allowed"
        yield Invariant.ATTEMPTS_IN_ORDER, message
    task.allowed[number] = event.max_attempts
    task.steps[number] = Step.WAITING


def _of_the_attempt_in_hand(task: Judge, number: int, event: Any, invariant: Invariant) -> Iterator[Finding]:
    if task.steps[number] != Step.IN_HAND:
        yield invariant, f"expected no {event.TYPE} of {event.step!r}, which {task.told(number)}"
    elif event.attempt != task.attempts[number]:
        message = f"expected {event.TYPE} of attempt {task.attempts[number]} of {event.step!r}"
        yield invariant, f"{message}, which is in hand, found {event.attempt}"


def _of_the_last_attempt(
    task: Judge, number: int, event: e.StepCancelled | e.StepResolvedManually
) -> Iterator[Finding]:
    if event.attempt != task.attempts[number]:
        message = f"expected {event.TYPE} of {event.step!r} to name attempt {task.attempts[number]}"
        yield Invariant.ATTEMPTS_IN_ORDER, f"{message}, found {event.attempt}"


def _not_done(task: Judge, number: int, event: e.StepResolvedManually | e.StepBypassed) -> Iterator[Finding]:
    if task.steps[number] == Step.DONE:
        yield Invariant.ONE_COMPLETION, f"expected no {event.TYPE} of {event.step!r}, which is done"


def _accepted_again(_task: Judge, _event: e.TaskAccepted) -> Iterator[Finding]:
    yield Invariant.ONE_ACCEPTANCE, "expected one acceptance, found another"


def _task_completed(task: Judge, event: e.TaskCompleted) -> Iterator[Finding]:
    yield from _none_left(task, event, *_OPEN, Step.FAILED, Step.CANCELLED)
    task.end = event.TYPE


def _task_failed(task: Judge, event: e.TaskFailed) -> Iterator[Finding]:
    yield from _none_left(task, event, Step.IN_HAND, Step.DELAYED)
    if not task.numbers(Step.FAILED, Step.CANCELLED):
        yield Invariant.ONE_END, f"expected a step to have failed before {event.TYPE}, found none"
    task.end = event.TYPE


def _task_stopped(task: Judge, event: e.TaskCancelled | e.TaskResolvedManually) -> Iterator[Finding]:
    yield from _none_left(task, event, *_OPEN)
    task.end = event.TYPE


def _task_reopened(task: Judge, event: e.TaskReopened) -> Iterator[Finding]:
    if not task.end:
        yield Invariant.ONE_END, f"expected {event.TYPE} after TaskFailed alone, but the task goes on"
    task.end = ""


def _none_left(task: Judge, event: e.Event, *kinds: Step) -> Iterator[Finding]:
    left = task.numbers(*kinds)
    if left:
        yield Invariant.ONE_END, f"expected no step to be left at {event.TYPE}, but {_each(task, left)}"


def _each(task: Judge, numbers: list[int]) -> str:
    """Say what the first of these steps is doing, and which are meant beside it."""
    first, *others = numbers
    told = f"{task.named([first])} {task.told(first)}"
    return told if not others else f"{told}, beside {task.named(others)}"


_OF_STEPS: Mapping[type[e.Event], Callable[[Judge, int, Any], Iterator[Finding]]] = {
    e.StepBypassed: _bypassed,
    e.StepDispatched: _dispatched,
    e.StepHeartbeatRecorded: _beaten,
    e.StepCompleted: _completed,
    e.StepFailed: _ended_badly,
    e.StepTimedOut: _ended_badly,
    e.StepCancelled: _cancelled,
    e.StepResolvedManually: _resolved,
    e.StepReopened: _reopened,
}
_OF_TASKS: Mapping[type[e.Event], Callable[[Judge, Any], Iterator[Finding]]] = {
    e.TaskAccepted: _accepted_again,
    e.TaskCompleted: _task_completed,
    e.TaskFailed: _task_failed,
    e.TaskCancelled: _task_stopped,
    e.TaskResolvedManually: _task_stopped,
    e.TaskReopened: _task_reopened,
}
