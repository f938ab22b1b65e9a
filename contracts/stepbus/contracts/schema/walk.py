"""The subschemas of a schema, and how each is reached. Source: JSON Schema 2020-12, core sections 10 and 11.

What is no subschema (`const`, `enum`, `examples`, words of the user's own) is not looked into: a `$ref` there is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stepbus.contracts.problems import escape_pointer

Schema = dict[str, Any] | bool

# Keywords whose subschemas see the same value as the schema around them, and those whose subschemas see a part of it.
_SAME_ONE: Final = ("not", "if", "then", "else")
_SAME_LIST: Final = ("allOf", "anyOf", "oneOf")
_PART_ONE: Final = (
    "items",
    "contains",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
)
_ONE: Final = frozenset({*_SAME_ONE, *_PART_ONE})
_LIST: Final = frozenset({*_SAME_LIST, "prefixItems"})
_SAME_MAP: Final = ("dependentSchemas", "dependencies")  # the validator still heeds the older word
_MAP: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", *_SAME_MAP})
_SAME: Final = frozenset({*_SAME_ONE, *_SAME_LIST, *_SAME_MAP})
_UNUSED: Final = frozenset({"$defs", "definitions"})


@dataclass(slots=True)
class Node:
    """One subschema.

    Shape: `same` are the places of subschemas that are applied to the same value; `parts` those applied to a part of
    it, by the name of the part: a property, an index, or "" for any.
    """

    pointer: str
    depth: int
    schema: Any
    same: list[str] = field(default_factory=list)
    parts: dict[str, list[str]] = field(default_factory=dict)


def subschemas(schema: Any) -> Iterator[Node]:
    """Give every subschema, the schema itself first; a value that is neither object nor boolean is given and left."""
    waiting = [Node("", 1, schema)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node.schema, dict):
            continue
        for keyword, value in node.schema.items():
            for tokens, subschema in _under(keyword, value):
                pointer = node.pointer + "".join("/" + escape_pointer(token) for token in tokens)
                _link(node, keyword, tokens[-1], pointer)
                waiting.append(Node(pointer, node.depth + 1, subschema))


def _under(keyword: str, value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if keyword in _ONE:
        yield (keyword,), value
    elif keyword in _LIST and isinstance(value, list):
        for index, subschema in enumerate(value):
            yield (keyword, str(index)), subschema
    elif keyword in _MAP and isinstance(value, dict):
        for name, subschema in value.items():
            yield (keyword, name), subschema


def _link(node: Node, keyword: str, name: str, pointer: str) -> None:
    if keyword in _SAME:
        node.same.append(pointer)
    elif keyword in ("properties", "prefixItems"):
        node.parts.setdefault(name, []).append(pointer)
    elif keyword not in _UNUSED:
        node.parts.setdefault("", []).append(pointer)


def target(reference: str, nodes: Mapping[str, Node]) -> Node | None:
    """Give the subschema that a `$ref` beginning with `#` leads to; None if there is none."""
    fragment = reference[1:]
    if "%" in fragment:
        from urllib.parse import unquote  # noqa: PLC0415 - seldom

        fragment = unquote(fragment)
    if not fragment or fragment.startswith("/"):
        return nodes.get(fragment)
    named = (node for node in nodes.values() if isinstance(node.schema, dict) and _is_named(node.schema, fragment))
    return next(named, None)


def _is_named(schema: dict[str, Any], anchor: str) -> bool:
    return anchor in (schema.get("$anchor"), schema.get("$dynamicAnchor"))
