"""Durations as people write them: a whole number and a unit, `250ms`, `30s`, `5m`, `2h`, `3d`."""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from stepbus.contracts.validation import found

MAX_DURATION_MS = 365 * 86_400_000

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
PATTERN: Final = r"^(0|[1-9][0-9]{0,11})(ms|s|m|h|d)$"
_WRITTEN: Final = re.compile(PATTERN)
_CODE: Final = "template.duration"

AS_WRITTEN: Final = {"as_written": True}
"""The validation context of what people write, where a duration must have its unit."""


def parse_duration(text: str) -> int | None:
    """Give the milliseconds that a written duration means; None if it is no duration."""
    match = _WRITTEN.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def format_duration(milliseconds: int) -> str:
    """Give the duration as it is written, in the largest unit that says it exactly."""
    for unit, size in _UNITS.items():
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"


def _read(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        parsed = parse_duration(value)
        if parsed is not None:
            return parsed
    elif isinstance(value, int) and not info.context:
        return value
    raise PydanticCustomError(
        _CODE,
        "expected a whole number with its unit, as in 250ms, 30s, 5m, 2h or 3d, found {found}",
        {"found": found(value)},
    )


Duration = Annotated[
    int,
    Field(ge=0, le=MAX_DURATION_MS),
    BeforeValidator(_read),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "description": "a whole number and ms, s, m, h or d"}),
]
Timeout = Annotated[Duration, Field(ge=1)]
