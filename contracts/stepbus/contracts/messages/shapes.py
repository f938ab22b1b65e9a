"""The shape of each message, and of what they share."""

from functools import cache
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from stepbus.contracts.problems import Problem
from stepbus.contracts.validation import found

SCHEMA_ROOT = "https://stepbus.dev/schemas"

MAX_STEPS = 10_000
STEP_NAME = "[A-Za-z0-9][A-Za-z0-9_.@+:-]{0,127}"
MAX_HANDLER = 128
HANDLER = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
MAX_ANNOUNCED = 1_000


def _schema(value: Any) -> Any:
    if value is None or isinstance(value, dict | bool):
        return value
    raise PydanticCustomError(
        "schema.invalid", "expected a JSON Schema, an object or true or false, found {found}", {"found": found(value)}
    )


StepName = Annotated[str, Field(pattern=f"^{STEP_NAME}$")]
TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Attempt = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(max_length=4096)]
Token = Annotated[str, Field(min_length=1, max_length=256)]
HandlerName = Annotated[str, Field(pattern=f"^{HANDLER}$", max_length=MAX_HANDLER)]
JsonSchema = Annotated[
    dict[str, Any] | bool | None,
    BeforeValidator(_schema),
    WithJsonSchema({"type": ["object", "boolean", "null"], "description": "a JSON Schema, draft 2020-12"}),
]
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


class ServedHandler(BaseModel):
    """A handler that a worker serves.

    Shape: `contract` is the version of `step.requested` that it understands. The schemas, where it names any, are of
    what it demands as inputs (`{"context", "results"}`), what it gives as result, and its errors (`{"code", …}`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    handler: HandlerName
    contract: Annotated[int, Field(ge=1)]
    input_schema: JsonSchema = None
    result_schema: JsonSchema = None
    error_schema: JsonSchema = None


class WorkerAnnounced(Message):
    """A worker has come up, and serves these handlers from now on: all of them, in place of what it said before.

    Shape: `worker` is a name that it keeps; each handler stands there once for each `contract`. None at all says that
    the worker is gone for good.
    """

    TYPE: ClassVar[str] = "worker.announced"

    worker: Annotated[str, Field(min_length=1, max_length=256)]
    handlers: Annotated[tuple[ServedHandler, ...], Field(strict=False, max_length=MAX_ANNOUNCED)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: set[tuple[str, int]] = set()
        for served in self.handlers:
            if (served.handler, served.contract) in seen:
                raise PydanticCustomError(
                    "message.handler_twice",
                    "expected each handler once for each contract, found {handler} again",
                    {"handler": served.handler},
                )
            seen.add((served.handler, served.contract))
        return self


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
