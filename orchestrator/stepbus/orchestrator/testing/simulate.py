"""A task run to its end by the real core, on a virtual clock, with workers that follow a script.

One seed gives one history. Answers take a little time; with `shuffle` they overtake each other, and some of them
(`duplicates`) arrive twice.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.problems import Problem, Refused, escape_pointer
from stepbus.contracts.template import TaskTemplate
from stepbus.contracts.validation import problems_of
from stepbus.orchestrator.core.commands import Command, CompleteStep, FailStep, RequestTask
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.runtime.due import DueCommand, due_of
from stepbus.orchestrator.runtime.due_index import due_ms_set_by

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, when every simulation begins."""

_ANSWER_MS = 5
_LATEST_ANSWER_MS = 50

REPORTED: frozenset[type[e.Event]] = frozenset(
    {
        e.StepDispatched,
        e.StepCompleted,
        e.StepFailed,
        e.StepTimedOut,
        e.StepCancelled,
        e.StepResolvedManually,
        e.TaskCompleted,
        e.TaskFailed,
        e.TaskCancelled,
    }
)


class StepScript(BaseModel):
    """How a step's attempts go: the first `timeout` are never answered, then `fail` fail, then it succeeds.

    With `permanent`, the attempt that would succeed fails for good instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fail: Annotated[int, Field(ge=0, le=100)] = 0
    timeout: Annotated[int, Field(ge=0, le=100)] = 0
    permanent: bool = False


class Script(BaseModel):
    """How the workers behave. A step that is not named succeeds at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: dict[str, StepScript] = {}
    seed: int = 0
    duplicates: Annotated[float, Field(ge=0, le=1)] = 0.0
    shuffle: bool = False

    @classmethod
    def read(cls, value: Any) -> "Script":
        """Give the script that a parsed JSON document holds.

        Raises:
            Refused: the document is no script; with a pointer to each thing that is wrong.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise Refused(problems_of(error, "script")) from error


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happened: every event with the virtual time it happened at, and where the task ended."""

    history: tuple[tuple[int, e.Event], ...]
    state: TaskState

    @property
    def events(self) -> Iterator[tuple[str, str, int]]:
        """Give the transitions as (event, step, attempt), `""` and 0 where there is no step, in log order."""
        for _, event in self.history:
            if type(event) in REPORTED:
                yield event.TYPE, getattr(event, "step", ""), getattr(event, "attempt", 0)


@dataclass(slots=True)
class _World:
    """The clock, the task, when a timer of it may be due and what is due, and the answers under way."""

    state: TaskState
    script: Script
    random: Random
    now_ms: int = START_MS
    look_at_ms: int | None = None
    due: deque[DueCommand] = field(default_factory=deque)
    under_way: list[tuple[int, int, CompleteStep | FailStep]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=count)
    history: list[tuple[int, e.Event]] = field(default_factory=list)

    def apply(self, command: Command) -> None:
        decision = decide(self.state, command)
        self.state.version += bool(decision.events)
        for event in decision.events:
            absorb(self.state, event)
            if (due_ms := due_ms_set_by(event)) is not None:
                self.look_at_ms = due_ms if self.look_at_ms is None else min(self.look_at_ms, due_ms)
            self.history.append((self.now_ms, event))
            if isinstance(event, e.StepDispatched):
                self.work(event)

    def work(self, job: e.StepDispatched) -> None:
        script = self.script.steps.get(job.step, StepScript())
        if job.attempt <= script.timeout:
            return
        at_ms = self.now_ms + self.delay_ms()
        failed = job.attempt <= script.timeout + script.fail
        answer: CompleteStep | FailStep
        if failed or script.permanent:
            error = StepError(code="simulated", message="the script says so", retryable=failed)
            answer = FailStep(self.state.task_id, job.step, job.attempt, error, at_ms)
        else:
            answer = CompleteStep(self.state.task_id, job.step, job.attempt, {}, at_ms)
        heappush(self.under_way, (at_ms, next(self.order), answer))
        if self.script.duplicates and self.random.random() < self.script.duplicates:
            heappush(self.under_way, (at_ms + self.delay_ms(), next(self.order), answer))

    def delay_ms(self) -> int:
        return self.random.randint(1, _LATEST_ANSWER_MS) if self.script.shuffle else _ANSWER_MS

    def next_command(self) -> Command | None:
        if self.due:
            return self.due.popleft()
        while (at_ms := self.look_at_ms) is not None and not (self.under_way and self.under_way[0][0] <= at_ms):
            at_ms = max(self.now_ms, at_ms)
            commands, self.look_at_ms = due_of(self.state, at_ms, len(self.state.plan.steps))
            if commands:
                self.now_ms = at_ms
                self.due.extend(commands)
                return self.due.popleft()
        if not self.under_way:
            return None
        self.now_ms, _, answer = heappop(self.under_way)
        return answer


def simulate(template: TaskTemplate, script: Script) -> Simulation:
    """Run one task of the template until nothing is under way and nothing is due. The script's data keep every schema.

    Raises:
        Refused: the script names a step that the template does not have.
    """
    plan = Plan.of(_without_schemas(template))
    problems = [
        Problem(
            code="script.unknown_step",
            message=f"expected a step of the template, found {name!r}",
            pointer=f"/steps/{escape_pointer(name)}",
        )
        for name in script.steps
        if name not in plan.index
    ]
    if problems:
        raise Refused(problems)
    task_id = uuid5(UUID(int=0), f"{template.hash}/{script.seed}")
    random = Random(script.seed)  # noqa: S311 - a simulation, not a secret
    world = _World(TaskState.blank(task_id, plan), script, random)
    command: Command | None = RequestTask(task_id, plan, {}, f"simulation-{script.seed}", START_MS)
    while command is not None:
        world.apply(command)
        command = world.next_command()
    return Simulation(tuple(world.history), world.state)


def _without_schemas(template: TaskTemplate) -> TaskTemplate:
    steps = tuple(step.model_copy(update={"result_schema": None, "error_schema": None}) for step in template.steps)
    return template.model_copy(update={"steps": steps, "context_schema": None})
