"""What holds of every value that satisfies certain subschemas, as far as their words say it plainly."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

from stepbus.contracts.inclusion.place import Document, Place, conjuncts
from stepbus.contracts.schema.rules import compiled

NUMBERS: Final = frozenset({"integer", "fraction"})
TYPES: Final = frozenset({"null", "boolean", "object", "array", "string"}) | NUMBERS
"""The kinds of JSON values; a number is either whole or a fraction."""

Places = tuple[Place, ...]
ANYTHING: Final = Document({}).top
STRING: Final = Document({"type": "string"}).top


class Facts:
    """What is known of the values that satisfy all of `places`. Something may hold of them that is not known.

    Shape: `taken` are the subschemas with alternatives of which one stands among the places already.
    """

    def __init__(self, places: Places, taken: frozenset[Place] = frozenset()) -> None:
        self.places = places
        self.taken = taken
        self.conjuncts = tuple(part for place in places for part in conjuncts(place))
        self.schemas: Sequence[tuple[Place, dict[str, Any]]] = [
            (part, part.schema) for part in self.conjuncts if isinstance(part.schema, dict)
        ]

    @cached_property
    def types(self) -> frozenset[str]:
        """The kinds that values may be of."""
        types = TYPES
        for said in self.said("type"):
            types &= types_of(said)
        return types

    @cached_property
    def is_empty(self) -> bool:
        """Whether it is known that no value satisfies them."""
        return any(part.schema is False for part in self.conjuncts) or not self.types

    @cached_property
    def finite(self) -> list[Any] | None:
        """All values there are, where they are listed; None if they are not."""
        listed = next((list(values) for values in self.said("enum")), None)
        listed = next(([value] for value in self.said("const")), listed)
        if listed is None and self.types <= {"null", "boolean"}:
            listed = [None, False, True]
        if listed is None:
            return None
        return [value for value in listed if all(place.allows(value) for place in self.places)]

    @cached_property
    def choice(self) -> list[Place] | None:
        """The first alternatives of which none is taken yet; None where there are none."""
        for place, schema in self.schemas:
            for keyword in ("anyOf", "oneOf"):
                if keyword in schema and place.below(keyword, 0) not in self.taken:
                    return [place.below(keyword, index) for index in range(len(schema[keyword]))]
        return None

    def with_one(self, alternatives: Sequence[Place], one: Place) -> "Facts":
        """Give what is known if one of the alternatives is the case."""
        return Facts((*self.places, one), self.taken | {alternatives[0]})

    def said(self, keyword: str) -> Iterator[Any]:
        """Give what each subschema says with this keyword."""
        return (schema[keyword] for _, schema in self.schemas if keyword in schema)

    def strongest(self, keyword: str, pick: Callable[..., Any]) -> Any:
        """Give the value that binds most; None if there is none."""
        return pick(self.said(keyword), default=None)

    @cached_property
    def lower(self) -> tuple[float, bool] | None:
        """The lowest number, and whether it is itself left out."""
        bounds = [(bound, False) for bound in self.said("minimum")]
        return max(bounds + [(bound, True) for bound in self.said("exclusiveMinimum")], default=None)

    @cached_property
    def upper(self) -> tuple[float, bool] | None:
        """The highest number, and whether it is itself one of them."""
        bounds = [(bound, True) for bound in self.said("maximum")]
        return min(bounds + [(bound, False) for bound in self.said("exclusiveMaximum")], default=None)

    @cached_property
    def required(self) -> frozenset[str]:
        """The keys that are there."""
        return frozenset(name for names in self.said("required") for name in names)

    @cached_property
    def listed(self) -> frozenset[str]:
        """The keys that some subschema names under `properties`."""
        return frozenset(name for properties in self.said("properties") for name in properties)

    def of_property(self, name: str) -> Places:
        """Give all that the value of a key must satisfy."""
        return tuple(part for place, schema in self.schemas for part in of_property(place, schema, name))

    def forbids(self, name: str) -> bool:
        """Say whether it is known that no value has this key."""
        return Facts(self.of_property(name)).is_empty

    def of_item(self, index: int) -> Places:
        """Give all that an item must satisfy."""
        found: list[Place] = []
        for place, schema in self.schemas:
            if index < len(schema.get("prefixItems", ())):
                found.append(place.below("prefixItems", index))
            elif "items" in schema:
                found.append(place.below("items"))
        return tuple(found)

    @cached_property
    def longest_prefix(self) -> int:
        """How many items from the first on may be said to be of their own kind."""
        return max((len(items) for items in self.said("prefixItems")), default=0)


def of_property(place: Place, schema: dict[str, Any], name: str) -> Places:
    """Give what one subschema demands of the value of a key."""
    found = [place.below("properties", name)] if name in schema.get("properties", ()) else []
    found += [
        place.below("patternProperties", pattern)
        for pattern in schema.get("patternProperties", ())
        if matches(pattern, name)
    ]
    if not found and "additionalProperties" in schema:
        found.append(place.below("additionalProperties"))
    return tuple(found)


def of_others(place: Place, schema: dict[str, Any]) -> dict[str | None, Place]:
    """Give what may be demanded of a key that is not listed: by the pattern it matches, or under None if by none.

    A key that matches no pattern must satisfy the latter; one that does, at least the one of its pattern.
    """
    rest = place.below("additionalProperties") if "additionalProperties" in schema else ANYTHING
    patterns = schema.get("patternProperties", ())
    return {pattern: place.below("patternProperties", pattern) for pattern in patterns} | {None: rest}


def types_of(said: str | Sequence[str]) -> frozenset[str]:
    """Give the kinds of values that the keyword `type` names."""
    names = {said} if isinstance(said, str) else set(said)
    return frozenset(names - {"number"}) | (NUMBERS if "number" in names else frozenset())


@lru_cache(maxsize=4096)
def matches(pattern: str, name: str) -> bool:
    """Say whether a key matches a pattern, as the validator does."""
    return compiled({"pattern": pattern}).is_valid(name)
