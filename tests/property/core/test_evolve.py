"""Whatever has happened, in whatever order: no event is refused, the counts are right, and something can be decided."""

from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import absorb, evolve, fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import MOVING, SATISFIED, StepStatus, TaskState
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import step, template

PLAN = Plan.of(template("a", step("b < a", result_schema={"type": "integer"}), "c < a", "d < b c a"))
names = st.sampled_from(["a", "b", "c", "d", "gone", ""])
numbers = st.integers(-(2**50), 2**50)
attempts = st.one_of(st.integers(-1, 5), st.integers(95, 105), numbers)
times = st.one_of(st.integers(0, 10), numbers)
values: st.SearchStrategy[Any] = st.sampled_from([None, 0, 1, "x", {"y": []}])
errors = st.builds(StepError, code=st.just("x"), retryable=st.booleans(), retry_after=st.sampled_from([None, 0, 1.5]))

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "step": names,
    "attempt": attempts,
    "deadline_at_ms": times,
    "retry_at_ms": st.none() | times,
    "max_attempts": attempts,
    "progress": values,
    "result": values,
    "error": errors,
    "context": st.just({}),
    "failed_steps": st.just(()),
    "reason": st.just(""),
    "replyto": st.none(),
    **{name: st.just("") for name in ("namespace", "name", "version", "template_hash", "request_id", "code")},
}
events = st.one_of(
    *(st.builds(kind, **{field.name: FIELDS[field.name] for field in fields(kind)}) for kind in e.TASK_EVENTS)
)
commands = st.one_of(
    st.builds(c.RequestTask, st.just(TASK_ID), st.just(PLAN), st.just({}), st.just("r"), times),
    st.builds(c.CompleteStep, st.just(TASK_ID), names, attempts, values, times),
    st.builds(c.FailStep, st.just(TASK_ID), names, attempts, errors, times),
    st.builds(c.RecordHeartbeat, st.just(TASK_ID), names, attempts, values, times),
    st.builds(c.TimeOutStep, st.just(TASK_ID), names, attempts, times),
    st.builds(c.DispatchRetry, st.just(TASK_ID), names, attempts, times),
    st.builds(c.TimeOutTask, st.just(TASK_ID), times),
    st.builds(c.CancelTask, st.just(TASK_ID), st.just(""), times),
    st.builds(c.ResolveTask, st.just(TASK_ID), st.just(""), times),
    st.builds(c.RetryStep, st.just(TASK_ID), names, st.just(""), times),
    st.builds(c.ResolveStep, st.just(TASK_ID), names, values, st.just(""), times),
)


def assert_books_are_right(state: TaskState) -> None:
    """Work out from the statuses of the steps what is kept beside them."""
    status = [StepStatus(found) for found in state.step_status]
    counts = [sum(found in kind for found in status) for kind in (MOVING, SATISFIED, {StepStatus.ERROR})]
    assert [state.moving, state.satisfied, state.failed] == counts
    assert list(state.waiting) == [
        sum(status[dependency] not in SATISFIED for dependency in needed) for needed in state.plan.dependencies
    ]
    assert set(state.due_ms) == {number for number, found in enumerate(status) if found in MOVING}


@settings(max_examples=200)
@given(history=st.lists(events, max_size=30))
def test_any_events_in_any_order_are_folded_and_keep_the_books_right(history: list[e.Event]) -> None:
    state = TaskState.blank(TASK_ID, PLAN)

    for event in history:
        digest = state.digest()
        later = evolve(state, event)
        assert state.digest() == digest
        assert_books_are_right(later)
        state = later

    assert state.events == len(history)


@settings(max_examples=100)
@given(history=st.lists(events, max_size=30), cut=st.integers(0, 30))
def test_a_fold_can_be_cut_anywhere(history: list[e.Event], cut: int) -> None:
    blank = TaskState.blank(TASK_ID, PLAN)

    whole = fold(blank, history)
    in_two = fold(fold(blank, history[:cut]), history[cut:])
    in_place = TaskState.blank(TASK_ID, PLAN)
    for event in history:
        absorb(in_place, event)

    assert whole.digest() == in_two.digest() == in_place.digest()


@settings(max_examples=200)
@given(history=st.lists(events, max_size=20), asked=st.lists(commands, min_size=1, max_size=10))
def test_whatever_has_happened_every_command_is_decided(history: list[e.Event], asked: list[c.Command]) -> None:
    state = fold(TaskState.blank(TASK_ID, PLAN), history)

    for command in asked:
        digest = state.digest()
        decision = decide(state, command)
        assert state.digest() == digest
        assert not (decision.events and decision.rejection)
        assert decide(state, command) == decision
        state = fold(state, decision.events)
        state.version += bool(decision.events)
        assert_books_are_right(state)
