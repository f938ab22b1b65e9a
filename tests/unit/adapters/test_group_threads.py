"""The threads that answer in groups: here one, that commits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from threading import Event, current_thread

import pytest

from stepbus.adapters.recorders.groups import GroupThreads
from stepbus.orchestrator.ports import StoreUnavailable
from stepbus.orchestrator.testing.waiting import wait_until


class Database:
    """Answers each write with its double, once the gate is open; remembers the groups."""

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()
        self.groups: list[Sequence[int]] = []
        self.threads: set[str] = set()
        self.failing: Callable[[Sequence[int]], Exception | None] = lambda _: None

    def commit(self, writes: Sequence[int]) -> list[int | Exception]:
        self.groups.append(writes)
        self.threads.add(current_thread().name)
        assert self.gate.wait(30)
        error = self.failing(writes)
        if error is not None:
            raise error
        return [2 * write for write in writes]

    def read(self, reads: Sequence[int]) -> list[int | Exception]:
        self.threads.add(current_thread().name)
        return [2 * read if read % 2 else ValueError(f"{read} is even") for read in reads]


def size_of(write: int) -> int:
    if write < 0:
        raise TypeError("a write has a size")
    return write


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[GroupThreads[int, int]]:
    writer = GroupThreads(database.commit, size_of, name="writer", group_limit=3)
    yield writer
    database.gate.set()
    await asyncio.to_thread(writer.close)


async def ask_while_it_commits(
    writer: GroupThreads[int, int], database: Database, *writes: int
) -> list[int | BaseException]:
    """Hold up the commit of a first write, ask for the others meanwhile, and give their outcomes."""
    database.gate.clear()
    first = asyncio.ensure_future(writer.ask(0))
    await wait_until(lambda: database.groups)
    calls = [asyncio.ensure_future(writer.ask(write)) for write in writes]
    await asyncio.sleep(0)  # let every call begin
    database.gate.set()
    await first
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_write_is_answered(writer: GroupThreads[int, int]) -> None:
    assert await writer.ask(21) == 42


async def test_what_gathers_during_a_commit_is_the_next_group(
    writer: GroupThreads[int, int], database: Database
) -> None:
    assert await ask_while_it_commits(writer, database, 5, 6, 7, 8) == [10, 12, 14, 16]
    assert database.groups == [[0], [5, 6, 7], [8]]


async def test_all_is_committed_in_one_thread_of_its_own(writer: GroupThreads[int, int], database: Database) -> None:
    await asyncio.gather(*(writer.ask(write) for write in range(9)))

    assert database.threads == {"writer-0"}


async def test_an_unavailable_store_fails_the_whole_group(writer: GroupThreads[int, int], database: Database) -> None:
    database.failing = lambda writes: StoreUnavailable("away") if 6 in writes else None

    outcomes = await ask_while_it_commits(writer, database, 5, 6, 7, 8)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, StoreUnavailable, StoreUnavailable, int]
    assert database.groups == [[0], [5, 6, 7], [8]]


async def test_a_write_that_cannot_be_fails_alone(writer: GroupThreads[int, int], database: Database) -> None:
    database.failing = lambda writes: ValueError("six") if 6 in writes else None

    five, six, seven = await ask_while_it_commits(writer, database, 5, 6, 7)

    assert isinstance(six, ValueError)
    assert (five, seven) == (10, 14)
    assert database.groups == [[0], [5, 6, 7], [5], [6], [7]]


async def test_an_exception_among_the_answers_is_for_its_caller_alone(database: Database) -> None:
    readers = GroupThreads(database.read, size_of, name="reader", threads=2)

    one, two, three = await asyncio.gather(*map(readers.ask, [1, 2, 3]), return_exceptions=True)

    assert (one, three) == (2, 6)
    assert isinstance(two, ValueError)
    readers.close()


async def test_while_one_thread_is_held_up_the_next_answers(database: Database) -> None:
    threads = GroupThreads(database.commit, size_of, name="reader", threads=2, group_limit=1)
    database.gate.clear()
    held_up = [asyncio.ensure_future(threads.ask(number)) for number in (1, 2)]

    await wait_until(lambda: len(database.threads) == 2)

    database.gate.set()
    assert await asyncio.gather(*held_up) == [2, 4]
    await asyncio.to_thread(threads.close)


async def test_a_write_without_a_size_fails_its_caller_alone(writer: GroupThreads[int, int]) -> None:
    with pytest.raises(TypeError, match="a write has a size"):
        await writer.ask(-1)

    assert await writer.ask(1) == 2


async def test_a_cancelled_caller_holds_up_nobody(writer: GroupThreads[int, int], database: Database) -> None:
    database.gate.clear()
    cancelled = asyncio.ensure_future(writer.ask(1))
    await wait_until(lambda: database.groups)
    cancelled.cancel()
    database.gate.set()

    assert await writer.ask(2) == 4
    assert cancelled.cancelled()


async def test_closing_commits_what_was_asked_for_and_refuses_the_rest(writer: GroupThreads[int, int]) -> None:
    calls = [asyncio.ensure_future(writer.ask(write)) for write in range(7)]
    await asyncio.sleep(0)

    await asyncio.to_thread(writer.close)

    assert await asyncio.gather(*calls) == [2 * write for write in range(7)]
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.ask(7)


def test_a_caller_whose_loop_has_ended_holds_up_nobody(database: Database) -> None:
    writer = GroupThreads(database.commit, size_of, name="writer")
    database.gate.clear()

    async def ask_and_leave() -> None:
        asyncio.ensure_future(writer.ask(1)).cancel()
        call = asyncio.ensure_future(writer.ask(2))
        await wait_until(lambda: database.groups)
        call.cancel()

    asyncio.run(ask_and_leave())
    database.gate.set()

    assert asyncio.run(writer.ask(3)) == 6
    writer.close()
