"""The delay after a failed attempt has passed: the next attempt goes out. A stale or early timer decides nothing."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    accepted,
    cancel,
    complete,
    dispatched,
    failed,
    resolve,
    retry,
    retry_due,
    stories,
    timed_out,
)

LINE = stories("a", "b < a")
DUE = NOW + 1_000
WAITING = (accepted(LINE), dispatched("a"), failed("a", 1, DUE))


@pytest.mark.parametrize("ended", [failed("a", 1, DUE), timed_out("a", 1, DUE)], ids=["failed", "timed out"])
def test_the_next_attempt_is_dispatched_with_a_deadline_of_its_own(ended: e.Event) -> None:
    LINE(accepted(LINE), dispatched("a"), ended).when(retry_due("a", at=DUE + 3)).then(
        dispatched("a", 2, at=DUE + 3)
    ).then_state("in_progress", a="dispatched")


def test_a_timer_that_fires_early_decides_nothing() -> None:
    LINE(*WAITING).when(retry_due("a", at=DUE - 1)).then().then_state("in_progress", a="waiting_for_retry")


def test_a_timer_that_fires_twice_dispatches_once() -> None:
    LINE(*WAITING).when(retry_due("a", at=DUE)).when(retry_due("a", at=DUE)).then()


def test_a_timer_of_an_earlier_delay_decides_nothing() -> None:
    LINE(*WAITING, dispatched("a", 2), failed("a", 2, DUE)).when(retry_due("a", 1, at=DUE)).then()


def test_a_timer_decides_nothing_once_the_operator_has_retried_or_resolved_the_step() -> None:
    LINE(*WAITING).when(retry("a")).when(retry_due("a", at=DUE)).then()
    LINE(*WAITING).when(resolve("a")).when(retry_due("a", at=DUE)).then()


def test_a_timer_of_a_cancelled_task_decides_nothing() -> None:
    LINE(*WAITING).when(cancel()).when(retry_due("a", at=DUE)).then()


@pytest.mark.parametrize(("name", "attempt"), [("b", 0), ("b", 1), ("z", 1)])
def test_a_timer_of_a_step_that_waits_for_nothing_decides_nothing(name: str, attempt: int) -> None:
    LINE(*WAITING).when(retry_due(name, attempt, at=DUE)).then()


def test_an_answer_while_the_step_waits_is_late() -> None:
    LINE(*WAITING).when(complete("a")).refused("result.late")
