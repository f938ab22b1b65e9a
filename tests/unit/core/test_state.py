"""The state of a task: copies of it, questions to it, and the digest that tells two apart."""

from dataclasses import fields
from typing import Any

import pytest

from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.state import StepStatus, TaskState
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import NOW, accepted, completed, dispatched, failed, step, stories

GIVEN = stories("a", "b < a", "c")


def started() -> TaskState:
    history = (accepted(GIVEN, context={"x": [1]}), dispatched("a"), dispatched("c"), completed("a", result={"y": 2}))
    state = fold(TaskState.blank(TASK_ID, GIVEN.plan), (*history, failed("c", 1, NOW + 5)))
    state.version = 2
    return state


def change(state: TaskState, name: str) -> None:
    """Change one field of a state in place where that can be done, else set it."""
    value: Any = getattr(state, name)
    match name:
        case "step_status" | "attempts" | "waiting":
            value[2] += 1
        case "due_ms" | "raised" | "results":
            value[1] = 7
        case "context":
            state.context = {"x": [2]}
        case "status":
            state.status = type(value)("cancelled")
        case "task_id":
            state.task_id = type(value)(int=5)
        case "plan":
            state.plan = stories("a", "b < a", step("c", timeout="1s")).plan
        case "replyto" | "request_id":
            setattr(state, name, "other")
        case _:
            setattr(state, name, (value or 0) + 1)


@pytest.mark.parametrize("name", [field.name for field in fields(TaskState)])
def test_a_copy_is_equal_until_either_changes_and_the_digest_tells(name: str) -> None:
    state = started()
    copy = state.copy()
    digest = state.digest()

    assert copy.digest() == digest
    change(copy, name)
    assert copy.digest() != digest
    assert state.digest() == digest


def test_the_digest_does_not_depend_on_the_order_in_which_tables_were_filled() -> None:
    one, other = started(), started()
    one.due_ms, other.due_ms = {0: 1, 1: 2}, {1: 2, 0: 1}

    assert one.digest() == other.digest()


def test_the_digest_is_the_same_on_every_machine() -> None:
    assert started().digest() == started().digest()
    assert len(started().digest()) == 64


def test_steps_are_found_by_status() -> None:
    state = started()

    assert state.numbers(StepStatus.COMPLETE) == [0]
    assert state.numbers(StepStatus.PENDING) == [1]
    assert state.numbers(StepStatus.WAITING_FOR_RETRY) == [2]
    assert state.numbers(StepStatus.ERROR) == []


def test_a_blank_state_waits_for_every_dependency() -> None:
    state = TaskState.blank(TASK_ID, stories("a", "b", "c < a b").plan)

    assert list(state.waiting) == [0, 0, 2]
    assert (state.version, state.events, state.moving, state.satisfied, state.failed) == (0, 0, 0, 0, 0)


def test_the_tasks_of_a_plan_wait_each_for_itself() -> None:
    plan = stories("a", "b < a").plan
    one, other = TaskState.blank(TASK_ID, plan), TaskState.blank(TASK_ID, plan)

    one.waiting[1] -= 1

    assert (list(one.waiting), list(other.waiting), list(plan.waiting)) == ([0, 0], [0, 1], [0, 1])
