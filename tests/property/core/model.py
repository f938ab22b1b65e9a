"""A task as its specification tells it: a list of facts, and answers worked out from all of them each time.

Nothing here is kept up to date, so nothing can be forgotten; it is slow, and says what is right.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stepbus.contracts import events as e
from stepbus.contracts.template import StepTemplate, TaskTemplate
from stepbus.orchestrator.core import commands as c

BEATS_MS = 30_000
MOST_ATTEMPTS = 100

IN_HAND = {"dispatched", "in_progress"}
MOVING = {*IN_HAND, "waiting_for_retry"}
SATISFIED = {"complete", "resolved_manually", "bypassed"}
ENDED = {"complete", "cancelled", "resolved_manually"}

STEP_AFTER = {
    "StepBypassed": "bypassed",
    "StepDispatched": "dispatched",
    "StepHeartbeatRecorded": "in_progress",
    "StepCompleted": "complete",
    "StepCancelled": "cancelled",
    "StepResolvedManually": "resolved_manually",
    "StepReopened": "pending",
}
TASK_AFTER = {
    "TaskAccepted": "in_progress",
    "TaskCompleted": "complete",
    "TaskFailed": "error",
    "TaskCancelled": "cancelled",
    "TaskReopened": "in_progress",
    "TaskResolvedManually": "resolved_manually",
}


class Window(NamedTuple):
    """A time that is right if it lies between these two."""

    earliest: float
    latest: float


class Fact(NamedTuple):
    """What one event says, in a form in which all of them can be compared."""

    kind: str
    step: str = ""
    attempt: int = 0
    due_ms: int | Window | None = None
    value: Any = None

    @classmethod
    def of(cls, event: e.Event) -> "Fact":
        told = event.model_dump()
        due_ms = told.get("deadline_at_ms", told.get("retry_at_ms"))
        values = [told[name] for name in ("result", "max_attempts", "progress", "failed_steps") if name in told]
        return cls(event.TYPE, told.get("step", ""), told.get("attempt", 0), due_ms, values[0] if values else None)

    def agrees(self, found: "Fact") -> bool:
        """Say whether what was found is what this expects."""
        if isinstance(self.due_ms, Window):
            if not isinstance(found.due_ms, int):
                return False
            is_in_time = self.due_ms.earliest - 1 <= found.due_ms <= self.due_ms.latest + 1
            return is_in_time and self._replace(due_ms=None) == found._replace(due_ms=None)
        return self == found


class Refused(Exception):
    """The command must be refused."""


class Model:
    """The task that a list of facts tells of."""

    def __init__(self, template: TaskTemplate, facts: Iterable[Fact] = ()) -> None:
        self.template = template
        self.steps = {step.name: step for step in template.steps}
        self.facts = list(facts)

    def followed_by(self, *facts: Fact) -> "Model":
        return Model(self.template, [*self.facts, *facts])

    def told_of(self, step: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.step == step]

    def step(self, name: str) -> str:
        told = self.told_of(name)
        if not told:
            return "pending"
        last = told[-1]
        if last.kind in ("StepFailed", "StepTimedOut"):
            return "error" if last.due_ms is None else "waiting_for_retry"
        return STEP_AFTER[last.kind]

    def task(self) -> str:
        told = [TASK_AFTER[fact.kind] for fact in self.facts if fact.kind in TASK_AFTER]
        return told[-1] if told else "pending"

    def attempts(self, name: str) -> int:
        return sum(fact.kind == "StepDispatched" for fact in self.told_of(name))

    def allowed(self, name: str) -> int:
        granted = [fact.value for fact in self.told_of(name) if fact.kind == "StepReopened"]
        return granted[-1] if granted else self.steps[name].retry.max_attempts

    def due_ms(self, name: str) -> int | None:
        last = self.told_of(name)[-1] if self.step(name) in MOVING else Fact("")
        assert not isinstance(last.due_ms, Window)
        return last.due_ms

    def deadline_ms(self) -> int | None:
        found = None
        for fact in self.facts:
            if fact.kind == "TaskAccepted":
                found = fact.due_ms
            elif fact.kind == "TaskReopened":
                found = None
        assert not isinstance(found, Window)
        return found

    def result(self, name: str) -> Any:
        told = [fact for fact in self.told_of(name) if fact.kind in ("StepCompleted", "StepResolvedManually")]
        return told[-1].value if told else None

    def within(self, *statuses: str) -> list[str]:
        return [name for name in self.steps if self.step(name) in statuses]

    def unsatisfied_before(self, name: str) -> int:
        return sum(self.step(needed) not in SATISFIED for needed in self.steps[name].depends_on)

    def is_running(self) -> bool:
        return self.task() == "in_progress"

    def expected(self, command: c.Command) -> list[Fact]:
        """Give what must follow from the command.

        Raises:
            Refused: it must be refused.
        """
        match command:
            case c.RequestTask():
                return list(self._requested(command))
            case c.CompleteStep():
                self._demand_current(command)
                return self._with_consequences(
                    [Fact("StepCompleted", command.step, command.attempt, value=command.result)], command.at_ms
                )
            case c.FailStep():
                self._demand_current(command)
                return self._ended_badly(
                    "StepFailed", command, command.error.retry_after, retryable=command.error.retryable
                )
            case c.RecordHeartbeat():
                return list(self._beat(command))
            case c.TimeOutStep():
                is_due = self._is_due(command, IN_HAND)
                return self._ended_badly("StepTimedOut", command, None, retryable=True) if is_due else []
            case c.DispatchRetry():
                is_due = self._is_due(command, {"waiting_for_retry"})
                return [self.dispatch_of(command.step, command.at_ms)] if is_due else []
            case c.TimeOutTask():
                return list(self._out_of_time(command.at_ms))
            case c.CancelTask():
                return list(self._stopped("TaskCancelled", "cancelled"))
            case c.ResolveTask():
                return list(self._stopped("TaskResolvedManually", "resolved_manually"))
            case c.RetryStep():
                return list(self._retried(command))
            case c.ResolveStep():
                return self._resolved(command)

    def _requested(self, command: c.RequestTask) -> Iterator[Fact]:
        if self.facts:
            return
        if any(name not in self.steps or not self.steps[name].skippable for name in command.bypass_steps):
            raise Refused
        timeout = self.template.timeout if command.timeout_ms is None else command.timeout_ms
        accepted = Fact("TaskAccepted", due_ms=None if timeout is None else command.at_ms + timeout)
        left_out = [Fact("StepBypassed", name) for name in dict.fromkeys(command.bypass_steps)]
        yield from self._with_consequences([accepted, *left_out], command.at_ms)

    def _with_consequences(self, facts: list[Fact], at_ms: int) -> list[Fact]:
        """Whatever is pending and has all it depends on goes out; then the task is done, moves, or is stuck."""
        after = self.followed_by(*facts)
        ready = [name for name in after.within("pending") if not after.unsatisfied_before(name)]
        facts = [*facts, *(after.dispatch_of(name, at_ms) for name in ready)]
        after = self.followed_by(*facts)
        if len(after.within(*SATISFIED)) == len(self.steps):
            return [*facts, Fact("TaskCompleted")]
        if not after.within(*MOVING):
            return [*facts, Fact("TaskFailed", value=tuple(after.within("error", "cancelled")))]
        return facts

    def dispatch_of(self, name: str, at_ms: int) -> Fact:
        return Fact("StepDispatched", name, self.attempts(name) + 1, at_ms + self.steps[name].timeout)

    def _demand_current(self, answer: c.CompleteStep | c.FailStep) -> None:
        if not self._is_current(answer.step, answer.attempt, IN_HAND):
            raise Refused

    def _is_current(self, name: str, attempt: int, statuses: set[str]) -> bool:
        return name in self.steps and self.attempts(name) == attempt and self.step(name) in statuses

    def _is_due(self, timer: c.TimeOutStep | c.DispatchRetry, statuses: set[str]) -> bool:
        if not self._is_current(timer.step, timer.attempt, statuses):
            return False
        due_ms = self.due_ms(timer.step)
        return due_ms is not None and due_ms <= timer.at_ms

    def _ended_badly(
        self, kind: str, command: c.FailStep | c.TimeOutStep, retry_after_s: float | None, *, retryable: bool
    ) -> list[Fact]:
        if retryable and self.attempts(command.step) < self.allowed(command.step):
            window = delay_window(self.steps[command.step], command.attempt, retry_after_s)
            due_ms = Window(command.at_ms + window.earliest, command.at_ms + window.latest)
            return [Fact(kind, command.step, command.attempt, due_ms)]
        return self._with_consequences([Fact(kind, command.step, command.attempt)], command.at_ms)

    def _beat(self, command: c.RecordHeartbeat) -> Iterator[Fact]:
        if not self._is_current(command.step, command.attempt, IN_HAND):
            return
        timeout, due_ms = self.steps[command.step].timeout, self.due_ms(command.step)
        assert due_ms is not None
        silent_ms = command.at_ms - (due_ms - timeout)
        is_news = command.progress is not None and silent_ms >= BEATS_MS
        if self.step(command.step) == "dispatched" or silent_ms >= timeout // 2 or is_news:
            due_ms = command.at_ms + timeout
            yield Fact("StepHeartbeatRecorded", command.step, command.attempt, due_ms, command.progress)

    def _out_of_time(self, at_ms: int) -> Iterator[Fact]:
        deadline_ms = self.deadline_ms()
        if self.is_running() and deadline_ms is not None and deadline_ms <= at_ms:
            yield from self._cancelled(*MOVING)
            yield Fact("TaskFailed", value=tuple(self.within("error")))

    def _cancelled(self, *statuses: str) -> Iterator[Fact]:
        return (Fact("StepCancelled", name, self.attempts(name)) for name in self.within(*statuses))

    def _stopped(self, kind: str, status: str) -> Iterator[Fact]:
        if self.task() == status:
            return
        yield from self._reopened()
        yield from self._cancelled("pending", *MOVING)
        yield Fact(kind)

    def _reopened(self) -> list[Fact]:
        if self.task() in ENDED:
            raise Refused
        return [Fact("TaskReopened")] if self.task() == "error" else []

    def _retried(self, command: c.RetryStep) -> Iterator[Fact]:
        reopened = self._reopened()
        status = self.step(command.step) if command.step in self.steps else "unknown"
        attempts = self.attempts(command.step)
        if status == "waiting_for_retry":
            yield self.dispatch_of(command.step, command.at_ms)
        elif status in ("error", "cancelled") and attempts < MOST_ATTEMPTS:
            yield from reopened
            yield Fact("StepReopened", command.step, value=max(self.allowed(command.step), attempts + 1))
            yield self.dispatch_of(command.step, command.at_ms)
        else:
            raise Refused

    def _resolved(self, command: c.ResolveStep) -> list[Fact]:
        reopened = self._reopened()
        if command.step not in self.steps or self.step(command.step) in SATISFIED:
            raise Refused
        resolved = Fact("StepResolvedManually", command.step, self.attempts(command.step), value=command.result)
        return self._with_consequences([*reopened, resolved], command.at_ms)


def delay_window(step: StepTemplate, attempt: int, retry_after_s: float | None) -> Window:
    """When a retry may be due: exactly when the worker said, or the policy's delay with its jitter around it."""
    if retry_after_s is not None:
        return Window(retry_after_s * 1000, retry_after_s * 1000)
    policy = step.retry
    times = {"fixed": 1.0, "linear": float(attempt), "exponential": policy.factor ** (attempt - 1)}[policy.backoff]
    delay_ms = min(policy.initial * times, policy.max)
    return Window(delay_ms * (1 - policy.jitter), delay_ms * (1 + policy.jitter))
