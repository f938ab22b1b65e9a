"""What can be asked of a task. Imperative; time and ids come in with the command."""

from typing import Any
from uuid import UUID

from stepbus.contracts.messages import StepError
from stepbus.contracts.values import value
from stepbus.orchestrator.core.plan import Plan


@value()
class RequestTask:
    """Begin a task of this plan."""

    task_id: UUID
    plan: Plan
    context: dict[str, Any]
    request_id: str
    at_ms: int
    timeout_ms: int | None = None
    bypass_steps: tuple[str, ...] = ()
    replyto: str | None = None


@value()
class CompleteStep:
    """A worker says that an attempt succeeded."""

    task_id: UUID
    step: str
    attempt: int
    result: Any
    at_ms: int


@value()
class FailStep:
    """A worker says that an attempt failed."""

    task_id: UUID
    step: str
    attempt: int
    error: StepError
    at_ms: int


@value()
class RecordHeartbeat:
    """A worker says that it has an attempt in hand."""

    task_id: UUID
    step: str
    attempt: int
    progress: Any
    at_ms: int


@value()
class TimeOutStep:
    """The deadline of an attempt has come."""

    task_id: UUID
    step: str
    attempt: int
    at_ms: int


@value()
class DispatchRetry:
    """The delay after this attempt has passed."""

    task_id: UUID
    step: str
    attempt: int
    at_ms: int


@value()
class TimeOutTask:
    """The deadline of the whole task has come."""

    task_id: UUID
    at_ms: int


@value()
class CancelTask:
    """Somebody wants the task stopped."""

    task_id: UUID
    reason: str
    at_ms: int


@value()
class ResolveTask:
    """An operator declares the task done."""

    task_id: UUID
    reason: str
    at_ms: int


@value()
class RetryStep:
    """An operator wants another attempt of a step, now."""

    task_id: UUID
    step: str
    reason: str
    at_ms: int


@value()
class ResolveStep:
    """An operator declares a step done, with this result."""

    task_id: UUID
    step: str
    result: Any
    reason: str
    at_ms: int


Answer = CompleteStep | FailStep | RecordHeartbeat
Command = (
    RequestTask
    | Answer
    | TimeOutStep
    | DispatchRetry
    | TimeOutTask
    | CancelTask
    | ResolveTask
    | RetryStep
    | ResolveStep
)
