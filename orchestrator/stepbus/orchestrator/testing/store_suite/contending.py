"""Appending by many at once: calls that meet are committed together, and each is answered for itself."""

import asyncio
from uuid import uuid4

from stepbus.orchestrator.ports import Append, Appended, EventStore, VersionConflict
from stepbus.orchestrator.testing.store_suite.bench import (
    Bench,
    OpenStore,
    append_one,
    demand_a_sound_log,
    everything,
    new_streams,
    record,
)
from stepbus.orchestrator.testing.waiting import wait_until


class Contending(Bench):
    """Cases of `append` by many callers."""

    async def test_a_thousand_callers_at_once_are_all_stored(self, store: EventStore) -> None:
        streams = new_streams(1_000)

        positions = await asyncio.gather(*(append_one(store, stream, data=stream.bytes) for stream in streams))

        records = await everything(store)
        assert {(stored.position, stored.stream, stored.data) for stored in records} == {
            (position, stream, stream.bytes) for position, stream in zip(positions, streams, strict=True)
        }
        demand_a_sound_log(records)

    async def test_of_rivals_for_one_version_exactly_one_wins(self, store: EventStore) -> None:
        stream = uuid4()
        rivals = [record(stream, 0, b"rival %d" % number) for number in range(50)]

        answers = [answer for [answer] in await asyncio.gather(*(store.append([rival]) for rival in rivals))]

        [winner] = [rival for rival, answer in zip(rivals, answers, strict=True) if isinstance(answer, Appended)]
        assert answers.count(VersionConflict(stream, 0, 1)) == 49
        assert [stored.data for stored in await store.read_stream(stream)] == [winner.data]

    async def test_a_refused_call_harms_no_call_beside_it(self, store: EventStore) -> None:
        moved = uuid4()
        await append_one(store, moved)
        calls = [[record(moved, 0, b"late"), record(stream)] for stream in new_streams(20)]

        answers = await asyncio.gather(*(store.append(call) for call in calls))

        assert all(isinstance(refused, VersionConflict) for refused, _ in answers)
        assert all(isinstance(appended, Appended) for _, appended in answers)

    async def test_the_same_append_by_two_at_once_is_stored_once(self, store: EventStore) -> None:
        batches = [record(stream) for stream in new_streams(5)]

        first, second = await asyncio.gather(store.append(batches), store.append(batches))

        assert first == second
        assert len(await everything(store)) == 5

    async def test_calls_of_one_task_are_committed_in_the_order_they_were_made(self, store: EventStore) -> None:
        stream = uuid4()

        calls = [asyncio.ensure_future(store.append([record(stream, version)])) for version in range(200)]

        assert all(isinstance(answer, Appended) for [answer] in await asyncio.gather(*calls))

    async def test_a_cancelled_caller_harms_no_call_beside_it(self, store: EventStore) -> None:
        streams = new_streams(60)
        calls = [asyncio.ensure_future(store.append([record(stream)])) for stream in streams]
        await asyncio.sleep(0)  # let every call begin

        for call in calls[::3]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)

        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [
            number % 3 == 0 for number in range(60)
        ]
        assert all(answer[0] for answer in answers if not isinstance(answer, BaseException))

    async def test_what_a_cancelled_caller_asked_for_can_be_asked_for_again(self, store: EventStore) -> None:
        batch = record(uuid4())
        call = asyncio.ensure_future(store.append([batch]))
        await asyncio.sleep(0)
        call.cancel()

        assert isinstance((await store.append([batch]))[0], Appended)
        assert len(await everything(store)) == 1

    async def test_writers_that_reload_and_decide_again_lose_nothing(self, open_again: OpenStore) -> None:
        stream = uuid4()
        stores = [await open_again() for _ in range(3)]

        async def add(store: EventStore, data: bytes) -> None:
            async def is_added() -> bool:
                found = len(await store.read_stream(stream))
                [answer] = await store.append([Append(stream, found, "task", data)])
                return isinstance(answer, Appended)

            await wait_until(is_added)

        await asyncio.gather(*(add(store, b"%d %d" % (who, n)) for who, store in enumerate(stores) for n in range(15)))

        records = await stores[0].read_stream(stream)
        assert len({stored.data for stored in records}) == len(records) == 45
        demand_a_sound_log(records)
