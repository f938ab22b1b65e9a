"""The cases of outages that hold for any broker, on RabbitMQ."""

import asyncio

import pytest_asyncio

from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BrokerSuite
from stepbus.orchestrator.testing.bus_suite.bench import QUEUE
from stepbus.orchestrator.testing.bus_suite.by_url import open_by_url, with_option
from tools.servers import Server

NOTED_S = 1.5
"""How long a server takes to note on disk that there is a queue: killed before that, it forgets it."""


class TestRabbitOutages(BrokerSuite):
    redelivery_s = 2.0
    outage_s = 10.0
    knows_duplicates = False

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, own_rabbitmq: Server, settings: BusSettings) -> None:
        self.server, self.url = own_rabbitmq, own_rabbitmq.url
        bus = await self.open_bus(settings)
        await bus.provision([QUEUE])
        await asyncio.sleep(NOTED_S)
        await bus.close()

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_by_url(with_option(self.url, "ack_wait", self.redelivery_s), settings)
