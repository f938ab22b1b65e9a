"""The log in memory against the suite of its port: the reference."""

from uuid import uuid4

import pytest

from stepbus.adapters.memory import connect
from stepbus.adapters.memory.store import MemoryLog
from stepbus.adapters.recorders.store import open_store
from stepbus.orchestrator.ports import EventStore, StoreUnavailable
from stepbus.orchestrator.testing.store_suite import StoreSuite
from stepbus.orchestrator.testing.store_suite.bench import append_one


class TestMemoryStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def fresh_log(self) -> None:
        self.log = MemoryLog()

    async def open_store(self) -> EventStore:
        return await open_store(lambda: self.log)

    async def open_other_log(self) -> EventStore:
        return await open_store(MemoryLog)


async def test_each_opening_of_the_url_gives_an_empty_log() -> None:
    open_url = connect("memory:").store
    assert open_url is not None
    one, two = await open_url(), await open_url()

    assert (await one.identity()).epoch != (await two.identity()).epoch

    await one.close()
    await two.close()


async def test_the_clock_can_be_given() -> None:
    store = await open_store(lambda: MemoryLog(clock_ms=lambda: 1_234))

    assert await store.now_ms() == 1_234

    await store.close()


async def test_waiting_for_what_this_process_committed_asks_nothing_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    store = await open_store(lambda: log)
    position = await append_one(store, uuid4())
    monkeypatch.setattr(log, "max_notification_id", lambda: pytest.fail("the log was asked"))

    assert await store.wait(position - 1, timeout_s=30) == position

    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.wait(position - 1, timeout_s=30)
