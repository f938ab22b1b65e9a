"""The log as projections read it: each stretch is read and decoded once, whoever asks for it first."""

import asyncio
from collections.abc import Sequence

from stepbus.orchestrator.ports import EventStore, StoredRecord, end_tasks
from stepbus.projections.projection import Entry

BATCH = 500
PACE_S = 0.02
PATIENCE_S = 10.0

_FIRST_BATCH = 125
_SMALLEST_BATCH = 25
_LONG_S = 0.1
"""Longer than this no batch should take: whoever waits for a record in it waits for all of it."""

_KEPT = 2


class Feed:
    """What comes after a position, shared by those who stand at the same one.

    A reader at the end of the log waits there, and what comes after a silence is read at once. Then the log is read at
    a pace, so that a busy one is followed in few batches. A reader that is behind reads alone, as fast as it can, and
    holds back nobody; it is led to where the others stand, to go on with them. Full batches grow and shrink with the
    time that it takes until the next is asked for.
    """

    def __init__(self, store: EventStore, batch: int = BATCH, pace_s: float = PACE_S) -> None:
        self._store = store
        self._largest = batch
        self._batch = min(batch, _FIRST_BATCH)
        self._pace_s = pace_s
        self._reads: dict[int, asyncio.Task[tuple[Entry, ...]]] = {}
        self._end = 0
        self._ended_at: float | None = None
        self._next_at = 0.0

    async def after(self, position: int) -> tuple[Entry, ...]:
        """Give the entries that follow the position as soon as there are any; none if none has come for a while.

        Raises:
            StoreUnavailable: the log can't be read now.
        """
        read = self._reads.get(position)
        if read is None or (read.done() and not _holds_entries(read)):
            read = asyncio.create_task(self._read(position))
            self._reads[position] = read
            for done in [position for position, read in self._reads.items() if read.done()][:-_KEPT]:
                del self._reads[done]
        # Shielded: a reader that is stopped doesn't take the read away from the others.
        return await asyncio.shield(read)

    async def close(self) -> None:
        """Let go of the reads that still wait."""
        await end_tasks(*self._reads.values())
        self._reads.clear()

    async def _read(self, position: int) -> tuple[Entry, ...]:
        if position < self._end:
            stored = await self._store.read(position, self._batch)
            return tuple([Entry(record) for record in stored if record.position <= self._end])
        return tuple(map(Entry, await self._read_on(position)))

    async def _read_on(self, position: int) -> Sequence[StoredRecord]:
        """Give what is behind the furthest position that any reader has come to."""
        loop = asyncio.get_running_loop()
        if self._ended_at is not None:
            self._batch = fitting(self._batch, loop.time() - self._ended_at, self._largest)
        if (pause_s := self._next_at - loop.time()) > 0:
            await asyncio.sleep(pause_s)
        size = self._batch
        stored = await self._store.read(position, size)
        if not stored and await self._store.wait(position, PATIENCE_S) > position:
            stored = await self._store.read(position, size)
        is_full = len(stored) == size
        self._ended_at = loop.time() if is_full else None
        if stored:
            self._end = max(self._end, stored[-1].position)
            self._next_at = 0.0 if is_full else loop.time() + self._pace_s
        return stored


def _holds_entries(read: asyncio.Task[tuple[Entry, ...]]) -> bool:
    return not read.cancelled() and read.exception() is None and bool(read.result())


def fitting(size: int, took_s: float, largest: int) -> int:
    """Give the size of the next batch, when one of this size took so long."""
    if took_s > _LONG_S:
        return min(largest, max(size // 2, _SMALLEST_BATCH))
    return min(2 * size, largest) if took_s < _LONG_S / 4 else size
