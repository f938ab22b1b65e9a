"""What the orchestrator offers to those who stand at its edge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from stepbus.contracts.messages import TaskRequested, WorkerAnnounced
from stepbus.contracts.problems import Problem


@dataclass(frozen=True, slots=True)
class Done:
    """It is in the log. `position` is the record's, to read your own write by; `id` names what it was done to."""

    id: UUID
    position: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """It was refused, for all of these reasons; nothing was changed.

    `kind` is `invalid`, `missing`, `conflict`, or `overloaded`: the same may be taken a moment later.
    """

    problems: Sequence[Problem]
    kind: str = "invalid"


@dataclass(frozen=True, slots=True)
class LiveState:
    """Where a task stands in the coordinator's memory: records and events folded, and the SHA-256 of the state."""

    version: int
    events: int
    digest: str


class Operations(Protocol):
    """What a person or a program may ask of the orchestrator. Whatever is `Done` is in the log when it is answered."""

    async def submit(self, request: TaskRequested, request_id: str, actor: str) -> Done | Denied:
        """Accept a task. It is `overloaded` while too much waits of what was asked before.

        The same `task_id` or `idempotency_key` again is `Done` with `repeated`, and makes no second task.
        """
        ...

    async def cancel(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Stop a task."""
        ...

    async def retry(self, task_id: UUID, step: str, reason: str, actor: str) -> Done | Denied:
        """Give a step that failed for good another attempt, or dispatch now one that waits for its retry."""
        ...

    async def resolve_step(self, task_id: UUID, step: str, result: Any, reason: str, actor: str) -> Done | Denied:
        """Declare a step done, with this result."""
        ...

    async def resolve_task(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Declare a task done, whatever its steps say."""
        ...

    async def register(self, template: Mapping[str, Any], actor: str, *, force: bool = False) -> Done | Denied:
        """Register a template, given as the parsed document. The same content again is `Done` with `repeated`.

        Unless it is forced, it is a `conflict` where workers have announced themselves and none serves one of its
        steps, or where it breaks with a lower version of which tasks are open.
        """
        ...

    async def workers(self) -> Sequence[WorkerAnnounced]:
        """Give what each worker said last that it serves, by name; those are left out that are gone for good."""
        ...

    async def resubmit(self, message_id: UUID, actor: str) -> Done | Denied:
        """Send a quarantined message through again."""
        ...

    async def live_state(self, task_id: UUID) -> LiveState | None:
        """Give where a task stands in memory, loading it if need be; None for an unknown task."""
        ...

    async def health(self) -> Mapping[str, Any]:
        """Say how each part is: `{"ready": bool, "parts": {name: {"ok": bool, "detail": str}}}`."""
        ...
