"""A value that one schema allows and another does not: looked for among likely ones, and held against both.

What is found is a proof; that nothing is found proves nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final

from stepbus.contracts.inclusion.facts import Facts, Places
from stepbus.contracts.inclusion.place import Document, Place

MAX_TRIED: Final = 400
_EACH: Final = 8
_DEPTH: Final = 5
_LONGEST: Final = 300
_MOST_ITEMS: Final = 12
_TEXTS: Final = (
    "text",
    "",
    "A",
    "7",
    "two words",
    "ab-1.c_d",
    "2026-11-24",
    "2026-11-24T09:30:15Z",
    "0192f0c1-7a3b-7c4d-8e5f-0123456789ab",
    "someone@example.org",
    "https://example.org/a",
)
_NONE: Final = object()
_STRANGE: Final[tuple[Any, ...]] = (None, "text", 7, True, {})


@dataclass(frozen=True, slots=True)
class _Hints:
    """What the schema to be missed speaks of: its numbers, and the keys that it knows."""

    numbers: frozenset[float]
    names: frozenset[str]

    @classmethod
    def of(cls, document: Document) -> "_Hints":
        numbers: set[float] = {0, 1}
        names: set[str] = {"another"}
        for node in document.nodes.values():
            if not isinstance(node.schema, dict):
                continue
            values = node.schema.values()
            numbers.update(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
            names.update(node.schema.get("properties", ()))
            names.update(node.schema.get("dependentRequired", ()))
        return cls(frozenset(numbers), frozenset(names))

    def around(self, bounds: Iterator[float]) -> list[float]:
        """Give numbers on, above and below what is spoken of."""
        found = self.numbers | set(bounds)
        return sorted({number + step for number in found for step in (-1, -0.5, 0, 0.5, 1)}, key=_plainness)


def counterexample(general: Place, special: Place) -> tuple[Any] | None:
    """Give a value, in a tuple, that `special` allows and `general` does not; None if none was found."""
    hints = _Hints.of(general.document)
    for value in islice(_values(Facts((special,)), hints, _DEPTH), MAX_TRIED):
        if special.allows(value) and not general.allows(value):
            return (value,)
    return None


def _values(facts: Facts, hints: _Hints, depth: int) -> Iterator[Any]:
    """Give values that may satisfy the facts, the plainest first."""
    if facts.is_empty:
        return
    if facts.finite is not None:
        yield from facts.finite
    elif facts.choice is not None:
        of_each = (_values(facts.with_one(facts.choice, one), hints, depth) for one in facts.choice)
        yield from (
            value for values in zip_longest(*of_each, fillvalue=_NONE) for value in values if value is not _NONE
        )
    else:
        for kind, make in _MAKERS.items():
            if kind in facts.types:
                yield from make(facts, hints, depth)


def _of(places: Places, hints: _Hints, depth: int) -> list[Any]:
    return list(islice(_values(Facts(places), hints, depth - 1), _EACH))


def _objects(facts: Facts, hints: _Hints, depth: int) -> Iterator[Any]:
    base: dict[str, Any] = {}
    for name in sorted(facts.required):
        values = _of(facts.of_property(name), hints, depth) if depth else []
        if not values:
            return
        base[name] = values[0]
    missing = min(facts.strongest("minProperties", max) or 0, _MOST_ITEMS) - len(base)
    base |= {f"key{number}": 7 for number in range(missing)}
    yield base
    if not depth:
        return
    varied = {name: _of(facts.of_property(name), hints, depth) for name in sorted(facts.listed | hints.names)}
    yield base | {name: values[0] for name, values in varied.items() if values and name in facts.listed}
    for name, values in varied.items():
        for value in values:
            yield base | {name: value}
        if name not in facts.listed:
            yield from (base | {name: value} for value in _STRANGE)


def _arrays(facts: Facts, hints: _Hints, depth: int) -> Iterator[Any]:
    least, most = facts.strongest("minItems", max) or 0, facts.strongest("maxItems", min)
    lengths = {least, least + 1, most or 0, *(number + step for number in hints.numbers for step in (-1, 0, 1))}
    kinds = [_of(facts.of_item(index), hints, depth) if depth else [] for index in range(facts.longest_prefix + 1)]
    for length in sorted(size for size in lengths if isinstance(size, int) and least <= size <= _MOST_ITEMS):
        of_each = [kinds[min(index, facts.longest_prefix)] for index in range(length)]
        if all(of_each):
            yield [values[0] for values in of_each]
            yield [values[index % len(values)] for index, values in enumerate(of_each)]
            for place, values in enumerate(of_each[: facts.longest_prefix + 1]):
                for value in values[1:]:
                    yield [value if index == place else others[0] for index, others in enumerate(of_each)]


def _strings(facts: Facts, hints: _Hints, _: int) -> Iterator[Any]:
    yield from _TEXTS
    spoken = {facts.strongest("minLength", max) or 0, facts.strongest("maxLength", min) or 0, *hints.numbers}
    for length in sorted({int(number) + step for number in spoken for step in (-1, 0, 1)}):
        if 0 <= length <= _LONGEST:
            yield "a" * length


def _numbers(facts: Facts, hints: _Hints, _: int) -> Iterator[Any]:
    said = (
        float(value) if isinstance(value, float) else value
        for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
        for value in facts.said(keyword)
    )
    for number in hints.around(said):
        is_whole = float(number).is_integer()
        if is_whole or "fraction" in facts.types:
            yield int(number) if is_whole else number


def _plainness(number: float) -> tuple[float, bool]:
    return abs(number), number < 0


_MAKERS: Final[Mapping[str, Callable[[Facts, _Hints, int], Iterator[Any]]]] = {
    "object": _objects,
    "string": _strings,
    "integer": _numbers,
    "boolean": lambda _, __, ___: iter((False, True)),
    "null": lambda _, __, ___: iter((None,)),
    "array": _arrays,
}
"""By the kind of value; a fraction comes with the whole numbers, whose kind is always allowed with it."""
