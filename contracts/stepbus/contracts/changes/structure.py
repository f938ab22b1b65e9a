"""What changed of the keywords that hold subschemas: which of them came or went, and which pairs are to be compared."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from stepbus.contracts.changes.catalogue import Direction
from stepbus.contracts.changes.words import MISSING
from stepbus.contracts.inclusion import Place
from stepbus.contracts.inclusion.facts import Facts, of_property
from stepbus.contracts.inclusion.place import written

_FLIPPED: Final[Mapping[Direction, Direction]] = {"input": "output", "output": "input"}
_CONDITION: Final = ("if", "then", "else")
_LISTS: Final = {"allOf": "all_of", "anyOf": "any_of", "oneOf": "one_of"}

Words = Mapping[str, Any]


class Found(NamedTuple):
    """A change of a subschema: its code, the keys from the subschema to it, and its two values."""

    code: str
    tokens: tuple[str | int, ...]
    old: Any
    new: Any


class Deeper(NamedTuple):
    """Two subschemas to be compared, for values that go this way."""

    old: Place
    new: Place
    direction: Direction

    def below(self, *tokens: str | int) -> "Deeper":
        """Give the pair that these keys lead to in both."""
        return Deeper(self.old.below(*tokens), self.new.below(*tokens), self.direction)


def structural(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    """Give the changes and pairs of all keywords that hold subschemas."""
    yield from _reference(pair, old, new)
    yield from _properties(pair, old, new)
    yield from _named(pair, old, new)
    yield from _rest(pair, old, new)
    yield from _items(pair, old, new)
    for keyword in _LISTS:
        yield from _list(pair, old, new, keyword)
    yield from _not(pair, old, new)
    yield from _condition(old, new)


def _reference(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    if "$ref" in old and "$ref" in new:
        yield Deeper(pair.old.referred, pair.new.referred, pair.direction)
    elif "$ref" in old or "$ref" in new:
        yield Found("ref.changed", ("$ref",), old.get("$ref", MISSING), new.get("$ref", MISSING))


def _properties(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in dict.fromkeys((*before, *after)):
        tokens = ("properties", name)
        if name not in after:
            yield Found(f"property.removed_from_{_openness(pair.new, new, name)}", tokens, before[name], MISSING)
        elif name not in before:
            yield Found(f"property.added_to_{_openness(pair.old, old, name)}", tokens, MISSING, after[name])
        else:
            yield pair.below(*tokens)


def _openness(place: Place, words: Words, name: str) -> str:
    """Say what a schema that does not list a key does with it."""
    places = of_property(place, dict(words), name)
    if not places:
        return "open"
    return "closed" if Facts(places).is_empty else "constrained"


def _named(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    before, after = old.get("patternProperties", {}), new.get("patternProperties", {})
    for pattern in dict.fromkeys((*before, *after)):
        tokens = ("patternProperties", pattern)
        if pattern in before and pattern in after:
            yield pair.below(*tokens)
        else:
            code = "pattern_property.added" if pattern in after else "pattern_property.removed"
            yield Found(code, tokens, before.get(pattern, MISSING), after.get(pattern, MISSING))
    if "propertyNames" in old and "propertyNames" in new:
        yield pair.below("propertyNames")
    elif "propertyNames" in old or "propertyNames" in new:
        code = "property_names.added" if "propertyNames" in new else "property_names.removed"
        values = old.get("propertyNames", MISSING), new.get("propertyNames", MISSING)
        yield Found(code, ("propertyNames",), *values)


def _rest(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    keyword = "additionalProperties"
    before, after = old.get(keyword, True), new.get(keyword, True)
    match _kind(before), _kind(after):
        case "some", "some":
            yield pair.below(keyword)
        case one, other if one != other:
            code = _OF_REST[one, other]
            yield Found(code, (keyword,), old.get(keyword, MISSING), new.get(keyword, MISSING))


_OF_REST: Final = {
    ("all", "none"): "additional_properties.closed",
    ("some", "none"): "additional_properties.closed",
    ("none", "all"): "additional_properties.opened",
    ("none", "some"): "additional_properties.opened",
    ("all", "some"): "additional_properties.constrained",
    ("some", "all"): "additional_properties.unconstrained",
}


def _kind(schema: Any) -> str:
    """Say how much a schema plainly allows."""
    if schema is False:
        return "none"
    return "all" if schema in (True, {}) else "some"


def _items(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    before, after = old.get("prefixItems", ()), new.get("prefixItems", ())
    for index, (one, other) in enumerate(zip_longest(before, after, fillvalue=MISSING)):
        if one is not MISSING and other is not MISSING:
            yield pair.below("prefixItems", index)
        else:
            code = "prefix_item.added" if one is MISSING else "prefix_item.removed"
            yield Found(code, ("prefixItems", index), one, other)
    if "items" in old and "items" in new:
        yield pair.below("items")
    elif "items" in old or "items" in new:
        code = "items.constrained" if "items" in new else "items.unconstrained"
        yield Found(code, ("items",), old.get("items", MISSING), new.get("items", MISSING))


def _list(pair: Deeper, old: Words, new: Words, keyword: str) -> Iterator[Found | Deeper]:
    family = _LISTS[keyword]
    before, after = old.get(keyword, []), new.get(keyword, [])
    if keyword != "allOf" and bool(before) != bool(after):
        yield Found(f"{family}.{'added' if after else 'removed'}", (keyword,), before or MISSING, after or MISSING)
    elif len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            if keyword == "oneOf" and written(one) != written(other):
                yield Found("one_of.branch_changed", (keyword, index), one, other)
            elif keyword != "oneOf":
                yield pair.below(keyword, index)
    else:
        texts = [written(branch) for branch in before], [written(branch) for branch in after]
        for index, branch in enumerate(before):
            if texts[0][index] not in texts[1]:
                yield Found(f"{family}.branch_removed", (keyword, index), branch, MISSING)
        for index, branch in enumerate(after):
            if texts[1][index] not in texts[0]:
                yield Found(f"{family}.branch_added", (keyword, index), MISSING, branch)


def _not(pair: Deeper, old: Words, new: Words) -> Iterator[Found | Deeper]:
    if "not" in old and "not" in new:
        below = pair.below("not")
        yield below._replace(direction=_FLIPPED[pair.direction])
    elif "not" in old or "not" in new:
        code = "not.added" if "not" in new else "not.removed"
        yield Found(code, ("not",), old.get("not", MISSING), new.get("not", MISSING))


def _condition(old: Words, new: Words) -> Iterator[Found]:
    before, after = ({word: words[word] for word in _CONDITION if word in words} for words in (old, new))
    if written(before) == written(after):
        return
    if "if" in before and "if" in after:
        yield Found("condition.changed", ("if",), before, after)
    elif "if" in after:
        yield Found("condition.added", ("if",), MISSING, after)
    elif "if" in before:
        yield Found("condition.removed", ("if",), before, MISSING)
