"""The execution context: where a task stands, what should happen next, and what each step waits for.

The states of a step, and what they mean here:

| state | what is so | can move by |
|---|---|---|
| `pending` | dependencies aren't satisfied yet | the last of them |
| `dispatched` | ready: its job is out, no worker has said that it has it in hand | a worker, or its deadline |
| `in_progress` | a worker has it in hand (a heartbeat came) | the worker, or its deadline |
| `waiting_for_retry` | the attempt failed, the next is due at a known time | that time, or an operator |
| `complete`, `resolved_manually`, `bypassed` | satisfied | nothing, it is done |
| `error` | failed for good | an operator |
| `cancelled` | will not run, or its answer will not count | an operator, while the task is in error |

stepbus dispatches a step in the same append as the fact that made it ready, so "ready" is `dispatched`: it waits for a
worker and for nothing else. The words of the context and the order of its rules are those of Tasker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

SATISFIED_STATES = ("complete", "resolved_manually", "bypassed")


class ExecutionStatus(StrEnum):
    """What the steps of a task are doing, seen together."""

    HAS_READY_STEPS = "has_ready_steps"
    PROCESSING = "processing"
    BLOCKED_BY_FAILURES = "blocked_by_failures"
    ALL_COMPLETE = "all_complete"
    WAITING_FOR_DEPENDENCIES = "waiting_for_dependencies"


class RecommendedAction(StrEnum):
    """What should happen next."""

    EXECUTE_READY_STEPS = "execute_ready_steps"
    WAIT_FOR_COMPLETION = "wait_for_completion"
    HANDLE_FAILURES = "handle_failures"
    FINALIZE_TASK = "finalize_task"
    WAIT_FOR_DEPENDENCIES = "wait_for_dependencies"
    NONE = "none"


class HealthStatus(StrEnum):
    """How the task fares."""

    HEALTHY = "healthy"
    RECOVERING = "recovering"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


_ACTIONS = {
    ExecutionStatus.HAS_READY_STEPS: RecommendedAction.EXECUTE_READY_STEPS,
    ExecutionStatus.PROCESSING: RecommendedAction.WAIT_FOR_COMPLETION,
    ExecutionStatus.BLOCKED_BY_FAILURES: RecommendedAction.HANDLE_FAILURES,
    ExecutionStatus.ALL_COMPLETE: RecommendedAction.FINALIZE_TASK,
    ExecutionStatus.WAITING_FOR_DEPENDENCIES: RecommendedAction.WAIT_FOR_DEPENDENCIES,
}
_STOPPED = ("cancelled", "resolved_manually")


class Execution(BaseModel):
    """Where a task stands and what should happen next: the execution context.

    Shape: `ready_steps` are dispatched and not in hand; `completed_steps` are satisfied; `failed_steps` failed for good
    or wait for a retry, of which `blocked_steps` failed for good; `completion_percentage` has two digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    total_steps: int
    pending_steps: int
    ready_steps: int
    in_progress_steps: int
    completed_steps: int
    failed_steps: int
    blocked_steps: int
    cancelled_steps: int
    execution_status: ExecutionStatus
    recommended_action: RecommendedAction
    health_status: HealthStatus
    completion_percentage: float


def execution_context(task_status: str, counts: Mapping[str, int]) -> Execution:
    """Give the context of a task in this status, whose steps are in these states."""
    total = sum(counts.values())
    ready = counts.get("dispatched", 0)
    in_progress = counts.get("in_progress", 0)
    blocked = counts.get("error", 0)
    failed = blocked + counts.get("waiting_for_retry", 0)
    completed = sum(counts.get(state, 0) for state in SATISFIED_STATES)
    status = _status(ready, in_progress, blocked, all_complete=completed == total > 0)
    return Execution(
        total_steps=total,
        pending_steps=counts.get("pending", 0),
        ready_steps=ready,
        in_progress_steps=in_progress,
        completed_steps=completed,
        failed_steps=failed,
        blocked_steps=blocked,
        cancelled_steps=counts.get("cancelled", 0),
        execution_status=status,
        recommended_action=RecommendedAction.NONE if task_status in _STOPPED else _ACTIONS[status],
        health_status=_health(total, ready, failed, blocked),
        completion_percentage=percentage(completed, total),
    )


def percentage(completed: int, total: int) -> float:
    """Give how much of a task is done, in percent with two digits; 0 for one without steps."""
    return round(completed / total * 100, 2) if total else 0.0


def _status(ready: int, in_progress: int, blocked: int, *, all_complete: bool) -> ExecutionStatus:
    if ready:
        return ExecutionStatus.HAS_READY_STEPS
    if in_progress:
        return ExecutionStatus.PROCESSING
    if blocked:
        return ExecutionStatus.BLOCKED_BY_FAILURES
    if all_complete:
        return ExecutionStatus.ALL_COMPLETE
    return ExecutionStatus.WAITING_FOR_DEPENDENCIES


def _health(total: int, ready: int, failed: int, blocked: int) -> HealthStatus:
    if not total:
        return HealthStatus.UNKNOWN
    if not failed:
        return HealthStatus.HEALTHY
    if blocked and not ready:
        return HealthStatus.BLOCKED
    return HealthStatus.RECOVERING


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What the views know of a step. `waits_for` names the dependencies that aren't satisfied."""

    task_id: str
    step: str
    queue: str
    state: str
    attempt: int
    max_attempts: int
    task_status: str = "in_progress"
    waits_for: Sequence[str] = ()
    dispatched_at_ms: int | None = None
    deadline_at_ms: int | None = None
    retry_at_ms: int | None = None
    worker: str | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator can do about a step: the command line, and the request of this API that does the same."""

    command_line: str
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a step is where it is.

    Shape: `blocked_by` is a stable word, None for a step that is done or ready; `next_at_ms` is when it moves by itself
    at the latest, None if it doesn't; `waits_for` names what it waits for; `commands` are what an operator can do.
    """

    ready: bool
    blocked_by: str | None
    reason: str
    next_at_ms: int | None = None
    waits_for: Sequence[str] = ()
    commands: Sequence[Command] = ()
