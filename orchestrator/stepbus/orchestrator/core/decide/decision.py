"""The parts that decisions are made of."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.state import OPEN, StepStatus, TaskState

BLOCKED_BY_FAILURES = "task.blocked_by_failures"
DEADLINE_EXCEEDED = "task.deadline_exceeded"


@dataclass(frozen=True, slots=True)
class Rejection:
    """The command was refused. `kind` is `invalid`, `missing` or `conflict` with the state that the task is in."""

    problems: tuple[Problem, ...]
    kind: str = "conflict"

    @property
    def code(self) -> str:
        """Give the code of the first problem."""
        return self.problems[0].code


class Decision(NamedTuple):
    """The events that follow, none if the command changes nothing; or the rejection."""

    events: tuple[e.Event, ...] = ()
    rejection: Rejection | None = None


NOTHING = Decision()


def rejected(code: str, message: str, pointer: str = "", kind: str = "conflict") -> Decision:
    """Give the rejection for a single reason."""
    return Decision(rejection=Rejection((Problem(code=code, message=message, pointer=pointer),), kind))


def dispatch(state: TaskState, numbers: Iterable[int], at_ms: int) -> list[e.Event]:
    """Give the dispatch of the next attempt of each of these steps."""
    dispatched: list[e.Event] = []
    for number in numbers:
        step, attempt = state.plan.steps[number], state.attempts[number] + 1
        dispatched.append(e.StepDispatched(step=step.name, attempt=attempt, deadline_at_ms=at_ms + step.timeout))
    return dispatched


def blocked(
    state: TaskState, moving: int, newly_failed: Iterable[int] = (), mended: int | None = None
) -> tuple[e.Event, ...]:
    """Give the task's failure if nothing moves any more. `mended` is a failed step that no longer is one."""
    if moving:
        return ()
    failed = {*state.numbers(StepStatus.ERROR), *state.numbers(StepStatus.CANCELLED), *newly_failed} - {mended}
    names = tuple(state.plan.steps[number].name for number in sorted(failed))
    return (e.TaskFailed(code=BLOCKED_BY_FAILURES, failed_steps=names),)


def cancel_steps(state: TaskState, statuses: Container[int] = OPEN) -> list[e.StepCancelled]:
    """Give the cancellation of every step in one of these statuses: of all that could still run or be answered."""
    return [
        e.StepCancelled(step=state.plan.steps[number].name, attempt=state.attempts[number])
        for number, status in enumerate(state.step_status)
        if status in statuses
    ]
