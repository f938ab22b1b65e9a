"""Messages that changed nothing: quarantined ones, and ignored answers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from stepbus.contracts.problems import Problem
from stepbus.projections.api.models.shape import Listing, Milliseconds, Shown, parsed

QuarantineState = Literal["quarantined", "resubmitted"]
Code = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=128)]
Channel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]


class QuarantineList(Listing):
    """Which quarantined messages to list."""

    state: QuarantineState | None = None
    code: Code | None = None
    channel: Channel | None = None


class IgnoredList(Listing):
    """Which ignored answers to list."""

    task_id: UUID | None = None
    code: Code | None = None


class QuarantinedSummary(Shown):
    """A message that could not be applied, with the first of its problems."""

    message_id: UUID
    state: QuarantineState
    channel: str
    code: str
    pointer: str
    reason: str
    request_id: str | None
    quarantined_at_ms: Milliseconds
    resubmitted_at_ms: Milliseconds | None
    resubmitted_by: str | None
    resubmissions: int
    position: int


class QuarantinePage(Shown):
    """Some quarantined messages, the newest first."""

    messages: tuple[QuarantinedSummary, ...]
    next_cursor: str | None


class Quarantined(QuarantinedSummary):
    """A quarantined message, whole. `body` is base64."""

    problems: tuple[Problem, ...]
    body: str
    headers: dict[str, str]
    replyto: str | None


class Resubmission(Shown):
    """The message went through. `applied_to` is the task or the stream that it changed."""

    message_id: UUID
    applied_to: UUID
    position: int
    repeated: bool


class IgnoredAnswer(Shown):
    """A worker's answer that changed nothing."""

    task_id: UUID
    step: str
    attempt: int
    code: str
    reason: str
    answer_type: str
    worker: str
    at_ms: Milliseconds
    position: int


class IgnoredPage(Shown):
    """Some ignored answers, the newest first."""

    answers: tuple[IgnoredAnswer, ...]
    next_cursor: str | None


def summary_of(row: Mapping[str, Any]) -> QuarantinedSummary:
    """Give a quarantined message from a row of the view."""
    return QuarantinedSummary(**{name: row[name] for name in QuarantinedSummary.model_fields})


def quarantined_of(row: Mapping[str, Any]) -> Quarantined:
    """Give a quarantined message, whole, from a row of the view."""
    shown = {name: row[name] for name in Quarantined.model_fields}
    return Quarantined(**shown | {"problems": parsed(row["problems"]), "headers": parsed(row["headers"])})


def ignored_of(row: Mapping[str, Any]) -> IgnoredAnswer:
    """Give an ignored answer from a row of the view."""
    return IgnoredAnswer(**{name: row[name] for name in IgnoredAnswer.model_fields})
