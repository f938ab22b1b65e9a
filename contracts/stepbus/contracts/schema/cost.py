"""How often a schema may look at one part of a value: what `$ref` multiplies, counted before it is run.

Without `$ref` each subschema sees a part at most once. With it the number can double at every level of the schema, or
of the value: two references to one definition of two references, and so on. It is counted for values of every depth
along the worst path through them, where each keyword finds something to look at and no branch ends early.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepbus.contracts.document import MAX_DEPTH
from stepbus.contracts.schema.walk import Node, target

MAX_LOOKS = 1_000_000
"""How often a schema may look at a part of a value of depth `SHALLOW` to be registered."""

SHALLOW = 3
MAX_WORK = 50_000_000
"""How many looks a value may cost in all; about two seconds."""

_CHEAP: Final = 1_000  # looks at a part that need no counting: no message has parts enough to make them costly


def circle(nodes: Mapping[str, Node]) -> Node | None:
    """Give a subschema that leads back to itself on the same value, and so says nothing; None if there is none."""
    order = set(_innermost_first(nodes))
    return next((node for pointer, node in nodes.items() if pointer not in order), None)


def looks(nodes: Mapping[str, Node]) -> tuple[int, ...]:
    """Give how often the schema may look at one part of a value, by the value's depth; empty where that is cheap."""
    if not any(_reference(node, nodes) for node in nodes.values()):
        return ()
    order = list(_innermost_first(nodes))
    by_depth: list[int] = []
    before: dict[str, int] = {}
    for _ in range(MAX_DEPTH + 1):
        here: dict[str, int] = {}
        for pointer in order:
            node = nodes[pointer]
            same = sum(here[place] for place in _applied(node, nodes))
            here[pointer] = min(1 + same + _parts(node, before), MAX_WORK + 1)
        by_depth.append(here[""])
        before = here
    return tuple(by_depth) if by_depth[-1] > _CHEAP else ()


def work(by_depth: tuple[int, ...], value: Any) -> int:
    """Give the most that it can cost to hold a value against a schema."""
    parts, depth = 0, 0
    level = [value]
    while level:
        parts += len(level)
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
            elif isinstance(part, list | tuple):
                below.extend(part)
        level, depth = below, depth + 1
    return by_depth[min(depth - 1, MAX_DEPTH)] * parts


def _applied(node: Node, nodes: Mapping[str, Node]) -> Iterator[str]:
    """Give the places of the subschemas that see the same value."""
    yield from node.same
    reference = _reference(node, nodes)
    if reference is not None:
        yield reference.pointer


def _reference(node: Node, nodes: Mapping[str, Node]) -> Node | None:
    reference = node.schema.get("$ref") if isinstance(node.schema, dict) else None
    return target(reference, nodes) if isinstance(reference, str) else None


def _parts(node: Node, below: Mapping[str, int]) -> int:
    if not below:
        return 0
    of_any = sum(below[place] for place in node.parts.get("", ()))
    named = (sum(below[place] for place in places) for name, places in node.parts.items() if name)
    return of_any + max(named, default=0)


def _innermost_first(nodes: Mapping[str, Node]) -> Iterator[str]:
    """Give the places so that each comes after all that it applies to the same value; those in a circle never come."""
    waiting = {pointer: list(_applied(node, nodes)) for pointer, node in nodes.items()}
    users: dict[str, list[str]] = {pointer: [] for pointer in nodes}
    for pointer, applied in waiting.items():
        for place in applied:
            users[place].append(pointer)
    left = {pointer: len(applied) for pointer, applied in waiting.items()}
    ready = [pointer for pointer, count in left.items() if not count]
    for pointer in ready:  # grows as it is read
        yield pointer
        for user in users[pointer]:
            left[user] -= 1
            if not left[user]:
                ready.append(user)
