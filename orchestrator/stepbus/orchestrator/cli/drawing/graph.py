"""The steps of a template or task as a graph, with the level of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter


@dataclass(frozen=True, eq=False)
class Graph:
    """Steps by name, each with the names that it depends on, in the order in which they were given.

    Shape: a dependency that is not among the steps is left out, so that a part of a graph can be drawn.
    """

    depends_on: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, steps: Iterable[tuple[str, Iterable[str]]]) -> "Graph":
        """Give the graph of pairs of a name and what it depends on."""
        given = {name: tuple(dict.fromkeys(needed)) for name, needed in steps}
        return cls({name: tuple(other for other in needed if other in given) for name, needed in given.items()})

    @cached_property
    def level_of(self) -> Mapping[str, int]:
        """The length of the longest way from a root, by step; a root is on level 0.

        Raises:
            graphlib.CycleError: the graph has a cycle; what a check has let through has none.
        """
        level: dict[str, int] = {}
        for name in TopologicalSorter(self.depends_on).static_order():
            level[name] = 1 + max((level[needed] for needed in self.depends_on[name]), default=-1)
        return level

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The steps of each level, in the order in which they were given."""
        rows: list[list[str]] = [[] for _ in range(1 + max(self.level_of.values(), default=-1))]
        for name in self.depends_on:
            rows[self.level_of[name]].append(name)
        return tuple(tuple(row) for row in rows)

    @property
    def edges(self) -> int:
        """How many dependencies there are in all."""
        return sum(len(needed) for needed in self.depends_on.values())

    @property
    def points(self) -> int:
        """How often a line passes a level on its way; the lines from one step to several pass together."""
        furthest: dict[str, int] = {}
        for name, needed in self.depends_on.items():
            for source in needed:
                furthest[source] = max(furthest.get(source, 0), self.level_of[name])
        return sum(level - self.level_of[source] - 1 for source, level in furthest.items())

    @property
    def roots(self) -> tuple[str, ...]:
        """The steps that depend on nothing."""
        return tuple(name for name, needed in self.depends_on.items() if not needed)
