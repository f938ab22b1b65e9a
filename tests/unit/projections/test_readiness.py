"""Why a step is where it is, when it moves next, and what an operator can do about it."""

from typing import Any

from stepbus.projections.context import Readiness, StepFacts
from stepbus.projections.readiness import readiness

T = 1_700_000_000_000
AT = "2023-11-14T22:13:20.000Z"


def why(state: str, **facts: Any) -> Readiness:
    known: dict[str, Any] = {"attempt": 1, "max_attempts": 3}
    return readiness(StepFacts(task_id="t-1", step="left+1", queue="stock", state=state, **known | facts))


def commands(found: Readiness) -> list[str]:
    return [command.command_line for command in found.commands]


def test_a_pending_step_names_what_it_waits_for() -> None:
    found = why("pending", waits_for=("a", "b"))

    assert (found.ready, found.blocked_by, found.next_at_ms) == (False, "dependencies", None)
    assert found.reason == "waits for a, b"
    assert found.waits_for == ("a", "b")


def test_a_pending_step_with_many_dependencies_names_the_first_and_counts_the_rest() -> None:
    found = why("pending", waits_for=[f"s{number}" for number in range(43)])

    assert found.reason.endswith(", s18, s19 and 23 more")
    assert len(found.waits_for) == 20


def test_a_pending_step_that_waits_for_nothing_is_about_to_be_dispatched() -> None:
    found = why("pending")

    assert (found.blocked_by, found.reason) == ("dispatch", "has all it depends on, and is to be dispatched")


def test_a_dispatched_step_is_ready_and_waits_for_a_worker_of_its_queue_until_its_deadline() -> None:
    found = why("dispatched", dispatched_at_ms=T, deadline_at_ms=T + 1000)

    assert (found.ready, found.blocked_by, found.next_at_ms) == (True, None, T + 1000)
    assert found.reason == (
        f"attempt 1 of 3 waits for a worker of queue stock since {AT}, deadline 2023-11-14T22:13:21.000Z"
    )


def test_a_step_in_hand_says_whose_hand_it_is() -> None:
    found = why("in_progress", dispatched_at_ms=T, deadline_at_ms=T + 1000, worker="w-7")

    assert (found.ready, found.blocked_by, found.next_at_ms) == (False, "in_hand", T + 1000)
    assert found.reason == f"attempt 1 of 3 is in hand of w-7 since {AT}, deadline 2023-11-14T22:13:21.000Z"


def test_a_step_between_attempts_says_when_the_next_is_due_and_that_an_operator_need_not_wait() -> None:
    found = why("waiting_for_retry", retry_at_ms=T, error_code="stock.none", error_message="no stock")

    assert (found.blocked_by, found.next_at_ms) == ("retry_delay", T)
    assert found.reason == f"waits for its retry at {AT}, since attempt 1 of 3 failed with stock.none: no stock"
    assert commands(found) == ["stepbus task retry t-1 left+1", "stepbus task resolve t-1 left+1"]


def test_a_step_that_failed_for_good_needs_an_operator() -> None:
    found = why("error", attempt=3, error_code="stock.none")

    assert (found.blocked_by, found.next_at_ms) == ("failed_for_good", None)
    assert found.reason == "failed for good: attempt 3 of 3 failed with stock.none"
    assert commands(found) == ["stepbus task retry t-1 left+1", "stepbus task resolve t-1 left+1"]
    assert found.commands[0].path == "/v1/tasks/t-1/steps/left%2B1/retry"


def test_a_time_that_the_view_does_not_know_is_not_made_up() -> None:
    assert why("waiting_for_retry", error_code="x").reason.startswith("waits for its retry at an unknown time")


def test_steps_that_are_done_wait_for_nothing() -> None:
    for state in ("complete", "resolved_manually", "bypassed"):
        found = why(state)
        assert (found.ready, found.blocked_by, found.next_at_ms, list(found.commands)) == (False, None, None, [])


def test_a_cancelled_step_can_be_moved_on_while_its_task_is_in_error() -> None:
    found = why("cancelled", task_status="error")

    assert (found.blocked_by, found.reason) == ("cancelled", "was cancelled")
    assert commands(found) == ["stepbus task retry t-1 left+1", "stepbus task resolve t-1 left+1"]


def test_nothing_is_offered_for_a_step_of_a_task_that_has_ended() -> None:
    for status in ("cancelled", "complete", "resolved_manually"):
        for state in ("error", "cancelled"):
            assert commands(why(state, task_status=status, error_code="x")) == []
