"""The log as projections read it: each stretch is read and decoded once, whoever asks for it first."""

import asyncio
from collections import OrderedDict

from stepbus.orchestrator.ports import EventStore
from stepbus.projections.projection import Entry

BATCH = 256
LINGER_S = 0.01
PATIENCE_S = 1.0

_KEPT = 8


class Feed:
    """What comes after a position, shared by those who stand at the same one.

    A reader at the end of the log waits there; once something has come, it lingers for a moment, so that a busy log is
    followed in few batches. A reader far behind reads alone and holds back nobody.
    """

    def __init__(self, store: EventStore, batch: int = BATCH, linger_s: float = LINGER_S) -> None:
        self._store = store
        self._batch = batch
        self._linger_s = linger_s
        self._reads: OrderedDict[int, asyncio.Task[tuple[Entry, ...]]] = OrderedDict()

    async def after(self, position: int) -> tuple[Entry, ...]:
        """Give the entries that follow the position as soon as there are any; none if none has come for a while.

        Raises:
            StoreUnavailable: the log can't be read now.
        """
        read = self._reads.get(position)
        if read is None or (read.done() and not _holds_entries(read)):
            read = asyncio.create_task(self._read(position))
            self._reads[position] = read
            while len(self._reads) > _KEPT:
                self._reads.popitem(last=False)
        # Shielded: a reader that is stopped doesn't take the read away from the others.
        return await asyncio.shield(read)

    async def _read(self, position: int) -> tuple[Entry, ...]:
        stored = await self._store.read(position, self._batch)
        if not stored:
            if await self._store.wait(position, PATIENCE_S) <= position:
                return ()
            await asyncio.sleep(self._linger_s)
            stored = await self._store.read(position, self._batch)
        return tuple(map(Entry, stored))

    async def close(self) -> None:
        """Let go of the reads that still wait."""
        for read in self._reads.values():
            read.cancel()
        await asyncio.gather(*self._reads.values(), return_exceptions=True)
        self._reads.clear()


def _holds_entries(read: asyncio.Task[tuple[Entry, ...]]) -> bool:
    return not read.cancelled() and read.exception() is None and bool(read.result())
