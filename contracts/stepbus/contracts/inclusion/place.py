"""A subschema where it stands: what its references lead to, and whether it allows a value."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jsonschema_rs
import orjson

from stepbus.contracts.problems import escape_pointer
from stepbus.contracts.schema import Schema, subschemas, target
from stepbus.contracts.schema.rules import compiled

_WITHIN: Final = "#/$defs/whole"
_PLAIN: Final = "/$"
_OF_WHOLE: Final = ("$schema", "$id")


class Document:
    """A schema that can be used (`schema_problems` finds nothing), and its subschemas by their pointers."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.nodes = {node.pointer: node for node in subschemas(schema)}
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    @property
    def top(self) -> "Place":
        """Give the schema as a whole."""
        return Place(self, "")

    @cached_property
    def text(self) -> bytes:
        """The schema written so that equal texts mean the same."""
        return written(self.schema)

    def validator(self, pointer: str) -> jsonschema_rs.Validator:
        """Give what holds values against one subschema, its references led where they lead in the whole."""
        if pointer not in self._validators:
            schema = {"$ref": _WITHIN + quote(pointer, _PLAIN), "$defs": {"whole": self._within}}
            self._validators[pointer] = compiled(schema)
        return self._validators[pointer]

    def standing_at(self, pointer: str) -> Any:
        """Give the schema with its references as they lead when it stands at this place of a larger one."""
        copy = deepcopy(self.schema)
        if isinstance(copy, dict):
            for keyword in _OF_WHOLE:
                copy.pop(keyword, None)
        for node in subschemas(copy):
            if isinstance(node.schema, dict) and "$ref" in node.schema:
                node.schema["$ref"] = pointer + quote(Place(self, node.pointer).referred.pointer, _PLAIN)
        return copy

    @cached_property
    def _within(self) -> Any:
        return self.standing_at(_WITHIN)


class Place(NamedTuple):
    """One subschema of a document."""

    document: Document
    pointer: str

    @property
    def schema(self) -> Any:
        """Give what stands here: an object, true or false."""
        return self.document.nodes[self.pointer].schema

    def below(self, *tokens: str | int) -> "Place":
        """Give the subschema that these keys lead to."""
        return Place(self.document, self.pointer + "".join("/" + escape_pointer(str(token)) for token in tokens))

    @property
    def referred(self) -> "Place":
        """Give what the `$ref` of this subschema leads to.

        Raises:
            LookupError: it leads nowhere; `schema_problems` says so beforehand.
        """
        node = target(self.schema["$ref"], self.document.nodes)
        if node is None:
            raise LookupError(f"expected a reference to a subschema, found {self.schema['$ref']}")
        return Place(self.document, node.pointer)

    def allows(self, value: Any) -> bool:
        """Say whether a value satisfies the subschema."""
        return self.document.validator(self.pointer).is_valid(value)


def conjuncts(place: Place) -> Iterator[Place]:
    """Give the subschemas that a value must satisfy together: this one, and those it refers to or lists in `allOf`."""
    yield place
    if not isinstance(place.schema, dict):
        return
    if "$ref" in place.schema:
        yield from conjuncts(place.referred)
    for index in range(len(place.schema.get("allOf", ()))):
        yield from conjuncts(place.below("allOf", index))


def written(value: Any) -> bytes:
    """Give a JSON value as text: equal texts are equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
