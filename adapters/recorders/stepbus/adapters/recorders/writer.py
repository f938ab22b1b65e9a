"""One thread that commits what many asyncio tasks ask for, in groups.

While one group is being committed, the next gathers: the slower the disk, the larger the groups. Nothing waits for a
timer.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from stepbus.orchestrator.ports import StoreUnavailable

Write = TypeVar("Write")
Answer = TypeVar("Answer")

GROUP_LIMIT = 1_000
GROUP_BYTES_LIMIT = 16 * 1024 * 1024


@dataclass(slots=True)
class _Asked(Generic[Write, Answer]):
    write: Write
    size: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]


@dataclass(slots=True)
class _Settled(Generic[Answer]):
    """What one event loop is to be told after a commit, in one wake-up."""

    futures: list[tuple[asyncio.Future[Answer], Answer | Exception]] = field(default_factory=list)

    def tell(self) -> None:
        for future, answer in self.futures:
            if future.done():  # the caller was cancelled; what it asked for is committed all the same
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Writer(Generic[Write, Answer]):
    """Hands writes in the order they were asked for, as groups, to `commit`, which runs in the writer's thread.

    `commit` answers for each write in order, or raises: StoreUnavailable stands for the whole group; anything else is
    the fault of one write in it, so the group is redone one by one and only that one fails. `size_of` gives the bytes
    of a write.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Write]], Sequence[Answer]],
        size_of: Callable[[Write], int],
        *,
        name: str,
        group_limit: int = GROUP_LIMIT,
    ) -> None:
        self._commit = commit
        self._size_of = size_of
        self._group_limit = group_limit
        self._waiting: SimpleQueue[_Asked[Write, Answer] | None] = SimpleQueue()
        self._gate = Lock()
        self._is_closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, write: Write) -> Answer:
        """Give the answer once the group that holds this write is committed.

        Raises:
            StoreUnavailable: nothing is known to be stored, or the writer is closed.
        """
        loop = asyncio.get_running_loop()
        asked: _Asked[Write, Answer] = _Asked(write, self._size_of(write), loop, loop.create_future())
        with self._gate:
            if self._is_closed:
                raise StoreUnavailable("expected an open store, but it is closed")
            self._waiting.put(asked)
        return await asked.future

    def close(self) -> None:
        """Commit what was asked for, then end the thread. Blocks until that is done."""
        with self._gate:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._gather()
            if group:
                self._settle(group, self._answer([asked.write for asked in group]))

    def _gather(self) -> tuple[list[_Asked[Write, Answer]], bool]:
        """Wait for the first write, then take what is there. False says that nothing can follow."""
        group: list[_Asked[Write, Answer]] = []
        size = 0
        asked = self._waiting.get()
        while asked is not None:
            group.append(asked)
            size += asked.size
            if len(group) >= self._group_limit or size >= GROUP_BYTES_LIMIT:
                return group, True
            try:
                asked = self._waiting.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _answer(self, writes: Sequence[Write]) -> Sequence[Answer | Exception]:
        try:
            return self._commit(writes)
        except StoreUnavailable as error:
            return [StoreUnavailable(str(error)).with_traceback(error.__traceback__) for _ in writes]
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            if len(writes) == 1:
                return [error]
            return [answer for write in writes for answer in self._answer([write])]

    @staticmethod
    def _settle(group: Sequence[_Asked[Write, Answer]], answers: Sequence[Answer | Exception]) -> None:
        loops: dict[asyncio.AbstractEventLoop, _Settled[Answer]] = {}
        for asked, answer in zip(group, answers, strict=True):
            loops.setdefault(asked.loop, _Settled()).futures.append((asked.future, answer))
        for loop, settled in loops.items():
            with suppress(RuntimeError):  # the loop has ended, and with it whoever asked
                loop.call_soon_threadsafe(settled.tell)
