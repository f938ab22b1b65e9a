"""W1 to W5: which tasks are submitted, and how many of them run at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

NAMESPACE = "bench"
QUEUE = "bench.step"
PAYLOAD = {"payload": "x" * 84}
"""What a task is about, and what each step gives: about 100 bytes as JSON."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Tasks of one template.

    Shape: `dependencies` are the steps by number; each entry of `at_once` is how many tasks run at once. They come in
    `bursts`, the next one when the last has ended; or, where `bursts` is 0, a new task for each that ends.
    """

    name: str
    about: str
    dependencies: tuple[tuple[int, ...], ...]
    at_once: tuple[int, ...]
    bursts: int = 1

    @property
    def steps(self) -> int:
        """Give the steps of a task."""
        return len(self.dependencies)

    @property
    def is_sustained(self) -> bool:
        """Say whether the number of tasks is held, rather than tasks coming in bursts."""
        return self.bursts == 0

    @property
    def in_flight(self) -> int:
        """Give how many steps can be out at once."""
        return max(self.at_once) * self._width()

    @property
    def template(self) -> Mapping[str, Any]:
        """Give the template, as a document."""
        steps = [
            {
                "name": f"s{number}",
                "handler": QUEUE,
                "queue": QUEUE,
                "depends_on": [f"s{needed}" for needed in dependencies],
            }
            for number, dependencies in enumerate(self.dependencies)
        ]
        return {"name": self.name, "namespace": NAMESPACE, "version": "1.0.0", "steps": steps}

    def scaled(self, scale: float) -> "Workload":
        """Give a smaller workload of the same shape."""
        if scale == 1:
            return self
        dependencies = self.dependencies
        if self.name == "W3":
            dependencies = fan(_share(len(dependencies) - 2, scale))
        at_once = tuple(_share(count, scale) for count in self.at_once)
        bursts = 0 if self.is_sustained else _share(self.bursts, scale)
        return replace(self, dependencies=dependencies, at_once=at_once, bursts=bursts)

    def _width(self) -> int:
        """Give the size of the largest level."""
        levels: list[int] = []
        for dependencies in self.dependencies:
            levels.append(1 + max((levels[needed] for needed in dependencies), default=-1))
        return max(levels.count(level) for level in set(levels))


def linear(steps: int) -> tuple[tuple[int, ...], ...]:
    """Give steps that each wait for the one before."""
    return tuple((number - 1,) if number else () for number in range(steps))


def fan(width: int) -> tuple[tuple[int, ...], ...]:
    """Give one step, then `width` at once, then one that waits for all of them."""
    return ((), *(((0,),) * width), tuple(range(1, width + 1)))


DIAMOND: tuple[tuple[int, ...], ...] = ((), (0,), (0,), (1, 2))

WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("W1", "one linear 10-step task at a time", linear(10), (1,), bursts=100),
        Workload("W2", "500 linear 10-step tasks at once", linear(10), (500,), bursts=4),
        Workload("W3", "1 -> 200 -> 1, five at once", fan(200), (5,), bursts=10),
        Workload("W4", "diamond x 500", DIAMOND, (500,), bursts=8),
        Workload("W5", "100, 1,000 and 5,000 active 4-step tasks", linear(4), (100, 1_000, 5_000), bursts=0),
    )
}


def chosen(name: str) -> Iterable[str]:
    """Give the names of the workloads that a name stands for; `all` is all of them."""
    return WORKLOADS if name == "all" else (name,)


def _share(count: int, scale: float) -> int:
    return max(1, round(count * scale))
