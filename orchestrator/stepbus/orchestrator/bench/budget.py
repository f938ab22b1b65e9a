"""A measurement ends in time: what does not fit is cut, and said to be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic


@dataclass(slots=True)
class Budget:
    """Time for one measurement. `reserve_s` of it is kept for what comes after the runs."""

    total_s: float
    reserve_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    clock: Callable[[], float] = monotonic
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self._begun = self.clock()

    @property
    def left_s(self) -> float:
        """Give what is left for the runs."""
        return self.until_end_s - self.reserve_s

    @property
    def until_end_s(self) -> float:
        """Give what is left in all."""
        return max(self.total_s - (self.clock() - self._begun), 0.0)

    def bursts_of(self, planned: int, tasks: int, runs: int, task_s: float) -> tuple[int, int]:
        """Give how many bursts a run has, and how many tasks a burst has, if a task costs so much time.

        As planned where that fits; else fewer bursts, at last smaller ones.
        """
        fitting = int(max(self.left_s, 0.0) / runs / max(task_s, 1e-9))
        if fitting >= planned * tasks:
            return planned, tasks
        if fitting >= tasks:
            self.notes.append(f"cut to {fitting // tasks} of {planned} bursts a run, to end in time")
            return fitting // tasks, tasks
        self.notes.append(f"cut to bursts of {max(fitting, 1)} of {tasks} tasks, to end in time")
        return 1, max(fitting, 1)

    def allows(self, longest_s: float, done: int, planned: int) -> bool:
        """Say whether another run fits, which takes as long as the longest so far. The first one always does."""
        if done == 0 or self.left_s >= longest_s:
            return True
        self.notes.append(f"cut to {done} of {planned} runs, to end in time")
        return False
