"""How much is still to be done of what was already asked: the measure by which new tasks are turned away.

Only new tasks are. What moves a task on, or stops it, is always taken: it makes the load less.
"""

from collections.abc import Sequence

from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.decide import Rejection
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.follow import Committed
from stepbus.orchestrator.runtime.relay import Relay

OVERLOADED = "overloaded"


class Load:
    """The commands that wait to be decided, and the records that wait to be sent. `limit` is of each."""

    def __init__(self, coordinator: Coordinator, limit: int) -> None:
        self._coordinator = coordinator
        self._limit = limit
        self._relay: Relay | None = None
        self._head = 0

    def watch(self, relay: Relay) -> None:
        """Count what this relay has not sent yet of what is offered here."""
        self._relay = relay

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take note of how far the log reaches."""
        if committed:
            self._head = committed[-1].position

    def excess(self) -> Rejection | None:
        """Give why a new task can't be taken now; None if it can."""
        waiting = self._coordinator.backlog
        if waiting > self._limit:
            return self._refusal(f"{waiting:,} commands to wait for a decision")
        unsent = 0 if self._relay is None else self._relay.unsent(self._head)
        if unsent > self._limit:
            return self._refusal(f"{unsent:,} records to wait for being sent")
        return None

    def _refusal(self, found: str) -> Rejection:
        message = f"expected at most {self._limit:,} of what was asked before to wait, found {found}; ask again later"
        return Rejection((Problem(code="task.overloaded", message=message),), OVERLOADED)
