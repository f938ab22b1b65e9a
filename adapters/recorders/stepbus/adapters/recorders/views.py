"""The view store port over `ViewTables`: one thread writes, a few read, the event loop only waits for answers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, TypeVarTuple

from stepbus.adapters.recorders.errors import as_port_errors
from stepbus.orchestrator.ports import StaleCheckpoint, Statement, StoreUnavailable

Given = TypeVar("Given")
Args = TypeVarTuple("Args")

READERS = 3


class ViewTables(Protocol):
    """What a database must offer to keep views: the port `ViewStore` as plain code that may block.

    Raises:
        StaleCheckpoint: as the port says.
        eventsourcing.persistence.PersistenceError: nothing was changed.
    """

    def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""

    def checkpoint(self, projection: str) -> int:
        """Give the position that a projection's rows stand for."""

    def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Commit rows and checkpoint together."""

    def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements and forget the checkpoint, in one transaction."""

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT."""

    def close(self) -> None:
        """Let go of files and connections. No other thread is in a method."""


def demand_checkpoint(projection: str, expected: int, found: int) -> None:
    """See that a projection stands where the rows to be applied begin; called under a lock.

    Raises:
        StaleCheckpoint: it does not.
    """
    if found != expected:
        raise StaleCheckpoint(f"expected the rows of {projection} to stand for {expected}, but they stand for {found}")


class ThreadedViews:
    """The views of one database. Made by `open_views`; the promises are those of the port `ViewStore`."""

    def __init__(self, tables: ViewTables, writer: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
        self._tables = tables
        self._writer = writer
        self._readers = readers
        self._is_closed = False

    async def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""
        await self._run(self._writer, self._tables.create, statements)

    async def checkpoint(self, projection: str) -> int:
        """Give the position that the projection's rows stand for."""
        return await self._run(self._readers, self._tables.checkpoint, projection)

    async def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Commit the rows and the checkpoint together, or neither."""
        if position <= after:
            raise ValueError(f"expected a position above {after} for {projection}, found {position}")
        await self._run(self._writer, self._tables.apply, projection, after, position, statements)

    async def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Empty the tables and set the checkpoint to 0."""
        await self._run(self._writer, self._tables.reset, projection, statements)

    async def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT."""
        if len(statement.rows) > 1:
            raise ValueError(f"expected at most one row of parameters, found {len(statement.rows)}")
        return await self._run(self._readers, self._tables.query, statement)

    async def close(self) -> None:
        """Finish what was begun, then let go of the database. Closing twice is as good as once."""
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._tables.close()

    async def _run(self, threads: ThreadPoolExecutor, do: Callable[[*Args], Given], *args: *Args) -> Given:
        if self._is_closed:
            raise StoreUnavailable("expected an open view store, but it is closed")

        def run() -> Given:
            with as_port_errors():
                return do(*args)

        return await asyncio.get_running_loop().run_in_executor(threads, run)


async def open_views(open_tables: Callable[[], ViewTables], *, one_thread: bool = False) -> ThreadedViews:
    """Give the view store on the tables that `open_tables` opens; `one_thread` if only the opening thread may use them.

    Raises:
        StoreUnavailable: the database can not be opened.
    """
    writer = ThreadPoolExecutor(1, thread_name_prefix="stepbus-view-writer")
    readers = writer if one_thread else ThreadPoolExecutor(READERS, thread_name_prefix="stepbus-view-reader")

    def begin() -> ThreadedViews:
        with as_port_errors():
            return ThreadedViews(open_tables(), writer, readers)

    try:
        return await asyncio.get_running_loop().run_in_executor(writer, begin)
    except BaseException:
        writer.shutdown(wait=False)
        readers.shutdown(wait=False)
        raise
