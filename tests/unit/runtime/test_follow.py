"""Following the log: every record once and in order, from hand where it can be."""

from collections.abc import Sequence
from uuid import uuid4

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import Append, EventStore, StoredRecord
from stepbus.orchestrator.runtime import follow
from stepbus.orchestrator.runtime.follow import Committed, Follower
from tests.support.world import Broken, memory_store

RECORD = e.Record(first=1, meta=e.Metadata(at_ms=1), events=(e.MessageResubmitted(),))


async def commit(store: EventStore, count: int) -> list[Committed]:
    """Put so many records into the log and give them as the one who committed them has them."""
    found = []
    for _ in range(count):
        stream = uuid4()
        await store.append([Append(stream, 0, e.QUARANTINE, e.encode_record(RECORD))])
        found.append(Committed(await store.head(), stream, 1, e.QUARANTINE, RECORD))
    return found


async def positions(follower: Follower, count: int) -> list[int]:
    """Follow until so many records have come, and give their positions."""
    found: list[int] = []
    async for batch in follower.batches():
        found.extend(committed.position for committed in batch)
        if len(found) >= count:
            return found
    raise AssertionError("the log has no end")


class Reads(Broken):
    """A store that remembers that it was read."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self.reads: list[int] = []

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        """Read, and remember from where."""
        self.reads.append(after)
        return await self._store.read(after, limit, category)


async def test_what_is_in_hand_is_not_read_back() -> None:
    store = Reads(await memory_store())
    follower = Follower(store, 0)
    follower.offer(await commit(store, 5))
    assert await positions(follower, 5) == [1, 2, 3, 4, 5]
    assert store.reads == []


async def test_what_others_committed_is_read_back_in_between() -> None:
    store = Reads(await memory_store())
    follower = Follower(store, 0)
    mine, _others, again = await commit(store, 2), await commit(store, 2), await commit(store, 1)
    follower.offer(mine)
    follower.offer(again)
    assert await positions(follower, 5) == [1, 2, 3, 4, 5]
    assert store.reads == [2]


async def test_what_was_there_before_is_read_first() -> None:
    store = await memory_store()
    await commit(store, 3)
    follower = Follower(store, 1)
    follower.offer(await commit(store, 1))
    assert await positions(follower, 3) == [2, 3, 4]


async def test_what_finds_no_room_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_ROOM", 3)
    store = await memory_store()
    follower = Follower(store, 0)
    follower.offer(await commit(store, 3))
    follower.offer(await commit(store, 2))
    assert await positions(follower, 5) == [1, 2, 3, 4, 5]


async def test_a_commit_of_another_process_is_seen_without_being_told() -> None:
    store = await memory_store()
    follower = Follower(store, 0)
    batches = aiter(follower.batches())
    first = await commit(store, 1)
    follower.offer(first)
    assert [committed.position for committed in await anext(batches)] == [1]
    await commit(store, 1)
    assert [committed.position for committed in await anext(batches)] == [2]


async def test_a_reader_that_failed_in_a_batch_is_given_it_again() -> None:
    store = await memory_store()
    follower = Follower(store, 0)
    follower.offer(await commit(store, 2))
    batches = follower.batches()
    assert [committed.position for committed in await anext(batches)] == [1, 2]
    await batches.aclose()  # type: ignore[attr-defined]
    assert await positions(follower, 2) == [1, 2]


async def test_what_is_not_wanted_is_passed_over_and_not_given() -> None:
    store = await memory_store()
    await commit(store, 6)
    follower = Follower(store, 0)
    follower.wants = lambda stored: stored.position % 2 == 0
    assert [committed.position for committed in await follower.next()] == [2, 4, 6]
    follower.advance()
    assert follower.position == 6
    await commit(store, 1)
    follower.has_company = True
    while follower.position < 7:
        assert list(await follower.next()) == []
        follower.advance()


async def test_what_others_committed_in_between_is_read_and_no_more_than_that() -> None:
    store = Reads(await memory_store())
    follower = Follower(store, 0)
    _others = await commit(store, 2)
    mine = await commit(store, 2)
    follower.offer(mine)
    assert [committed.position for committed in await follower.next()] == [1, 2]
    follower.advance()
    assert list(await follower.next()) == mine


async def test_a_reader_that_goes_back_is_given_again_what_came_since() -> None:
    store = await memory_store()
    follower = Follower(store, 0)
    follower.offer(await commit(store, 3))
    assert len(await follower.next()) == 3
    follower.advance()
    follower.rewind(1)
    follower.offer(await commit(store, 1))
    assert await positions(follower, 3) == [2, 3, 4]


async def test_a_reader_that_goes_forward_is_given_nothing_of_what_it_skips() -> None:
    store = await memory_store()
    follower = Follower(store, 0)
    follower.offer(await commit(store, 3))
    follower.skip(2)
    follower.skip(1)
    assert await positions(follower, 1) == [3]
