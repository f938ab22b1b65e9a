"""Tests of a task as stories: what has happened, what is asked, what follows. The real core decides; nothing is faked.

```python
given = stories_of(check(text, "yaml"))


def test_the_parcel_is_packed_once_the_cart_is_valid() -> None:
    (
        given()
        .when(RequestTask(TASK_ID, given.plan, {}, "request-1", at_ms=0))
        .when(CompleteStep(TASK_ID, "validate", 1, {"valid": True}, at_ms=5))
        .then(
            StepCompleted(step="validate", attempt=1, result={"valid": True}),
            StepDispatched(step="pack", attempt=1, deadline_at_ms=30_005),
        )
        .then_state("in_progress", validate="complete", pack="dispatched")
    )
```

A story can begin with events (`given(event, ...)`) or with nothing. `when` can follow `when`, and `then` can stand
after each of them: it speaks of the last one alone. What does not hold is an `AssertionError` that shows expected and
found.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from stepbus.contracts.events import Event
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core.commands import Command
from stepbus.orchestrator.core.decide import Decision, decide
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import StepStatus, TaskState

TASK_ID = UUID("0192b7c4-0000-7000-8000-000000000001")
"""The task that all stories are about."""


@dataclass(frozen=True, slots=True)
class Stories:
    """The stories of one template. Called with events, it gives the task after them."""

    plan: Plan

    def __call__(self, *events: Event) -> "Story":
        """Give the task of which these events are known. Each is taken as it is: what has happened is never refused."""
        state = fold(TaskState.blank(TASK_ID, self.plan), events)
        state.version = 1 if events else 0
        return Story(state)


def stories_of(template: TaskTemplate) -> Stories:
    """Give what tells stories of this template."""
    return Stories(Plan.of(template))


@dataclass(frozen=True, slots=True)
class Story:
    """A task somewhere in its life."""

    state: TaskState

    def when(self, command: Command) -> "Outcome":
        """Decide the command. That a decision leaves the state as it is, is asserted each time."""
        before = self.state.digest()
        decision = decide(self.state, command)
        assert self.state.digest() == before, f"expected the decision of {command!r} to leave the state as it is"
        after = fold(self.state, decision.events)
        after.version += bool(decision.events)
        return Outcome(after, decision)

    def then_state(self, task: str, /, **steps: str) -> Self:
        """Assert in which state the task is, and these of its steps.

        Shape: states as they are shown everywhere: `then_state("error", charge="error", ship="pending")`; a step whose
        name is no Python name is given as `**{"a.b": "complete"}`.
        """
        found = [f"task: {self.state.status.value}", *(f"{name}: {self._status_of(name)}" for name in steps)]
        expected = [f"task: {task}", *(f"{name}: {status}" for name, status in steps.items())]
        assert found == expected, _difference(expected, found)
        return self

    def _status_of(self, name: str) -> str:
        number = self.state.plan.index[name]
        return StepStatus(self.state.step_status[number]).name.lower()


@dataclass(frozen=True, slots=True)
class Outcome(Story):
    """What a command led to, and the task after it."""

    decision: Decision

    def then(self, *events: Event) -> Self:
        """Assert that exactly these events follow, in this order; no events: that the command changes nothing."""
        rejection = self.decision.rejection
        assert rejection is None, f"expected {len(events)} events, found a rejection: {rejection}"
        assert self.decision.events == events, _difference(map(repr, events), map(repr, self.decision.events))
        return self

    def refused(self, *codes: str, kind: str | None = None) -> Self:
        """Assert that the command is refused with exactly these codes, in this order, and of this kind."""
        rejection = self.decision.rejection
        assert rejection is not None, _difference(codes, map(repr, self.decision.events))
        found = [problem.code for problem in rejection.problems]
        assert found == list(codes), _difference(codes, found)
        assert kind in (None, rejection.kind), f"expected a rejection of kind {kind!r}, found {rejection.kind!r}"
        return self


def _difference(expected: Iterable[str], found: Iterable[str]) -> str:
    listed = ["".join(f"\n    {line}" for line in lines) or " nothing" for lines in (expected, found)]
    return f"\n  expected:{listed[0]}\n  found:{listed[1]}"
