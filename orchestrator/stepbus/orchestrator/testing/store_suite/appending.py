"""Appending: all of a call in one commit, answered in order; what cannot be is refused alone."""

from uuid import uuid4

import pytest

from stepbus.orchestrator.ports import Append, Appended, EventStore, StoredRecord, VersionConflict
from stepbus.orchestrator.testing.store_suite.bench import (
    Bench,
    append,
    append_one,
    demand_a_sound_log,
    everything,
    fill,
    new_streams,
    position_of,
    record,
)

ONE_MEBIBYTE = 1024 * 1024


class Appending(Bench):
    """Cases of `append`, by one caller."""

    async def test_a_new_stream_begins_with_version_1(self, store: EventStore) -> None:
        stream = uuid4()

        position = await append_one(store, stream, data=b"first")

        assert await store.read_stream(stream) == [StoredRecord(position, stream, 1, "task", b"first")]

    async def test_one_call_appends_to_several_streams(self, store: EventStore) -> None:
        one, two, three = new_streams(3)

        positions = await append(store, record(one), record(two), record(three))

        assert positions == sorted(set(positions))
        assert [stored.stream for stored in await everything(store)] == [one, two, three]

    async def test_positions_rise_from_commit_to_commit(self, store: EventStore) -> None:
        positions = [await append_one(store, stream) for stream in new_streams(20)]

        assert positions == sorted(set(positions))
        assert positions[0] > 0

    async def test_answers_stand_in_the_order_of_the_batches(self, store: EventStore) -> None:
        known = uuid4()
        await fill(store, known, 2)
        fresh = new_streams(2)

        answers = await store.append([record(fresh[0]), record(known, 1, b"other"), record(fresh[1])])

        assert answers[1] == VersionConflict(known, expected=1, found=2)
        assert [stored.stream for stored in await store.read(position_of(answers[0]) - 1, 2)] == fresh

    async def test_a_batch_whose_stream_moved_on_is_refused_alone(self, store: EventStore) -> None:
        moved, other = new_streams(2)
        await fill(store, moved, 3)

        refused, appended = await store.append([record(moved, 2, b"too late"), record(other)])

        assert refused == VersionConflict(moved, expected=2, found=3)
        assert isinstance(appended, Appended)
        assert len(await store.read_stream(moved)) == 3

    async def test_a_batch_that_expects_more_than_there_is_is_refused(self, store: EventStore) -> None:
        stream = uuid4()
        await fill(store, stream, 1)

        assert await store.append([record(stream, 2)]) == [VersionConflict(stream, expected=2, found=1)]
        assert await store.append([record(unknown := uuid4(), 5)]) == [VersionConflict(unknown, expected=5, found=0)]
        demand_a_sound_log(await everything(store))

    async def test_a_refused_append_leaves_no_trace(self, store: EventStore) -> None:
        stream = uuid4()
        [position] = await fill(store, stream, 1)

        await store.append([record(stream, 0, b"other"), record(stream, 7)])

        assert await store.head() == position
        assert len(await everything(store)) == 1

    async def test_an_append_whose_answer_was_lost_can_be_repeated(self, store: EventStore) -> None:
        batches = [record(stream, data=b"once") for stream in new_streams(3)]
        first = await store.append(batches)

        assert await store.append(batches) == first
        assert len(await everything(store)) == 3

    async def test_a_repeat_is_known_even_after_the_stream_moved_on(self, store: EventStore) -> None:
        stream = uuid4()
        positions = await fill(store, stream, 5)

        assert await append_one(store, stream, 1, b"2") == positions[1]
        assert len(await store.read_stream(stream)) == 5

    async def test_other_bytes_at_the_same_place_are_no_repeat(self, store: EventStore) -> None:
        stream = uuid4()
        await append_one(store, stream, data=b"one")

        assert await store.append([record(stream, 0, b"another")]) == [VersionConflict(stream, 0, 1)]
        assert await store.append([record(stream, 0, b"one", "ignored")]) == [VersionConflict(stream, 0, 1)]

    async def test_two_batches_of_a_call_may_follow_each_other(self, store: EventStore) -> None:
        stream = uuid4()

        positions = await append(store, record(stream, 0, b"one"), record(stream, 1, b"two"))

        records = await store.read_stream(stream)
        assert [(stored.position, stored.data) for stored in records] == [
            (positions[0], b"one"),
            (positions[1], b"two"),
        ]

    async def test_when_the_first_of_two_is_refused_the_second_is_too(self, store: EventStore) -> None:
        stream = uuid4()
        await append_one(store, stream, data=b"another was first")

        answers = await store.append([record(stream, 0, b"one"), record(stream, 1, b"two")])

        assert answers == [VersionConflict(stream, 0, 1), VersionConflict(stream, 1, 1)]
        assert len(await store.read_stream(stream)) == 1

    async def test_a_call_may_repeat_one_record_and_add_the_next(self, store: EventStore) -> None:
        stream = uuid4()
        first = await append_one(store, stream, 0, b"one")

        assert (await append(store, record(stream, 0, b"one"), record(stream, 1, b"two")))[0] == first
        assert [stored.data for stored in await store.read_stream(stream)] == [b"one", b"two"]

    async def test_one_record_twice_in_a_call_is_stored_once(self, store: EventStore) -> None:
        same = record(uuid4())

        first, second = await append(store, same, same)

        assert first == second
        assert len(await everything(store)) == 1

    async def test_appending_nothing_does_nothing(self, store: EventStore) -> None:
        assert list(await store.append([])) == []
        assert await store.head() == 0

    async def test_a_negative_version_is_the_callers_error(self, store: EventStore) -> None:
        with pytest.raises(ValueError, match="expected a version of 0 or more"):
            await store.append([record(uuid4(), -1)])

    async def test_bytes_of_every_value_come_back_as_they_were(self, store: EventStore) -> None:
        streams = new_streams(3)
        datas = [bytes(range(256)) * 3, b"", b"\x00'\"\\%s:name{}\n"]

        await append(store, *(record(stream, data=data) for stream, data in zip(streams, datas, strict=True)))

        assert [stored.data for stored in await everything(store)] == datas
        assert [(await store.read_stream(stream))[0].data for stream in streams] == datas

    async def test_a_record_of_a_mebibyte_comes_back_as_it_was(self, store: EventStore) -> None:
        large = bytes(range(256)) * (ONE_MEBIBYTE // 256)
        stream = uuid4()

        await append_one(store, stream, data=large)

        assert [stored.data for stored in await store.read_stream(stream)] == [large]

    async def test_a_call_of_thousands_is_one_commit_in_order(self, store: EventStore) -> None:
        streams = new_streams(10)
        batches = [Append(stream, version, "task", b"%d" % version) for version in range(250) for stream in streams]

        positions = await append(store, *batches)

        assert positions == list(range(positions[0], positions[0] + len(batches)))
        demand_a_sound_log(await everything(store))

    async def test_a_long_stream_goes_on_as_a_short_one_does(self, store: EventStore) -> None:
        stream = uuid4()
        await fill(store, stream, 3_000)

        await append_one(store, stream, 3_000, b"next")

        assert [stored.data for stored in await store.read_stream(stream, 2_999)] == [b"3000", b"next"]
