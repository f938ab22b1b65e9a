"""The bus on Kafka against the suite of its port, and what only Kafka can be: of another make, shared by partitions."""

from collections.abc import AsyncIterator, Mapping

import pytest_asyncio
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from stepbus.adapters.kafka import connect
from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BusSuite


class TestKafkaBus(BusSuite):
    redelivery_s = 2.0
    knows_duplicates = False
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, kafka_url: str, settings: BusSettings) -> AsyncIterator[None]:
        self.url = kafka_url
        yield
        await delete_topics(kafka_url, settings.prefix)

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_bus(f"{self.url}?ack_wait={self.redelivery_s}&session_timeout=6", settings)

    async def send_plainly(self, _bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        topic, _, last = address.rpartition(".")
        topic, partition = (topic, int(last)) if last.isdecimal() else (address, None)
        async with AIOKafkaProducer(bootstrap_servers=self.url.removeprefix("kafka://")) as client:
            told = [(name, value.encode()) for name, value in headers.items()]
            await client.send_and_wait(topic, body, b"", partition=partition, headers=told)


async def open_bus(url: str, settings: BusSettings) -> Bus:
    bus = connect(url).bus
    assert bus is not None
    return await bus(settings)


async def delete_topics(url: str, prefix: str) -> None:
    """Delete what was made below a prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://"))
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
    if topics:
        await admin.delete_topics(topics)
    await admin.close()
