"""Steps: their states, why each is where it is, and the graph they form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from stepbus.contracts.messages import Text
from stepbus.projections.api.models.shape import Asked, Listing, Milliseconds, Reading, Separated, Shown, parsed
from stepbus.projections.api.models.tasks import Attempt
from stepbus.projections.context import StepFacts
from stepbus.projections.readiness import readiness

StepState = Literal[
    "pending",
    "dispatched",
    "in_progress",
    "waiting_for_retry",
    "complete",
    "error",
    "cancelled",
    "resolved_manually",
    "bypassed",
]


class StepList(Listing):
    """Which steps to list. `state` takes several, separated by commas."""

    state: Annotated[tuple[StepState, ...], Separated] = ()


class GraphQuestion(Reading):
    """How to draw a graph."""

    format: Literal["json", "mermaid"] = "json"


class Resolution(Asked):
    """The result that stands in for the worker's, and why."""

    result: Any = None
    reason: Text = ""


class Remedy(Shown):
    """What an operator can do: the command line, and the request that does the same."""

    command_line: str
    method: str
    path: str


class Readiness(Shown):
    """Why a step is where it is. `next_at_ms` is when it moves by itself at the latest; null if it doesn't."""

    ready: bool
    blocked_by: Literal["dependencies", "dispatch", "in_hand", "retry_delay", "failed_for_good", "cancelled"] | None
    reason: str
    next_at_ms: Milliseconds | None
    waits_for: Annotated[tuple[str, ...], Field(description="dependencies that aren't satisfied, at most the first 20")]
    commands: tuple[Remedy, ...]


class StepFailure(Shown):
    """How the last attempt that failed did so. `details` is the worker's own."""

    code: str
    message: str
    retryable: bool
    details: Any


class Step(Shown):
    """A step of a task. `attempt` is 0 before the first dispatch; `waiting_on` counts dependencies not satisfied."""

    step: str
    description: str
    state: StepState
    level: int
    handler: str
    queue: str
    attempt: int
    max_attempts: int
    timeout_ms: int
    skippable: bool
    waiting_on: int
    dispatched_at_ms: Milliseconds | None
    heartbeat_at_ms: Milliseconds | None
    deadline_at_ms: Milliseconds | None
    retry_at_ms: Milliseconds | None
    ended_at_ms: Milliseconds | None
    worker: str | None
    progress: Any
    last_failure: StepFailure | None
    resolution: Annotated[str | None, Field(description="why an operator resolved or reopened it")]
    readiness: Readiness


class Blocker(Shown):
    """A step above that the wait ends with: the one to look at."""

    step: str
    state: StepState


class StepDetail(Step):
    """A step with its result, its neighbours, its attempts and what stands in its way, all the way up."""

    task_id: UUID
    depends_on: tuple[str, ...]
    dependents: tuple[str, ...]
    blockers: tuple[Blocker, ...]
    result: Any
    attempts: tuple[Attempt, ...]


class StepPage(Shown):
    """Some steps of a task, in the order of its template."""

    task_id: UUID
    steps: tuple[Step, ...]
    next_cursor: str | None


class Node(Shown):
    """A step in a graph. `level` is the length of the longest path to it; `state` is null in a template."""

    step: str
    level: int
    state: StepState | None
    handler: str
    queue: str


class Edge(Shown):
    """`target` depends on `source`."""

    source: str
    target: str


class Graph(Shown):
    """Steps and what depends on what."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


_DERIVED = {"progress", "last_failure", "resolution", "readiness", "skippable", "waiting_on"}
_COPIED = frozenset(Step.model_fields) - _DERIVED
_FACTS = frozenset(StepFacts.__dataclass_fields__) - {"task_status", "waits_for"}


def step_of(row: Mapping[str, Any], task_status: str, waits_for: Sequence[str]) -> dict[str, Any]:
    """Give the fields of a step from a row of the view, the state of its task and the names of what it waits for."""
    facts = StepFacts(**{name: row[name] for name in _FACTS}, task_status=task_status, waits_for=waits_for)
    return {name: row[name] for name in _COPIED} | {
        "skippable": bool(row["skippable"]),
        "waiting_on": len(waits_for),
        "progress": parsed(row["progress"]),
        "last_failure": _failure_of(row),
        "resolution": row["reason"],
        "readiness": asdict(readiness(facts)),
    }


def _failure_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["error_code"] is None:
        return None
    error = parsed(row["error"]) or {}
    return {
        "code": row["error_code"],
        "message": row["error_message"],
        "retryable": error.get("retryable", True),
        "details": error.get("details"),
    }
