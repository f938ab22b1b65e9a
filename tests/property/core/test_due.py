"""The index of timers, over the histories of several tasks at once, is what the states of the tasks say."""

import json
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from stepbus.contracts import events as e
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import StepStatus, TaskState, TaskStatus
from stepbus.orchestrator.runtime.due import DueIndex
from stepbus.orchestrator.testing.simulate import Simulation, simulate
from tests.property.core.strategies import scripts, templates

Timers = dict[UUID, dict[str, tuple[int, int, bool]]]


@st.composite
def simulations(draw: st.DrawFn) -> Simulation:
    template = draw(templates(deadlines=True))
    return simulate(template, draw(scripts(template)))


def naive(states: list[TaskState]) -> Timers:
    timers: Timers = {}
    for state in states:
        if state.status not in (TaskStatus.PENDING, TaskStatus.IN_PROGRESS):
            continue
        own = {
            state.plan.steps[number].name: (
                due_ms,
                state.attempts[number],
                state.step_status[number] == StepStatus.WAITING_FOR_RETRY,
            )
            for number, due_ms in state.due_ms.items()
        }
        if state.deadline_at_ms is not None:
            own[""] = (state.deadline_at_ms, 0, False)
        if own:
            timers[state.task_id] = own
    return timers


def kept(index: DueIndex) -> Timers:
    return {
        task_id: {step: (timer.due_ms, timer.attempt, timer.retry) for step, timer in timers.items()}
        for task_id, timers in index.tasks.items()
    }


def in_turns(data: st.DataObject, histories: list[list[e.Event]]) -> list[tuple[int, e.Event]]:
    """The events of all tasks, each task's in their order."""
    turns = [number for number, history in enumerate(histories) for _ in history]
    order = data.draw(st.permutations(turns))
    return [(number, histories[number].pop(0)) for number in order]


@settings(max_examples=40)
@given(data=st.data(), runs=st.lists(simulations(), min_size=1, max_size=3))
def test_the_index_is_what_the_states_say_after_every_event(data: st.DataObject, runs: list[Simulation]) -> None:
    states = [TaskState.blank(UUID(int=number), run.state.plan) for number, run in enumerate(runs)]
    index = DueIndex()

    for number, event in in_turns(data, [[event for _, event in run.history] for run in runs]):
        absorb(states[number], event)
        index.absorb(states[number].task_id, event)
        if event is runs[number].history[-1][1] or data.draw(st.booleans()):
            expected = naive(states)
            assert kept(index) == expected
            assert index.next_ms() == min(
                (due_ms for own in expected.values() for due_ms, _, _ in own.values()), default=None
            )


@settings(max_examples=40)
@given(data=st.data(), run=simulations())
def test_an_index_loaded_in_the_middle_goes_on_as_if_nothing_had_happened(data: st.DataObject, run: Simulation) -> None:
    events = [event for _, event in run.history]
    middle = data.draw(st.integers(0, len(events)))
    whole = DueIndex()
    for event in events[:middle]:
        whole.absorb(UUID(int=1), event)
    loaded = DueIndex.load(json.loads(json.dumps(whole.dump())))
    for event in events[middle:]:
        whole.absorb(UUID(int=1), event)
        loaded.absorb(UUID(int=1), event)

    assert kept(loaded) == kept(whole)
    assert loaded.next_ms() == whole.next_ms()
