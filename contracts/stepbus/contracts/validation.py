"""pydantic's errors, said in our words: what was expected, and what was found."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from stepbus.contracts.problems import MAX_PROBLEMS, Problem, escape_pointer

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Describe = Callable[["ErrorDetails"], tuple[str, str]]
"""Gives the code and the message of one of pydantic's errors."""

KEY_ITSELF: Final = "[key]"
"""The last part of the place of an error in a key itself, not in what it leads to."""

_SHOWN: Final = 80
_CODES: Final = {"missing": "missing", "extra_forbidden": "unknown_key", "unexpected_keyword_argument": "unknown_key"}
_EXPECTED: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a time as RFC 3339 has it",
    "datetime_from_date_parsing": "a time as RFC 3339 has it",
    "datetime_parsing": "a time as RFC 3339 has it",
    "datetime_type": "a time as RFC 3339 has it",
    "dataclass_type": "an object",
    "dict_type": "an object",
    "envelope.time": "a time as RFC 3339 has it, with its zone",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "a text as key",
    "list_type": "a list",
    "model_type": "an object",
    "string_type": "a text",
    "string_unicode": "a text of whole characters",
    "timezone_aware": "a time with its zone",
    "tuple_type": "a list",
    "uuid_parsing": "a UUID",
    "uuid_type": "a UUID",
    "finite_number": "a finite number",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length}",
    "too_short": "at least {min_length}",
}


def found(value: Any) -> str:
    """Give a short name of a value, for the end of "expected …, found"."""
    if isinstance(value, str):
        return f"the text {_short(json.dumps(value, ensure_ascii=False))}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {_short(repr(value))}"
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return f"a {type(value).__name__}"


def problems_of(
    error: "ValidationError",
    subject: str,
    pointer: str = "",
    describe: Describe | None = None,
    limit: int | None = MAX_PROBLEMS,
) -> Iterator[Problem]:
    """Give a problem for each error, coded `<subject>.missing`, `<subject>.unknown_key` or `<subject>.invalid`.

    A validator of our own names its code itself; `describe` gives another code and message for any error.
    """
    for detail in islice(error.errors(include_url=False), limit):
        code, message = (describe or _describe(subject))(detail)
        tokens = [str(token) for token in detail["loc"] if token != KEY_ITSELF]
        place = pointer + "".join("/" + escape_pointer(token) for token in tokens)
        yield Problem(code=code, message=message, pointer=place)


def message_of(detail: "ErrorDetails") -> str:
    """Say what was expected and what was found."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return f"expected the key {detail['loc'][-1]!r}, found none"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"expected only known keys, found {detail['loc'][-1]!r}"
    expected = _EXPECTED.get(kind)
    if expected is None:
        return detail["msg"]
    return f"expected {expected.format_map(context)}, found {found(detail['input'])}"


def _describe(subject: str) -> Describe:
    def describe(detail: "ErrorDetails") -> tuple[str, str]:
        kind = detail["type"]
        return kind if "." in kind else f"{subject}.{_CODES.get(kind, 'invalid')}", message_of(detail)

    return describe


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
