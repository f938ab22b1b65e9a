"""A worker says that an attempt failed: another is due later, or the step has failed for good."""

import pytest

from stepbus.contracts import events as e
from tests.unit.core.examples import (
    NOW,
    RETRY,
    accepted,
    cancelled,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    permanent,
    problem,
    resolve,
    retry,
    retry_due,
    step,
    stories,
    task_failed,
    timed_out,
)

LINE = stories("a", "b < a")
STARTED = (accepted(LINE), dispatched("a"))
TWO = stories("a", "b")


def test_a_retryable_failure_waits_for_its_delay() -> None:
    LINE(*STARTED).when(fail("a")).then(failed("a", 1, NOW + 1_000)).then_state(
        "in_progress", a="waiting_for_retry", b="pending"
    )


def test_the_delay_grows_with_the_attempts() -> None:
    LINE(*STARTED, failed("a", 1, NOW), dispatched("a", 2)).when(fail("a", 2)).then(failed("a", 2, NOW + 2_000))


def test_the_first_attempt_counts_among_the_attempts() -> None:
    history = (*STARTED, failed("a", 1, NOW), dispatched("a", 2), failed("a", 2, NOW), dispatched("a", 3))

    LINE(*history).when(fail("a", 3)).then(failed("a", 3), task_failed("a")).then_state("error", a="error", b="pending")


def test_a_policy_of_one_attempt_has_a_first_one_and_no_other() -> None:
    given = stories(step("a", retry={"max_attempts": 1}))

    given(accepted(given), dispatched("a")).when(fail("a")).then(failed("a"), task_failed("a"))


def test_a_permanent_error_means_no_further_attempt() -> None:
    LINE(*STARTED).when(fail("a", error=permanent())).then(failed("a", error=permanent()), task_failed("a"))


def test_the_workers_delay_stands_instead_of_the_policys() -> None:
    wait = problem("busy", retry_after=0.25)

    LINE(*STARTED).when(fail("a", error=wait)).then(failed("a", 1, NOW + 250, wait))


def test_a_delay_of_nothing_is_a_delay() -> None:
    wait = problem("again", retry_after=0)

    LINE(*STARTED).when(fail("a", error=wait)).then(failed("a", 1, NOW, wait))


def test_a_worker_cannot_ask_for_more_attempts_than_the_policy_has() -> None:
    given = stories(step("a", retry={"max_attempts": 1}))
    wait = problem("busy", retry_after=1)

    given(accepted(given), dispatched("a")).when(fail("a", error=wait)).then(failed("a", error=wait), task_failed("a"))


def test_a_permanent_error_is_not_retried_though_it_names_a_delay() -> None:
    error = problem("gone", retryable=False, retry_after=1)

    LINE(*STARTED).when(fail("a", error=error)).then(failed("a", error=error), task_failed("a"))


def test_a_hundred_attempts_are_the_most() -> None:
    given = stories(step("a", retry={**RETRY, "max_attempts": 100, "backoff": "fixed"}))
    story = given(accepted(given), dispatched("a"))

    for attempt in range(1, 100):
        story = (
            story.when(fail("a", attempt))
            .then(failed("a", attempt, NOW + 1_000))
            .when(retry_due("a", attempt, at=NOW + 1_000))
            .then(dispatched("a", attempt + 1, at=NOW + 1_000))
        )
    story.when(fail("a", 100)).then(failed("a", 100), task_failed("a")).when(retry("a")).refused(
        "step.attempts_exhausted"
    )


def test_a_failure_for_good_leaves_independent_branches_alone() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b")).when(fail("a", error=permanent())).then(
        failed("a", error=permanent())
    ).then_state("in_progress", a="error", b="dispatched")


def test_a_task_waits_for_a_retry_elsewhere_before_it_is_in_error() -> None:
    (
        TWO(accepted(TWO), dispatched("a"), dispatched("b"))
        .when(fail("b"))
        .when(fail("a", error=permanent()))
        .then(failed("a", error=permanent()))
        .then_state("in_progress", a="error", b="waiting_for_retry")
        .when(retry_due("b", at=NOW + 1_000))
        .when(fail("b", 2, permanent()))
        .then(failed("b", 2, error=permanent()), task_failed("a", "b"))
    )


def test_a_failed_task_names_every_failed_step_in_the_order_of_the_template() -> None:
    (
        TWO(accepted(TWO), dispatched("a"), dispatched("b"))
        .when(fail("b", error=permanent()))
        .when(fail("a", error=permanent()))
        .then(failed("a", error=permanent()), task_failed("a", "b"))
    )


def test_an_error_that_keeps_its_schema_is_taken_as_it_is() -> None:
    given = stories(step("a", error_schema={"properties": {"code": {"enum": ["broken"]}}}))

    given(accepted(given), dispatched("a")).when(fail("a")).then(failed("a", 1, NOW + 1_000))


@pytest.mark.parametrize(("retryable", "retry_at"), [(True, NOW + 500), (False, None)])
def test_an_error_that_breaks_its_schema_is_wrapped_and_keeps_what_it_said_of_retries(
    *, retryable: bool, retry_at: int | None
) -> None:
    given = stories(step("a", error_schema={"properties": {"code": {"enum": ["known"]}}}), "b")
    odd = problem("odd", retryable=retryable, retry_after=0.5, message="what?")

    outcome = given(accepted(given), dispatched("a"), dispatched("b")).when(fail("a", error=odd))

    (event,) = outcome.decision.events
    assert isinstance(event, e.StepFailed)
    assert (event.error.code, event.error.retryable, event.retry_at_ms) == ("error.schema", retryable, retry_at)
    assert event.error.details["problems"][0]["pointer"] == "/error/code"
    assert event.error.details["error"]["message"] == "what?"


def test_a_message_about_a_broken_schema_stays_within_its_limit() -> None:
    given = stories(step("a", error_schema={"properties": {"message": {"const": ""}}}))

    outcome = given(accepted(given), dispatched("a")).when(fail("a", error=problem(message="x" * 4096)))

    (event,) = outcome.decision.events
    assert isinstance(event, e.StepFailed)
    assert event.error.code == "error.schema"
    assert len(event.error.message) <= 4096


def test_a_failure_delivered_twice_decides_nothing_more() -> None:
    LINE(*STARTED).when(fail("a")).when(fail("a")).refused("result.late").then_state(
        "in_progress", a="waiting_for_retry"
    )


def test_a_failure_of_a_superseded_attempt_changes_nothing() -> None:
    LINE(*STARTED, timed_out("a", 1, NOW), dispatched("a", 2)).when(fail("a", 1)).refused("result.superseded")


def test_a_failure_of_a_cancelled_attempt_changes_nothing() -> None:
    TWO(accepted(TWO), dispatched("a"), dispatched("b"), cancelled("a")).when(fail("a")).refused("result.late")


def test_a_failure_of_an_attempt_that_was_never_dispatched_is_missing() -> None:
    LINE(*STARTED).when(fail("b")).refused("result.unknown_attempt", kind="missing")
    LINE(*STARTED).when(fail("z")).refused("result.unknown_step", kind="missing")


def test_success_in_a_later_attempt_goes_on_as_if_nothing_had_failed() -> None:
    (
        LINE(*STARTED)
        .when(fail("a"))
        .when(retry_due("a", at=NOW + 1_000))
        .when(complete("a", 2, result=7))
        .then(completed("a", 2, result=7), dispatched("b"))
    )


def test_an_operator_can_stand_in_while_the_step_waits_for_its_retry() -> None:
    (
        LINE(*STARTED)
        .when(fail("a"))
        .when(resolve("a", 7))
        .then(e.StepResolvedManually(step="a", attempt=1, result=7), dispatched("b"))
        .when(retry_due("a", at=NOW + 1_000))
        .then()
    )
