"""Schemas and values that hypothesis makes: small, of few names, so that what one allows another often does too."""

from typing import Any, Final

from hypothesis import strategies as st

NAMES: Final = ("a", "b", "c1")
TYPES: Final = ("null", "boolean", "object", "array", "string", "integer", "number")
PATTERNS: Final = ("^a", "b", "1$", "^[a-b]$")

numbers = st.integers(-3, 5) | st.sampled_from([0.5, 1.5, -2.5, 2.0])
counts = st.integers(0, 3)
texts = st.sampled_from(["", "a", "b", "ab", "c1", "abcd", "2026-11-24", "7"])
scalars = st.none() | st.booleans() | numbers | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "d"]), inner, max_size=4),
    max_leaves=8,
)


def _object_words(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    return {
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=1),
        "additionalProperties": inner,
        "propertyNames": inner,
        "required": names,
        "minProperties": counts,
        "maxProperties": counts,
        "dependentRequired": st.dictionaries(st.sampled_from(NAMES), names, max_size=1),
        "dependentSchemas": st.dictionaries(st.sampled_from(NAMES), inner, max_size=1),
        "unevaluatedProperties": inner,
    }


def _array_words(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "minItems": counts,
        "maxItems": counts,
        "uniqueItems": st.booleans(),
        "contains": inner,
        "minContains": counts,
        "maxContains": counts,
        "unevaluatedItems": inner,
    }


def _plain_words(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    some = st.lists(inner, min_size=1, max_size=3)
    return {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
        "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
        "const": scalars,
        "minimum": numbers,
        "maximum": numbers,
        "exclusiveMinimum": numbers,
        "exclusiveMaximum": numbers,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
        "minLength": counts,
        "maxLength": counts,
        "pattern": st.sampled_from(PATTERNS),
        "format": st.sampled_from(["date", "uuid"]),
        "anyOf": some,
        "oneOf": some,
        "allOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "title": texts,
        "$ref": st.just("#/$defs/other"),
    }


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words = _object_words(inner) | _array_words(inner) | _plain_words(inner)
    chosen = st.lists(st.sampled_from(sorted(words)), max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: words[name] for name in names}))


_inner: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), _schemas, max_leaves=6)
schemas: st.SearchStrategy[Any] = st.builds(
    lambda schema, other: schema | {"$defs": {"other": other}}, _schemas(_inner), _inner
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Give a schema, and what a few changes made of it: words taken over, left out, or put in from another one."""
    old, other = draw(schemas), draw(schemas)
    kept = {word: old[word] for word in old if word == "$defs" or draw(st.booleans())}
    new = kept | {word: other[word] for word in other if word != "$defs" and draw(st.booleans())}
    return old, new
