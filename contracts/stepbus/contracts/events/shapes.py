"""What can have happened, and how each of it is stored."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar
from uuid import UUID, uuid5

from pydantic import ConfigDict, Field, TypeAdapter

from stepbus.contracts.messages import ServedHandler, StepError
from stepbus.contracts.problems import Problem
from stepbus.contracts.values import value

STREAMS = UUID("5b8d7a0e-3c51-4f0e-9a44-6f1d1f6a1c01")
CATALOGUE_STREAM = uuid5(STREAMS, "catalogue")

_T = TypeVar("_T")

TASK, CATALOGUE, WORKER, QUARANTINE, IGNORED = "task", "catalogue", "worker", "quarantine", "ignored"

Milliseconds = Annotated[int, Field(description="milliseconds since the Unix epoch, UTC")]


@value(kw_only=True)
class Event:
    """Something that happened. Stored under `TYPE` and `VERSION`, never under a Python path.

    To make one validates nothing; `model_validate` does, and it and its kin are what they are for pydantic's models.
    """

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """Give the event that the data says.

        Raises:
            ValidationError: it says none of this shape.
        """
        return adapter(cls).validate_python(data)

    def model_dump(self, *, mode: Literal["json", "python"] = "python") -> dict[str, Any]:
        """Give the fields, for `json` as JSON has them."""
        fields: dict[str, Any] = adapter(type(self)).dump_python(self, mode=mode)
        return fields

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """Give the event with other values in some fields."""
        return replace(self, **update)


_ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {}


def adapter(shape: type[_T]) -> TypeAdapter[_T]:
    """Give what reads, writes and describes a shape; it is built when it is first asked for."""
    if shape not in _ADAPTERS:
        _ADAPTERS[shape] = TypeAdapter(shape)
    return _ADAPTERS[shape]


@value(kw_only=True)
class TaskAccepted(Event):
    """A task exists. `template_hash` names the template it keeps to its end; `request_id` the message that asked."""

    TYPE: ClassVar[str] = "TaskAccepted"

    namespace: str
    name: str
    version: str
    template_hash: str
    context: dict[str, Any]
    request_id: str
    deadline_at_ms: Milliseconds | None = None
    replyto: str | None = None


@value(kw_only=True)
class StepBypassed(Event):
    """The request left this step out; what depends on it counts it as satisfied."""

    TYPE: ClassVar[str] = "StepBypassed"

    step: str


@value(kw_only=True)
class StepDispatched(Event):
    """The step may run: its job goes out. Its answer is due by the deadline."""

    TYPE: ClassVar[str] = "StepDispatched"

    step: str
    attempt: int
    deadline_at_ms: Milliseconds


@value(kw_only=True)
class StepHeartbeatRecorded(Event):
    """A worker has the attempt in hand; the deadline starts anew. Only beats that tell something new are recorded."""

    TYPE: ClassVar[str] = "StepHeartbeatRecorded"

    step: str
    attempt: int
    deadline_at_ms: Milliseconds
    progress: Any = None


@value(kw_only=True)
class StepCompleted(Event):
    """The attempt succeeded."""

    TYPE: ClassVar[str] = "StepCompleted"

    step: str
    attempt: int
    result: Any = None


@value(kw_only=True)
class StepFailed(Event):
    """The attempt failed. The next is due at `retry_at_ms`; without one, the step has failed for good."""

    TYPE: ClassVar[str] = "StepFailed"

    step: str
    attempt: int
    error: StepError
    retry_at_ms: Milliseconds | None = None


@value(kw_only=True)
class StepTimedOut(Event):
    """No answer came by the deadline. The next attempt is due at `retry_at_ms`, as for a failure."""

    TYPE: ClassVar[str] = "StepTimedOut"

    step: str
    attempt: int
    retry_at_ms: Milliseconds | None = None


@value(kw_only=True)
class StepCancelled(Event):
    """The step will not run, or its answer will not count. `attempt` is 0 if it was never dispatched."""

    TYPE: ClassVar[str] = "StepCancelled"

    step: str
    attempt: int


@value(kw_only=True)
class StepResolvedManually(Event):
    """An operator stands in for the worker: the step counts as satisfied, with this result."""

    TYPE: ClassVar[str] = "StepResolvedManually"

    step: str
    attempt: int
    result: Any = None
    reason: str = ""


@value(kw_only=True)
class StepReopened(Event):
    """An operator gives a step that failed for good further attempts, up to `max_attempts` in all."""

    TYPE: ClassVar[str] = "StepReopened"

    step: str
    max_attempts: int
    reason: str = ""


@value(kw_only=True)
class TaskCompleted(Event):
    """All steps are satisfied."""

    TYPE: ClassVar[str] = "TaskCompleted"


@value(kw_only=True)
class TaskFailed(Event):
    """Nothing can move and these steps have failed for good, or (`code` says so) the task's deadline has passed."""

    TYPE: ClassVar[str] = "TaskFailed"

    code: str
    failed_steps: tuple[str, ...]


@value(kw_only=True)
class TaskCancelled(Event):
    """The task was stopped on request."""

    TYPE: ClassVar[str] = "TaskCancelled"

    reason: str = ""


@value(kw_only=True)
class TaskReopened(Event):
    """A failed task moves again."""

    TYPE: ClassVar[str] = "TaskReopened"


@value(kw_only=True)
class TaskResolvedManually(Event):
    """An operator declared the task done, whatever its steps say."""

    TYPE: ClassVar[str] = "TaskResolvedManually"

    reason: str = ""


@value(kw_only=True)
class TemplateRegistered(Event):
    """A template can be run from now on. `template` is its canonical form and `template_hash` the SHA-256 of that."""

    TYPE: ClassVar[str] = "TemplateRegistered"

    namespace: str
    name: str
    version: str
    template_hash: str
    template: dict[str, Any]


@value(kw_only=True)
class WorkerAnnounced(Event):
    """A worker serves these handlers from now on, and no others; kept only where that is not what it served before."""

    TYPE: ClassVar[str] = "WorkerAnnounced"

    worker: str
    handlers: tuple[ServedHandler, ...]


@value(kw_only=True)
class MessageQuarantined(Event):
    """A message could not be applied. It is kept whole: `body` is base64."""

    TYPE: ClassVar[str] = "MessageQuarantined"

    channel: str
    body: str
    headers: dict[str, str]
    problems: tuple[Problem, ...]
    request_id: str | None = None
    replyto: str | None = None


@value(kw_only=True)
class MessageResubmitted(Event):
    """An operator sent a quarantined message through again."""

    TYPE: ClassVar[str] = "MessageResubmitted"


@value(kw_only=True)
class AnswerIgnored(Event):
    """An answer came that changes nothing: a duplicate, late, or of an attempt that is not the current one."""

    TYPE: ClassVar[str] = "AnswerIgnored"

    task_id: UUID
    step: str
    attempt: int
    code: str
    reason: str
    answer_type: str
    worker: str = ""


TASK_EVENTS: tuple[type[Event], ...] = (
    TaskAccepted,
    StepBypassed,
    StepDispatched,
    StepHeartbeatRecorded,
    StepCompleted,
    StepFailed,
    StepTimedOut,
    StepCancelled,
    StepResolvedManually,
    StepReopened,
    TaskCompleted,
    TaskFailed,
    TaskCancelled,
    TaskReopened,
    TaskResolvedManually,
)
EVENTS: tuple[type[Event], ...] = (
    *TASK_EVENTS,
    TemplateRegistered,
    WorkerAnnounced,
    MessageQuarantined,
    MessageResubmitted,
    AnswerIgnored,
)
