"""The bus on RabbitMQ against the suite of its port, and what only its server can be: of another make, full, short."""

from collections.abc import AsyncIterator, Mapping

import aio_pika
import pytest_asyncio

from stepbus.adapters.rabbitmq import connect
from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import QUEUE


class TestRabbitBus(BusSuite):
    redelivery_s = 1.0
    knows_duplicates = False
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, rabbitmq_url: str, settings: BusSettings) -> AsyncIterator[None]:
        self.url = rabbitmq_url
        yield
        await delete_queues(rabbitmq_url, settings)

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_bus(f"{self.url}?ack_wait={self.redelivery_s}", settings)

    async def send_plainly(self, _bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        async with await aio_pika.connect(self.url) as client:
            channel = await client.channel()
            await channel.default_exchange.publish(aio_pika.Message(body, headers=dict(headers)), address)


async def open_bus(url: str, settings: BusSettings) -> Bus:
    bus = connect(url).bus
    assert bus is not None
    return await bus(settings)


async def delete_queues(url: str, settings: BusSettings) -> None:
    """Delete what is made below a prefix for every test: each such queue is a process of the server's with a log."""
    results = [f"results.{number}" for number in range(settings.partitions)]
    async with await aio_pika.connect(url) as client:
        channel = await client.channel()
        for name in ("tasks", *results, f"jobs.{QUEUE}", "events", "quarantine"):
            await channel.queue_delete(f"{settings.prefix}.{name}")
