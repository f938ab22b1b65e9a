"""The envelope of every message: a CloudEvent, in JSON structured mode on every bus; binary mode is read too.

Source: CloudEvents 1.0.2, its JSON event format, and its NATS binding. Extension attributes that stepbus uses:
`partitionkey` (the task's id), `correlationid`, `causationid`, `tenant`, `traceparent`; others are tolerated.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from stepbus.contracts import codec
from stepbus.contracts.problems import MAX_PROBLEMS, Problem, Refused, escape_pointer, refuse
from stepbus.contracts.validation import found, problems_of

CONTENT_TYPE = "application/cloudevents+json"
MAX_ATTRIBUTE = 1024

_BINARY: Final = "ce-"
_BATCH: Final = "application/cloudevents-batch+json"
_JSON: Final = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?', re.IGNORECASE)
_NAME: Final = re.compile("[a-z0-9]{1,64}")
_PLAIN_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[-+][0-9]{2}:[0-9]{2})$"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(?:\.[0-9]{1,12})?(?:[Zz]|[-+][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, eq=False)
class _Plainly:
    """Lets pydantic read the plain form of a value without a call of Python, and leaves any other to our own reader."""

    plain: CoreSchema
    error: str
    message: str | None = None
    context: dict[str, str | int] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.union_schema(
            [self.plain, handler(source)],
            mode="left_to_right",
            custom_error_type=self.error,
            custom_error_message=self.message,
            custom_error_context=self.context,
        )


def _time(value: Any) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, str) and _TIME.fullmatch(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError


def _media_type(value: Any) -> Any:
    return "application/json" if isinstance(value, str) and _JSON.fullmatch(value) else value


Attribute = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=MAX_ATTRIBUTE)]
"""A text without control characters. Source: CloudEvents 1.0.2, section 3.1.1."""

Time = Annotated[
    datetime,
    BeforeValidator(_time),
    _Plainly(
        core_schema.chain_schema([core_schema.str_schema(pattern=_PLAIN_TIME), core_schema.datetime_schema()]),
        error="envelope.time",
        message="expected a time as RFC 3339 has it, with its zone",
    ),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
MediaType = Annotated[
    Literal["application/json"],
    BeforeValidator(_media_type),
    _Plainly(
        core_schema.literal_schema(["application/json"]),
        error="literal_error",
        context={"expected": "'application/json'"},
    ),
    WithJsonSchema({"const": "application/json", "type": "string"}),
]


class CloudEvent(BaseModel):
    """One message on the bus.

    Shape: `id` with `source` is unique; `data` is the message itself, whose shape `type` and `dataschema` name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Attribute
    source: Attribute
    type: Attribute
    time: Time | None = None
    subject: Attribute | None = None
    datacontenttype: MediaType = "application/json"
    dataschema: Attribute | None = None
    partitionkey: Attribute | None = None
    correlationid: Attribute | None = None
    causationid: Attribute | None = None
    tenant: Attribute = "default"
    traceparent: Attribute | None = None
    data: Any = None


_KNOWN: Final = frozenset(CloudEvent.model_fields)
_VALIDATOR: Final = CloudEvent.__pydantic_validator__
"""What `model_validate` asks, without the way there."""


def read(
    body: bytes,
    headers: Mapping[str, str] | None = None,
    limit: int = codec.MAX_MESSAGE_BYTES,
    depth: int = codec.MAX_DEPTH,
) -> CloudEvent:
    """Give the CloudEvent that a body, or headers and a body, hold.

    Raises:
        Refused: not JSON as `codec.decode` takes it, or not a CloudEvent; with a pointer into the envelope.
    """
    event = _in_headers(body, headers, limit, depth) if headers else None
    if event is None:
        event = codec.decode(body, limit, depth)
    if type(event) is dict and _KNOWN.issuperset(event):
        try:
            return _VALIDATOR.validate_python(event)  # type: ignore[no-any-return]
        except ValidationError:
            pass  # said below, once nulls are out of the way
    return _read_with_care(event)


def _read_with_care(event: Any) -> CloudEvent:
    if not isinstance(event, dict):
        raise refuse("envelope.not_an_object", f"expected a CloudEvent, an object, found {found(event)}")
    # the JSON format: null says that the attribute is absent
    event = {name: value for name, value in event.items() if value is not None}
    others = sorted(event.keys() - _KNOWN)
    extensions = list(islice((wrong for name in others for wrong in _extension(name, event[name])), MAX_PROBLEMS))
    try:
        cloud_event = CloudEvent.model_validate(event)
    except ValidationError as error:
        raise Refused([*problems_of(error, "envelope"), *extensions]) from error
    if extensions:
        raise Refused(extensions)
    return cloud_event


def write(event: CloudEvent) -> bytes:
    """Give the structured JSON form, without the attributes that are absent."""
    return codec.encode({name: value for name, value in event.__dict__.items() if value is not None})


def timestamp(at_ms: int) -> datetime:
    """Give the instant that milliseconds since the Unix epoch name, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _in_headers(body: bytes, headers: Mapping[str, str], limit: int, depth: int) -> dict[str, Any] | None:
    """Give the event of a message in binary mode; None if the mode is another."""
    named = {name.lower(): value for name, value in headers.items()}
    content_type = named.get("content-type", "").lower()
    if content_type.startswith(_BATCH):
        raise refuse("envelope.batch", "expected one event in a message, found a batch")
    if content_type.startswith(CONTENT_TYPE) or f"{_BINARY}specversion" not in named:
        return None
    event: dict[str, Any] = {
        name.removeprefix(_BINARY): _unescaped(name, value) for name, value in named.items() if name.startswith(_BINARY)
    }
    if content_type:
        event.setdefault("datacontenttype", content_type)
    if not _JSON.fullmatch(event.get("datacontenttype", "application/json")):
        message = f"expected application/json, found {found(event['datacontenttype'])}"
        raise refuse("envelope.invalid", message, "/datacontenttype")
    event["data"] = codec.decode(body, limit, depth) if body else None
    return event


def _unescaped(name: str, value: str) -> str:
    """Give the attribute that a header holds. Source: CloudEvents, HTTP binding, section 3.1.3.2."""
    if "%" not in value:
        return value
    from urllib.parse import unquote  # noqa: PLC0415 - seldom

    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        message = f"expected UTF-8 behind the percent signs, found {found(value)}"
        raise refuse("envelope.invalid", message, f"/{name.removeprefix(_BINARY)}") from error


def _extension(name: str, value: Any) -> Iterator[Problem]:
    """Give what is wrong with an attribute that is not ours. Source: CloudEvents 1.0.2, sections 3.1 and 3.3."""
    pointer = "/" + escape_pointer(name)
    if name == "data_base64":
        yield Problem(
            code="envelope.data_base64", message="expected JSON in 'data', found data_base64", pointer=pointer
        )
    elif not _NAME.fullmatch(name):
        message = f"expected an attribute named with a-z and 0-9, found {found(name)}"
        yield Problem(code="envelope.attribute_name", message=message, pointer=pointer)
    elif not isinstance(value, str | int):
        message = f"expected a text, a whole number, true or false, found {found(value)}"
        yield Problem(code="envelope.attribute", message=message, pointer=pointer)
