"""The envelope of every message: a CloudEvent, in JSON structured mode on every bus; binary mode is read too.

Source: CloudEvents 1.0.2, and its JSON event format. Extension attributes that stepbus uses: `partitionkey` (the task's
id), `correlationid`, `causationid`, `tenant`, `traceparent`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.validation import problems_of

CONTENT_TYPE = "application/cloudevents+json"
_BINARY_PREFIX = "ce-"

Attribute = Annotated[str, Field(min_length=1, max_length=1024)]


class CloudEvent(BaseModel):
    """One message on the bus.

    Shape: `id` with `source` is unique; `data` is the message itself, whose shape `type` and `dataschema` name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Attribute
    source: Attribute
    type: Attribute
    time: datetime | None = None
    subject: Attribute | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Attribute | None = None
    partitionkey: Attribute | None = None
    correlationid: Attribute | None = None
    causationid: Attribute | None = None
    tenant: Attribute = "default"
    traceparent: Attribute | None = None
    data: Any = None


def read(body: bytes, headers: Mapping[str, str] | None = None) -> CloudEvent:
    """Give the CloudEvent that a body, or headers and a body, hold.

    Raises:
        Refused: not JSON as `codec.decode` takes it, or not a CloudEvent; with a pointer into the envelope.
    """
    attributes = {name.lower(): value for name, value in (headers or {}).items()}
    if _BINARY_PREFIX + "specversion" in attributes:
        event: Any = {
            name.removeprefix(_BINARY_PREFIX): value
            for name, value in attributes.items()
            if name.startswith(_BINARY_PREFIX)
        }
        event["data"] = codec.decode(body)
    else:
        event = codec.decode(body)
    if not isinstance(event, dict):
        raise refuse("envelope.not_an_object", f"expected a CloudEvent object, found {type(event).__name__}")
    try:
        return CloudEvent.model_validate(event)
    except ValidationError as error:
        raise Refused(problems_of(error, "envelope")) from error


def write(event: CloudEvent) -> bytes:
    """Give the structured JSON form, without the attributes that are absent."""
    return codec.encode(event.model_dump(mode="json", exclude_none=True) | {"data": event.data})


def timestamp(at_ms: int) -> datetime:
    """Give the instant that milliseconds since the Unix epoch name, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
