"""Tasks: the list, one of them, what happened to it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from stepbus.contracts.messages import TemplateName, Text
from stepbus.contracts.template.version import Version
from stepbus.projections.api.models.shape import (
    Asked,
    Instant,
    Listing,
    Milliseconds,
    Separated,
    Shown,
    parsed,
)
from stepbus.projections.context import Execution, percentage
from stepbus.projections.projection import Fact

TaskState = Literal["pending", "in_progress", "complete", "error", "cancelled", "resolved_manually"]
Outcome = Literal["completed", "failed", "timed_out", "cancelled", "resolved_manually"]


class TaskList(Listing):
    """Which tasks to list. `status` takes several, separated by commas; `-` before a sort turns it round."""

    status: Annotated[tuple[TaskState, ...], Separated] = ()
    namespace: TemplateName | None = None
    name: TemplateName | None = None
    version: Version | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    sort: Literal["accepted_at", "-accepted_at", "changed_at", "-changed_at", "name", "-name"] = "-accepted_at"


class Following(Asked):
    """How to follow a task. `after` stands for the header `Last-Event-ID` where a client can't send it."""

    after: Annotated[str, Field(pattern=r"^[0-9]{1,15}\.[0-9]{1,9}$")] | None = None
    until: Literal["terminal"] | None = None


class Reason(Asked):
    """Why it is done."""

    reason: Text = ""


class Receipt(Shown):
    """It is in the log. A read that must see it waits for `position`; `repeated` says that it was there before."""

    task_id: UUID
    position: int
    repeated: bool


class TaskSummary(Shown):
    """A task in a list. `completed_steps` are satisfied; `code`, `reason` and `failed_steps` tell how it ended."""

    task_id: UUID
    namespace: str
    name: str
    version: str
    status: TaskState
    total_steps: int
    completed_steps: int
    completion_percentage: float
    accepted_at_ms: Milliseconds
    changed_at_ms: Milliseconds
    ended_at_ms: Milliseconds | None
    deadline_at_ms: Milliseconds | None
    code: str | None
    reason: str | None
    failed_steps: tuple[str, ...]
    tenant: str
    actor: str
    correlation_id: str
    position: int


class TaskPage(Shown):
    """Some tasks. `next_cursor` asks for those that follow; null at the end."""

    tasks: tuple[TaskSummary, ...]
    next_cursor: str | None


class StateDigest(Shown):
    """Where the task stands in the coordinator's memory: records and events folded, and the SHA-256 of the state."""

    version: int
    events: int
    digest: str


class Task(TaskSummary):
    """A task. `state` is the coordinator's own, to compare a replay with; null where no coordinator knows the task."""

    template_hash: str
    request_id: str
    context: dict[str, Any]
    execution: Execution
    state: StateDigest | None


class Attempt(Shown):
    """One attempt. `started_at_ms` is its first heartbeat; without `ended_at_ms` it is in hand."""

    step: str
    attempt: int
    dispatched_at_ms: Milliseconds
    started_at_ms: Milliseconds | None
    ended_at_ms: Milliseconds | None
    duration_ms: int | None
    deadline_at_ms: Milliseconds
    retry_at_ms: Milliseconds | None
    outcome: Outcome | None
    worker: str | None
    error_code: str | None
    position: int


class Timeline(Shown):
    """Some attempts of a task, in the order of their dispatch."""

    task_id: UUID
    attempts: tuple[Attempt, ...]
    next_cursor: str | None


class HistoryEvent(Shown):
    """One event. `sequence` is its place in the task's history, `position` and `index` its place in the log."""

    sequence: int
    position: int
    index: int
    version: int
    type: str
    step: str | None
    attempt: int | None
    at_ms: Milliseconds
    actor: str
    causation_id: str
    correlation_id: str
    data: dict[str, Any]


class History(Shown):
    """Some events of a task, in order."""

    task_id: UUID
    events: tuple[HistoryEvent, ...]
    next_cursor: str | None


def summary_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a summary from a row of the view."""
    shown = {name: row[name] for name in TaskSummary.model_fields if name in row}
    return shown | {
        "completed_steps": row["satisfied_steps"],
        "completion_percentage": percentage(row["satisfied_steps"], row["total_steps"]),
        "failed_steps": parsed(row["failed_steps"]),
    }


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """Give an attempt from a row of the view."""
    ended = row["ended_at_ms"]
    duration = None if ended is None else ended - row["dispatched_at_ms"]
    shown = {name: row[name] for name in Attempt.model_fields if name in row}
    return Attempt(**shown, duration_ms=duration)


def event_of(fact: Fact) -> HistoryEvent:
    """Give an event as it is shown."""
    return HistoryEvent(
        sequence=fact.sequence,
        position=fact.position,
        index=fact.record_index,
        version=fact.version,
        type=fact.event.TYPE,
        step=getattr(fact.event, "step", None),
        attempt=getattr(fact.event, "attempt", None),
        at_ms=fact.meta.at_ms,
        actor=fact.meta.actor,
        causation_id=fact.meta.causation_id,
        correlation_id=fact.meta.correlation_id,
        data=fact.event.model_dump(mode="json"),
    )
