"""Following the log: whoever reads up to a position has seen every record that will ever stand before it."""

import asyncio
import threading
from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID

import pytest

from stepbus.orchestrator.ports import EventStore, StoreUnavailable
from stepbus.orchestrator.testing.store_suite.bench import (
    PATIENCE_S,
    Bench,
    OpenStore,
    append,
    append_one,
    demand_a_sound_log,
    everything,
    fill,
    new_streams,
    record,
    tail,
)

T = TypeVar("T")


async def write(store: EventStore, streams: list[UUID]) -> None:
    """Append two records to each stream, in calls of one and of several."""
    for stream in streams:
        await append_one(store, stream)
    await append(store, *(record(stream, 1) for stream in streams))


class Tailing(Bench):
    """Cases of `read` while others append, and of `wait`."""

    async def test_a_reader_misses_nothing_that_many_tasks_write(self, store: EventStore) -> None:
        seen, *_ = await asyncio.gather(tail(store, 400), *(write(store, new_streams(10)) for _ in range(20)))

        assert seen == list(await everything(store))
        demand_a_sound_log(seen)

    async def test_a_reader_misses_nothing_that_many_stores_write(self, open_again: OpenStore) -> None:
        reader, *writers = [await open_again() for _ in range(5)]

        seen, *_ = await asyncio.gather(tail(reader, 320), *(write(writer, new_streams(40)) for writer in writers))

        assert seen == list(await everything(reader))
        demand_a_sound_log(seen)

    async def test_a_reader_misses_nothing_that_threads_write(self, store: EventStore) -> None:
        async def write_to_a_store_of_its_own() -> None:
            own = await self.open_store()
            await write(own, new_streams(25))
            await own.close()

        threads = [threading.Thread(target=asyncio.run, args=(write_to_a_store_of_its_own(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        seen = await tail(store, 200)
        for thread in threads:
            await asyncio.to_thread(thread.join)

        assert seen == list(await everything(store))
        demand_a_sound_log(seen)

    async def test_waiting_for_what_is_there_ends_at_once(self, store: EventStore) -> None:
        positions = await fill(store, new_streams(1)[0], 3)

        assert await in_time(store.wait(positions[0], 60 * PATIENCE_S)) == positions[-1]

    async def test_an_append_ends_the_wait(self, store: EventStore) -> None:
        waiting = [asyncio.ensure_future(store.wait(0, 60 * PATIENCE_S)) for _ in range(5)]
        _, still_waiting = await asyncio.wait(waiting, timeout=0.05)

        position = await append_one(store, new_streams(1)[0])

        assert len(still_waiting) == 5
        assert await in_time(asyncio.gather(*waiting)) == [position] * 5

    async def test_an_append_by_another_store_ends_the_wait(self, open_again: OpenStore) -> None:
        reader, writer = await open_again(), await open_again()
        waiting = asyncio.ensure_future(reader.wait(0, 60 * PATIENCE_S))
        await asyncio.wait({waiting}, timeout=0.05)

        position = await append_one(writer, new_streams(1)[0])

        assert await in_time(waiting) == position

    async def test_waiting_in_vain_gives_the_head(self, store: EventStore) -> None:
        assert await store.wait(0, 0.0) == 0
        position = await append_one(store, new_streams(1)[0])

        assert await in_time(store.wait(position, 0.02)) == position

    async def test_a_cancelled_wait_harms_no_other(self, store: EventStore) -> None:
        cancelled, waiting = (asyncio.ensure_future(store.wait(0, 60 * PATIENCE_S)) for _ in range(2))
        await asyncio.wait({cancelled, waiting}, timeout=0.02)
        cancelled.cancel()

        position = await append_one(store, new_streams(1)[0])

        assert await in_time(waiting) == position

    async def test_closing_ends_the_wait(self, store: EventStore) -> None:
        waiting = asyncio.ensure_future(store.wait(0, 60 * PATIENCE_S))
        await asyncio.wait({waiting}, timeout=0.02)

        await store.close()

        with pytest.raises(StoreUnavailable):
            await in_time(waiting)


async def in_time(awaited: Awaitable[T]) -> T:
    """Give the result within our patience, which is far less than the time that is waited."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaited
