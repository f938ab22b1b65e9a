"""Why a step is where it is, in words for a person and for a program."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

from stepbus.projections.context import Command, Readiness, StepFacts
from stepbus.projections.tasks import ENDED

BASE_PATH = "/v1"
SHOWN_DEPENDENCIES = 20


def readiness(facts: StepFacts) -> Readiness:
    """Give what the step waits for, when it moves next, and what an operator can do about it."""
    found = _BY_STATE[facts.state](facts)
    return replace(found, commands=()) if facts.task_status in ENDED else found


def instant(at_ms: int | None) -> str:
    """Give the time as RFC 3339 in UTC, with milliseconds."""
    if at_ms is None:
        return "an unknown time"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pending(facts: StepFacts) -> Readiness:
    if not facts.waits_for:
        return Readiness(ready=False, blocked_by="dispatch", reason="has all it depends on, and is to be dispatched")
    shown = tuple(facts.waits_for[:SHOWN_DEPENDENCIES])
    more = len(facts.waits_for) - len(shown)
    reason = f"waits for {', '.join(shown)}" + (f" and {more} more" if more else "")
    return Readiness(ready=False, blocked_by="dependencies", reason=reason, waits_for=shown)


def _dispatched(facts: StepFacts) -> Readiness:
    return Readiness(
        ready=True,
        blocked_by=None,
        reason=f"{_attempt(facts)} waits for a worker of queue {facts.queue} since {instant(facts.dispatched_at_ms)}, "
        f"deadline {instant(facts.deadline_at_ms)}",
        next_at_ms=facts.deadline_at_ms,
        commands=(_resolve(facts),),
    )


def _in_progress(facts: StepFacts) -> Readiness:
    by = f" of {facts.worker}" if facts.worker else ""
    return Readiness(
        ready=False,
        blocked_by="in_hand",
        reason=f"{_attempt(facts)} is in hand{by} since {instant(facts.dispatched_at_ms)}, "
        f"deadline {instant(facts.deadline_at_ms)}",
        next_at_ms=facts.deadline_at_ms,
        commands=(_resolve(facts),),
    )


def _waiting_for_retry(facts: StepFacts) -> Readiness:
    return Readiness(
        ready=False,
        blocked_by="retry_delay",
        reason=f"waits for its retry at {instant(facts.retry_at_ms)}, since {_failure(facts)}",
        next_at_ms=facts.retry_at_ms,
        commands=(_retry(facts), _resolve(facts)),
    )


def _error(facts: StepFacts) -> Readiness:
    return Readiness(
        ready=False,
        blocked_by="failed_for_good",
        reason=f"failed for good: {_failure(facts)}",
        commands=(_retry(facts), _resolve(facts)),
    )


def _cancelled(facts: StepFacts) -> Readiness:
    return Readiness(
        ready=False, blocked_by="cancelled", reason="was cancelled", commands=(_retry(facts), _resolve(facts))
    )


def _done(reason: str) -> Callable[[StepFacts], Readiness]:
    return lambda _facts: Readiness(ready=False, blocked_by=None, reason=reason)


_BY_STATE: Mapping[str, Callable[[StepFacts], Readiness]] = {
    "pending": _pending,
    "dispatched": _dispatched,
    "in_progress": _in_progress,
    "waiting_for_retry": _waiting_for_retry,
    "error": _error,
    "cancelled": _cancelled,
    "complete": _done("is complete"),
    "resolved_manually": _done("was resolved by an operator"),
    "bypassed": _done("was left out on request"),
}


def _attempt(facts: StepFacts) -> str:
    return f"attempt {facts.attempt} of {facts.max_attempts}"


def _failure(facts: StepFacts) -> str:
    detail = f": {facts.error_message}" if facts.error_message else ""
    return f"{_attempt(facts)} failed with {facts.error_code}{detail}"


def _retry(facts: StepFacts) -> Command:
    return _command(facts, "retry")


def _resolve(facts: StepFacts) -> Command:
    return _command(facts, "resolve")


def _command(facts: StepFacts, verb: str) -> Command:
    path = f"{BASE_PATH}/tasks/{facts.task_id}/steps/{quote(facts.step, safe='')}/{verb}"
    return Command(f"stepbus task {verb} {facts.task_id} {facts.step}", "POST", path)
