"""The bench that the cases of the store suite are tried on: opened logs, and short words for what a case does."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID, uuid4

import pytest_asyncio

from stepbus.orchestrator.ports import Append, Appended, EventStore, StoredRecord, VersionConflict

PATIENCE_S = 30.0
"""How long a case waits for what must happen, before it says that it did not."""
EVERYTHING = 1_000_000

OpenStore = Callable[[], Awaitable[EventStore]]


class Bench(ABC):
    """How an adapter opens its log, and the fixtures that the cases ask for. Each case has a fresh log."""

    @abstractmethod
    async def open_store(self) -> EventStore:
        """Open the log of this case; every call opens the same one, be it open or closed meanwhile."""

    @abstractmethod
    async def open_other_log(self) -> EventStore:
        """Open another log than that of this case."""

    @pytest_asyncio.fixture
    async def open_again(self) -> AsyncIterator[OpenStore]:
        """What opens the log of this case once more, closed after the case."""
        opened: list[EventStore] = []

        async def open_again() -> EventStore:
            opened.append(await self.open_store())
            return opened[-1]

        yield open_again
        for store in opened:
            await store.close()

    @pytest_asyncio.fixture
    async def store(self, open_again: OpenStore) -> EventStore:
        """The log of this case."""
        return await open_again()


def record(stream: UUID, expected: int = 0, data: bytes = b"data", category: str = "task") -> Append:
    """Give a record to append."""
    return Append(stream, expected, category, data)


async def append(store: EventStore, *batches: Append) -> list[int]:
    """Append all, see that none is refused, and give the positions."""
    answers = await store.append(batches)
    assert len(answers) == len(batches)
    return [position_of(answer) for answer in answers]


async def append_one(store: EventStore, stream: UUID, expected: int = 0, data: bytes = b"data") -> int:
    """Append one record, see that it is not refused, and give its position."""
    [position] = await append(store, record(stream, expected, data))
    return position


def position_of(answer: Appended | VersionConflict) -> int:
    """Give the position of what was appended."""
    assert isinstance(answer, Appended), answer
    return answer.position


async def fill(store: EventStore, stream: UUID, count: int) -> list[int]:
    """Append `count` records to a new stream, whose data is their version."""
    return await append(store, *(record(stream, version, b"%d" % (version + 1)) for version in range(count)))


def new_streams(count: int) -> list[UUID]:
    """Give ids of streams that do not exist."""
    return [uuid4() for _ in range(count)]


async def everything(store: EventStore) -> Sequence[StoredRecord]:
    """Give all that is in the log."""
    return await store.read(0, EVERYTHING)


async def tail(store: EventStore, count: int, at_once: int = 7) -> list[StoredRecord]:
    """Follow the log from its start, as readers do, until `count` records were seen."""
    seen: list[StoredRecord] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(seen) < count:
            after = seen[-1].position if seen else 0
            await store.wait(after, 1.0)
            seen += await store.read(after, at_once)
    return seen


def demand_a_sound_log(records: Sequence[StoredRecord]) -> None:
    """See that positions rise, and that the versions of every stream count on from 1 without a gap or a fork."""
    positions = [stored.position for stored in records]
    assert positions == sorted(set(positions))
    versions: dict[UUID, int] = {}
    for stored in records:
        assert stored.version == versions.get(stored.stream, 0) + 1
        versions[stored.stream] = stored.version
