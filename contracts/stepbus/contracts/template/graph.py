"""What is wrong with the dependencies between steps. Nothing here calls itself, so no chain is too long.

Source: A. B. Kahn, "Topological sorting of large networks", 1962.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stepbus.contracts.problems import Problem
from stepbus.contracts.template.suggest import Suggestions

_SHOWN_WHOLE: Final = 10
_SHOWN_BEFORE, _SHOWN_AFTER = 5, 3


@dataclass(frozen=True, slots=True)
class Needs:
    """What one step depends on, and where that is written; what is no name is passed over."""

    name: str
    depends_on: Sequence[Any]
    pointer: str


def graph_problems(steps: Sequence[Needs], suggestions: Suggestions) -> Iterator[Problem]:
    """Give every dependency that is unknown, repeated or on itself, and one cycle of each knot of them."""
    known: dict[str, int] = {}
    for number, step in enumerate(steps):
        known.setdefault(step.name, number)
    edges: list[list[int]] = []
    for step in steps:
        places: dict[str, int] = {}
        for index, name in enumerate(step.depends_on):
            pointer = f"{step.pointer}/{index}"
            if not isinstance(name, str):
                continue
            if name == step.name:
                message = f"expected {name!r} to depend on other steps, found itself"
                yield Problem(code="template.self_dependency", message=message, pointer=pointer)
            elif name in places:
                message = f"expected each dependency once, found {name!r} at index {places[name]} too"
                yield Problem(code="template.duplicate_dependency", message=message, pointer=pointer)
            elif name not in known:
                message = f"expected the name of a step, found {name!r}{suggestions.nearest(name, known)}"
                yield Problem(code="template.unknown_dependency", message=message, pointer=pointer)
            else:
                places[name] = index
        edges.append([known[name] for name in places])
    yield from _cycles(steps, edges)


def _cycles(steps: Sequence[Needs], edges: list[list[int]]) -> Iterator[Problem]:
    for knot in _knots(edges):
        cycle = _shortest_cycle(knot, edges)
        first = steps[cycle[0]]
        names = [steps[number].name for number in [*cycle, cycle[0]]]
        yield Problem(
            code="template.cycle",
            message=f"expected dependencies without a cycle, found {_shown(names)}",
            pointer=f"{first.pointer}/{list(first.depends_on).index(names[1])}",
        )


def _knots(edges: list[list[int]]) -> list[set[int]]:
    """Give the sets of steps that all reach each other, by the first step of each."""
    if not _left_over(edges):
        return []
    import rustworkx  # noqa: PLC0415 - only who has a cycle pays for it

    graph = rustworkx.PyDiGraph()
    graph.add_nodes_from(range(len(edges)))
    graph.add_edges_from_no_data([(number, needed) for number, needs in enumerate(edges) for needed in needs])
    knots = (set(component) for component in rustworkx.strongly_connected_components(graph) if len(component) > 1)
    return sorted(knots, key=min)


def _left_over(edges: list[list[int]]) -> int:
    """Give how many steps can never be ready: those on a cycle or behind one."""
    dependents: list[list[int]] = [[] for _ in edges]
    for number, needs in enumerate(edges):
        for needed in needs:
            dependents[needed].append(number)
    waiting = [len(needs) for needs in edges]
    ready = [number for number, count in enumerate(waiting) if not count]
    for number in ready:  # grows as it is read
        for dependent in dependents[number]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    return len(edges) - len(ready)


def _shortest_cycle(knot: set[int], edges: list[list[int]]) -> list[int]:
    """Give the steps of a shortest cycle through the first step of a knot, each depending on the next."""
    start = min(knot)
    came_from: dict[int, int] = {}
    reached = deque([start])
    while start not in came_from:
        number = reached.popleft()
        for needed in edges[number]:
            if needed in knot and needed not in came_from:
                came_from[needed] = number
                reached.append(needed)
    cycle = [start]
    while (before := came_from[cycle[-1]]) != start:
        cycle.append(before)
    return [start, *reversed(cycle[1:])]


def _shown(names: list[str]) -> str:
    if len(names) > _SHOWN_WHOLE:
        left_out = len(names) - _SHOWN_BEFORE - _SHOWN_AFTER
        names = [*names[:_SHOWN_BEFORE], f"({left_out} more)", *names[-_SHOWN_AFTER:]]
    return " -> ".join(names)
