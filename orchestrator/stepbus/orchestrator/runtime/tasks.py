"""The tasks at hand: folded from the log when first needed, kept while something happens to them and there is room.

They are kept in two generations: what is kept anew joins the younger one. When the younger one is full or old enough,
it takes the place of the older one, which is dropped whole. So nothing is written down at each use, and a task that
nothing has happened to for a while costs nothing: it is in the log.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import ENDED_TASK, TaskState
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import Catalogue

ROOM_BYTES = 64 * 1024 * 1024
"""Of all tasks that are kept, the bytes of their records at most. Their states may hold results of any size."""


@dataclass(slots=True)
class TaskInHand:
    """A task's state, and what all of its records have in common. Units: `size` is in bytes of its records.

    Whoever changes one takes it out of those kept first.
    """

    state: TaskState
    tenant: str
    correlation_id: str
    size: int = 0


class Tasks:
    """Loads tasks. A kept state may be behind the log: an append of it then conflicts, and `refreshed` catches up."""

    def __init__(
        self,
        store: EventStore,
        catalogue: Catalogue,
        room: int,
        passivate_after_s: float = 30.0,
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._passivate_after_s = passivate_after_s
        self._most = (room + 1) // 2
        self._most_bytes = room_bytes // 2
        self._younger: dict[int, TaskInHand] = {}
        self._older: dict[int, TaskInHand] = {}
        self._bytes = 0

    async def run(self) -> None:
        """Let go of tasks that nothing happens to, for ever."""
        while True:
            await asyncio.sleep(self._passivate_after_s)
            self.age()

    def age(self) -> None:
        """Begin a younger generation; what was not used since the last time is dropped, and stays in the log."""
        self._older, self._younger, self._bytes = self._younger, {}, 0

    def kept(self, task_id: UUID) -> TaskInHand | None:
        """Give the task if it is at hand."""
        key = task_id.int
        return self._younger.get(key) or self._older.get(key)

    def clear(self) -> None:
        """Let go of all: whatever is asked of one next is read from the log."""
        self._older, self._younger, self._bytes = {}, {}, 0

    def keep(self, task: TaskInHand) -> None:
        """Keep this state of a task in place of an older one. One that has ended is not kept: little is asked of it."""
        state = task.state
        kept = self.kept(state.task_id)
        if kept is not None:
            if kept.state.version >= state.version:
                return
            self.forget(state.task_id)
        if state.status in ENDED_TASK:
            return
        self._younger[state.task_id.int] = task
        self._bytes += task.size
        if len(self._younger) >= self._most or self._bytes >= self._most_bytes:
            self.age()

    def forget(self, task_id: UUID) -> None:
        """Let go of a state that may be wrong, or is about to change."""
        task = self._younger.pop(task_id.int, None)
        if task is None:
            self._older.pop(task_id.int, None)
        else:
            self._bytes -= task.size

    async def load(self, task_id: UUID) -> TaskInHand | None:
        """Give the task, from the log if it is not at hand; None if there is none."""
        return self.kept(task_id) or await self.refreshed(task_id)

    async def refreshed(self, task_id: UUID) -> TaskInHand | None:
        """Give the task as it stands in the log now; None if there is none."""
        while True:
            task = self.kept(task_id)
            version = 0 if task is None else task.state.version
            tail = await self._store.read_stream(task_id, version)
            if task is None or task.state.version == version:
                break  # else a round took it on meanwhile, and it is not known whether to where the log stands
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
                task = TaskInHand(task.state.copy(), task.tenant, task.correlation_id, task.size)
            task.state.version = stored.version
            task.size += len(stored.data)
            for event in record.events:
                absorb(task.state, event)
        assert task is not None  # noqa: S101 - the tail is not empty
        return task
