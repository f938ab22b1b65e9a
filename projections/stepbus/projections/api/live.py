"""What happens to tasks, as it happens: one reading of the log for all who listen.

A listener registers first and reads the past afterwards, so nothing falls between; what it gets twice, it tells apart
by the record's version. One that doesn't keep up is let go, and comes back with the id of the last event it saw.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from stepbus.orchestrator.ports import EventStore, StoredRecord, StoreUnavailable

_log = logging.getLogger(__name__)

MOST_LISTENERS = 256
MOST_WAITING = 1_000

_BATCH = 500
_PATIENCE_S = 1.0
_PAUSE_S = 0.5
_PACE_S = 0.01


class Listener:
    """The new records of one task. None in the queue means: no more will come, and then it `is_done`."""

    def __init__(self) -> None:
        self.is_done = False
        self._queue: asyncio.Queue[StoredRecord | None] = asyncio.Queue(MOST_WAITING)

    def tell(self, record: StoredRecord | None) -> bool:
        """Add a record, or say that no more will come; say so as well where too many wait, and take no more."""
        if record is not None and self._queue.qsize() < MOST_WAITING - 1:
            self._queue.put_nowait(record)
            return True
        if not self._queue.full():
            self._queue.put_nowait(None)
        return False

    async def next(self, timeout_s: float) -> StoredRecord | None:
        """Give the next record; None if no more will come.

        Raises:
            TimeoutError: nothing came for so long.
        """
        async with asyncio.timeout(timeout_s):
            record = await self._queue.get()
        self.is_done = record is None
        return record


class Hub:
    """Hands new records to those who listen to their task. Reads the log only while somebody listens."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._listeners: dict[UUID, set[Listener]] = defaultdict(set)
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Say whether no further listener is taken."""
        return self._is_closed or self._count >= MOST_LISTENERS

    @asynccontextmanager
    async def listening(self, stream: UUID) -> AsyncIterator[Listener]:
        """Give a listener that hears of every record of the stream that is appended from now on.

        Raises:
            StoreUnavailable: the log can't be read now.
        """
        listener = Listener()
        self._listeners[stream].add(listener)
        self._count += 1
        try:
            await self._begin()
            yield listener
        finally:
            self._count -= 1
            self._forget(stream, listener)

    async def _begin(self) -> None:
        if self.is_reading:
            return
        position = await self._store.head()
        if not self.is_reading:
            self._task = asyncio.create_task(self._follow(position), name="live events")

    @property
    def is_reading(self) -> bool:
        """Say whether the log is followed now."""
        return self._task is not None and not self._task.done()

    def close(self) -> None:
        """Tell every listener that no more will come."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
        self._let_all_go()

    def _let_all_go(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell(None)

    async def _follow(self, position: int) -> None:
        try:
            await self._hand_out(position)
        except Exception:  # noqa: BLE001 - followers must not wait for a reading that is no more
            _log.exception("live events failed; followers are let go and may come back")
            self._let_all_go()

    async def _hand_out(self, position: int) -> None:
        while self._count:
            try:
                records = await self._store.read(position, _BATCH)
                if not records:
                    await self._store.wait(position, _PATIENCE_S)
                    continue
            except StoreUnavailable:
                _log.warning("live events wait for the store", exc_info=True)
                await asyncio.sleep(_PAUSE_S)
                continue
            for record in records:
                self._tell(record)
            position = records[-1].position
            if len(records) < _BATCH:
                await asyncio.sleep(_PACE_S)  # so that a busy log is read in few batches

    def _tell(self, record: StoredRecord) -> None:
        for listener in tuple(self._listeners.get(record.stream, ())):
            if not listener.tell(record):
                self._forget(record.stream, listener)

    def _forget(self, stream: UUID, listener: Listener) -> None:
        listeners = self._listeners.get(stream)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[stream]
