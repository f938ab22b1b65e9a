"""The judge of histories finds what is wrong with one."""

import pytest

from tests.property.core.legal import Transition, unlawful
from tests.unit.core.examples import template

DIAMOND = template("a", "b < a", "c < a", "d < b c")


def history(*written: str) -> list[Transition]:
    """`"Dispatched a 1"`, `"Task Completed"`."""
    transitions: list[Transition] = []
    for line in written:
        event, step, *attempt = line.split()
        is_task = event == "Task"
        transitions.append((f"Task{step}", "", 0) if is_task else (f"Step{event}", step, int(attempt[0])))
    return transitions


FORKED = ("Dispatched a 1", "Completed a 1", "Dispatched b 1", "Dispatched c 1")
DONE = (*FORKED, "Completed c 1", "Completed b 1", "Dispatched d 1", "Completed d 1", "Task Completed")


@pytest.mark.parametrize(
    "lawful",
    [
        pytest.param(DONE, id="all goes well"),
        pytest.param(("Dispatched a 1", "Failed a 1", "Dispatched a 2", "TimedOut a 2", "Task Failed"), id="it fails"),
        pytest.param((*FORKED, "Failed b 1", "Completed c 1", "Task Failed"), id="a branch goes on after a failure"),
        pytest.param(
            (*FORKED, "Cancelled b 1", "Cancelled c 1", "Cancelled d 0", "Task Cancelled"), id="it is cancelled"
        ),
        pytest.param((*FORKED, "Cancelled b 1", "Cancelled c 1", "Task Failed"), id="it is out of time"),
        pytest.param(
            (*FORKED, "ResolvedManually b 1", "Completed c 1", "Dispatched d 1", "Completed d 1", "Task Completed"),
            id="a step is resolved",
        ),
    ],
)
def test_a_lawful_history_is_found_so(lawful: tuple[str, ...]) -> None:
    assert unlawful(DIAMOND, history(*lawful)) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((*DONE, "Dispatched d 2"), "the task has ended with TaskCompleted"),
        ((*DONE, "Task Failed"), "the task has ended with TaskCompleted"),
        (DONE[:-1], "the task does not end"),
        ((), "the task does not end"),
        (("Dispatched a 1", "Dispatched b 1"), "before what it depends on"),
        ((*FORKED, "Completed b 1", "Dispatched d 1"), "before what it depends on"),
        (("Dispatched a 1", "Completed a 1", "Dispatched b 1", "Completed b 1"), "['c'] were ready before"),
        (("Dispatched a 1", "Completed a 1", "Task Failed"), "['b', 'c'] are ready and not dispatched"),
        (("Dispatched a 2",), "expected attempt 1"),
        (("Dispatched a 1", "Failed a 1", "Dispatched a 1"), "expected attempt 2"),
        (("Dispatched a 1", "Dispatched a 2"), "in hand, or done"),
        (("Dispatched a 1", "Completed a 1", "Dispatched a 2"), "in hand, or done"),
        (
            (*(f"{event} a {n}" for n in (1, 2, 3) for event in ("Dispatched", "Failed")), "Dispatched a 4"),
            "expected at most 3 attempts",
        ),
        (("Dispatched a 1", "Completed a 1", "Completed a 1"), "no such attempt is in hand"),
        (("Dispatched a 1", "Failed a 1", "Dispatched a 2", "Completed a 1"), "no such attempt is in hand"),
        (("Completed a 1",), "no such attempt is in hand"),
        (("Dispatched a 1", "Failed a 1", "TimedOut a 1"), "no such attempt is in hand"),
        ((*FORKED, "Failed b 1", "Task Failed"), "['c'] are in hand"),
        ((*FORKED, "Completed b 1", "Completed c 1", "Dispatched d 1", "Task Completed"), "['d'] are not done"),
        ((*DONE[:-1], "Task Failed"), "everything is done"),
        ((*FORKED, "ResolvedManually b 1", "ResolvedManually c 1", "Task Failed"), "['d'] are ready"),
        (("Dispatched a 1", "Task Failed"), "nothing has failed"),
        ((*FORKED, "Cancelled b 1", "Cancelled c 1", "Task Cancelled"), "something is open"),
        ((*FORKED, "Cancelled b 2"), "expected attempt 1"),
        ((*FORKED, "Cancelled a 1"), "it is done"),
        (("Dispatched z 1",), "no such step"),
        (("Started a 1",), "no such event"),
    ],
)
def test_a_broken_history_is_found_so(broken: tuple[str, ...], said: str) -> None:
    assert said in "\n".join(unlawful(DIAMOND, history(*broken)))
