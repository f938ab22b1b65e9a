"""Reading the log as it grows: what this process committed is taken from hand, all else is read back.

A reader sees every record once, in order of position, whoever committed it. On the normal path nothing is read back.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import EventStore

_POLL_S = 0.1
_BATCH = 1000
_ROOM = 20_000


@dataclass(frozen=True, slots=True)
class Committed:
    """A record in the log. `state` is its task's after it, where this process has just decided it."""

    position: int
    stream: UUID
    version: int
    category: str
    record: e.Record
    state: TaskState | None = None


class Follower:
    """One reader's way through the log, from a position on."""

    def __init__(self, store: EventStore, position: int) -> None:
        self._store = store
        self._in_hand: deque[Committed] = deque()
        self._woken = asyncio.Event()
        self.position = position

    def offer(self, committed: Sequence[Committed]) -> None:
        """Give what this process has just committed, in order. What finds no room is read back later."""
        if len(self._in_hand) + len(committed) > _ROOM:
            self._in_hand.clear()
        else:
            self._in_hand.extend(committed)
        self._woken.set()

    async def batches(self) -> AsyncIterator[Sequence[Committed]]:
        """Give what comes after the position, for ever.

        The position moves on when the next batch is asked for, so that a reader that failed in the middle of one is
        given it again.
        """
        while True:
            batch = self._contiguous() or await self._read_back()
            if batch:
                yield batch
                self.position = batch[-1].position
            else:
                await self._more()

    def _contiguous(self) -> list[Committed]:
        batch: list[Committed] = []
        in_hand, position = self._in_hand, self.position
        while in_hand and in_hand[0].position <= position:
            in_hand.popleft()
        while in_hand and in_hand[0].position == position + 1 and len(batch) < _BATCH:
            batch.append(in_hand.popleft())
            position += 1
        return batch

    async def _read_back(self) -> list[Committed]:
        stored = await self._store.read(self.position, _BATCH)
        return [
            Committed(entry.position, entry.stream, entry.version, entry.category, e.decode_record(entry.data))
            for entry in stored
        ]

    async def _more(self) -> None:
        self._woken.clear()
        if not self._in_hand:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._woken.wait()
