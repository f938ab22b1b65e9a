"""Closing: what was begun is finished, what comes later is refused, and what is stored is there when opened again."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from stepbus.orchestrator.ports import Appended, EventStore, Snapshot, StoreUnavailable
from stepbus.orchestrator.testing.store_suite.bench import (
    Bench,
    OpenStore,
    append_one,
    everything,
    fill,
    new_streams,
    record,
)

SOMEWHERE = UUID(int=1)

USES: dict[str, Callable[[EventStore], Awaitable[object]]] = {
    "append": lambda store: store.append([record(SOMEWHERE)]),
    "checkpoint": lambda store: store.checkpoint("relay"),
    "hold": lambda store: store.hold("a", ["one"], 1000),
    "head": lambda store: store.head(),
    "identity": lambda store: store.identity(),
    "now_ms": lambda store: store.now_ms(),
    "read": lambda store: store.read(0, 1),
    "read_stream": lambda store: store.read_stream(SOMEWHERE),
    "release": lambda store: store.release("a", ["one"]),
    "save_checkpoint": lambda store: store.save_checkpoint("relay", 1),
    "save_snapshot": lambda store: store.save_snapshot(SOMEWHERE, Snapshot(1, b"")),
    "snapshot": lambda store: store.snapshot(SOMEWHERE),
    "wait": lambda store: store.wait(0, 1.0),
}


class Closing(Bench):
    """Cases of `close`, and of what follows it."""

    async def test_closing_finishes_the_appends_that_were_begun(self, store: EventStore, open_again: OpenStore) -> None:
        calls = [asyncio.ensure_future(store.append([record(stream)])) for stream in new_streams(300)]
        await asyncio.sleep(0)  # let every call begin

        await store.close()

        assert all(isinstance(answer, Appended) for [answer] in await asyncio.gather(*calls))
        assert len(await everything(await open_again())) == 300

    @pytest.mark.parametrize("use", list(USES))
    async def test_a_closed_store_is_unavailable(self, store: EventStore, use: str) -> None:
        await store.close()

        with pytest.raises(StoreUnavailable, match="closed"):
            await USES[use](store)

    async def test_closing_twice_is_as_good_as_once(self, store: EventStore) -> None:
        await store.close()
        await store.close()

    async def test_closing_one_store_leaves_another_open(self, store: EventStore, open_again: OpenStore) -> None:
        other = await open_again()
        await store.close()

        assert await append_one(other, SOMEWHERE)

    async def test_what_is_stored_is_there_when_opened_again(self, store: EventStore, open_again: OpenStore) -> None:
        await fill(store, SOMEWHERE, 5)
        before = list(await everything(store))
        await store.close()

        assert list(await everything(await open_again())) == before

    async def test_versions_and_positions_go_on_after_opening_again(
        self, store: EventStore, open_again: OpenStore
    ) -> None:
        positions = await fill(store, SOMEWHERE, 2)
        await store.close()

        again = await open_again()
        assert await append_one(again, SOMEWHERE, 2) > positions[-1]
        assert [stored.version for stored in await again.read_stream(SOMEWHERE)] == [1, 2, 3]
