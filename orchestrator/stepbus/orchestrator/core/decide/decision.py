"""The parts that decisions are made of."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Decision:
    """The events that follow, none if the command changes nothing; or the rejection."""

    events: tuple[e.Event, ...] = ()
    rejection: Rejection | None = None


NOTHING = Decision()


def rejected(code: str, message: str, pointer: str = "", kind: str = "conflict") -> Decision:
    """Give the rejection for a single reason."""
    return Decision(rejection=Rejection((Problem(code=code, message=message, pointer=pointer),), kind))


def dispatch(state: TaskState, numbers: Iterable[int], at_ms: int) -> Iterator[e.StepDispatched]:
    """Give the dispatch of the next attempt of each of these steps."""
    for number in numbers:
        step = state.plan.steps[number]
        yield e.StepDispatched(step=step.name, attempt=state.attempts[number] + 1, deadline_at_ms=at_ms + step.timeout)


def blocked(
    state: TaskState, moving: int, newly_failed: Iterable[int] = (), mended: int | None = None
) -> Iterator[e.Event]:
    """Give the task's failure if nothing moves any more. `mended` is a failed step that no longer is one."""
    if moving:
        return
    failed = {*state.numbers(StepStatus.ERROR), *state.numbers(StepStatus.CANCELLED), *newly_failed} - {mended}
    yield e.TaskFailed(
        code=BLOCKED_BY_FAILURES, failed_steps=tuple(state.plan.steps[number].name for number in sorted(failed))
    )


def cancel_steps(state: TaskState, statuses: Container[int] = OPEN) -> Iterator[e.StepCancelled]:
    """Give the cancellation of every step in one of these statuses: of all that could still run or be answered."""
    for number, status in enumerate(state.step_status):
        if status in statuses:
            yield e.StepCancelled(step=state.plan.steps[number].name, attempt=state.attempts[number])
