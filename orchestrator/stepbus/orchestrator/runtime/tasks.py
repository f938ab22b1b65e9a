"""The tasks at hand: folded from the log when first needed, kept while there is room."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class TaskInHand:
    """A task's state, and what all of its records have in common."""

    state: TaskState
    tenant: str
    correlation_id: str


class Tasks:
    """Loads tasks. A kept state may be behind the log: an append of it then conflicts, and `refreshed` catches up."""

    def __init__(self, store: EventStore, catalogue: Catalogue, room: int) -> None:
        self._store = store
        self._catalogue = catalogue
        self._room = room
        self._kept: OrderedDict[UUID, TaskInHand] = OrderedDict()

    def kept(self, task_id: UUID) -> TaskInHand | None:
        """Give the task if it is at hand."""
        task = self._kept.get(task_id)
        if task is not None:
            self._kept.move_to_end(task_id)
        return task

    def keep(self, task: TaskInHand) -> None:
        """Keep this state of a task in place of an older one; those not used for longest make room."""
        kept = self._kept.get(task.state.task_id)
        if kept is None or kept.state.version < task.state.version:
            self._kept[task.state.task_id] = task
        self._kept.move_to_end(task.state.task_id)
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)

    def forget(self, task_id: UUID) -> None:
        """Let go of a state that may be wrong."""
        self._kept.pop(task_id, None)

    async def load(self, task_id: UUID) -> TaskInHand | None:
        """Give the task, from the log if it is not at hand; None if there is none."""
        return self.kept(task_id) or await self.refreshed(task_id)

    async def refreshed(self, task_id: UUID) -> TaskInHand | None:
        """Give the task as it stands in the log now; None if there is none."""
        task = self._kept.get(task_id)
        tail = await self._store.read_stream(task_id, 0 if task is None else task.state.version)
        if tail:
            task = await self._folded(task, tail)
            self.keep(task)
        return task

    async def _folded(self, task: TaskInHand | None, tail: Sequence[StoredRecord]) -> TaskInHand:
        for stored in tail:
            record = e.decode_record(stored.data)
            if task is None:
                accepted = record.events[0]
                if not isinstance(accepted, e.TaskAccepted):
                    msg = f"expected {stored.stream} to begin with TaskAccepted, but it begins with {accepted.TYPE}"
                    raise TypeError(msg)
                plan = await self._catalogue.by_hash(accepted.template_hash)
                state = TaskState.blank(stored.stream, plan)
                task = TaskInHand(state, record.meta.tenant, record.meta.correlation_id)
            elif stored is tail[0]:
                task = TaskInHand(task.state.copy(), task.tenant, task.correlation_id)
            task.state.version = stored.version
            for event in record.events:
                absorb(task.state, event)
        assert task is not None  # noqa: S101 - the tail is not empty
        return task
