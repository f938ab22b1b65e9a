"""A schema made ready, and what a value is told that breaks it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import orjson

from stepbus.contracts import codec
from stepbus.contracts.problems import MAX_PROBLEMS, Problem, Refused, escape_pointer
from stepbus.contracts.schema.cost import MAX_WORK, looks, work
from stepbus.contracts.schema.rules import compiled, schema_problems
from stepbus.contracts.schema.walk import Schema, subschemas
from stepbus.contracts.validation import found

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
_TYPES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
_UNEXPECTED: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_MESSAGE_LENGTH: Final = 200


class CompiledSchema:
    """A schema that values can be held against."""

    def __init__(self, schema: Schema) -> None:
        self._validator = compiled(schema)
        self._looks = looks({node.pointer: node for node in subschemas(schema)})

    def problems(self, value: Any, pointer: str = "") -> Iterator[Problem]:
        """Give each way in which a value breaks the schema; `pointer` is where the value stands."""
        if self._looks and work(self._looks, value) > MAX_WORK:
            message = "expected a value that is held against its schema in reasonable time, found one too deep or large"
            yield Problem(code="schema.too_costly", message=message, pointer=pointer)
            return
        if self._validator.is_valid(value):
            return
        yield from reasons(self._validator, value, pointer)


def reasons(validator: jsonschema_rs.Validator, value: Any, pointer: str = "") -> Iterator[Problem]:
    """Give each way in which a value breaks what a validator demands, up to `MAX_PROBLEMS`."""
    errors = validator.iter_errors(value)
    return islice((problem for error in errors for problem in _problems(error, pointer)), MAX_PROBLEMS)


def compile_schema(schema: Schema) -> CompiledSchema:
    """Give the schema made ready; the same one for equal schemas.

    Raises:
        Refused: the schema can't be used, for all of these reasons.
    """
    try:
        body = codec.encode(schema)
    except Refused as refused:
        raise Refused(schema_problems(schema)) from refused
    return _compiled(body)


@lru_cache(maxsize=512)
def _compiled(body: bytes) -> CompiledSchema:
    schema = orjson.loads(body)
    problems = tuple(schema_problems(schema))
    if problems:
        raise Refused(problems)
    for node in subschemas(schema):
        if isinstance(node.schema, dict) and node.schema.get("additionalProperties") is False:
            node.schema.setdefault("properties", {})  # means the same, and makes the validator name the keys
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
        return f"expected {' or '.join(_TYPES[name] for name in details['types'])}, found {found(error.instance)}"
    if keyword == "required":
        return f"expected the key {details['property']!r}, found none"
    expected = _EXPECTED.get(keyword)
    if expected is None:
        return f"expected a value that {keyword} allows: {error.message[:_MESSAGE_LENGTH]}"
    return f"expected {expected.format_map(details)[:_MESSAGE_LENGTH]}, found {found(error.instance)}"
