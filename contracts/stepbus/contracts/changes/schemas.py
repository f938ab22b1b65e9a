"""What changed between two versions of a schema, and what of it breaks those who work with the old.

Each change is named by the keyword that it is of. Whether it breaks somebody follows from its kind, unless it is shown
that the schemas at its place allow all that they must: then it breaks nobody. Where no change would break anybody, but
that can't be shown of the whole, this is said as well.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from stepbus.contracts.changes.catalogue import Change, Direction, change
from stepbus.contracts.changes.structure import Deeper, Found, structural
from stepbus.contracts.changes.words import MISSING, NAMINGS
from stepbus.contracts.inclusion import Document, Place, includes
from stepbus.contracts.inclusion.place import written
from stepbus.contracts.problems import escape_pointer

_IDENTITY: Final = frozenset({"$schema", "$id", "$defs", "definitions", "$anchor", "$dynamicAnchor"})
_ELSEWHERE: Final = frozenset(
    {"$ref", "properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems"}
    | {"allOf", "anyOf", "oneOf", "not", "if", "then", "else"}
)
"""Keywords whose changes `structure` finds."""


def schema_changes(old: Any, new: Any, direction: Direction, pointer: str = "") -> list[Change]:
    """Give what changed from one schema to another, in their order; both hold `schema_problems` empty.

    Guarantee: if none of it is breaking, each value that the old one allows is allowed by the new one; for an output,
    the other way round.
    """
    before, after = Document(old).top, Document(new).top
    found = _changes(before, after, direction)
    if _is_kept(before, after, direction):
        found = [each._replace(breaking=False) for each in found]
    elif not any(each.breaking for each in found):
        found.append(change("schema.undecided", "", old, new, direction))
    return [each._replace(pointer=pointer + each.pointer) for each in found]


def _is_kept(old: Place, new: Place, direction: Direction) -> bool:
    """Say whether it is shown that everybody who works with the old can work with the new."""
    return includes(new, old) if direction == "input" else includes(old, new)


def _changes(old: Place, new: Place, direction: Direction) -> list[Change]:
    found: list[Change] = []
    waiting: list[Deeper] = [Deeper(old, new, direction)]
    seen: set[Deeper] = set()
    while waiting:
        pair = waiting.pop()
        if pair in seen:  # it refers to itself
            continue
        seen.add(pair)
        differences = list(_differences(pair))
        here = [_change(difference, pair) for difference in differences if isinstance(difference, Found)]
        if any(each.breaking for each in here) and _is_kept(*pair):
            here = [each._replace(breaking=False) for each in here]
        found += here
        waiting += [difference for difference in reversed(differences) if isinstance(difference, Deeper)]
    return found


def _differences(pair: Deeper) -> Iterator[Found | Deeper]:
    """Give the changes of one pair of subschemas, and the pairs below them."""
    old, new, _ = pair
    if old.schema is False or new.schema is False:
        if old.schema is not new.schema:
            yield Found("schema.opened" if old.schema is False else "schema.closed", (), old.schema, new.schema)
        return
    before, after = ({} if place.schema is True else place.schema for place in (old, new))
    for keyword in dict.fromkeys((*before, *after)):
        values = before.get(keyword, MISSING), after.get(keyword, MISSING)
        if keyword in _IDENTITY | _ELSEWHERE or _are_alike(values):
            continue
        if keyword in NAMINGS:
            yield from (Found(named.code, (keyword,), named.old, named.new) for named in NAMINGS[keyword](*values))
        else:
            yield Found("annotation.changed", (keyword,), *values)
    yield from structural(pair, before, after)


def _are_alike(values: Sequence[Any]) -> bool:
    return MISSING not in values and written(values[0]) == written(values[1])


def _change(found: Found, pair: Deeper) -> Change:
    place = pair.old if found.new is MISSING else pair.new
    pointer = place.pointer + "".join("/" + escape_pointer(str(token)) for token in found.tokens)
    old, new = (None if value is MISSING else value for value in (found.old, found.new))
    return change(found.code, pointer, old, new, pair.direction)
