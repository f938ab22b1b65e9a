"""Which steps may run next, after one completion: in tasks of 100, 1,000 and 10,000 steps.

Every step of a task of random layers is completed in turn. Per completion: `released`, which names the next steps;
that and `absorb`, which keeps the state; and the whole decision as the coordinator takes it, with its events absorbed.
"""

from collections.abc import Mapping
from random import Random
from time import perf_counter
from typing import Any
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.core.commands import CompleteStep, RequestTask
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import absorb, fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.readiness import released
from stepbus.orchestrator.core.state import TaskState

SIZES = (100, 1_000, 10_000)
WIDTH = 10
EDGES = 2.4
TASK = UUID(int=1)


def layered(steps: int) -> Mapping[str, Any]:
    """Give a template of layers of ten steps, each of which waits for two or three of the layer above."""
    chance = Random(steps)  # noqa: S311 - the same graph in every run
    document = []
    for number in range(steps):
        above = (number // WIDTH - 1) * WIDTH
        count = 2 + (chance.random() < EDGES - 2)
        needed = [] if above < 0 else chance.sample(range(above, above + WIDTH), count)
        document.append({"name": f"s{number}", "depends_on": [f"s{each}" for each in needed]})
    return {"name": "layered", "version": "1.0.0", "steps": document}


def requested(plan: Plan) -> TaskState:
    """Give a task that has just been accepted."""
    blank = TaskState.blank(TASK, plan)
    command = RequestTask(task_id=TASK, plan=plan, context={}, request_id="r", at_ms=1)
    return fold(blank, decide(blank, command).events)


def readiness_us(plan: Plan) -> tuple[float, float]:
    """Give the time of one completion: to name the next steps, and to do that and keep the state."""
    state = requested(plan)
    completions = [e.StepCompleted(step=step.name, attempt=1, result=None) for step in plan.steps]
    naming_s = both_s = 0.0
    for number, completed in enumerate(completions):
        begun = perf_counter()
        ready = released(state, (number,))
        named = perf_counter()
        absorb(state, completed)
        naming_s += named - begun
        both_s += perf_counter() - begun
        for each in ready:
            absorb(state, e.StepDispatched(step=plan.steps[each].name, attempt=1, deadline_at_ms=9))
    return 1e6 * naming_s / len(completions), 1e6 * both_s / len(completions)


def decision_us(plan: Plan) -> float:
    """Give the time of one decision, with its events taken into the state."""
    state = requested(plan)
    commands = [CompleteStep(TASK, step.name, 1, None, 2) for step in plan.steps]
    begun = perf_counter()
    for command in commands:
        for event in decide(state, command).events:
            absorb(state, event)
    return 1e6 * (perf_counter() - begun) / len(commands)


def main() -> None:
    """Measure both at each size."""
    given = options(__doc__)
    for size in SIZES:
        plan = Plan.of(from_mapping(layered(max(20, round(size * given.scale)))))
        found = [readiness_us(plan) for _ in range(given.runs)]
        what = f"next ready steps after a completion, {size:,} steps"
        tell(what, "µs", [naming_us for naming_us, _ in found], target=5)
        tell(f"{what}, with the state kept", "µs", [both_us for _, both_us in found], target=5)
        decisions = [decision_us(plan) for _ in range(given.runs)]
        tell(f"decision and fold of a completion, {size:,} steps", "µs", decisions)


if __name__ == "__main__":
    main()
