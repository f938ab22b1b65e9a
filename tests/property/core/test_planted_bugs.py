"""Tests that cannot fail are worth nothing: each of these planted bugs must be found by what tests the core."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core import decide as decisions
from stepbus.orchestrator.core import evolve as evolution
from stepbus.orchestrator.core.decide import Decision, answers, decision, request
from stepbus.orchestrator.core.decide.decision import blocked
from stepbus.orchestrator.core.readiness import released
from stepbus.orchestrator.core.retry import delay_ms
from stepbus.orchestrator.core.state import IN_HAND, SATISFIED, StepStatus, TaskState, TaskStatus
from stepbus.orchestrator.runtime import due_index
from stepbus.orchestrator.runtime.due_index import DueIndex
from stepbus.orchestrator.testing.simulate import Script, StepScript, simulate
from tests.property.core.legal import unlawful
from tests.property.core.machine import CHECKS, CHOICES, TURNS, TaskMachine
from tests.property.core.test_simulate import foretold
from tests.unit.core.examples import step, template

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
CORE = "stepbus.orchestrator.core"


def swap(name: str, value: Any, *more: str) -> Plant:
    """Put the value in the place of a name of the core, and of others."""

    def plant(patch: Patch) -> None:
        for place in (name, *more):
            patch.setattr(f"{CORE}.{place}", value)

    return plant


def decider(command: type[c.Command], value: Callable[[TaskState, Any], Decision]) -> Plant:
    return lambda patch: patch.setitem(vars(decisions)["_DECIDERS"], command, value)


def change(event: type[e.Event], value: Callable[[TaskState, Any], None]) -> Plant:
    return lambda patch: patch.setitem(vars(evolution)["_CHANGES"], event, value)


def timer(event: type[e.Event]) -> Plant:
    return lambda patch: patch.delitem(vars(due_index)["_SETS"], event)


ended_badly, follow_up = answers.ended_badly, answers.follow_up
changes = dict(vars(evolution)["_CHANGES"])
turns: Callable[[Container[StepStatus]], Any] = vars(evolution)["_turns"]


def one_more(
    state: TaskState, number: int, attempt: int, at_ms: int, retry_after_s: float | None, *, retryable: bool
) -> Any:
    policy = state.plan.steps[number].retry.max_attempts
    state = state.copy()
    state.raised[number] = state.raised.get(number, policy) + 1
    return ended_badly(state, number, attempt, at_ms, retry_after_s, retryable=retryable)


def always_again(*args: Any, retryable: bool) -> Any:  # noqa: ARG001 - this is the bug
    return ended_badly(*args, retryable=True)


def any_dependency(state: TaskState, satisfied: Iterable[int]) -> list[int]:
    (number,) = satisfied
    return [later for later in state.plan.dependents[number] if state.step_status[later] == StepStatus.PENDING]


def too_early(state: TaskState, number: int, at_ms: int) -> Sequence[e.Event]:
    is_nearly_done = state.satisfied + 2 == len(state.plan.steps)
    return (e.TaskCompleted(),) if is_nearly_done else follow_up(state, number, at_ms)


def same_attempt(state: TaskState, numbers: Iterable[int], at_ms: int) -> list[e.Event]:
    dispatched = decision.dispatch(state, numbers, at_ms)
    return [
        event.model_copy(update={"attempt": state.attempts[n]}) for n, event in zip(numbers, dispatched, strict=True)
    ]


def stop_at_the_first_failure(state: TaskState, _moving: int, *args: Any, **named: Any) -> Sequence[e.Event]:
    return blocked(state, 0, *args, **named) if named.get("newly_failed") else blocked(state, _moving, *args, **named)


def keep_the_deadline(state: TaskState, event: e.StepCompleted) -> None:
    due_ms = state.due_ms.copy()
    changes[e.StepCompleted](state, event)
    state.due_ms = due_ms


def beat_in_vain(state: TaskState, event: e.StepHeartbeatRecorded) -> None:
    due_ms = state.due_ms.copy()
    changes[e.StepHeartbeatRecorded](state, event)
    state.due_ms = due_ms


def forget_the_allowance(state: TaskState, event: e.StepReopened) -> None:
    changes[e.StepReopened](state, event)
    state.raised.clear()


def forget_the_result(state: TaskState, event: e.StepCompleted) -> None:
    changes[e.StepCompleted](state, event)
    state.results.clear()


def reopen_with_its_deadline(state: TaskState, _event: e.TaskReopened) -> None:
    state.status = TaskStatus.IN_PROGRESS


def meddle(state: TaskState, command: c.CompleteStep) -> Decision:
    found = answers.complete_step(state, command)
    state.satisfied += bool(found.events)
    return found


def begin_anew(state: TaskState, command: c.RequestTask) -> Decision:
    return request.request_task(TaskState.blank(state.task_id, command.plan), command)


BUGS: dict[str, Plant] = {
    "any attempt's answer is heard": swap(
        "decide.answers._is_current", lambda state, number, _: state.step_status[number] in IN_HAND
    ),
    "an answer is heard in any state": swap(
        "decide.answers._is_current", lambda state, number, answer: state.attempts[number] == answer.attempt
    ),
    "a join is released by any dependency": swap("decide.answers.released", any_dependency),
    "of a fork only one branch is dispatched": swap(
        "decide.answers.released", lambda state, satisfied: released(state, satisfied)[:1]
    ),
    "one attempt too many": swap("decide.answers.ended_badly", one_more, "decide.timers.ended_badly"),
    "permanent errors are tried again": swap("decide.answers.ended_badly", always_again),
    "the first failure ends the task": swap("decide.answers.blocked", stop_at_the_first_failure),
    "a stuck task says nothing": swap("decide.answers.blocked", lambda *_, **__: ()),
    "a task is complete before its last step": swap("decide.answers.follow_up", too_early),
    "a retry is the same attempt": swap("decide.timers.dispatch", same_attempt),
    "a timer counts before its time": swap(
        "decide.timers._is_due", lambda state, number, command: state.attempts[number] == command.attempt
    ),
    "a timer of an earlier attempt counts": swap(
        "decide.timers._is_due", lambda state, number, command: state.due_ms[number] <= command.at_ms
    ),
    "the delay has no limit": swap(
        "decide.answers.delay_ms",
        lambda policy, *args: delay_ms(policy.model_copy(update={"max": 10**9}), *args),
    ),
    "the worker's delay is not kept": swap("decide.answers.delay_ms", lambda *args: delay_ms(*args[:4])),
    "a cancelled task leaves steps in hand": swap("decide.operators.cancel_steps", lambda *_: ()),
    "a task out of time leaves steps in hand": swap("decide.timers.cancel_steps", lambda *_: ()),
    "a complete task can be cancelled": swap("decide.operators.ENDED_TASK", frozenset({TaskStatus.CANCELLED})),
    "a satisfied step can be resolved": swap("decide.operators.SATISFIED", frozenset()),
    "every beat is recorded": swap("decide.answers.PROGRESS_EVERY_MS", -1),
    "a request begins the task anew": decider(c.RequestTask, begin_anew),
    "a decision changes the state": decider(c.CompleteStep, meddle),
    "a copy shares its tables": lambda patch: patch.setattr(TaskState, "copy", replace),
    "a resolved step releases nothing": swap("evolve._TURNS", turns(SATISFIED - {StepStatus.RESOLVED_MANUALLY})),
    "a failed step counts as satisfied": swap("evolve._TURNS", turns(SATISFIED | {StepStatus.ERROR})),
    "a complete step keeps its deadline": change(e.StepCompleted, keep_the_deadline),
    "a complete step loses its result": change(e.StepCompleted, forget_the_result),
    "a beat does not move the deadline": change(e.StepHeartbeatRecorded, beat_in_vain),
    "a reopened step has no more attempts": change(e.StepReopened, forget_the_allowance),
    "a reopened task keeps its deadline": change(e.TaskReopened, reopen_with_its_deadline),
    "the deadline of a task is not looked at": timer(e.TaskAccepted),
    "the deadline of an attempt is not looked at": timer(e.StepDispatched),
    "the end of a delay is not looked at": timer(e.StepFailed),
    "a task is looked at no more after it was": lambda patch: patch.setattr(DueIndex, "settle", lambda *_: None),
    "a restart loses the timers": lambda patch: patch.setattr(DueIndex, "restore", lambda *_: None),
}

SEEN_IN_THE_ORDER_OF_EVENTS = [
    "any attempt's answer is heard",
    "an answer is heard in any state",
    "a join is released by any dependency",
    "of a fork only one branch is dispatched",
    "one attempt too many",
    "permanent errors are tried again",
    "the first failure ends the task",
    "a stuck task says nothing",
    "a task is complete before its last step",
    "a failed step counts as satisfied",
]


def play(seed: int, turns: int = 100) -> None:
    """Take the machine's rules at random, and make its checks: the way to a bug without that to its least example."""
    random = Random(seed)  # noqa: S311 - examples, not secrets
    machine = TaskMachine()
    machine.choose(random_template(random), random.sample(CHOICES["pick"], random.randint(0, 2)))
    for _ in range(turns):
        name = random.choice(list(TURNS))
        if name != "fire_what_is_due" or machine.next_due_ms() is not None:
            getattr(machine, name)(**{choice: random.choice(CHOICES[choice]) for choice in TURNS[name]})
        for check in CHECKS:
            getattr(machine, check)()


def play_much() -> None:
    for seed in range(40):
        play(seed)


def random_template(random: Random) -> TaskTemplate:
    names = [f"s{number}" for number in range(random.randint(1, 6))]
    steps = [
        step(
            f"{name} < {' '.join(random.sample(names[:number], random.randint(0, min(number, 2))))}",
            timeout=random.choice(["100ms", "30s", "10m"]),
            skippable=random.random() < 0.3,
            retry={
                "max_attempts": random.randint(1, 3),
                "backoff": random.choice(["fixed", "linear", "exponential"]),
                "initial": random.choice(["0s", "1s", "20s"]),
                "max": "20s",
                "jitter": random.choice([0.0, 0.5]),
            },
        )
        for number, name in enumerate(names)
    ]
    random.shuffle(steps)
    return template(*steps, **random.choice([{}, {"timeout": "1m"}, {"timeout": "1h"}]))


def random_case(seed: int) -> tuple[TaskTemplate, Script]:
    random = Random(seed)  # noqa: S311 - examples, not secrets
    drawn = random_template(random).model_copy(update={"timeout": None})
    scripts = {
        told.name: StepScript(fail=random.randint(0, 3), timeout=random.randint(0, 1), permanent=random.random() < 0.3)
        for told in drawn.steps
        if random.random() < 0.3
    }
    return drawn, Script(steps=scripts, seed=seed, duplicates=0.5, shuffle=True)


def run_simulations() -> None:
    for case in map(random_case, range(100)):
        history = list(simulate(*case).events)
        assert unlawful(case[0], history) == []
        assert Counter(history) == foretold(*case)


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_finds_it(bug: str, monkeypatch: Patch) -> None:
    BUGS[bug](monkeypatch)

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the bug leads to: a wrong state, or a crash
        play_much()


@pytest.mark.parametrize("bug", SEEN_IN_THE_ORDER_OF_EVENTS)
def test_the_simulations_find_it(bug: str, monkeypatch: Patch) -> None:
    BUGS[bug](monkeypatch)

    with pytest.raises(AssertionError):
        run_simulations()


def test_without_a_bug_nothing_is_found() -> None:
    play_much()
    run_simulations()
