"""Fires what is due: follows the log into an index of bounds, and looks at each task when its bound has come.

The index is kept in memory. A snapshot of it, with the position it stands for, keeps a restart from reading the whole
log.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid5

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore, Snapshot, StoreUnavailable
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.due import DueCommand, due_of
from stepbus.orchestrator.runtime.due_index import DueIndex
from stepbus.orchestrator.runtime.due_snapshot import DueSnapshot
from stepbus.orchestrator.runtime.follow import Committed, Follower
from stepbus.orchestrator.runtime.intents import Cause, TaskIntent

_log = logging.getLogger(__name__)

INDEX_STREAM = uuid5(e.STREAMS, "timers")
_SNAPSHOT_EVERY = 20_000
_LOOK_AT_ONCE = 500
_FIRE_AT_ONCE = 500
_LONGEST_SLEEP_MS = 500
_PAUSE_MS = 500
_PAUSE_OF_TROUBLE_MS = 10_000


class Timers:
    """The timers of all tasks of one log. From position `_head` on the index says what is due now."""

    def __init__(self, store: EventStore, coordinator: Coordinator, generation_ms: int) -> None:
        self._store = store
        self._coordinator = coordinator
        self._generation_ms = generation_ms
        self._index = DueIndex(generation_ms)
        self._wake_at_ms = 0
        self._head = 0
        self._changed = asyncio.Event()
        self._caught_up = asyncio.Event()
        self.follower = Follower(store, 0)
        self.position = self._saved = 0

    @classmethod
    async def open(cls, store: EventStore, coordinator: Coordinator, passivate_after_s: float = 30.0) -> "Timers":
        """Give the timers as the log has them: those of the last snapshot; `run` takes in what came after it."""
        generation_ms = round(passivate_after_s * 1000)
        timers = cls(store, coordinator, generation_ms)
        await timers.catch_up()
        return timers

    async def catch_up(self) -> None:
        """Go on from the last snapshot, if that is ahead: another process may have kept it."""
        snapshot = await self._store.snapshot(INDEX_STREAM)
        if snapshot is not None and snapshot.version > self.position:
            try:
                kept = DueSnapshot.decode(snapshot.data)
            except ValueError as error:
                _log.warning("the snapshot of the timers can't be read, so the whole log is: %s", error)
            else:
                self._index = DueIndex(self._generation_ms)
                self._index.restore(kept)
                self.follower.skip(snapshot.version)
                self.position = self._saved = snapshot.version
        self._head = await self._store.head()
        if self.position < self._head:
            self._caught_up.clear()
        else:
            self._caught_up.set()

    async def run(self) -> None:
        """Follow the log and fire what is due, for ever."""
        self._index.put_back()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._watch())

    async def save(self) -> None:
        """Keep the index as it is."""
        position, frozen = self.position, self._index.frozen()
        data = await asyncio.to_thread(frozen.encode)
        await self._store.save_snapshot(INDEX_STREAM, Snapshot(position, data))
        self._saved = position

    async def _follow(self) -> None:
        async for batch in self.follower.batches():
            self._absorb(batch)
            del batch  # it can hold megabytes, and the next may be long in coming
            if self.position - self._saved >= _SNAPSHOT_EVERY:
                await self.save()

    def _absorb(self, batch: Sequence[Committed]) -> None:
        absorb, of_tasks = self._index.absorb, e.TASK
        for committed in batch:
            if committed.category == of_tasks:
                absorb(committed.stream.int, committed.record.events)
        self.position = batch[-1].position
        if self.position >= self._head:
            self._caught_up.set()
        if self._index.is_near(self._wake_at_ms):
            self._changed.set()

    async def _watch(self) -> None:
        """Look at what is due, for ever; of what was due long ago, the end may still have to be read first."""
        clock = self._coordinator.clock
        await self._caught_up.wait()
        while True:
            await clock.refresh()
            now_ms = clock.now_ms()
            tasks = self._index.take(now_ms, _LOOK_AT_ONCE)
            if not tasks:
                await self._sleep(now_ms)
            elif troubles := list(filter(None, await asyncio.gather(*map(self._look, tasks)))):
                _log.warning("what is due of %d tasks must wait: %s", len(troubles), troubles[0])
                await asyncio.sleep(_PAUSE_MS / 1000)

    async def _sleep(self, now_ms: int) -> None:
        self._wake_at_ms = now_ms + _LONGEST_SLEEP_MS
        if (next_ms := self._index.next_ms()) is not None:
            self._wake_at_ms = min(self._wake_at_ms, max(next_ms, now_ms + 1))
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout((self._wake_at_ms - now_ms) / 1000):
                await self._changed.wait()

    async def _look(self, number: int) -> StoreUnavailable | None:
        """Fire what is due of a task, and see to it that it is looked at again; give the store's trouble, if it has."""
        task_id, clock = UUID(int=number), self._coordinator.clock
        trouble = None
        try:
            next_ms = await self._fire(task_id)
        except StoreUnavailable as error:
            trouble, next_ms = error, clock.now_ms() + _PAUSE_MS
        except Exception:  # noqa: BLE001 - one task's trouble must not hold up the others
            _log.exception("what is due of task %s could not be decided, and will be tried again", task_id)
            next_ms = clock.now_ms() + _PAUSE_OF_TROUBLE_MS
        self._index.settle(number, next_ms)
        return trouble

    async def _fire(self, task_id: UUID) -> int | None:
        """Have decided what is due of a task, and give when to look at it again.

        A task at hand may be behind what the index has taken in of it, so the log is asked. Of timers that are set from
        now on the index will hear. Where a command changes nothing, the task has moved on: it is looked at again.
        """
        task = await self._coordinator.tasks.refreshed(task_id)
        if task is None:
            return None
        now_ms = self._coordinator.clock.now_ms()
        due = due_of(task.state, now_ms, _FIRE_AT_ONCE)
        changed = True
        for answer in await self._coordinator.submit_all([_intent(command) for command in due.commands]):
            if isinstance(answer, Exception):
                raise answer
            changed = changed and answer.position > 0
        if changed:
            return due.next_ms
        return now_ms + _PAUSE_MS if due.next_ms is None else min(now_ms + _PAUSE_MS, due.next_ms)


def _intent(command: DueCommand) -> TaskIntent:
    return TaskIntent(command, Cause(actor="timer", causation_id=f"timer/{type(command).__name__}"))
