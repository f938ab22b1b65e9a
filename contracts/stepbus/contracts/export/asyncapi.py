"""One AsyncAPI document of a deployment: its bus, its channels, and the messages of its own handlers.

It is written from the side of stepbus: `receive` is what clients and workers send. Addresses and bindings are in the
words of the bus. Source: AsyncAPI 3.0.0.
"""

from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from stepbus.contracts import messages
from stepbus.contracts.envelope import CONTENT_TYPE, CloudEvent
from stepbus.contracts.export.buses import BUSES, BusName, BusWords
from stepbus.contracts.export.handlers import PARTS, HandlerContract, handler_contracts
from stepbus.contracts.messages import MESSAGES, ServedHandler
from stepbus.contracts.schemas.asyncapi import CHANNELS
from stepbus.contracts.schemas.generator import Generator
from stepbus.contracts.template import TaskTemplate

_SCHEMAS: Final = "#/components/schemas"
_OF_HANDLERS: Final = {"step.requested": "input", "step.completed": "result", "step.failed": "error"}
"""Messages that each handler has its own of, and the part of its contract that they carry."""

_CARRIED: Final = {"input": "inputs", "result": "result", "error": "error"}


def asyncapi_of(
    bus: BusName,
    templates: Iterable[TaskTemplate] = (),
    served: Iterable[ServedHandler] = (),
    *,
    prefix: str = "stepbus",
    partitions: int = 8,
    host: str | None = None,
) -> dict[str, Any]:
    """Give the document for a bus, which is at `host`; the answers are spread over so many `partitions`."""
    words = BUSES[bus]
    handlers = handler_contracts(templates, served)
    places = list(_places(words, prefix, handlers))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "stepbus",
            "version": "1",
            "description": "Tasks made of steps: requests, jobs and answers on a message bus.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {bus: _server(words, host or words.host)},
        "channels": {place.key: place.channel(words, bus, partitions, prefix) for place in places},
        "operations": {f"{place.action}.{place.key}": place.operation(words) for place in places},
        "components": _components(words, handlers),
    }


class _Place:
    """A channel of the document: its kind, and the queue or the parameter that its address ends in."""

    def __init__(self, words: BusWords, prefix: str, kind: str, name: str, carried: Sequence[str]) -> None:
        self.kind, self.carried = kind, carried
        self.parameter, self.action, self.description, _ = CHANNELS[kind]
        self.queue = name
        self.key = f"{kind}.{name}" if name else kind
        self.address = words.address(prefix, kind, name or (f"{{{self.parameter}}}" if self.parameter else ""))

    def channel(self, words: BusWords, bus: str, partitions: int, prefix: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "address": self.address,
            "description": self.description,
            "servers": [{"$ref": f"#/servers/{bus}"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in self.carried},
        }
        if self.parameter and not self.queue:
            described["parameters"] = {self.parameter: _parameter(self.kind, partitions)}
        shown = self.address if "{" not in self.address else words.address(prefix, self.kind, "0")
        bindings = words.channel(self.kind, self.address if self.kind != "results" else shown, partitions)
        return described | ({"bindings": bindings} if bindings else {})

    def operation(self, words: BusWords) -> dict[str, Any]:
        channel = {"$ref": f"#/channels/{self.key}"}
        described: dict[str, Any] = {
            "action": self.action,
            "channel": channel,
            "messages": [{"$ref": f"#/channels/{self.key}/messages/{name}"} for name in self.carried],
        }
        if self.kind == "jobs":
            described["reply"] = {"channel": {"$ref": "#/channels/results"}}
        bindings = words.operation(self.kind, self.address)
        return described | ({"bindings": bindings} if bindings else {})


def _places(words: BusWords, prefix: str, handlers: Sequence[HandlerContract]) -> Iterable[_Place]:
    for kind, (_, _, _, carried) in CHANNELS.items():
        names = [message.TYPE for message in carried]
        if kind == "results":
            names += [f"{name}.{each.name}" for name in _OF_HANDLERS if name in names for each in handlers]
        if kind != "jobs":
            yield _Place(words, prefix, kind, "", names)
    for queue in sorted({queue for handler in handlers for queue in handler.queues}):
        jobs = [f"step.requested.{handler.name}" for handler in handlers if queue in handler.queues]
        yield _Place(words, prefix, "jobs", queue, jobs)
    if not handlers:
        yield _Place(words, prefix, "jobs", "", [messages.StepRequested.TYPE])


def _parameter(kind: str, partitions: int) -> dict[str, Any]:
    if kind == "results":
        return {"description": "the partition that the job names", "enum": [str(each) for each in range(partitions)]}
    return {"description": "a name of the reader's own"}


def _server(words: BusWords, host: str) -> dict[str, Any]:
    described: dict[str, Any] = {"host": host, "protocol": words.protocol, "protocolVersion": words.version}
    if words.security:
        described["security"] = [{"$ref": f"#/components/securitySchemes/{name}"} for name in words.security]
    return described


def _components(words: BusWords, handlers: Sequence[HandlerContract]) -> dict[str, Any]:
    references, schemas = models_json_schema(
        [(CloudEvent, "validation"), *((message, "validation") for message in MESSAGES)],
        ref_template=f"{_SCHEMAS}/{{model}}",
        schema_generator=Generator,
    )
    described = {message.TYPE: references[message, "validation"] for message in MESSAGES}
    titles = {message.TYPE: message for message in MESSAGES}
    carried = {name: _message(words, titles[name], data) for name, data in described.items()}
    of_handlers: dict[str, Any] = {}
    for handler in handlers:
        for part in PARTS:
            name = f"{handler.name}.{part}"
            of_handlers[name] = handler.schema(part, f"{_SCHEMAS}/{name}")
        for name, part in _OF_HANDLERS.items():
            data = {"allOf": [described[name], _own(handler, name, part)]}
            message = _message(words, titles[name], data)
            carried[f"{name}.{handler.name}"] = message | {"title": f"{titles[name].__name__} of {handler.name}"}
    found: dict[str, Any] = {"messages": carried, "schemas": schemas["$defs"] | of_handlers}
    return found | ({"securitySchemes": dict(words.security)} if words.security else {})


def _own(handler: HandlerContract, name: str, part: str) -> dict[str, Any]:
    properties: dict[str, Any] = {_CARRIED[part]: {"$ref": f"{_SCHEMAS}/{handler.name}.{part}"}}
    if name == messages.StepRequested.TYPE:
        properties["handler"] = {"const": handler.name}
    return {"properties": properties}


def _message(words: BusWords, message: type[messages.Message], data: Mapping[str, Any]) -> dict[str, Any]:
    of_this_type = {"properties": {"type": {"const": message.TYPE}, "data": data}, "required": ["data"]}
    described: dict[str, Any] = {
        "name": message.TYPE,
        "title": message.__name__,
        "summary": cleandoc(message.__doc__ or "").splitlines()[0],
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"allOf": [{"$ref": f"{_SCHEMAS}/CloudEvent"}, of_this_type]},
    }
    bindings = words.message(message.TYPE)
    return described | ({"bindings": bindings} if bindings else {})
