"""How deep each step lies in its graph."""

from collections import deque
from collections.abc import Mapping, Sequence


def levels_of(depends_on: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Give for each step the length of the longest path to it; 0 for a root. The graph has no cycle."""
    dependents: dict[str, list[str]] = {step: [] for step in depends_on}
    for step, dependencies in depends_on.items():
        for dependency in dependencies:
            dependents[dependency].append(step)
    waiting = {step: len(dependencies) for step, dependencies in depends_on.items()}
    levels = dict.fromkeys(depends_on, 0)
    ready = deque(step for step, count in waiting.items() if count == 0)
    while ready:
        step = ready.popleft()
        for dependent in dependents[step]:
            levels[dependent] = max(levels[dependent], levels[step] + 1)
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                ready.append(dependent)
    return levels
