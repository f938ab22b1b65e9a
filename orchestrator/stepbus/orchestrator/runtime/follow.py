"""Reading the log as it grows: what this process committed is taken from hand, all else is read back.

A reader sees every record once, in order of position, whoever committed it. On the normal path nothing is read back:
the log is asked only for positions that are missing from what was committed here, or when nothing came for a while.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.route import Letter
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import EventStore, StoredRecord

_POLL_S = 0.1
_POLL_OTHERS_S = 0.02
_BATCH = 1000
_ROOM = 20_000
_ROOM_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Committed:
    """A record in the log, and its size in bytes.

    `state` is its task's after it, where this process has just decided it: to be looked at only while it is offered.
    `letters` are the messages that it sends, where they have been written.
    """

    position: int
    stream: UUID
    version: int
    category: str
    record: e.Record
    size: int = 0
    state: TaskState | None = None
    letters: Sequence[Letter] | None = None


class Follower:
    """One reader's way through the log, from a position on.

    `wants` says which records need to be given of those that are read back; all, unless it is set. `has_company` says
    that others commit too, and are to be heard of soon.
    """

    def __init__(self, store: EventStore, position: int) -> None:
        self._store = store
        self._in_hand: deque[Committed] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()
        self._may_lag = True
        self.position = self._reached = position
        self.wants: Callable[[StoredRecord], bool] | None = None
        self.has_company = False

    def offer(self, committed: Sequence[Committed]) -> None:
        """Give what this process has just committed, in order. What finds no room is read back later."""
        size = sum([one.size for one in committed])
        if len(self._in_hand) + len(committed) > _ROOM or self._bytes + size > _ROOM_BYTES:
            self._in_hand.clear()
            self._bytes = 0
            self._may_lag = True
        else:
            self._in_hand.extend(committed)
            self._bytes += size
        self._woken.set()

    async def batches(self) -> AsyncIterator[Sequence[Committed]]:
        """Give what comes after the position, for ever.

        The position moves on when the next batch is asked for, so that a reader that failed in the middle of one is
        given it again.
        """
        while True:
            batch = await self.next()
            if batch:
                yield batch
            self.advance()

    async def next(self) -> Sequence[Committed]:
        """Give what comes after the position; nothing if nothing comes for a while, or nothing of it is wanted."""
        self._reached = self.position
        batch = self._contiguous()
        if batch:
            self._reached = batch[-1].position
            return batch
        if self._may_lag or self._in_hand:
            batch = await self._read_back()
        if self._reached == self.position:
            await self._more()
        return batch

    def advance(self) -> None:
        """Move on behind what `next` gave."""
        self.position = self._reached

    def rewind(self, position: int) -> None:
        """Go back to an earlier position; to be called where `next` has been advanced behind."""
        if position < self.position:
            self.position = self._reached = position
            self._may_lag = True

    def skip(self, position: int) -> None:
        """Go forward to a later position; to be called as `rewind`."""
        self.position = self._reached = max(self.position, position)
        self._may_lag = True

    def _contiguous(self) -> list[Committed]:
        batch: list[Committed] = []
        in_hand, position = self._in_hand, self.position
        while in_hand and in_hand[0].position <= position:
            self._bytes -= in_hand.popleft().size
        while in_hand and in_hand[0].position == position + 1 and len(batch) < _BATCH:
            batch.append(in_hand.popleft())
            position += 1
        self._bytes -= sum([one.size for one in batch])
        return batch

    async def _read_back(self) -> list[Committed]:
        limit = min(_BATCH, self._in_hand[0].position - self.position - 1) if self._in_hand else _BATCH
        stored = await self._store.read(self.position, limit)
        if limit == _BATCH:
            self._may_lag = len(stored) == limit
        if not stored:
            return []
        self._reached = stored[-1].position
        if self.wants is not None:
            stored = list(filter(self.wants, stored))
        return [
            Committed(
                entry.position,
                entry.stream,
                entry.version,
                entry.category,
                e.decode_record(entry.data),
                len(entry.data),
            )
            for entry in stored
        ]

    async def _more(self) -> None:
        """Wait for a commit of this process; if none comes for a while, another's may have."""
        if self._in_hand:
            return
        self._woken.clear()
        try:
            async with asyncio.timeout(_POLL_OTHERS_S if self.has_company else _POLL_S):
                await self._woken.wait()
        except TimeoutError:
            self._may_lag = True
