"""The bus on NATS against the suite of its port."""

from collections.abc import AsyncIterator, Mapping

import nats
import pytest_asyncio

from stepbus.adapters.nats import connect
from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BusSuite


class TestNatsBus(BusSuite):
    redelivery_s = 1.0
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, nats_url: str, settings: BusSettings) -> AsyncIterator[None]:
        self.url = nats_url
        yield
        await delete_streams(nats_url, settings.prefix)

    async def open_bus(self, settings: BusSettings) -> Bus:
        bus = connect(f"{self.url}?ack_wait={self.redelivery_s}").bus
        assert bus is not None
        return await bus(settings)

    async def send_plainly(self, _bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        client = await nats.connect(self.url)
        await client.jetstream().publish(address, body, headers=dict(headers))
        await client.close()


async def delete_streams(url: str, prefix: str) -> None:
    """Delete what was made below a prefix: a server can hold only so many streams that reserve their space."""
    client = await nats.connect(url)
    manager = client.jsm()
    for stream in await manager.streams_info():
        if stream.config.name is not None and stream.config.name.startswith(prefix.upper()):
            await manager.delete_stream(stream.config.name)
    await client.close()
