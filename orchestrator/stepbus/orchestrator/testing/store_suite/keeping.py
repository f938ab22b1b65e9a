"""What the log keeps beside its records: checkpoints, snapshots, its identity, its clock."""

import asyncio
from uuid import uuid4

from stepbus.orchestrator.ports import EventStore, Snapshot
from stepbus.orchestrator.testing.store_suite.bench import Bench, OpenStore, append_one, fill, new_streams
from stepbus.orchestrator.testing.waiting import wait_until

SECRET_BYTES = 32
CLOCKS_AGREE_MS = 2_000


class Keeping(Bench):
    """Cases of `checkpoint`, `snapshot`, `identity` and `now_ms`."""

    async def test_a_reader_that_never_said_stands_at_0(self, store: EventStore) -> None:
        assert await store.checkpoint("relay") == 0

    async def test_a_checkpoint_is_kept_for_each_reader(self, store: EventStore) -> None:
        await store.save_checkpoint("relay", 7)
        await store.save_checkpoint("views", 3)

        assert [await store.checkpoint(reader) for reader in ("relay", "views", "timers")] == [7, 3, 0]

    async def test_a_checkpoint_moves_on(self, store: EventStore) -> None:
        for position in (1, 2, 1_000_000_000_000):
            await store.save_checkpoint("relay", position)
            assert await store.checkpoint("relay") == position

    async def test_a_checkpoint_never_goes_back(self, store: EventStore) -> None:
        await store.save_checkpoint("relay", 7)

        await store.save_checkpoint("relay", 5)
        await store.save_checkpoint("relay", 7)

        assert await store.checkpoint("relay") == 7

    async def test_of_checkpoints_saved_at_once_the_furthest_is_kept(self, store: EventStore) -> None:
        await asyncio.gather(*(store.save_checkpoint("relay", position) for position in (3, 9, 1, 8)))

        assert await store.checkpoint("relay") == 9

    async def test_checkpoints_and_appends_at_once_harm_each_other_not(self, store: EventStore) -> None:
        streams = new_streams(30)

        positions = await asyncio.gather(
            *(append_one(store, stream) for stream in streams),
            *(store.save_checkpoint(f"reader {number % 3}", number) for number in range(30)),
        )

        assert await store.head() == max(position for position in positions[:30] if position)
        assert [await store.checkpoint(f"reader {number}") for number in range(3)] == [27, 28, 29]

    async def test_a_checkpoint_survives_reopening(self, store: EventStore, open_again: OpenStore) -> None:
        await store.save_checkpoint("relay", 7)
        await store.close()

        assert await (await open_again()).checkpoint("relay") == 7

    async def test_a_stream_without_a_snapshot_has_none(self, store: EventStore) -> None:
        assert await store.snapshot(uuid4()) is None

    async def test_a_snapshot_and_the_records_after_it_are_the_whole_stream(self, store: EventStore) -> None:
        stream = uuid4()
        await fill(store, stream, 5)
        await store.save_snapshot(stream, Snapshot(3, b"\x00folded"))

        found = await store.snapshot(stream)

        assert found == Snapshot(3, b"\x00folded")
        assert [stored.version for stored in await store.read_stream(stream, found.version)] == [4, 5]

    async def test_a_newer_snapshot_takes_the_place_of_an_older_one_but_not_the_other_way(
        self, store: EventStore
    ) -> None:
        one, two = new_streams(2)
        await store.save_snapshot(one, Snapshot(3, b"three"))
        await store.save_snapshot(one, Snapshot(9, b"nine"))
        await store.save_snapshot(one, Snapshot(5, b"five"))
        await store.save_snapshot(two, Snapshot(1, b"another's"))

        assert await store.snapshot(one) == Snapshot(9, b"nine")
        assert await store.snapshot(two) == Snapshot(1, b"another's")

    async def test_of_snapshots_saved_at_once_the_newest_is_kept(self, store: EventStore) -> None:
        stream = uuid4()

        await asyncio.gather(*(store.save_snapshot(stream, Snapshot(n, b"%d" % n)) for n in (2, 6, 4)))

        assert await store.snapshot(stream) == Snapshot(6, b"6")

    async def test_a_snapshot_survives_reopening(self, store: EventStore, open_again: OpenStore) -> None:
        stream = uuid4()
        await store.save_snapshot(stream, Snapshot(3, b"three"))
        await store.close()

        assert await (await open_again()).snapshot(stream) == Snapshot(3, b"three")

    async def test_the_identity_is_made_once(self, store: EventStore, open_again: OpenStore) -> None:
        first = await store.identity()
        beside = await (await open_again()).identity()
        await store.close()

        assert first == beside == await (await open_again()).identity()
        assert first.secret == beside.secret

    async def test_each_log_has_an_identity_of_its_own(self, store: EventStore) -> None:
        other = await self.open_other_log()
        one, two = await store.identity(), await other.identity()
        await other.close()

        assert one.epoch != two.epoch
        assert one.secret != two.secret
        assert len(one.secret) == len(two.secret) == SECRET_BYTES

    async def test_the_secret_is_not_shown(self, store: EventStore) -> None:
        identity = await store.identity()

        assert repr(identity.secret) not in repr(identity)

    async def test_stores_of_one_log_share_a_clock_that_goes_on(self, open_again: OpenStore) -> None:
        one, two = await open_again(), await open_again()
        begun = await one.now_ms()

        assert abs(await two.now_ms() - begun) < CLOCKS_AGREE_MS

        async def has_moved_on() -> bool:
            return await one.now_ms() > begun

        await wait_until(has_moved_on)
