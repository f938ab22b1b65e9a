"""What all models of the border have in common."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from stepbus.contracts import codec

Milliseconds = Annotated[int, Field(description="milliseconds since the Unix epoch, UTC")]

_LARGEST_INTEGER = 2**53 - 1
_AWARE = TypeAdapter(AwareDatetime)


class Shown(BaseModel):
    """What an answer shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Asked(BaseModel):
    """What a request asks. A misspelt name is refused, so that it is not a lost wish."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or (value.isascii() and value.isdigit()):
        return value
    try:
        # A "+" that wasn't escaped in a query arrives as a space.
        moment: datetime = _AWARE.validate_python(value.replace(" ", "+"))
    except ValidationError:
        raise PydanticCustomError(
            "instant",
            "expected a time as RFC 3339 has it, with its zone, or milliseconds, found {found}",
            {"found": value},
        ) from None
    return round(moment.timestamp() * 1000)


def _separated(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


Instant = Annotated[
    int,
    Field(ge=0, le=_LARGEST_INTEGER),
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "description": "RFC 3339 with its zone, or milliseconds since the Unix epoch"}),
]
Separated = BeforeValidator(_separated)
Position = Annotated[int, Field(ge=0, le=_LARGEST_INTEGER)]


class NoQuestion(Asked):
    """A request without query parameters."""


class Reading(Asked):
    """A read of the views. `min_position` makes it wait until they show what was written at that position."""

    min_position: Position | None = None


class Listing(Reading):
    """A page of a listing."""

    cursor: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


def parsed(text: str | None) -> Any:
    """Give the value that a JSON column holds."""
    if text is None:
        return None
    body = text.encode()
    return codec.decode(body, limit=len(body))
