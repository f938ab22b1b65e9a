"""The index of bounds against a model that keeps every timer of every task in a dictionary."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from stepbus.contracts import events as e
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.runtime.due import due_of
from stepbus.orchestrator.runtime.due_index import DueIndex
from stepbus.orchestrator.runtime.due_snapshot import DueSnapshot
from stepbus.orchestrator.testing.simulate import START_MS, Simulation, simulate
from tests.property.core.strategies import scripts, templates
from tests.unit.core.examples import task_failed

GENERATION_MS = 1_000
NEAR_MS, FAR_MS = 50, 10 * GENERATION_MS

tasks = st.sampled_from([0, 1, 2, 2**128 - 1])
steps = st.sampled_from("ab")
delays_ms = st.integers(0, NEAR_MS) | st.integers(0, 3 * GENERATION_MS) | st.integers(0, FAR_MS)
paces_ms = st.sampled_from([0, 1, NEAR_MS, GENERATION_MS // 2, GENERATION_MS, GENERATION_MS, 4 * GENERATION_MS])


@dataclass
class World:
    """A clock, the timers that there are, the index, and when each timer fired."""

    now_ms: int = START_MS
    timers: dict[tuple[int, str], int] = field(default_factory=dict)
    index: DueIndex = field(default_factory=lambda: DueIndex(GENERATION_MS))
    fired: list[tuple[int, int]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)

    def happens(self, task: int, *events: e.Event) -> None:
        """Let the model and the index know of what one record says."""
        for event in events:
            match event:
                case e.StepDispatched(step=step, deadline_at_ms=due_ms):
                    self.timers[task, step] = due_ms
                case e.StepFailed(step=step, retry_at_ms=int(due_ms)):
                    self.timers[task, step] = due_ms
                case e.StepCompleted(step=step):
                    self.timers.pop((task, step), None)
                case e.TaskFailed():
                    self.timers = {key: due_ms for key, due_ms in self.timers.items() if key[0] != task}
        self.index.absorb(task, events)

    def earliest_ms(self, task: int) -> int | None:
        return min((due_ms for (owner, _), due_ms in self.timers.items() if owner == task), default=None)

    def take(self, limit: int) -> None:
        self.taken += self.index.take(self.now_ms, limit)

    def look(self) -> None:
        """Fire what is due of the tasks in hand, and say when the next of their timers is due."""
        for task in self.taken:
            for key, due_ms in list(self.timers.items()):
                if key[0] == task and due_ms <= self.now_ms:
                    self.fired.append((due_ms, self.now_ms))
                    del self.timers[key]
            self.index.settle(task, self.earliest_ms(task))
        self.taken = []

    def go_on(self, until_ms: int, limit: int) -> None:
        """Let time pass, and ask the index whenever it says that there may be something."""
        while (next_ms := self.index.next_ms()) is not None and next_ms <= until_ms:
            self.now_ms = max(self.now_ms, next_ms)
            self.take(limit)
            self.look()
        self.now_ms = until_ms

    def restart(self) -> None:
        """Go on with what was kept of the index; what was in hand is in hand no more."""
        kept = DueSnapshot.decode(self.index.frozen().encode())
        self.index, self.taken = DueIndex(GENERATION_MS), []
        self.index.restore(kept)


@st.composite
def turns(draw: st.DrawFn) -> Callable[[World], None]:
    """Something that happens to a task, or to the process."""
    task, step, limit = draw(tasks), draw(steps), draw(st.sampled_from([1, 2, 100]))
    delay_ms, pace_ms = draw(delays_ms), draw(paces_ms)

    def dispatch(world: World) -> None:
        world.happens(task, e.StepDispatched(step=step, attempt=1, deadline_at_ms=world.now_ms + delay_ms))

    def fail(world: World) -> None:
        error = {"code": "broken"}
        world.happens(
            task,
            e.StepFailed.model_validate(
                {"step": step, "attempt": 1, "error": error, "retry_at_ms": world.now_ms + delay_ms}
            ),
        )

    def go_on(world: World) -> None:
        world.go_on(world.now_ms + pace_ms, limit)

    def take(world: World) -> None:
        world.take(limit)

    choices: list[Callable[[World], None]] = [
        *[dispatch, fail, go_on] * 3,
        take,
        World.look,
        World.restart,
        lambda world: world.happens(task, e.StepCompleted(step=step, attempt=1)),
        lambda world: world.happens(task, task_failed("a")),
        lambda world: world.index.put_back(),
    ]
    return draw(st.sampled_from(choices))


@settings(max_examples=300)
@given(st.lists(turns(), max_size=60))
def test_every_timer_fires_at_its_time_whatever_happens_before(happening: Iterable[Callable[[World], None]]) -> None:
    world = World()
    for turn in happening:
        turn(world)
        earliest_ms = min(
            (due_ms for (task, _), due_ms in world.timers.items() if task not in world.taken), default=None
        )
        if earliest_ms is not None:
            next_ms = world.index.next_ms()
            assert next_ms is not None
            assert next_ms <= earliest_ms
    world.look()
    world.go_on(world.now_ms + 2 * FAR_MS, 100)

    assert world.timers == {}
    assert all(at_ms >= due_ms for due_ms, at_ms in world.fired)


@st.composite
def simulations(draw: st.DrawFn) -> Simulation:
    template = draw(templates(deadlines=True))
    return simulate(template, draw(scripts(template)))


@settings(max_examples=40)
@given(st.lists(simulations(), min_size=1, max_size=3), st.sampled_from([0, 5_000, 30_000, 10**7]), st.data())
def test_each_task_of_a_history_is_looked_at_at_the_moment_in_which_something_of_it_is_due(
    runs: list[Simulation], generation_ms: int, data: st.DataObject
) -> None:
    states = {number: TaskState.blank(UUID(int=number), run.state.plan) for number, run in enumerate(runs)}
    history = sorted(
        ((at_ms, number, event) for number, run in enumerate(runs) for at_ms, event in run.history),
        key=lambda entry: entry[:2],
    )
    index, now_ms = DueIndex(generation_ms), START_MS
    for at_ms, number, event in history:
        while (next_ms := index.next_ms()) is not None and next_ms < at_ms:
            now_ms = max(now_ms, next_ms)
            for task in index.take(now_ms, 100):
                due = due_of(states[task], now_ms, 100)
                assert due.commands == (), "it should have happened before"
                index.settle(task, due.next_ms)
        absorb(states[number], event)
        index.absorb(number, [event])
        if data.draw(st.booleans()):
            kept = DueSnapshot.decode(index.frozen().encode())
            index = DueIndex(generation_ms)
            index.restore(kept)
        expected = [due.next_ms for state in states.values() if (due := due_of(state, 0, 100)).next_ms is not None]
        assert not expected or (index.next_ms() or 0) <= min(filter(None, expected))
