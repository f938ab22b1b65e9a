"""Fires what is due: follows the log into an index of timers, and turns each into a command when its time has come.

The index is kept in memory. A snapshot of it, with the position it stands for, keeps a restart from reading the whole
log.
"""

import asyncio
import logging
from contextlib import suppress
from uuid import uuid5

import orjson

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore, Snapshot, StoreUnavailable
from stepbus.orchestrator.runtime.asked import Undecidable
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.due import DueCommand, DueIndex
from stepbus.orchestrator.runtime.follow import Follower
from stepbus.orchestrator.runtime.intents import Cause, TaskIntent

_log = logging.getLogger(__name__)

INDEX_STREAM = uuid5(e.STREAMS, "timers")
_SNAPSHOT_EVERY = 20_000
_FIRE_AT_ONCE = 500
_LONGEST_SLEEP_S = 0.5
_PAUSE_S = 0.5


class Timers:
    """The timers of all tasks of one log."""

    def __init__(self, store: EventStore, coordinator: Coordinator, index: DueIndex, follower: Follower) -> None:
        self._store = store
        self._coordinator = coordinator
        self._index = index
        self.follower = follower
        self.position = self._saved = follower.position
        self._changed = asyncio.Event()

    @classmethod
    async def open(cls, store: EventStore, coordinator: Coordinator) -> "Timers":
        """Give the timers as the log has them: those of the last snapshot; `run` takes in what came after it."""
        snapshot = await store.snapshot(INDEX_STREAM)
        index = DueIndex() if snapshot is None else DueIndex.load(orjson.loads(snapshot.data))
        follower = Follower(store, 0 if snapshot is None else snapshot.version)
        return cls(store, coordinator, index, follower)

    async def run(self) -> None:
        """Follow the log and fire what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._fire())

    async def save(self) -> None:
        """Keep the index as it is."""
        await self._store.save_snapshot(INDEX_STREAM, Snapshot(self.position, orjson.dumps(self._index.dump())))
        self._saved = self.position

    async def _follow(self) -> None:
        async for batch in self.follower.batches():
            for committed in batch:
                if committed.category == e.TASK:
                    for event in committed.record.events:
                        self._index.absorb(committed.stream, event)
            self.position = batch[-1].position
            self._changed.set()
            if self.position - self._saved >= _SNAPSHOT_EVERY:
                await self.save()

    async def _fire(self) -> None:
        clock = self._coordinator.clock
        while True:
            await clock.refresh()
            due = list(self._index.due(clock.now_ms(), _FIRE_AT_ONCE))
            if due:
                await asyncio.gather(*map(self._fire_one, due))
                continue
            next_ms = self._index.next_ms()
            sleep_s = _LONGEST_SLEEP_S if next_ms is None else min((next_ms - clock.now_ms()) / 1000, _LONGEST_SLEEP_S)
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(sleep_s, 0.001)):
                    await self._changed.wait()

    async def _fire_one(self, command: DueCommand) -> None:
        cause = Cause(actor="timer", causation_id=f"timer/{type(command).__name__}")
        try:
            await self._coordinator.submit(TaskIntent(command, cause))
        except (StoreUnavailable, Undecidable) as error:
            _log.warning("%s of task %s is due but was not decided: %s", type(command).__name__, command.task_id, error)
            await asyncio.sleep(_PAUSE_S)
            self._index.restore(command)
