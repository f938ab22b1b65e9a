"""The messages that cross the bus: what a CloudEvent of each type carries in `data`.

A client and a worker need these shapes and nothing else of ours. What we read from workers tolerates unknown fields, so
that a newer worker can talk to an older coordinator; what a client asks for does not, so that a misspelt field is not a
lost wish.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stepbus.contracts import envelope
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.contracts.validation import found, problems_of

SCHEMA_ROOT = "https://stepbus.dev/schemas"

MAX_STEPS = 10_000
STEP_NAME = "[A-Za-z0-9][A-Za-z0-9_.@+:-]{0,127}"

StepName = Annotated[str, Field(pattern=f"^{STEP_NAME}$")]
TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Attempt = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(max_length=4096)]
Token = Annotated[str, Field(min_length=1, max_length=256)]
TaskId = Annotated[UUID, Field(strict=False)]  # strict, pydantic would take no text for it


class Message(BaseModel):
    """What every message has: the CloudEvents type it travels under and the version of its shape."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    @classmethod
    @cache
    def dataschema(cls) -> str:
        """Give the URI of the JSON Schema of this shape."""
        return f"{SCHEMA_ROOT}/{cls.TYPE}/{cls.VERSION}"


class Request(Message):
    """What a client asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class TaskRequested(Request):
    """A client asks for a run of a template.

    Shape: without `version`, the highest registered one; `task_id` or `idempotency_key` makes a repeat the same task;
    `timeout_ms` is the deadline of the whole task; `replyto` is where `task.accepted` or `task.rejected` goes besides
    the events channel; `bypass_steps` names steps to leave out, each `skippable` in the template.
    """

    TYPE: ClassVar[str] = "task.requested"

    template: TemplateName
    namespace: TemplateName = "default"
    version: Annotated[str, Field(max_length=256)] | None = None
    context: dict[str, Any] = {}
    task_id: TaskId | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    timeout_ms: Annotated[int, Field(ge=1)] | None = None
    bypass_steps: Annotated[tuple[StepName, ...], Field(strict=False, max_length=MAX_STEPS)] = ()
    replyto: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class TaskCancelRequested(Request):
    """A client asks that a task stop. Steps in hand are told nothing; their answers are ignored."""

    TYPE: ClassVar[str] = "task.cancel_requested"

    task_id: TaskId
    reason: Text = ""


class Inputs(BaseModel):
    """What a step works on: the task's context, and the result of each step it depends on, by name."""

    model_config = ConfigDict(frozen=True, strict=True, defer_build=True)

    context: dict[str, Any]
    results: dict[str, Any]


class StepRequested(Message):
    """The job: asks a worker for one attempt of one step.

    Shape: `idempotency_key` (`<task>/<step>`) is the same for all attempts: key effects by it. `replyto` is the address
    that the answer goes to and `token` must be echoed in it. `timeout_ms` is how long the attempt may take from its
    dispatch on; a heartbeat renews it.
    """

    TYPE: ClassVar[str] = "step.requested"

    task_id: TaskId
    step: StepName
    attempt: Attempt
    handler: str
    inputs: Inputs
    timeout_ms: int
    idempotency_key: str
    replyto: str
    token: Token


class Answer(Message):
    """What every answer to a job has: which attempt it is of, and the token of that job."""

    task_id: TaskId
    step: StepName
    attempt: Attempt
    token: Token
    worker: Annotated[str, Field(max_length=256)] = ""


class StepCompleted(Answer):
    """The attempt succeeded, with this result."""

    TYPE: ClassVar[str] = "step.completed"

    result: Any = None


class StepError(BaseModel):
    """Why an attempt failed.

    Shape: `code` is the handler's own word; `retryable: false` is a permanent error; `retry_after` is in seconds and
    stands instead of the policy's delay.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    code: Annotated[str, Field(min_length=1, max_length=256)]
    message: Text = ""
    retryable: bool = True
    retry_after: Annotated[float, Field(ge=0, le=30 * 86_400)] | None = None
    details: Any = None


class StepFailed(Answer):
    """The attempt failed, for this reason."""

    TYPE: ClassVar[str] = "step.failed"

    error: StepError


class StepHeartbeat(Answer):
    """The attempt is alive: its deadline starts anew. `progress` is anything a person would like to see."""

    TYPE: ClassVar[str] = "step.heartbeat"

    progress: Any = None


class TaskAccepted(Message):
    """The task is in the log, at this position."""

    TYPE: ClassVar[str] = "task.accepted"

    task_id: TaskId
    namespace: str
    name: str
    version: str
    position: int


class TaskRejected(Message):
    """The request was refused, for all of these reasons. It is kept in quarantine, from where it can be resubmitted."""

    TYPE: ClassVar[str] = "task.rejected"

    request_id: str
    problems: Annotated[tuple[Problem, ...], Field(strict=False)]


class TaskChanged(Message):
    """What the public hears of a task after its acceptance. `status` is the task's state from now on."""

    task_id: TaskId
    namespace: str
    name: str
    version: str
    status: str
    reason: str = ""


class TaskCompleted(TaskChanged):
    """All steps are done."""

    TYPE: ClassVar[str] = "task.completed"


class TaskFailed(TaskChanged):
    """A step has failed for good and nothing else can move, or the task's deadline has passed."""

    TYPE: ClassVar[str] = "task.failed"


class TaskCancelled(TaskChanged):
    """Somebody cancelled the task."""

    TYPE: ClassVar[str] = "task.cancelled"


class TaskReopened(TaskChanged):
    """A failed task moves again, since an operator retried or resolved a step."""

    TYPE: ClassVar[str] = "task.reopened"


class TaskResolvedManually(TaskChanged):
    """An operator declared the task done."""

    TYPE: ClassVar[str] = "task.resolved_manually"


class QuarantineEntry(Message):
    """A message that could not be applied, with the reason. `body` is base64; the log alone keeps a large one."""

    TYPE: ClassVar[str] = "message.quarantined"

    message_id: TaskId
    channel: str
    code: str
    pointer: str
    reason: str
    body: str


REQUESTS: tuple[type[Request], ...] = (TaskRequested, TaskCancelRequested)
ANSWERS: tuple[type[Answer], ...] = (StepCompleted, StepFailed, StepHeartbeat)
PUBLISHED: tuple[type[Message], ...] = (
    StepRequested,
    TaskAccepted,
    TaskRejected,
    TaskCompleted,
    TaskFailed,
    TaskCancelled,
    TaskReopened,
    TaskResolvedManually,
    QuarantineEntry,
)
MESSAGES: tuple[type[Message], ...] = (*REQUESTS, *ANSWERS, *PUBLISHED)

_BY_TYPE: Final = {message.TYPE: message for message in MESSAGES}
_BY_NAME: Final = {(message.TYPE, uri): message for message in MESSAGES for uri in (None, message.dataschema())}
"""By what an event says of its type and its schema, which it need not name."""


def read(event: CloudEvent) -> Message:
    """Give the message that an event carries.

    Raises:
        Refused: `message.unknown_type`; `message.unknown_version`, its `dataschema` is not the one of this release; or
            `message.missing`, `message.unknown_key`, `message.invalid`, each with a pointer below `/data`.
    """
    message_type = _BY_NAME.get((event.type, event.dataschema))
    if message_type is None:
        raise _unknown(event)
    try:
        message: Message = message_type.__pydantic_validator__.validate_python(event.data)  # model_validate, sooner
    except ValidationError as error:
        raise Refused(problems_of(error, "message", "/data")) from error
    return message


def read_body(body: bytes, headers: Mapping[str, str] | None = None) -> tuple[CloudEvent, Message]:
    """Give the event that a body, or headers and a body, hold, and the message that it carries.

    Raises:
        Refused: as for `envelope.read` and `read`.
    """
    event = envelope.read(body, headers)
    return event, read(event)


def _unknown(event: CloudEvent) -> Refused:
    message_type = _BY_TYPE.get(event.type)
    if message_type is None:
        message = f"expected a message type of this release, found {found(event.type)}"
        return refuse("message.unknown_type", message, "/type")
    message = f"expected {message_type.dataschema()}, found {found(event.dataschema)}"
    return refuse("message.unknown_version", message, "/dataschema")
