"""The cost of a decision is that of the steps that it concerns, whatever the size of the task. Counted, not timed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from stepbus.orchestrator.core.commands import Command
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import absorb, fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.readiness import at_start, released
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import accepted, beat, cancel, complete, completed, dispatched, fail, stories, template


class Touches:
    """How many entries of counted tables were read or written, one by one or by going through them."""

    def __init__(self) -> None:
        self.count = 0

    def counting(self, table: Any) -> Any:
        """The table, as one of its own kind that counts."""
        kind = type(table)

        def getitem(inner: Any, key: Any) -> Any:
            self.count += 1
            return kind.__getitem__(inner, key)

        def iterate(inner: Any) -> Iterator[Any]:
            for entry in kind.__iter__(inner):
                self.count += 1
                yield entry

        counted = type(f"counted_{kind.__name__}", (kind,), {"__getitem__": getitem, "__iter__": iterate})
        return counted(table.typecode, table) if hasattr(table, "typecode") else counted(table)


def touched(plan: Plan, history: Callable[[TaskState], None], command: Command) -> int:
    """How many entries of the plan's and the state's tables one decision and its effects touch."""
    touches = Touches()
    counted = replace(
        plan,
        steps=touches.counting(plan.steps),
        dependencies=touches.counting(plan.dependencies),
        dependents=touches.counting(plan.dependents),
    )
    state = TaskState.blank(TASK_ID, plan)
    history(state)
    state.plan = counted
    for name in ("step_status", "attempts", "waiting"):
        setattr(state, name, touches.counting(getattr(state, name)))
    touches.count = 0
    for event in decide(state, command).events:
        absorb(state, event)
    return touches.count


@cache
def chain(length: int) -> Plan:
    names = [f"s{number}" for number in range(length)]
    return stories("s0", *(f"{name} < {before}" for before, name in pairwise(names))).plan


def half_done(state: TaskState) -> None:
    middle = len(state.plan.steps) // 2
    for number in range(middle):
        absorb(state, dispatched(f"s{number}"))
        absorb(state, completed(f"s{number}"))
    absorb(state, dispatched(f"s{middle}"))


@pytest.mark.parametrize("command", [complete, fail, beat])
def test_an_answer_in_a_chain_of_ten_thousand_costs_what_it_costs_in_one_of_ten(
    command: Callable[..., Command],
) -> None:
    small, large = (touched(chain(length), half_done, command(f"s{length // 2}")) for length in (10, 10_000))

    assert 0 < small == large < 40


def test_an_answer_costs_the_number_of_steps_that_wait_for_it() -> None:
    def fan(width: int) -> int:
        plan = stories("s0", *(f"leaf{number} < s0" for number in range(width))).plan
        return touched(plan, lambda state: absorb(state, dispatched("s0")), complete("s0"))

    ten, twenty, thousand = fan(10), fan(20), fan(1_000)
    a_leaf = (twenty - ten) / 10

    assert thousand == ten + 990 * a_leaf


def test_each_of_a_thousand_dependencies_costs_the_same() -> None:
    plan = stories(*(f"s{number}" for number in range(1_000)), "join < " + " ".join(f"s{n}" for n in range(1_000))).plan
    roots = [dispatched(f"s{number}") for number in range(1_000)]

    def after(answers: int) -> Callable[[TaskState], None]:
        def history(state: TaskState) -> None:
            for event in (*roots, *(completed(f"s{number}") for number in range(answers))):
                absorb(state, event)

        return history

    first, late = (touched(plan, after(answers), complete(f"s{answers}")) for answers in (1, 900))

    assert first == late


def test_counting_sees_a_walk_through_all_steps() -> None:
    assert touched(chain(1_000), half_done, cancel()) > 1_000


def test_what_several_steps_release_together_is_in_the_order_of_the_template() -> None:
    given = stories("a", "b", "z < a b", "y < a", "x < b")
    state = fold(TaskState.blank(TASK_ID, given.plan), (accepted(given), dispatched("a"), dispatched("b")))

    assert released(state, (1, 0)) == [2, 3, 4]
    assert released(state, (0,)) == [3]
    assert released(state, ()) == []
    absorb(state, completed("y"))
    assert released(state, (1, 0)) == [2, 4]


def test_the_first_steps_of_a_task_are_its_roots() -> None:
    plan = Plan.of(template("z", "a < z", "b"))

    assert list(at_start(TaskState.blank(TASK_ID, plan), ())) == [0, 2]
