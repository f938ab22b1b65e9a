"""The event store port over a `LogRecorder`: one thread writes, a few read, the event loop only waits for answers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, TypeVar, TypeVarTuple
from uuid import UUID

from eventsourcing.persistence import Tracking

from stepbus.adapters.recorders.errors import as_port_errors, port_error
from stepbus.adapters.recorders.groups import GroupThreads
from stepbus.adapters.recorders.log import Answer, AppendCall, KeepSnapshot, LogRecorder, Write, size_of
from stepbus.orchestrator.ports import (
    Append,
    Appended,
    Lease,
    LogIdentity,
    Snapshot,
    StoredRecord,
    StoreUnavailable,
    VersionConflict,
)

Given = TypeVar("Given")
Args = TypeVarTuple("Args")
Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]

Read = Callable[[], Any]

READERS = 3
READS_AT_ONCE = 32
FIRST_POLL_S = 0.005
LAST_POLL_S = 0.05


class _Commits:
    """Wakes whoever waits for a commit of this process, in whatever event loop. `head` is where the last one ended."""

    def __init__(self) -> None:
        self.head = 0
        self._waiting: set[Waiter] = set()
        self._gate = Lock()

    def expect(self) -> Waiter:
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._gate:
            self._waiting.add(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        with self._gate:
            self._waiting.discard(waiter)

    def announce(self, head: int) -> None:
        self.head = head
        with self._gate:
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(event.set)


class RecorderStore:
    """The log of one database. Made by `open_store`; the promises are those of the port `EventStore`."""

    def __init__(self, log: LogRecorder[Any], identity: LogIdentity, readers: GroupThreads[Read, Any]) -> None:
        self._log = log
        self._identity = identity
        self._readers = readers
        self._commits = _Commits()
        self._is_closed = False
        self._writer = GroupThreads[Write, Answer](self._commit, size_of, name="stepbus-log-writer")

    async def identity(self) -> LogIdentity:
        """Give what this log is known by."""
        self._demand_open()
        return self._identity

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        """Commit the batches with those of whoever calls at the same time."""
        self._demand_open()
        for batch in batches:
            if batch.expected < 0:
                raise ValueError(f"expected a version of 0 or more for stream {batch.stream}, found {batch.expected}")
        if not batches:
            return ()
        return await self._writer.ask(AppendCall(tuple(batches)))

    async def read_stream(self, stream: UUID, after: int = 0) -> Sequence[StoredRecord]:
        """Give the records of a stream above a version."""
        return await self._read(self._log.select_stream, stream, after)

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        """Give records above a position."""
        if limit <= 0:
            return ()
        return await self._read(self._log.select_log, after, limit, category)

    async def head(self) -> int:
        """Give the position of the last record."""
        return await self._read(self._log.max_notification_id) or 0

    async def wait(self, after: int, timeout_s: float) -> int:
        """Give the head once it is above `after`: at once for a commit of this process, by polling for another's.

        What this process has committed is known without asking the database.

        Whoever waits again soon after something came is polling quickly; the longer nothing comes, the slower it gets.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        poll_s = FIRST_POLL_S
        while True:
            self._demand_open()
            waiter = self._commits.expect()
            try:
                head = self._commits.head if self._commits.head > after else await self.head()
                remaining = deadline - loop.time()
                if head > after or remaining <= 0:
                    return head
                async with asyncio.timeout(min(poll_s, remaining)):
                    await waiter[1].wait()
            except TimeoutError:
                poll_s = min(2 * poll_s, LAST_POLL_S)
            finally:
                self._commits.forget(waiter)

    async def now_ms(self) -> int:
        """Give the log's clock."""
        return await self._read(self._log.clock_ms)

    async def checkpoint(self, reader: str) -> int:
        """Give how far a reader has come."""
        return await self._read(self._log.max_tracking_id, reader) or 0

    async def save_checkpoint(self, reader: str, position: int) -> None:
        """Keep how far a reader has come, in the group that is committed next."""
        await self._writer.ask(Tracking(reader, position))

    async def snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the newest snapshot of a stream."""
        return await self._read(self._log.select_snapshot, stream)

    async def save_snapshot(self, stream: UUID, snapshot: Snapshot) -> None:
        """Keep a snapshot, in the group that is committed next."""
        await self._writer.ask(KeepSnapshot(stream, snapshot))

    async def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew or take leases, and give all that hold."""
        if for_ms <= 0:
            raise ValueError(f"expected a lease of 1 ms or more, found {for_ms}")
        return await self._read(self._log.hold, owner, sorted(set(names)), for_ms)

    async def release(self, owner: str, names: Sequence[str]) -> None:
        """End leases."""
        await self._read(self._log.release, owner, sorted(set(names)))

    async def close(self) -> None:
        """Finish what was begun, then let go of the database. Closing twice is as good as once."""
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._commits.announce(self._log.position)
        self._readers.close()
        self._log.close()

    def _commit(self, writes: Sequence[Write]) -> Sequence[Answer]:
        with as_port_errors():
            answers = self._log.commit(writes)
        if any(isinstance(write, AppendCall) for write in writes):
            self._commits.announce(self._log.position)
        return answers

    async def _read(self, select: Callable[[*Args], Given], *args: *Args) -> Given:
        self._demand_open()
        given: Given = await self._readers.ask(partial(select, *args))
        return given

    def _demand_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("expected an open store, but it is closed")


async def open_store(open_log: Callable[[], LogRecorder[Any]]) -> RecorderStore:
    """Give the store on the log that `open_log` opens; it runs in a thread.

    Raises:
        StoreUnavailable: the log can not be opened.
    """
    readers = GroupThreads[Read, Any](
        _read_each, _no_size, name="stepbus-log-reader", threads=READERS, group_limit=READS_AT_ONCE
    )

    def begin() -> RecorderStore:
        log = open_log()
        try:
            return RecorderStore(log, log.identify(), readers)
        except BaseException:
            log.close()
            raise

    try:
        store: RecorderStore = await readers.ask(begin)
    except BaseException:
        readers.end()
        raise
    return store


def _read_each(reads: Sequence[Read]) -> list[Any]:
    answers: list[Any] = []
    for read in reads:
        try:
            answers.append(read())
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            answers.append(port_error(error))
    return answers


def _no_size(read: Read) -> int:  # noqa: ARG001
    return 0
