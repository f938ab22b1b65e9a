"""The view store port over `ViewTables`: one thread writes, a few read, the event loop only waits for answers.

While one transaction is being committed, what the projections ask for gathers, and the next transaction holds all of
it: the followers of one log, which ask at the same time, share what a transaction costs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar, TypeVarTuple

from stepbus.adapters.recorders.errors import as_port_errors
from stepbus.orchestrator.ports import StaleCheckpoint, Statement, StoreUnavailable

Given = TypeVar("Given")
Args = TypeVarTuple("Args")

READERS = 3


class Move(NamedTuple):
    """What one call of `apply` asks for: the rows that take a projection from one position to another."""

    projection: str
    after: int
    position: int
    statements: Sequence[Statement]


Verdict = StaleCheckpoint | None


class ViewTables(Protocol):
    """What a database must offer to keep views: the port `ViewStore` as plain code that may block.

    Raises:
        eventsourcing.persistence.PersistenceError: nothing was changed.
    """

    def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""

    def checkpoint(self, projection: str) -> int:
        """Give the position that a projection's rows stand for."""

    def apply(self, moves: Sequence[Move]) -> Sequence[Verdict]:
        """Commit the rows and checkpoints of all moves in one transaction, but for those that `judge` refuses."""

    def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements and forget the checkpoint, in one transaction."""

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT."""

    def close(self) -> None:
        """Let go of files and connections. No other thread is in a method."""


def judge(moves: Sequence[Move], checkpoints: dict[str, int]) -> Sequence[Verdict]:
    """Say of each move why it is refused, None if it is not, and move the checkpoints on; called under a lock.

    `checkpoints` is where the projections of the moves stand; one that is missing stands at 0.
    """
    verdicts: list[Verdict] = []
    for name, after, position, _ in moves:
        found = checkpoints.get(name, 0)
        if found == after:
            checkpoints[name] = position
            verdicts.append(None)
        else:
            message = f"expected the rows of {name} to stand for {after}, but they stand for {found}"
            verdicts.append(StaleCheckpoint(message))
    return verdicts


class _Asked(NamedTuple):
    move: Move
    future: asyncio.Future[None]


class ThreadedViews:
    """The views of one database, used by one event loop. Made by `open_views`; promises what `ViewStore` says."""

    def __init__(self, tables: ViewTables, writer: ThreadPoolExecutor, readers: ThreadPoolExecutor) -> None:
        self._tables = tables
        self._writer = writer
        self._readers = readers
        self._is_closed = False
        self._waiting: list[_Asked] = []
        self._committing: asyncio.Task[None] | None = None

    async def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""
        await self._run(self._writer, self._tables.create, statements)

    async def checkpoint(self, projection: str) -> int:
        """Give the position that the projection's rows stand for."""
        return await self._run(self._readers, self._tables.checkpoint, projection)

    async def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Commit the rows and the checkpoint together, or neither, with those of whoever calls at the same time."""
        if position <= after:
            raise ValueError(f"expected a position above {after} for {projection}, found {position}")
        self._demand_open()
        asked = _Asked(Move(projection, after, position, statements), asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting(), name="views are committed")
        await asked.future

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
        if self._committing is not None:
            await self._committing
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._tables.close()

    async def _commit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                answers = await loop.run_in_executor(self._writer, self._commit, [asked.move for asked in group])
                for (_, future), answer in zip(group, answers, strict=True):
                    if future.done():  # the caller was cancelled; what it asked for is committed all the same
                        continue
                    if answer is None:
                        future.set_result(None)
                    else:
                        future.set_exception(answer)
        finally:
            self._committing = None

    def _commit(self, moves: Sequence[Move]) -> Sequence[Exception | None]:
        """Commit the moves together; where that fails, each alone, so that none suffers from another's fault."""
        try:
            with as_port_errors():
                return self._tables.apply(moves)
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked
            if len(moves) == 1:
                return [error]
            return [answer for move in moves for answer in self._commit([move])]

    async def _run(self, threads: ThreadPoolExecutor, do: Callable[[*Args], Given], *args: *Args) -> Given:
        self._demand_open()

        def run() -> Given:
            with as_port_errors():
                return do(*args)

        return await asyncio.get_running_loop().run_in_executor(threads, run)

    def _demand_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("expected an open view store, but it is closed")


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
