"""The bus on Redis against the suite of its port, and what only a Redis server can be: of another make, full, weak."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis

from stepbus.adapters.redis import connect
from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BusSuite


class TestRedisBus(BusSuite):
    redelivery_s = 1.0
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, redis_url: str, settings: BusSettings) -> AsyncIterator[None]:
        self.url = redis_url
        yield
        await delete_keys(redis_url, settings.prefix)

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_bus(f"{self.url}?ack_wait={self.redelivery_s}", settings)

    async def send_plainly(self, _bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        async with Redis.from_url(self.url) as client:
            fields: dict[Any, Any] = {"body": body, **headers}
            await client.xadd(address, fields)


async def open_bus(url: str, settings: BusSettings) -> Bus:
    bus = connect(url).bus
    assert bus is not None
    return await bus(settings)


async def delete_keys(url: str, prefix: str) -> None:
    """Delete what was made below a prefix."""
    async with Redis.from_url(url) as client:
        keys = [key async for key in client.scan_iter(match=f"{prefix}*", count=1000)]
        if keys:
            await client.delete(*keys)
