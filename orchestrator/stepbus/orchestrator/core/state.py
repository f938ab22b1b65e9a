"""Where a task stands: flat arrays over the indices of its plan, and a few sparse tables for what only some steps have.

A step is a byte for its status, a byte for its attempts and two for the dependencies it still waits for. Counts are
kept beside them, so that whether a task is done is known without looking at its steps. The arrays belong to the task,
not to the plan: a plan that grows while the task runs only lengthens them.
"""

from array import array
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Any, Self
from uuid import UUID

from stepbus.contracts import codec
from stepbus.orchestrator.core.plan import Plan


class TaskStatus(StrEnum):
    """The states of a task. `error` is not the end: an operator can move it on."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    RESOLVED_MANUALLY = "resolved_manually"


class StepStatus(IntEnum):
    """The states of a step, as the byte that stands for them."""

    PENDING = 0
    DISPATCHED = 1
    IN_PROGRESS = 2
    WAITING_FOR_RETRY = 3
    COMPLETE = 4
    ERROR = 5
    CANCELLED = 6
    RESOLVED_MANUALLY = 7
    BYPASSED = 8


ENDED_TASK = frozenset({TaskStatus.COMPLETE, TaskStatus.CANCELLED, TaskStatus.RESOLVED_MANUALLY})
IN_HAND = frozenset({StepStatus.DISPATCHED, StepStatus.IN_PROGRESS})
MOVING = IN_HAND | {StepStatus.WAITING_FOR_RETRY}
SATISFIED = frozenset({StepStatus.COMPLETE, StepStatus.RESOLVED_MANUALLY, StepStatus.BYPASSED})
OPEN = MOVING | {StepStatus.PENDING}


@dataclass(slots=True)
class TaskState:
    """The fold of a task's events.

    Shape: `version` counts the records folded and `events` the events; version 0 is a task that does not exist.
    `due_ms` has the deadline of each step in hand and the time of each retry; `raised` the attempts an operator allowed
    beyond the policy; `results` the results of satisfied steps that have one. `moving`, `satisfied` and `failed` count
    steps.
    """

    task_id: UUID
    plan: Plan
    step_status: bytearray
    attempts: bytearray
    waiting: "array[int]"
    status: TaskStatus = TaskStatus.PENDING
    version: int = 0
    events: int = 0
    context: dict[str, Any] = field(default_factory=dict)
    request_id: str = ""
    replyto: str | None = None
    deadline_at_ms: int | None = None
    due_ms: dict[int, int] = field(default_factory=dict)
    raised: dict[int, int] = field(default_factory=dict)
    results: dict[int, Any] = field(default_factory=dict)
    moving: int = 0
    satisfied: int = 0
    failed: int = 0

    @classmethod
    def blank(cls, task_id: UUID, plan: Plan) -> Self:
        """Give the state before the first event."""
        steps = len(plan.steps)
        return cls(task_id, plan, bytearray(steps), bytearray(steps), plan.waiting[:])

    def copy(self) -> "TaskState":
        """Give a state of its own with the same content."""
        return TaskState(
            self.task_id,
            self.plan,
            self.step_status[:],
            self.attempts[:],
            self.waiting[:],
            self.status,
            self.version,
            self.events,
            self.context,
            self.request_id,
            self.replyto,
            self.deadline_at_ms,
            self.due_ms.copy(),
            self.raised.copy(),
            self.results.copy(),
            self.moving,
            self.satisfied,
            self.failed,
        )

    def max_attempts(self, number: int) -> int:
        """Give how many attempts the step may have, the first included."""
        return self.raised.get(number, self.plan.steps[number].retry.max_attempts)

    def numbers(self, status: StepStatus) -> list[int]:
        """Give the indices of all steps in this status."""
        return [number for number, found in enumerate(self.step_status) if found == status]

    def digest(self) -> str:
        """Give the SHA-256 of all that the state says, the same for equal states wherever they were folded."""
        named = {
            step.name: [StepStatus(self.step_status[number]).name, self.attempts[number], self.waiting[number]]
            for number, step in enumerate(self.plan.steps)
        }
        return sha256(
            codec.encode(
                {
                    "task_id": str(self.task_id),
                    "template_hash": self.plan.template.hash,
                    "status": self.status,
                    "version": self.version,
                    "events": self.events,
                    "context": self.context,
                    "request_id": self.request_id,
                    "replyto": self.replyto,
                    "deadline_at_ms": self.deadline_at_ms,
                    "steps": named,
                    "due_ms": self._by_name(self.due_ms),
                    "raised": self._by_name(self.raised),
                    "results": self._by_name(self.results),
                    "counts": [self.moving, self.satisfied, self.failed],
                }
            )
        ).hexdigest()

    def _by_name(self, table: dict[int, Any]) -> dict[str, Any]:
        return {self.plan.steps[number].name: value for number, value in table.items()}
