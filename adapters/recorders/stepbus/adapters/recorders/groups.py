"""Threads that answer what many asyncio tasks ask for, in groups.

While one group is being answered, the next gathers: the slower the disk, the larger the groups. Nothing waits for a
timer, and an event loop is woken once for all that a group has to tell it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, NamedTuple, TypeVar

from stepbus.orchestrator.ports import StoreUnavailable

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

GROUP_LIMIT = 1_000
GROUP_BYTES_LIMIT = 16 * 1024 * 1024


class _Call(NamedTuple, Generic[Asked, Answer]):
    asked: Asked
    size: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]


class GroupThreads(Generic[Asked, Answer]):
    """Hands what is asked for, in the order of asking, as groups to `answer`, which runs in threads of its own.

    `answer` answers each in order, with an exception where one failed; or it raises: StoreUnavailable stands for the
    whole group; anything else is the fault of one in it, so the group is redone one by one and only that one fails.
    `size_of` gives the bytes of what is asked.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        size_of: Callable[[Asked], int],
        *,
        name: str,
        threads: int = 1,
        group_limit: int = GROUP_LIMIT,
    ) -> None:
        self._answer = answer
        self._size_of = size_of
        self._group_limit = group_limit
        self._waiting: SimpleQueue[_Call[Asked, Answer] | None] = SimpleQueue()
        self._gate = Lock()
        self._is_closed = False
        self._threads = [Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    async def ask(self, asked: Asked) -> Answer:
        """Give the answer once the group that holds this one is done.

        Raises:
            StoreUnavailable: nothing is known to be done, or the threads have ended.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        call = _Call(asked, self._size_of(asked), loop, future)
        with self._gate:
            if self._is_closed:
                raise StoreUnavailable("expected an open store, but it is closed")
            self._waiting.put(call)
        return await future

    def end(self) -> None:
        """Take nothing more; what was asked for is still answered."""
        with self._gate:
            if not self._is_closed:
                self._is_closed = True
                for _ in self._threads:
                    self._waiting.put(None)

    def close(self) -> None:
        """Answer what was asked for, then end the threads. Blocks until that is done."""
        self.end()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._gather()
            if group:
                self._settle(group, self._answers([call.asked for call in group]))

    def _gather(self) -> tuple[list[_Call[Asked, Answer]], bool]:
        """Wait for the first call, then take what is there. False says that nothing can follow."""
        group: list[_Call[Asked, Answer]] = []
        size = 0
        call = self._waiting.get()
        while call is not None:
            group.append(call)
            size += call.size
            if len(group) >= self._group_limit or size >= GROUP_BYTES_LIMIT:
                return group, True
            try:
                call = self._waiting.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _answers(self, group: Sequence[Asked]) -> Sequence[Answer | Exception]:
        try:
            return self._answer(group)
        except StoreUnavailable as error:
            return [StoreUnavailable(str(error)).with_traceback(error.__traceback__) for _ in group]
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            if len(group) == 1:
                return [error]
            return [answer for asked in group for answer in self._answers([asked])]

    @staticmethod
    def _settle(group: Sequence[_Call[Asked, Answer]], answers: Sequence[Answer | Exception]) -> None:
        told: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer | Exception]]] = {}
        for call, answer in zip(group, answers, strict=True):
            told.setdefault(call.loop, []).append((call.future, answer))
        for loop, settled in told.items():
            with suppress(RuntimeError):  # the loop has ended, and with it whoever asked
                loop.call_soon_threadsafe(_tell, settled)


def _tell(settled: Sequence[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, answer in settled:
        if future.done():  # the caller was cancelled; what it asked for is done all the same
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
