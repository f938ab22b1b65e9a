"""The broker of each kind killed, frozen, away for long and back without its data, under a bus that is in use.

STEPBUS_TEST_LONG=1 makes the long outage one of three minutes.
"""

import asyncio
import os

import pytest
import pytest_asyncio

from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import BrokerSuite
from stepbus.orchestrator.testing.bus_suite.bench import QUEUE
from stepbus.orchestrator.testing.bus_suite.by_url import open_by_url, with_option
from tools.servers import Server

NOTED_S = 1.5
"""How long a RabbitMQ server takes to note on disk that there is a queue: killed before that, it forgets it."""


class Outages(BrokerSuite):
    """What is the same for all kinds."""

    redelivery_s = 2.0
    outage_s = 180.0 if os.environ.get("STEPBUS_TEST_LONG") else 10.0

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_by_url(with_option(self.url, "ack_wait", self.redelivery_s), settings)


class TestNatsOutages(Outages):
    @pytest.fixture(autouse=True)
    def _server(self, own_nats: Server) -> None:
        self.server, self.url = own_nats, own_nats.url


class TestRedisOutages(Outages):
    @pytest.fixture(autouse=True)
    def _server(self, own_redis: Server) -> None:
        self.server, self.url = own_redis, own_redis.url


class TestKafkaOutages(Outages):
    knows_duplicates = False

    @pytest.fixture(autouse=True)
    def _server(self, own_kafka: Server) -> None:
        self.server, self.url = own_kafka, own_kafka.url


class TestRabbitmqOutages(Outages):
    knows_duplicates = False

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, own_rabbitmq: Server, settings: BusSettings) -> None:
        self.server, self.url = own_rabbitmq, own_rabbitmq.url
        bus = await self.open_bus(settings)
        await bus.provision([QUEUE])
        await asyncio.sleep(NOTED_S)
        await bus.close()
