"""The messages that cross the bus: what a CloudEvent of each type carries in `data`.

A client and a worker need these shapes and nothing else of ours. What we read from workers tolerates unknown fields, so
that a newer worker can talk to an older coordinator; what a client asks for does not, so that a misspelt field is not a
lost wish.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from stepbus.contracts import envelope
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages.shapes import (
    HANDLER,
    MAX_HANDLER,
    MAX_STEPS,
    SCHEMA_ROOT,
    STEP_NAME,
    Answer,
    Attempt,
    HandlerName,
    Inputs,
    JsonSchema,
    Message,
    QuarantineEntry,
    Request,
    ServedHandler,
    StepCompleted,
    StepError,
    StepFailed,
    StepHeartbeat,
    StepName,
    StepRequested,
    TaskAccepted,
    TaskCancelled,
    TaskCancelRequested,
    TaskChanged,
    TaskCompleted,
    TaskFailed,
    TaskId,
    TaskRejected,
    TaskReopened,
    TaskRequested,
    TaskResolvedManually,
    TemplateName,
    Text,
    Token,
    WorkerAnnounced,
)
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.validation import found, problems_of

__all__ = [
    "ANNOUNCEMENTS",
    "ANSWERS",
    "HANDLER",
    "MAX_HANDLER",
    "MAX_STEPS",
    "MESSAGES",
    "PUBLISHED",
    "REQUESTS",
    "SCHEMA_ROOT",
    "STEP_NAME",
    "Answer",
    "Attempt",
    "HandlerName",
    "Inputs",
    "JsonSchema",
    "Message",
    "QuarantineEntry",
    "Request",
    "ServedHandler",
    "StepCompleted",
    "StepError",
    "StepFailed",
    "StepHeartbeat",
    "StepName",
    "StepRequested",
    "TaskAccepted",
    "TaskCancelRequested",
    "TaskCancelled",
    "TaskChanged",
    "TaskCompleted",
    "TaskFailed",
    "TaskId",
    "TaskRejected",
    "TaskReopened",
    "TaskRequested",
    "TaskResolvedManually",
    "TemplateName",
    "Text",
    "Token",
    "WorkerAnnounced",
    "read",
    "read_body",
]

REQUESTS: tuple[type[Request], ...] = (TaskRequested, TaskCancelRequested)
ANSWERS: tuple[type[Answer], ...] = (StepCompleted, StepFailed, StepHeartbeat)
ANNOUNCEMENTS: tuple[type[Message], ...] = (WorkerAnnounced,)
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
MESSAGES: tuple[type[Message], ...] = (*REQUESTS, *ANSWERS, *ANNOUNCEMENTS, *PUBLISHED)

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
