"""What a change of one keyword is called, where the two values say it all. The rest is in `schemas`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from stepbus.contracts.inclusion.facts import TYPES, types_of
from stepbus.contracts.inclusion.place import written

MISSING: Final = object()
"""Stands for a keyword that is not there."""


class Named(NamedTuple):
    """A change by its code, and the parts of the keyword's values that it is about."""

    code: str
    old: Any
    new: Any


Naming = Callable[[Any, Any], Iterator[Named]]


def _type(old: Any, new: Any) -> Iterator[Named]:
    before, after = (TYPES if value is MISSING else types_of(value) for value in (old, new))
    if before < after:
        yield Named("type.widened", old, new)
    elif after < before:
        yield Named("type.narrowed", old, new)
    elif before != after:
        yield Named("type.changed", old, new)


def _enum(old: Any, new: Any) -> Iterator[Named]:
    if old is MISSING:
        yield Named("enum.added", old, new)
    elif new is MISSING:
        yield Named("enum.removed", old, new)
    else:
        before, after = ({written(value): value for value in values} for values in (old, new))
        yield from (Named("enum.value_removed", before[text], MISSING) for text in before if text not in after)
        yield from (Named("enum.value_added", MISSING, after[text]) for text in after if text not in before)


def _required(old: Any, new: Any) -> Iterator[Named]:
    before, after = (() if value is MISSING else value for value in (old, new))
    yield from (Named("required.removed", name, MISSING) for name in before if name not in after)
    yield from (Named("required.added", MISSING, name) for name in after if name not in before)


def _multiple_of(old: Any, new: Any) -> Iterator[Named]:
    if old is MISSING or (new is not MISSING and _divides(old, new)):
        yield Named("multiple_of.tightened", old, new)
    elif new is MISSING or _divides(new, old):
        yield Named("multiple_of.loosened", old, new)
    else:
        yield Named("multiple_of.changed", old, new)


def _divides(divisor: Any, number: Any) -> bool:
    return isinstance(divisor, int) and isinstance(number, int) and number % divisor == 0


def _unique_items(old: Any, new: Any) -> Iterator[Named]:
    if new is True:
        yield Named("unique_items.required", old, new)
    elif old is True:
        yield Named("unique_items.dropped", old, new)


def _at_least(family: str) -> Naming:
    def naming(old: Any, new: Any) -> Iterator[Named]:
        is_tightened = old is MISSING or (new is not MISSING and new > old)
        yield Named(f"{family}.{'tightened' if is_tightened else 'loosened'}", old, new)

    return naming


def _at_most(family: str) -> Naming:
    def naming(old: Any, new: Any) -> Iterator[Named]:
        is_tightened = old is MISSING or (new is not MISSING and new < old)
        yield Named(f"{family}.{'tightened' if is_tightened else 'loosened'}", old, new)

    return naming


def _whole(family: str) -> Naming:
    """Give the naming of a keyword that is there or not, and where it is, is the same or another."""

    def naming(old: Any, new: Any) -> Iterator[Named]:
        kind = "added" if old is MISSING else "removed" if new is MISSING else "changed"
        yield Named(f"{family}.{kind}", old, new)

    return naming


def _unevaluated(old: Any, new: Any) -> Iterator[Named]:
    is_open = [value is MISSING or value in ({}, True) for value in (old, new)]
    match is_open:
        case [True, False]:
            yield Named("unevaluated.closed", old, new)
        case [False, True]:
            yield Named("unevaluated.opened", old, new)
        case [False, False]:
            yield Named("unevaluated.changed", old, new)


NAMINGS: Final[Mapping[str, Naming]] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "multipleOf": _multiple_of,
    "uniqueItems": _unique_items,
    "const": _whole("const"),
    "pattern": _whole("pattern"),
    "format": _whole("format"),
    "contains": _whole("contains"),
    "dependentRequired": _whole("dependency_rule"),
    "dependentSchemas": _whole("dependency_rule"),
    "dependencies": _whole("dependency_rule"),
    "unevaluatedItems": _unevaluated,
    "unevaluatedProperties": _unevaluated,
    "minimum": _at_least("bound"),
    "exclusiveMinimum": _at_least("bound"),
    "maximum": _at_most("bound"),
    "exclusiveMaximum": _at_most("bound"),
    "minLength": _at_least("length"),
    "maxLength": _at_most("length"),
    "minItems": _at_least("items_count"),
    "maxItems": _at_most("items_count"),
    "minProperties": _at_least("properties_count"),
    "maxProperties": _at_most("properties_count"),
    "minContains": _at_least("contains_count"),
    "maxContains": _at_most("contains_count"),
}
"""By keyword, what a difference of its values is called. Equal values never come here."""
