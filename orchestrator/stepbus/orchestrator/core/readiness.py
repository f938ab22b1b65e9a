"""Which steps may run now.

A step is ready when everything it depends on is satisfied; what is ready is dispatched at once.

The cost of an answer is the number of steps that depend on the satisfied ones, whatever the size of the task.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from stepbus.orchestrator.core.state import StepStatus, TaskState

_PENDING: Final = StepStatus.PENDING


def released(state: TaskState, satisfied: Iterable[int]) -> list[int]:
    """Give the pending steps that become ready when these steps, not counted as satisfied so far, are."""
    plan, waiting, status = state.plan, state.waiting, state.step_status
    satisfied = tuple(satisfied)
    if len(satisfied) == 1:
        return [
            number for number in plan.dependents[satisfied[0]] if waiting[number] == 1 and status[number] == _PENDING
        ]
    arrived = Counter(number for step in satisfied for number in plan.dependents[step])
    return sorted(
        number for number, count in arrived.items() if waiting[number] == count and status[number] == _PENDING
    )


def at_start(state: TaskState, bypassed: Sequence[int]) -> Sequence[int]:
    """Give the steps of a new task that are ready at once: its roots, and what only bypassed steps stand before."""
    roots = state.plan.roots
    if not bypassed:
        return roots
    left_out = frozenset(bypassed)
    return sorted({*roots, *released(state, left_out)} - left_out)
