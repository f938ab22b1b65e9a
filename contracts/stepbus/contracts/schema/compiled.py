"""A schema made ready, and what a value is told that breaks it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import orjson

from stepbus.contracts import codec
from stepbus.contracts.problems import Problem, Refused, escape_pointer
from stepbus.contracts.schema.rules import compiled, schema_problems
from stepbus.contracts.schema.walk import Schema
from stepbus.contracts.validation import found

MAX_PROBLEMS = 100
"""How many problems of one value are told; a value may break a schema in more ways than anybody reads."""

_CAPITAL: Final = re.compile("[A-Z]")
_EXPECTED: Final = {
    "const": "{expected_value!r}",
    "dependentRequired": "the key {property!r}",
    "enum": "one of {options!r}",
    "exclusiveMaximum": "less than {limit}",
    "exclusiveMinimum": "more than {limit}",
    "falseSchema": "nothing here",
    "format": "a text of the format {format}",
    "maxItems": "at most {limit} items",
    "maxLength": "at most {limit} characters",
    "maxProperties": "at most {limit} keys",
    "maximum": "at most {limit}",
    "minItems": "at least {limit} items",
    "minLength": "at least {limit} characters",
    "minProperties": "at least {limit} keys",
    "minimum": "at least {limit}",
    "multipleOf": "a multiple of {multiple_of}",
    "pattern": "a text that matches {pattern}",
    "uniqueItems": "each item once",
}
_UNEXPECTED: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_MESSAGE_LENGTH: Final = 200


class CompiledSchema:
    """A schema that values can be held against."""

    def __init__(self, schema: Schema) -> None:
        self._validator = compiled(schema)

    def problems(self, value: Any, pointer: str = "") -> Iterator[Problem]:
        """Give each way in which a value breaks the schema; `pointer` is where the value stands."""
        if self._validator.is_valid(value):
            return
        for error in islice(self._validator.iter_errors(value), MAX_PROBLEMS):
            yield from _problems(error, pointer)


def compile_schema(schema: Schema) -> CompiledSchema:
    """Give the schema made ready; the same one for equal schemas.

    Raises:
        Refused: the schema can't be used, for all of these reasons.
    """
    return _compiled(codec.encode(schema))


@lru_cache(maxsize=512)
def _compiled(body: bytes) -> CompiledSchema:
    schema = orjson.loads(body)
    problems = tuple(schema_problems(schema))
    if problems:
        raise Refused(problems)
    return CompiledSchema(schema)


def _problems(error: jsonschema_rs.ValidationError, pointer: str) -> Iterator[Problem]:
    place = pointer + "".join("/" + escape_pointer(str(token)) for token in error.instance_path)
    keyword = error.kind.name
    code = "schema." + _CAPITAL.sub(lambda capital: "_" + capital[0].lower(), keyword)
    details = error.kind.as_dict()
    if keyword in _UNEXPECTED:
        for name in details["unexpected"]:
            message = f"expected only the keys that the schema knows, found {name!r}"
            yield Problem(code=code, message=message, pointer=f"{place}/{escape_pointer(name)}")
        return
    yield Problem(code=code, message=_message(keyword, details, error), pointer=place)


def _message(keyword: str, details: dict[str, Any], error: jsonschema_rs.ValidationError) -> str:
    if keyword == "type":
        return f"expected {' or '.join(details['types'])}, found {found(error.instance)}"
    if keyword == "required":
        return f"expected the key {details['property']!r}, found none"
    expected = _EXPECTED.get(keyword)
    if expected is None:
        return f"expected a value that {keyword} allows: {error.message[:_MESSAGE_LENGTH]}"
    return f"expected {expected.format_map(details)[:_MESSAGE_LENGTH]}, found {found(error.instance)}"
