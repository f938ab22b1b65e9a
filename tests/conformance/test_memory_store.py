"""The log in memory against the suite of its port: the reference."""

import pytest

from stepbus.adapters.memory import connect
from stepbus.adapters.memory.store import MemoryLog
from stepbus.adapters.recorders.store import open_store
from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.testing.store_suite import StoreSuite


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
