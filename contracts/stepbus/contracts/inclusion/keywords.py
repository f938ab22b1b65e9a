"""What must be shown of a value for each keyword.

Source: JSON Schema 2020-12, core section 10 and validation section 6.

A keyword that is not here demands nothing, by itself or at all.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from stepbus.contracts.inclusion.facts import NUMBERS, STRING, Facts, matches, of_others, types_of
from stepbus.contracts.inclusion.place import Place, written


class Asking(Protocol):
    """What answers further questions: the proof that is under way."""

    def of_part(self, special: "tuple[Place, ...]", general: Place) -> bool:
        """Say whether a part of the value is shown to satisfy a subschema."""
        ...

    def is_shown(self, special: Facts, general: Place) -> bool:
        """Say whether the same value is shown to satisfy a subschema."""
        ...


Judge = Callable[[Any, Facts, Place], bool]

_OBJECT: Final = frozenset({"object"})
_ARRAY: Final = frozenset({"array"})
_STRING: Final = frozenset({"string"})

APPLIES_TO: Final[Mapping[str, frozenset[str]]] = (
    dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), NUMBERS)
    | dict.fromkeys(("minLength", "maxLength", "pattern", "format"), _STRING)
    | dict.fromkeys(("minItems", "maxItems", "uniqueItems", "items", "prefixItems", "contains"), _ARRAY)
    | dict.fromkeys(("unevaluatedItems",), _ARRAY)
    | dict.fromkeys(("minProperties", "maxProperties", "required", "properties", "patternProperties"), _OBJECT)
    | dict.fromkeys(("additionalProperties", "propertyNames", "unevaluatedProperties", "dependencies"), _OBJECT)
    | dict.fromkeys(("dependentRequired", "dependentSchemas"), _OBJECT)
)
"""The kinds of values that a keyword says anything about; without an entry, all."""

_LEANS_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
    "contains": ("minContains", "maxContains"),
    "if": ("then", "else"),
}
_ON_ALL: Final = frozenset({"unevaluatedItems", "unevaluatedProperties"})


def means_the_same(keyword: str, one: Place, other: Place) -> bool:
    """Say whether a keyword stands in both schemas with the same meaning."""
    if keyword not in other.schema:
        return False
    if keyword in _ON_ALL:
        ours, theirs = one.schema, other.schema
    else:
        words = (keyword, *_LEANS_ON.get(keyword, ()))
        ours, theirs = ({word: place.schema[word] for word in words if word in place.schema} for place in (one, other))
    text = written(ours)
    return text == written(theirs) and (b'"$ref"' not in text or one.document.text == other.document.text)


def _type(_: Asking, special: Facts, general: Place) -> bool:
    return special.types <= types_of(general.schema["type"])


def _never(_: Asking, __: Facts, ___: Place) -> bool:
    return False


def _minimum(_: Asking, special: Facts, general: Place) -> bool:
    return special.lower is not None and special.lower >= (general.schema["minimum"], False)


def _exclusive_minimum(_: Asking, special: Facts, general: Place) -> bool:
    return special.lower is not None and special.lower >= (general.schema["exclusiveMinimum"], True)


def _maximum(_: Asking, special: Facts, general: Place) -> bool:
    return special.upper is not None and special.upper <= (general.schema["maximum"], True)


def _exclusive_maximum(_: Asking, special: Facts, general: Place) -> bool:
    return special.upper is not None and special.upper <= (general.schema["exclusiveMaximum"], False)


def _multiple_of(_: Asking, special: Facts, general: Place) -> bool:
    step = general.schema["multipleOf"]
    if not isinstance(step, int):
        return False
    of_whole = step == 1 and "fraction" not in special.types
    return of_whole or any(isinstance(said, int) and said % step == 0 for said in special.said("multipleOf"))


def _at_least(keyword: str) -> Judge:
    def judge(_: Asking, special: Facts, general: Place) -> bool:
        found = special.strongest(keyword, max)
        least = max(found or 0, len(special.required) if keyword == "minProperties" else 0)
        return bool(least >= general.schema[keyword])

    return judge


def _at_most(keyword: str) -> Judge:
    def judge(_: Asking, special: Facts, general: Place) -> bool:
        found = special.strongest(keyword, min)
        return found is not None and bool(found <= general.schema[keyword])

    return judge


def _unique_items(_: Asking, special: Facts, general: Place) -> bool:
    most = special.strongest("maxItems", min)
    return not general.schema["uniqueItems"] or (most is not None and most <= 1)


def _required(_: Asking, special: Facts, general: Place) -> bool:
    return special.required.issuperset(general.schema["required"])


def _properties(asking: Asking, special: Facts, general: Place) -> bool:
    return all(
        asking.of_part(special.of_property(name), general.below("properties", name))
        for name in general.schema["properties"]
    )


def _pattern_properties(asking: Asking, special: Facts, general: Place) -> bool:
    for pattern in general.schema["patternProperties"]:
        wanted = general.below("patternProperties", pattern)
        named = (name for name in special.listed if matches(pattern, name))
        if not all(asking.of_part(special.of_property(name), wanted) for name in named):
            return False
        if not _others_satisfy(asking, special, wanted, only=pattern):
            return False
    return True


def _others_satisfy(
    asking: Asking, special: Facts, wanted: Place, *, only: str | None = None, but: frozenset[str] = frozenset()
) -> bool:
    """Say whether the values of keys that are not listed are shown to satisfy a subschema.

    Shape: of keys that match the pattern `only`, if there is one, and none of those in `but`.
    """
    if asking.of_part((), wanted):
        return True
    for place, schema in special.schemas:
        demanded = of_others(place, schema)
        if only in demanded and only is not None:
            demanded = {only: demanded[only]}
        if all(asking.of_part((part,), wanted) for pattern, part in demanded.items() if pattern not in but):
            return True
    return False


def _additional_properties(asking: Asking, special: Facts, general: Place) -> bool:
    wanted = general.below("additionalProperties")
    covered = general.schema.get("properties", {})
    patterns = frozenset(general.schema.get("patternProperties", ()))
    named = (
        name
        for name in special.listed
        if name not in covered and not any(matches(pattern, name) for pattern in patterns)
    )
    return all(asking.of_part(special.of_property(name), wanted) for name in named) and _others_satisfy(
        asking, special, wanted, but=patterns
    )


def _property_names(asking: Asking, special: Facts, general: Place) -> bool:
    wanted = general.below("propertyNames")
    said = tuple(place.below("propertyNames") for place, schema in special.schemas if "propertyNames" in schema)
    if asking.of_part((*said, STRING), wanted):
        return True
    is_closed = any(
        schema.get("additionalProperties") is False and not schema.get("patternProperties")
        for _, schema in special.schemas
    )
    return is_closed and all(wanted.allows(name) for name in special.listed)


def _dependent_required(_: Asking, special: Facts, general: Place) -> bool:
    return all(
        special.required.issuperset(names) or special.forbids(name)
        for name, names in general.schema["dependentRequired"].items()
    )


def _dependent_schemas(asking: Asking, special: Facts, general: Place) -> bool:
    return all(
        special.forbids(name) or asking.is_shown(special, general.below("dependentSchemas", name))
        for name in general.schema["dependentSchemas"]
    )


def _items(asking: Asking, special: Facts, general: Place) -> bool:
    first = len(general.schema.get("prefixItems", ()))
    last = max(first, special.longest_prefix)
    return all(_item_satisfies(asking, special, index, general.below("items")) for index in range(first, last + 1))


def _prefix_items(asking: Asking, special: Facts, general: Place) -> bool:
    return all(
        _item_satisfies(asking, special, index, general.below("prefixItems", index))
        for index in range(len(general.schema["prefixItems"]))
    )


def _item_satisfies(asking: Asking, special: Facts, index: int, wanted: Place) -> bool:
    most = special.strongest("maxItems", min)
    return (most is not None and most <= index) or asking.of_part(special.of_item(index), wanted)


def _contains(asking: Asking, special: Facts, general: Place) -> bool:
    wanted = general.below("contains")
    least, most = general.schema.get("minContains", 1), general.schema.get("maxContains")
    said = [(place.below("contains"), schema) for place, schema in special.schemas if "contains" in schema]
    are_enough = least == 0 or any(
        schema.get("minContains", 1) >= least and asking.of_part((part,), wanted) for part, schema in said
    )
    are_few = most is None or any(
        schema.get("maxContains", most + 1) <= most and asking.of_part((wanted,), part) for part, schema in said
    )
    return are_enough and are_few


def _any_of(asking: Asking, special: Facts, general: Place) -> bool:
    return any(asking.is_shown(special, general.below("anyOf", index)) for index in range(len(general.schema["anyOf"])))


def _one_of(asking: Asking, special: Facts, general: Place) -> bool:
    branches = [general.below("oneOf", index) for index in range(len(general.schema["oneOf"]))]
    return any(
        asking.is_shown(special, branch)
        and all(other == branch or _is_impossible(special, other) for other in branches)
        for branch in branches
    )


def _not(asking: Asking, special: Facts, general: Place) -> bool:
    refused = general.below("not")
    return _is_impossible(special, refused) or any(
        asking.is_shown(Facts((refused,)), place.below("not")) for place, schema in special.schemas if "not" in schema
    )


def _if(asking: Asking, special: Facts, general: Place) -> bool:
    return all(
        asking.is_shown(special, general.below(branch)) for branch in ("then", "else") if branch in general.schema
    )


def _is_impossible(special: Facts, other: Place) -> bool:
    """Say whether it is known that no value of which the facts hold satisfies the other."""
    return Facts((*special.places, other)).is_empty


def _unevaluated(keyword: str) -> Judge:
    def judge(_: Asking, __: Facts, general: Place) -> bool:
        return general.schema[keyword] is True

    return judge


def _dependencies(_: Asking, __: Facts, general: Place) -> bool:
    return not general.schema["dependencies"]


JUDGES: Final[Mapping[str, Judge]] = {
    "type": _type,
    "enum": _never,
    "const": _never,
    "minimum": _minimum,
    "exclusiveMinimum": _exclusive_minimum,
    "maximum": _maximum,
    "exclusiveMaximum": _exclusive_maximum,
    "multipleOf": _multiple_of,
    "pattern": _never,
    "format": _never,
    "uniqueItems": _unique_items,
    "required": _required,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "dependencies": _dependencies,
    "items": _items,
    "prefixItems": _prefix_items,
    "contains": _contains,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    **{keyword: _at_least(keyword) for keyword in ("minLength", "minItems", "minProperties")},
    **{keyword: _at_most(keyword) for keyword in ("maxLength", "maxItems", "maxProperties")},
    **{keyword: _unevaluated(keyword) for keyword in ("unevaluatedItems", "unevaluatedProperties")},
}
"""By keyword, what says whether its demand is shown. The finite and what stands in both schemas never come here."""
