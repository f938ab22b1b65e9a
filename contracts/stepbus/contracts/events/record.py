"""The record that carries the events of one decision into the log, and out of it again in today's shapes."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from stepbus.contracts.events.shapes import EVENTS, Event, Milliseconds, adapter
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.validation import found, message_of, problems_of
from stepbus.contracts.values import value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
Upcasters = Mapping[tuple[str, int], Upcaster]

UPCASTERS: Upcasters = {}
"""From (type, version) to a function that gives the data of the next version."""

_BY_TYPE: Final = {event.TYPE: event for event in EVENTS}
_ENCODING: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_MALFORMED: Final = "event.malformed"


@value(kw_only=True)
class Metadata:
    """What the events of one record share.

    Shape: `at_ms` is the store's clock; `causation_id` the message or timer that caused the decision; `actor` is
    `<kind>/<name>`, of kind worker, client, operator, timer or coordinator.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    at_ms: Milliseconds
    tenant: str = "default"
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = "coordinator"


_FIELDS: Final = {shape: tuple(field.name for field in fields(shape)) for shape in (*EVENTS, Metadata)}


class Record(NamedTuple):
    """The events of one decision, and the place of the first of them in the stream's history, counted from 1."""

    first: int
    meta: Metadata
    events: tuple[Event, ...]


def encode_record(record: Record) -> bytes:
    """Give the JSON that is stored, the same bytes for equal records; a key whose value is null is left out.

    The values have crossed the border before: they are taken as they are.
    """
    entries = [{"data": _members(event), "type": event.TYPE, "version": event.VERSION} for event in record.events]
    stored = {"events": entries, "first": record.first, "meta": _members(record.meta)}
    return orjson.dumps(stored, option=_ENCODING, default=_members_of_model)


def decode_record(data: bytes, upcasters: Upcasters = UPCASTERS) -> Record:
    """Give the record that the stored bytes hold, each event in today's shape.

    Raises:
        Refused: `event.unknown_type` or `event.unknown_version` (a newer writer: upgrade before reading on), or
            `event.malformed` for what no release has written; with a pointer into the record.
    """
    try:
        stored = _todays().validate_json(data)
    except ValidationError:
        return _decode_with_care(data, upcasters)
    events = []
    for entry in stored["events"]:
        event = entry["data"]
        if entry["version"] != event.VERSION:
            return _decode_with_care(data, upcasters)
        events.append(event)
    return Record(stored["first"], stored["meta"], tuple(events))


@cache
def _todays() -> SchemaValidator:
    """Give what reads a record of today's shapes in one go; it makes events straight from the bytes."""
    keys, key = core_schema.typed_dict_schema, core_schema.typed_dict_field
    entries: dict[str, CoreSchema] = {
        name: keys(
            {
                "type": key(core_schema.str_schema()),
                "version": key(core_schema.int_schema(strict=True)),
                "data": key(adapter(event).core_schema),
            }
        )
        for name, event in _BY_TYPE.items()
    }
    record = keys(
        {
            "first": key(core_schema.int_schema(ge=1, strict=True)),
            "meta": key(adapter(Metadata).core_schema),
            "events": key(core_schema.list_schema(core_schema.tagged_union_schema(entries, "type"))),
        }
    )
    return SchemaValidator(record)


def _decode_with_care(data: bytes, upcasters: Upcasters) -> Record:
    """Give the record of older shapes, or say what is wrong with it."""
    try:
        stored = orjson.loads(data)  # not the strict reader: these bytes are our own
    except orjson.JSONDecodeError as error:
        raise refuse(_MALFORMED, f"expected a record in JSON, but {error}") from error
    try:
        first, meta, entries = stored["first"], stored["meta"], stored["events"]
        metadata = adapter(Metadata).validate_python(meta)
    except ValidationError as error:
        raise Refused(problems_of(error, "event", "/meta", _describe)) from error
    except (LookupError, TypeError) as error:
        raise refuse(_MALFORMED, f"expected the keys 'first', 'meta' and 'events', found {found(stored)}") from error
    if type(first) is not int or first < 1:
        raise refuse(_MALFORMED, f"expected a whole number from 1 on, found {found(first)}", "/first")
    if type(entries) is not list:
        raise refuse(_MALFORMED, f"expected a list of events, found {found(entries)}", "/events")
    return Record(first, metadata, tuple(_event(entry, index, upcasters) for index, entry in enumerate(entries)))


def _event(entry: Any, index: int, upcasters: Upcasters) -> Event:
    try:
        name, version, data = entry["type"], entry["version"], entry["data"]
        event_type = _BY_TYPE.get(name)
    except (LookupError, TypeError) as error:
        message = f"expected an event with 'type', 'version' and 'data', found {found(entry)}"
        raise refuse(_MALFORMED, message, f"/events/{index}") from error
    if event_type is None:
        message = f"expected an event type of this release, found {found(name)}"
        raise refuse("event.unknown_type", message, f"/events/{index}/type")
    if version != event_type.VERSION:
        data = _climb(event_type, version, data, f"/events/{index}", upcasters)
    try:
        return event_type.model_validate(data)
    except ValidationError as error:
        raise Refused(problems_of(error, "event", f"/events/{index}/data", _describe)) from error


def _climb(event_type: type[Event], version: Any, data: Any, pointer: str, upcasters: Upcasters) -> Any:
    """Give the data in today's shape."""
    name, place = event_type.TYPE, f"{pointer}/version"
    if type(version) is not int or version < 1:
        raise refuse(_MALFORMED, f"expected a version from 1 on, found {found(version)}", place)
    if version > event_type.VERSION:
        message = f"expected {name} up to version {event_type.VERSION}, found {version}"
        raise refuse("event.unknown_version", message, place)
    for step in range(version, event_type.VERSION):
        upcaster = upcasters.get((name, step))
        if upcaster is None:
            raise refuse("event.unknown_version", f"expected {name} in a version that can be read, found {step}", place)
        try:
            data = upcaster(data)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            message = f"expected the data of {name} version {step}, but {error!r}"
            raise refuse(_MALFORMED, message, f"{pointer}/data") from error
    return data


def _members(of: Event | Metadata) -> dict[str, Any]:
    members = {}
    for name in _FIELDS[type(of)]:
        member = getattr(of, name)
        if member is not None:
            members[name] = member
    return members


def _members_of_model(model: BaseModel) -> dict[str, Any]:
    return {name: member for name, member in model.__dict__.items() if member is not None}


def _describe(detail: "ErrorDetails") -> tuple[str, str]:
    return _MALFORMED, message_of(detail)
