"""Reading: streams by version, the log by position."""

from uuid import uuid4

from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.testing.store_suite.bench import Bench, append, fill, new_streams, record


class Reading(Bench):
    """Cases of `read_stream`, `read` and `head`."""

    async def test_an_unknown_stream_has_no_records(self, store: EventStore) -> None:
        await fill(store, uuid4(), 2)

        assert list(await store.read_stream(uuid4())) == []

    async def test_a_stream_is_read_from_after_a_version(self, store: EventStore) -> None:
        stream = uuid4()
        await fill(store, stream, 5)

        assert [stored.version for stored in await store.read_stream(stream)] == [1, 2, 3, 4, 5]
        assert [stored.version for stored in await store.read_stream(stream, after=3)] == [4, 5]
        assert list(await store.read_stream(stream, after=5)) == []
        assert list(await store.read_stream(stream, after=50)) == []

    async def test_a_stream_holds_nothing_of_another(self, store: EventStore) -> None:
        one, two = new_streams(2)
        await append(store, record(one, 0), record(two, 0), record(one, 1), record(two, 1), record(two, 2))

        assert {stored.stream for stored in await store.read_stream(two)} == {two}
        assert len(await store.read_stream(two)) == 3

    async def test_the_log_is_read_from_after_a_position_up_to_a_limit(self, store: EventStore) -> None:
        positions = await fill(store, uuid4(), 10)

        assert [stored.position for stored in await store.read(0, 3)] == positions[:3]
        assert [stored.position for stored in await store.read(positions[2], 4)] == positions[3:7]
        assert [stored.position for stored in await store.read(positions[7], 100)] == positions[8:]
        assert list(await store.read(positions[-1], 100)) == []

    async def test_a_limit_of_none_gives_none(self, store: EventStore) -> None:
        await fill(store, uuid4(), 2)

        assert list(await store.read(0, 0)) == []

    async def test_the_log_is_read_by_category(self, store: EventStore) -> None:
        categories = ["task", "catalogue", "task", "quarantine", "task"]
        positions = await append(store, *(record(uuid4(), category=category) for category in categories))

        assert [stored.position for stored in await store.read(0, 9, "task")] == [positions[n] for n in (0, 2, 4)]
        assert [stored.category for stored in await store.read(positions[1], 9, "quarantine")] == ["quarantine"]
        assert list(await store.read(0, 9, "ignored")) == []

    async def test_a_limit_counts_the_records_of_the_category_alone(self, store: EventStore) -> None:
        for _ in range(5):
            await append(store, record(uuid4(), category="task"), record(uuid4(), category="catalogue"))

        assert len(await store.read(0, 3, "catalogue")) == 3

    async def test_an_empty_log_has_its_head_at_0(self, store: EventStore) -> None:
        assert await store.head() == 0
        assert list(await store.read(0, 10)) == []

    async def test_the_head_is_the_position_of_the_last_record(self, store: EventStore) -> None:
        positions = await fill(store, uuid4(), 3)

        assert await store.head() == positions[-1]
