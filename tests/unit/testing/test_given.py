"""Stories hold for what is so, and say what was expected and found for what is not."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.core import decide as decisions
from stepbus.orchestrator.core.commands import CompleteStep
from stepbus.orchestrator.core.decide import Decision
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.testing.given import Outcome
from tests.unit.core.examples import accepted, cancel, complete, completed, dispatched, request, stories

GIVEN = stories("a", "b.1 < a")
STARTED = (accepted(GIVEN), dispatched("a"))


def test_a_story_can_be_told_from_the_request_to_the_end() -> None:
    (
        GIVEN()
        .then_state("pending", a="pending", **{"b.1": "pending"})
        .when(request(GIVEN))
        .then(*STARTED)
        .then_state("in_progress", a="dispatched")
        .when(complete("a"))
        .when(complete("a"))
        .refused("result.duplicate", kind="conflict")
        .when(complete("b.1"))
        .then(completed("b.1"), e.TaskCompleted())
        .then_state("complete", a="complete", **{"b.1": "complete"})
    )


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        pytest.param(
            lambda outcome: outcome.then(completed("a")),
            r"expected:\s+StepCompleted\(step='a'.*\n  found:\s+StepCompleted\(step='a'.*\n    StepDispatched",
            id="an event is left out",
        ),
        pytest.param(lambda outcome: outcome.then(), r"expected: nothing\n  found:\n    StepCompleted", id="no event"),
        pytest.param(
            lambda outcome: outcome.then(dispatched("b.1"), completed("a")), "expected:", id="the order is another"
        ),
        pytest.param(
            lambda outcome: outcome.refused("task.ended"),
            r"expected:\n    task.ended\n  found:\n    StepCompleted",
            id="it was accepted",
        ),
        pytest.param(
            lambda outcome: outcome.then_state("in_progress", a="error"),
            "expected:\n    task: in_progress\n    a: error\n  found:\n    task: in_progress\n    a: complete",
            id="a step is in another state",
        ),
        pytest.param(
            lambda outcome: outcome.then_state("complete"), "found:\n    task: in_progress", id="the task is in another"
        ),
        pytest.param(
            lambda outcome: outcome.when(complete("a", result=7)).then(), "found a rejection", id="it was refused"
        ),
        pytest.param(
            lambda outcome: outcome.when(complete("a")).refused("result.late"),
            "expected:\n    result.late\n  found:\n    result.duplicate",
            id="it was refused for another reason",
        ),
        pytest.param(
            lambda outcome: outcome.when(complete("a")).refused("result.duplicate", kind="missing"),
            "expected a rejection of kind 'missing', found 'conflict'",
            id="it was refused as another kind",
        ),
    ],
)
def test_what_does_not_hold_is_told(claim: Callable[[Outcome], Any], said: str) -> None:
    outcome = GIVEN(*STARTED).when(complete("a"))

    with pytest.raises(AssertionError) as failure:
        claim(outcome)
    assert re.search(said, str(failure.value)), str(failure.value)


def test_a_step_that_the_template_does_not_have_is_no_state() -> None:
    with pytest.raises(KeyError, match="z"):
        GIVEN().then_state("pending", z="pending")


def test_a_decision_that_changes_the_state_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def meddle(state: TaskState, _command: CompleteStep) -> Decision:
        state.attempts[0] += 1
        return Decision()

    monkeypatch.setitem(vars(decisions)["_DECIDERS"], CompleteStep, meddle)

    GIVEN(*STARTED).when(cancel())
    with pytest.raises(AssertionError, match="to leave the state as it is"):
        GIVEN(*STARTED).when(complete("a"))
