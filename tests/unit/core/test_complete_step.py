"""A worker says that an attempt succeeded: what that makes ready is dispatched. Only the current attempt is heard."""

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.testing.given import Outcome
from tests.unit.core.examples import (
    NOW,
    accepted,
    cancel,
    cancelled,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    permanent,
    resolve,
    step,
    stories,
    task_failed,
    timed_out,
)

DIAMOND = stories("a", "b < a", "c < a", "d < b c")
STARTED = (accepted(DIAMOND), dispatched("a"))
FORKED = (*STARTED, completed("a"), dispatched("b"), dispatched("c"))
TWO = stories("a", "b")
TYPED = stories(step("a", result_schema={"type": "object", "required": ["id"]}), "b < a")


def test_a_fork_is_dispatched_whole_in_the_order_of_the_template() -> None:
    DIAMOND(*STARTED).when(complete("a", at=NOW + 7)).then(
        completed("a"), dispatched("b", at=NOW + 7), dispatched("c", at=NOW + 7)
    )


def test_a_join_waits_for_the_last_of_its_dependencies() -> None:
    (
        DIAMOND(*FORKED)
        .when(complete("c"))
        .then(completed("c"))
        .then_state("in_progress", b="dispatched", c="complete", d="pending")
        .when(complete("b"))
        .then(completed("b"), dispatched("d"))
    )


def test_the_last_step_ends_the_task_in_the_same_decision() -> None:
    (
        DIAMOND(*FORKED, completed("b"), completed("c"), dispatched("d"))
        .when(complete("d", result={"total": 3}))
        .then(completed("d", result={"total": 3}), e.TaskCompleted())
        .then_state("complete", a="complete", b="complete", c="complete", d="complete")
    )


def test_a_task_ends_with_its_slowest_branch() -> None:
    given = stories("a", "b < a", "slow")

    (
        given(accepted(given), dispatched("a"), dispatched("slow"))
        .when(complete("a"))
        .when(complete("b"))
        .then(completed("b"))
        .then_state("in_progress")
        .when(complete("slow"))
        .then(completed("slow"), e.TaskCompleted())
    )


def test_a_dependency_reached_by_two_ways_releases_its_dependent_once() -> None:
    given = stories("a", "b < a", "c < a b")

    (
        given(accepted(given), dispatched("a"))
        .when(complete("a"))
        .then(completed("a"), dispatched("b"))
        .when(complete("b"))
        .then(completed("b"), dispatched("c"))
    )


def test_a_bypassed_dependency_counts_as_satisfied() -> None:
    given = stories("a", step("b", skippable=True), "c < a b")
    bypassed = (accepted(given), e.StepBypassed(step="b"), dispatched("a"))

    given(*bypassed).when(complete("a")).then(completed("a"), dispatched("c"))


def test_a_step_that_an_operator_resolved_early_is_not_dispatched() -> None:
    (
        DIAMOND(*STARTED)
        .when(resolve("b", {"by": "hand"}))
        .then(e.StepResolvedManually(step="b", attempt=0, result={"by": "hand"}))
        .when(complete("a"))
        .then(completed("a"), dispatched("c"))
        .when(complete("c"))
        .then(completed("c"), dispatched("d"))
    )


def test_an_attempt_with_a_heartbeat_can_complete() -> None:
    beat = e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=NOW + 60_000)

    TWO(accepted(TWO), dispatched("a"), dispatched("b"), beat).when(complete("a")).then(completed("a"))


def test_a_second_attempt_can_complete() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), failed("a", 1, NOW), dispatched("a", 2)).when(
        complete("a", 2)
    ).then(completed("a", 2))


def test_a_result_delivered_twice_decides_nothing() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), completed("a", result={"x": [1]})).when(
        complete("a", result={"x": [1]})
    ).refused("result.duplicate", kind="conflict")


def test_a_result_that_contradicts_the_first_is_told_apart_from_a_duplicate() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), completed("a", result=1)).when(
        complete("a", result=2)
    ).refused("result.conflicting", kind="conflict")


def test_a_failure_after_success_is_conflicting() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), completed("a")).when(fail("a")).refused("result.conflicting")


def test_a_duplicate_is_a_duplicate_when_the_task_has_ended_too() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), completed("a"), completed("b"), e.TaskCompleted()).when(
        complete("b")
    ).refused("result.duplicate")


def test_a_result_of_a_superseded_attempt_changes_nothing() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), timed_out("a", 1, NOW), dispatched("a", 2)).when(
        complete("a", 1)
    ).refused("result.superseded", kind="conflict").then_state("in_progress", a="dispatched")


@pytest.mark.parametrize(
    ("events", "state"),
    [
        pytest.param((timed_out("a", 1, NOW + 9),), "waiting_for_retry", id="waiting for the next attempt"),
        pytest.param((failed("a", 1),), "error", id="failed for good"),
        pytest.param((cancelled("a"),), "cancelled", id="cancelled"),
        pytest.param((e.StepResolvedManually(step="a", attempt=1),), "resolved_manually", id="resolved by an operator"),
    ],
)
def test_a_result_that_comes_when_the_attempt_is_over_is_late(events: tuple[e.Event, ...], state: str) -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), *events).when(complete("a")).refused(
        "result.late", kind="conflict"
    ).then_state("in_progress", a=state)


def test_a_result_for_a_task_that_ended_without_it_changes_nothing() -> None:
    (
        TWO(accepted(TWO), dispatched("a"), dispatched("b"))
        .when(cancel())
        .when(complete("a"))
        .refused("result.task_ended", kind="conflict")
        .then_state("cancelled", a="cancelled", b="cancelled")
    )


def test_an_attempt_that_was_never_dispatched_is_missing() -> None:
    DIAMOND(*STARTED).when(complete("a", 2)).refused("result.unknown_attempt", kind="missing")


def test_a_step_that_was_never_dispatched_has_no_attempt() -> None:
    DIAMOND(*STARTED).when(complete("d", 1)).refused("result.unknown_attempt", kind="missing")


def test_a_step_that_the_template_does_not_have_is_missing() -> None:
    DIAMOND(*STARTED).when(complete("z")).refused("result.unknown_step", kind="missing")


def test_a_result_that_breaks_its_schema_is_a_failed_attempt_with_the_reason() -> None:
    outcome = TYPED(accepted(TYPED), dispatched("a")).when(complete("a", result={"name": "x"}))

    outcome.then_state("in_progress", a="waiting_for_retry", b="pending")
    assert_schema_failure(outcome, retry_at_ms=NOW + 1_000)


def test_a_result_that_breaks_its_schema_in_the_last_attempt_fails_the_step_for_good() -> None:
    history = (accepted(TYPED), dispatched("a"), failed("a", 1, NOW), dispatched("a", 2), failed("a", 2, NOW))

    outcome = TYPED(*history, dispatched("a", 3)).when(complete("a", 3, result=None))

    outcome.then_state("error", a="error", b="pending")
    assert_schema_failure(outcome, retry_at_ms=None)
    assert outcome.decision.events[1:] == (task_failed("a"),)


def test_of_a_result_that_is_all_wrong_twenty_reasons_are_kept() -> None:
    given = stories(step("a", result_schema={"items": {"type": "integer"}}))

    outcome = given(accepted(given), dispatched("a")).when(complete("a", result=["x"] * 10_000))

    (event,) = outcome.decision.events
    assert isinstance(event, e.StepFailed)
    assert [problem["pointer"] for problem in event.error.details["problems"]] == [f"/result/{n}" for n in range(20)]


def test_a_reason_with_long_names_is_told_within_the_limits_of_a_failure() -> None:
    given = stories(step("a", result_schema={"additionalProperties": {"additionalProperties": False}}))
    outer, inner = "o" * 1_000, "i" * 5_000

    outcome = given(accepted(given), dispatched("a")).when(complete("a", result={outer: {inner: 1}}))

    (event,) = outcome.decision.events
    assert isinstance(event, e.StepFailed)
    assert f"at /result/{outer}, by the template's result_schema" in event.error.message
    assert len(event.error.message) > 2_000


def test_a_result_that_keeps_its_schema_completes_the_step() -> None:
    TYPED(accepted(TYPED), dispatched("a")).when(complete("a", result={"id": 1})).then(
        completed("a", result={"id": 1}), dispatched("b")
    )


def test_what_was_completed_before_it_broke_the_schema_stays_heard_only_once() -> None:
    TYPED(accepted(TYPED), dispatched("a"), completed("a", result={"id": 1}), dispatched("b")).when(
        complete("a", result={})
    ).refused("result.conflicting")


def test_an_independent_branch_goes_on_after_a_failure() -> None:
    given = stories("a", "b < a", "x", "y < x", "z < y")

    (
        given(accepted(given), dispatched("a"), dispatched("x"))
        .when(fail("a", error=permanent()))
        .then(failed("a", error=permanent()))
        .then_state("in_progress", a="error", b="pending", x="dispatched")
        .when(complete("x"))
        .then(completed("x"), dispatched("y"))
        .when(complete("y"))
        .then(completed("y"), dispatched("z"))
        .when(complete("z"))
        .then(completed("z"), task_failed("a"))
        .then_state("error", a="error", b="pending", x="complete", y="complete", z="complete")
    )


def test_a_join_below_a_failed_branch_is_never_dispatched() -> None:
    (
        DIAMOND(*FORKED)
        .when(fail("b", error=permanent()))
        .when(complete("c"))
        .then(completed("c"), task_failed("b"))
        .then_state("error", b="error", c="complete", d="pending")
    )


def assert_schema_failure(outcome: Outcome, retry_at_ms: int | None) -> None:
    (event, *_) = outcome.decision.events
    assert isinstance(event, e.StepFailed)
    assert (event.error.code, event.retry_at_ms) == ("result.schema", retry_at_ms)
    assert "result_schema" in event.error.message
    assert event.error.details["problems"][0]["pointer"].startswith("/result")
