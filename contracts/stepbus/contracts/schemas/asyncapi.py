"""The channels and what goes over them, as an AsyncAPI document. Source: AsyncAPI 3.0.0.

It is written from the side of stepbus: `receive` is what clients and workers send. Addresses are in our words; an
adapter gives them in its broker's.
"""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from stepbus.contracts import messages
from stepbus.contracts.envelope import CONTENT_TYPE, CloudEvent
from stepbus.contracts.messages import ANNOUNCEMENTS, ANSWERS, MESSAGES, REQUESTS, Message
from stepbus.contracts.schemas.generator import Generator

_REPLIES: Final[tuple[type[Message], ...]] = (messages.TaskAccepted, messages.TaskRejected)
_PUBLIC: Final[tuple[type[Message], ...]] = (
    *_REPLIES,
    *(message for message in MESSAGES if issubclass(message, messages.TaskChanged)),
)
_PREFIX: Final = {"default": "stepbus", "description": "what the names of all channels of one stepbus begin with"}
CHANNELS: Final[dict[str, tuple[str, str, str, Sequence[type[Message]]]]] = {
    "tasks": ("", "receive", "what clients ask for, and workers announce", (*REQUESTS, *ANNOUNCEMENTS)),
    "jobs": (
        "queue",
        "send",
        "work for those who serve this queue; each job goes to one of them",
        (messages.StepRequested,),
    ),
    "results": ("partition", "receive", "what workers answer, to the address that the job names", ANSWERS),
    "events": ("", "send", "what anybody may hear of tasks", _PUBLIC),
    "quarantine": ("", "send", "messages that could not be applied", (messages.QuarantineEntry,)),
    "replies": ("name", "send", "answers to the client whose request named this address", _REPLIES),
}


def asyncapi() -> dict[str, Any]:
    """Give the document."""
    references, schemas = models_json_schema(
        [(CloudEvent, "validation"), *((message, "validation") for message in MESSAGES)],
        ref_template="#/components/schemas/{model}",
        schema_generator=Generator,
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "stepbus",
            "version": "1",
            "description": "Tasks made of steps: requests, jobs and answers on a message bus.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {kind: _channel(kind) for kind in CHANNELS},
        "operations": {f"{action}.{kind}": _operation(action, kind) for kind, (_, action, _, _) in CHANNELS.items()},
        "components": {
            "messages": {message.TYPE: _message(message, references[message, "validation"]) for message in MESSAGES},
            "schemas": schemas["$defs"],
        },
    }


def _channel(kind: str) -> dict[str, Any]:
    parameter, _, description, carried = CHANNELS[kind]
    return {
        "address": f"{{prefix}}.{kind}.{{{parameter}}}" if parameter else f"{{prefix}}.{kind}",
        "description": description,
        "parameters": {"prefix": _PREFIX} | ({parameter: {}} if parameter else {}),
        "messages": {message.TYPE: {"$ref": f"#/components/messages/{message.TYPE}"} for message in carried},
    }


def _operation(action: str, kind: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [{"$ref": f"#/channels/{kind}/messages/{message.TYPE}"} for message in CHANNELS[kind][-1]],
    }


def _message(message: type[Message], data: dict[str, Any]) -> dict[str, Any]:
    of_this_type = {"properties": {"type": {"const": message.TYPE}, "data": data}, "required": ["data"]}
    return {
        "name": message.TYPE,
        "title": message.__name__,
        "summary": cleandoc(message.__doc__ or "").splitlines()[0],
        "contentType": CONTENT_TYPE,
        "payload": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, of_this_type]},
    }
