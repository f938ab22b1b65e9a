"""Any commands in any order: the core must do what the model says, and keep its own books."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core import decide as decisions
from stepbus.orchestrator.core.evolve import absorb, fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import StepStatus, TaskState
from stepbus.orchestrator.runtime.due import DueCommand, due_of
from stepbus.orchestrator.runtime.due_index import DueIndex
from stepbus.orchestrator.runtime.due_snapshot import DueSnapshot
from stepbus.orchestrator.testing.given import TASK_ID
from tests.property.core.model import IN_HAND, MOVING, SATISFIED, Fact, Model, Refused
from tests.property.core.strategies import templates

UNKNOWN = "unknown"
GENERATION_MS = 30_000
FOR_EVER_MS = 10**15
TRIES_WHEN_NOTHING_MOVES = 2

CHOICES: dict[str, Sequence[Any]] = {
    "pick": range(21),
    "any_pick": range(1_000),
    "off": (0, 0, 0, 0, -1, 1),
    "off_ms": (0, 0, 0, -1, 60_000),
    "pace_ms": (0, 1, 500, 15_000, 30_000),
    "value": (None, 1, {"ok": True}),
    "error": [
        StepError(code="broken", retryable=retryable, retry_after=retry_after)
        for retryable in (True, False)
        for retry_after in (None, None, 0, 2.5)
    ],
    "is_meant": (False, False, False, True),
    "seldom": (*[False] * 9, True),
}
"""What may be said of a turn: which step; how far off the current attempt, and off the time when something is due; how
much time passes before; and with what it comes."""

TURNS: dict[str, tuple[str, ...]] = {}
"""The rules of the machine, and which choices each takes."""

CHECKS: list[str] = []
"""The invariants of the machine."""

Method = TypeVar("Method", bound=Callable[..., None])


def turn(*names: str) -> Callable[[Method], Method]:
    """A rule with these choices, which a player without hypothesis can take too."""

    def decorate(method: Method) -> Method:
        TURNS[method.__name__] = names
        choices: dict[str, Any] = {name: st.sampled_from(CHOICES[name]) for name in names}
        as_rule: Any = rule
        return cast("Method", as_rule(**choices)(method))

    return decorate


def check(method: Method) -> Method:
    """An invariant, which a player without hypothesis can look at too."""
    CHECKS.append(method.__name__)
    return invariant()(method)


def told(command: DueCommand) -> tuple[str, int, bool]:
    """The step, the attempt, and whether it is to be tried again; no step is the task."""
    if isinstance(command, c.TimeOutTask):
        return "", 0, False
    return command.step, command.attempt, isinstance(command, c.DispatchRetry)


class TaskMachine(RuleBasedStateMachine):
    """One task, driven by whoever may speak to it. Some time after it came to a stand another one begins."""

    @initialize(template=templates(deadlines=True), left_out=st.lists(st.sampled_from(CHOICES["pick"]), max_size=2))
    def choose(self, template: TaskTemplate, left_out: list[int]) -> None:
        self.now_ms = 1_000_000
        self.plan = Plan.of(template)
        self.names = [step.name for step in template.steps]
        skippable = [step.name for step in template.steps if step.skippable]
        self.left_out = tuple(skippable[pick % len(skippable)] for pick in left_out if skippable)
        self.begin()

    def begin(self) -> None:
        self.model = Model(self.plan.template)
        self.state = TaskState.blank(TASK_ID, self.plan)
        self.history: list[e.Event] = []
        self.said: list[c.Command] = []
        self.timers = DueIndex(GENERATION_MS)
        self.in_vain = -1  # the request itself comes when nothing moves
        self.apply(c.RequestTask(TASK_ID, self.plan, {"x": 1}, "request-1", self.now_ms, bypass_steps=self.left_out))

    def apply(self, command: c.Command) -> None:
        """Decide and absorb, and hold what follows against the model."""
        self.in_vain += not self.model.is_running()
        if self.in_vain > TRIES_WHEN_NOTHING_MOVES:
            self.begin()
        self.said.append(command)
        before = self.state.digest()
        decision = decisions.decide(self.state, command)
        assert self.state.digest() == before, "the decision changed the state that it was given"
        try:
            expected = self.model.expected(command)
        except Refused:
            assert decision.rejection is not None, f"{command} must be refused"
            assert not decision.events
            return
        found = [Fact.of(event) for event in decision.events]
        assert decision.rejection is None, f"{command} must be heard, found {decision.rejection}"
        agree = len(found) == len(expected) and all(map(Fact.agrees, expected, found))
        assert agree, f"{command}:\nexpected {expected}\nfound    {found}"
        self.model = self.model.followed_by(*found)
        self.history.extend(decision.events)
        after = fold(self.state, decision.events)
        assert self.state.digest() == before, "the fold changed the state that it was given"
        self.state = after
        self.state.version += bool(decision.events)
        self.timers.absorb(TASK_ID.int, decision.events)

    def step_of(self, pick: int, *wanted: str) -> str:
        """A step: mostly one in the wanted state, if there is one; now and then any, or one that is not there."""
        if pick == 20:
            return UNKNOWN
        names = (pick % 5 != 4 and self.model.within(*wanted)) or self.names
        return names[pick % len(names)]

    def attempt_of(self, name: str, off: int) -> int:
        return max(1, self.model.attempts(name) + off)

    def after(self, pace_ms: int) -> int:
        """The time when so much more has passed."""
        self.now_ms += pace_ms
        return self.now_ms

    def when_due(self, due_ms: int | None, off_ms: int) -> int:
        """The time when something is due, or a little off it, if that has not passed; else the time it is."""
        if due_ms is not None:
            self.now_ms = max(self.now_ms, due_ms + off_ms)
        return self.now_ms

    def due_of(self, name: str) -> int | None:
        return self.model.due_ms(name) if name != UNKNOWN else None

    @turn("pick", "off", "value", "pace_ms")
    def complete(self, pick: int, off: int, value: Any, pace_ms: int) -> None:
        name = self.step_of(pick, *IN_HAND)
        self.apply(c.CompleteStep(TASK_ID, name, self.attempt_of(name, off), value, self.after(pace_ms)))

    @turn("pick", "off", "error", "pace_ms")
    def fail(self, pick: int, off: int, error: StepError, pace_ms: int) -> None:
        name = self.step_of(pick, *IN_HAND)
        self.apply(c.FailStep(TASK_ID, name, self.attempt_of(name, off), error, self.after(pace_ms)))

    @turn("pick", "off", "value", "pace_ms")
    def beat(self, pick: int, off: int, value: Any, pace_ms: int) -> None:
        name = self.step_of(pick, *IN_HAND)
        self.apply(c.RecordHeartbeat(TASK_ID, name, self.attempt_of(name, off), value, self.after(pace_ms)))

    @turn("pick", "off", "off_ms")
    def time_out_step(self, pick: int, off: int, off_ms: int) -> None:
        name = self.step_of(pick, *IN_HAND)
        at_ms = self.when_due(self.due_of(name), off_ms)
        self.apply(c.TimeOutStep(TASK_ID, name, self.attempt_of(name, off), at_ms))

    @turn("pick", "off", "off_ms")
    def dispatch_retry(self, pick: int, off: int, off_ms: int) -> None:
        name = self.step_of(pick, "waiting_for_retry")
        at_ms = self.when_due(self.due_of(name), off_ms)
        self.apply(c.DispatchRetry(TASK_ID, name, self.attempt_of(name, off), at_ms))

    @turn("off_ms", "is_meant")
    def time_out_task(self, *, off_ms: int, is_meant: bool) -> None:
        self.apply(c.TimeOutTask(TASK_ID, self.when_due(self.model.deadline_ms() if is_meant else None, off_ms)))

    @turn("pick")
    def retry_step(self, pick: int) -> None:
        stuck = self.model.within("error", "cancelled")
        name = self.step_of(pick, *(("error", "cancelled") if stuck else ("waiting_for_retry",)))
        self.apply(c.RetryStep(TASK_ID, name, "again", self.now_ms))

    @turn("pick", "value")
    def resolve_step(self, pick: int, value: Any) -> None:
        stuck = self.model.within("error", "cancelled")
        name = self.step_of(pick, *(("error", "cancelled") if stuck else MOVING))
        self.apply(c.ResolveStep(TASK_ID, name, value, "by hand", self.now_ms))

    @turn("seldom")
    def cancel_task(self, *, seldom: bool) -> None:
        if seldom or not self.model.is_running():
            self.apply(c.CancelTask(TASK_ID, "stop", self.now_ms))

    @turn("seldom")
    def resolve_task(self, *, seldom: bool) -> None:
        if seldom or not self.model.is_running():
            self.apply(c.ResolveTask(TASK_ID, "done", self.now_ms))

    @turn("any_pick")
    def repeat_what_was_said(self, any_pick: int) -> None:
        self.apply(self.said[any_pick % len(self.said)])

    @precondition(lambda self: self.next_due_ms() is not None)
    @turn("off_ms")
    def fire_what_is_due(self, off_ms: int) -> None:
        self.when_due(self.next_due_ms(), off_ms)
        for task in self.timers.take(self.now_ms, 100):
            due = due_of(self.state, self.now_ms, 100)
            for command in due.commands:
                self.apply(command)
            self.timers.settle(task, due.next_ms)

    def next_due_ms(self) -> int | None:
        return due_of(self.state, 0, 0).next_ms

    @check
    def the_steps_are_where_the_model_has_them(self) -> None:
        statuses = {name: StepStatus(self.state.step_status[number]).name.lower() for name, number in self.numbers()}
        assert statuses == self.by_name(self.model.step)
        assert {name: self.state.attempts[number] for name, number in self.numbers()} == self.by_name(
            self.model.attempts
        )
        assert {name: self.state.max_attempts(number) for name, number in self.numbers()} == self.by_name(
            self.model.allowed
        )
        results = {name: self.state.results.get(number) for name, number in self.numbers()}
        assert results == self.by_name(self.model.result)

    @check
    def the_task_is_where_the_model_has_it(self) -> None:
        assert self.state.status.value == self.model.task()
        assert self.state.deadline_at_ms == self.model.deadline_ms()
        assert self.state.events == len(self.history)

    @check
    def the_counts_are_those_of_the_steps(self) -> None:
        waiting = {name: self.state.waiting[number] for name, number in self.numbers()}
        assert waiting == self.by_name(self.model.unsatisfied_before)
        counts = (self.state.moving, self.state.satisfied, self.state.failed)
        assert counts == tuple(len(self.model.within(*kind)) for kind in (MOVING, SATISFIED, {"error"}))

    @check
    def the_timers_are_those_of_the_steps_that_move(self) -> None:
        expected = {
            name: (self.model.due_ms(name), self.model.attempts(name), self.model.step(name) == "waiting_for_retry")
            for name in self.model.within(*MOVING)
        }
        assert {self.names[number]: due_ms for number, due_ms in self.state.due_ms.items()} == {
            name: due_ms for name, (due_ms, _, _) in expected.items()
        }
        if self.model.is_running() and self.model.deadline_ms() is not None:
            expected[""] = (self.model.deadline_ms(), 0, False)
        assert {told(command) for command in due_of(self.state, FOR_EVER_MS, 100).commands} == {
            (name, attempt, is_retry) for name, (_, attempt, is_retry) in expected.items()
        }
        assert self.next_due_ms() == min((due_ms or 0 for due_ms, _, _ in expected.values()), default=None)

    @check
    def no_timer_is_due_before_the_index_has_its_task_looked_at(self) -> None:
        restored = DueIndex(GENERATION_MS)
        restored.restore(DueSnapshot.decode(self.timers.frozen().encode()))
        due_ms = self.next_due_ms()
        if due_ms is not None:
            for index in (self.timers, restored):
                assert (index.next_ms() or FOR_EVER_MS) <= due_ms
            assert restored.take(due_ms, 100) == [TASK_ID.int]

    @check
    def a_replay_gives_the_live_state(self) -> None:
        replayed = TaskState.blank(TASK_ID, self.plan)
        for event in self.history:
            absorb(replayed, event)
        replayed.version = self.state.version
        assert replayed.digest() == self.state.digest()

    @check
    def a_running_task_moves_and_one_that_does_not_move_has_said_so(self) -> None:
        assert self.model.is_running() == bool(self.model.within(*MOVING))
        if self.model.task() == "error":
            assert self.model.within("error", "cancelled")
        if self.model.task() == "complete":
            assert len(self.model.within(*SATISFIED)) == len(self.names)

    def numbers(self) -> list[tuple[str, int]]:
        return [(name, number) for number, name in enumerate(self.names)]

    def by_name(self, question: Callable[[str], Any]) -> dict[str, Any]:
        return {name: question(name) for name in self.names}
