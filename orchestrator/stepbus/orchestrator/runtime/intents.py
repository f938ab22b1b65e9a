"""What a round can be asked to decide, and how each kind is prepared: the appends it wants, and what becomes of it.

An intent is prepared against the streams as they stand in the round, so that several for one stream follow each other.
"""

from typing import NamedTuple
from uuid import UUID, uuid5

from stepbus.contracts import events as e
from stepbus.contracts.messages import WorkerAnnounced
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core.commands import Command
from stepbus.orchestrator.core.decide import Rejection


class Cause(NamedTuple):
    """Who asks, and by which message."""

    actor: str
    causation_id: str
    correlation_id: str = ""
    tenant: str = "default"

    def metadata(self, at_ms: int, tenant: str | None = None, correlation_id: str | None = None) -> e.Metadata:
        """Give the metadata of a record that follows from it, under its task's tenant and correlation if it has one."""
        return e.Metadata(
            at_ms=at_ms,
            tenant=tenant or self.tenant,
            correlation_id=correlation_id or self.correlation_id,
            causation_id=self.causation_id,
            actor=self.actor,
        )


class TaskIntent(NamedTuple):
    """Decide a command for a task."""

    command: Command
    cause: Cause


class RegisterIntent(NamedTuple):
    """Register a template."""

    template: TaskTemplate
    cause: Cause


class AnnounceIntent(NamedTuple):
    """Keep what a worker serves, if that is new."""

    announced: WorkerAnnounced
    cause: Cause


class NoteIntent(NamedTuple):
    """Put one event into a stream that is the event's alone.

    If the stream is there, it is the same note: nothing to do.
    """

    stream: UUID
    category: str
    event: e.Event
    cause: Cause
    expected: int = 0


Intent = TaskIntent | RegisterIntent | AnnounceIntent | NoteIntent


class Outcome(NamedTuple):
    """What became of an intent: the position of its record, 0 if it changed nothing; or why it was refused."""

    id: UUID
    position: int = 0
    rejection: Rejection | None = None


def ignored(task_id: UUID, event: e.AnswerIgnored, fingerprint: str, cause: Cause) -> NoteIntent:
    """Give the note of an answer that changes nothing; the same answer ignored again is the same note."""
    stream = uuid5(task_id, f"{event.step}/{event.attempt}/{event.code}/{fingerprint}")
    return NoteIntent(stream, e.IGNORED, event, cause)
