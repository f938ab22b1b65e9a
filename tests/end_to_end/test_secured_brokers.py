"""The bus on brokers that demand TLS and a password, by its URL: who gets in, who does not, and what is told."""

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from stepbus.adapters.kafka import connect as connect_kafka
from stepbus.adapters.nats import connect as connect_nats
from stepbus.adapters.rabbitmq import connect as connect_rabbitmq
from stepbus.adapters.redis import connect as connect_redis
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, Outgoing, Sent
from stepbus.orchestrator.testing.bus_suite.bench import JOBS, QUEUE, bodies, message, publish, receive
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.secured_servers import (
    PASSWORD,
    Certificates,
    Secured,
    SecuredKafka,
    SecuredNats,
    SecuredRabbitMQ,
    SecuredRedis,
    certified,
)
from tools.servers import Server, local_server

CONNECTS = {"kafka": connect_kafka, "nats": connect_nats, "rabbitmq": connect_rabbitmq, "redis": connect_redis}
WRONG_PASSWORD = "n0t:the/right@1"  # noqa: S105
SOON_S = 20.0
"""A refusal comes at once; this is only less than the time that the URL allows for connecting."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A server that runs, and the URLs that lead to it."""

    name: str
    kind: Secured
    server: Server
    options: dict[str, str]

    @property
    def port(self) -> int:
        return urlsplit(self.server.url).port or 0

    def url(self, **changed: Any) -> str:
        """Give the URL with TLS and the credentials, but for what is changed."""
        options: dict[str, Any] = {**self.options, **changed}
        return self.kind.url_with(self.port, **options)

    async def open(self, url: str, prefix: str) -> Bus:
        opening = CONNECTS[self.name](url).bus
        assert opening is not None
        return await opening(BusSettings(prefix))

    @asynccontextmanager
    async def opened(self, prefix: str) -> AsyncIterator[Bus]:
        bus = await self.open(self.url(), prefix)
        try:
            yield bus
        finally:
            await bus.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certified(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured_nats(certificates: Certificates) -> Iterator[tuple[Secured, Server]]:
    with local_server(kind := SecuredNats(certificates)) as server:
        yield kind, server


@pytest.fixture(scope="module")
def secured_rabbitmq(certificates: Certificates) -> Iterator[tuple[Secured, Server]]:
    with local_server(kind := SecuredRabbitMQ(certificates)) as server:
        yield kind, server


@pytest.fixture(scope="module")
def secured_redis(certificates: Certificates) -> Iterator[tuple[Secured, Server]]:
    with local_server(kind := SecuredRedis(certificates)) as server:
        yield kind, server


@pytest.fixture(scope="module")
def secured_kafka(certificates: Certificates) -> Iterator[tuple[Secured, Server]]:
    with local_server(kind := SecuredKafka(certificates)) as server:
        yield kind, server


@pytest.fixture(params=["nats", "rabbitmq", "redis", "kafka PLAIN", "kafka SCRAM-SHA-256"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """A broker of each kind, with each way of telling it a password."""
    name, _, sasl = request.param.partition(" ")
    kind, server = request.getfixturevalue(f"secured_{name}")
    return Broker(name, kind, server, {"sasl": sasl} if sasl else {})


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged in the test, by the clients of the brokers too."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "aiokafka")
    return caplog


async def refusal(broker: Broker, url: str, log: pytest.LogCaptureFixture) -> str:
    """Give what is said to one who does not get in, which is soon, and in which there is no password."""
    async with asyncio.timeout(SOON_S):
        with pytest.raises(BusUnavailable) as refused:
            await broker.open(f"{url}&connect_timeout=600", "tshop")
    demand_no_password("".join(traceback.format_exception(refused.value)), log.text)
    assert f"127.0.0.1:{broker.port}" in str(refused.value)
    return str(refused.value)


def demand_no_password(*said: str) -> None:
    for text in said:
        for password in (PASSWORD, WRONG_PASSWORD):
            for written in (password, quote(password, safe=""), repr(password.encode())[2:-1]):
                assert written not in text


async def test_a_bus_with_tls_and_a_password_carries_messages_and_never_tells_the_password(
    broker: Broker, unique_name: str, told: pytest.LogCaptureFixture
) -> None:
    async with broker.opened(unique_name) as bus:
        await bus.provision([QUEUE])
        await publish(bus, message(1), message(2, "events"))
        jobs = await bus.subscribe(JOBS)
        received = await receive(jobs)
        await jobs.ack(received)
        heard = await receive(await bus.listen("events", from_start=True))

        assert bodies(received) == [b"body 1"]
        assert bodies(heard) == [b"body 2"]
        assert PASSWORD not in repr(bus)
    demand_no_password(told.text)


async def test_what_was_acked_by_one_bus_with_a_password_is_not_given_to_the_next(
    broker: Broker, unique_name: str
) -> None:
    async with broker.opened(unique_name) as bus:
        await bus.provision([QUEUE])
        jobs = await bus.subscribe(JOBS)
        await publish(bus, message(1))
        await jobs.ack(await receive(jobs))

    async with broker.opened(unique_name) as bus:
        jobs = await bus.subscribe(JOBS)
        await publish(bus, message(2))
        assert bodies(await receive(jobs)) == [b"body 2"]


async def test_a_wrong_password_is_refused_at_once_with_the_reason(
    broker: Broker, told: pytest.LogCaptureFixture
) -> None:
    said = await refusal(broker, broker.url(password=WRONG_PASSWORD), told)

    reasons = {"nats": "Authorization Violation", "rabbitmq": "ACCESS_REFUSED", "redis": "WRONGPASS"}
    assert reasons.get(broker.name, "SaslAuthenticationFailed") in said


async def test_a_certificate_of_an_unknown_authority_is_refused_at_once(
    broker: Broker, told: pytest.LogCaptureFixture
) -> None:
    said = await refusal(broker, broker.url(tls_ca=broker.kind.files.stranger), told)

    assert "certificate verify failed" in said


async def test_the_authorities_of_the_system_are_trusted_unless_a_file_is_named(
    broker: Broker, told: pytest.LogCaptureFixture
) -> None:
    unnamed = re.sub("tls_ca=[^&]*", "", broker.url())

    assert "certificate verify failed" in await refusal(broker, unnamed, told)


async def test_certificates_that_can_not_be_read_are_refused_before_the_server_is_asked(
    broker: Broker, tmp_path: Path
) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.touch()

    for file in (missing, empty, tmp_path):
        with pytest.raises(
            Refused, match=re.escape(f"'tls_ca' to be a file of certificates, found '{file}'")
        ) as refused:
            await broker.open(f"{broker.url(tls_ca=file)}&connect_timeout=600", "tshop")
        assert refused.value.problems[0].code == "settings.option"


async def test_plain_text_to_a_server_with_tls_is_refused_at_once(
    broker: Broker, told: pytest.LogCaptureFixture
) -> None:
    said = await refusal(broker, broker.kind.url_without_tls(broker.port, **broker.options), told)

    # NATS begins plainly and then demands TLS, which is spoken with whom the system trusts
    assert ("certificate verify failed" if broker.name == "nats" else "it speaks TLS") in said


async def test_a_server_that_was_killed_is_reached_again_with_tls_and_the_password(
    broker: Broker, unique_name: str, told: pytest.LogCaptureFixture
) -> None:
    if broker.name == "rabbitmq":  # its version 3 may lose a queue that was made less than some seconds before SIGKILL
        async with broker.opened(unique_name) as bus:
            await bus.provision([QUEUE])
        await asyncio.to_thread(broker.server.stop)
        await asyncio.to_thread(broker.server.start)
    async with broker.opened(unique_name) as bus:
        await wait_until(partial(is_provisioned, bus), within_s=30.0)
        reading = {JOBS: await bus.subscribe(JOBS), "events": await bus.listen("events", from_start=False)}
        await asyncio.to_thread(broker.server.kill)
        try:
            await wait_until(lambda: is_lost(bus), within_s=SOON_S)
        finally:
            await asyncio.to_thread(broker.server.start)

        for channel, subscription in reading.items():
            await wait_until(partial(is_sent, bus, message(1, channel)), within_s=30.0)
            assert bodies(await receive(subscription)) == [b"body 1"]
    assert f"127.0.0.1:{broker.port} again" in told.text
    demand_no_password(told.text)


async def is_provisioned(bus: Bus) -> bool:
    try:
        await bus.provision([QUEUE])
    except (BusUnavailable, Refused):  # a server that has just begun may not have its streams yet
        return False
    return True


async def is_lost(bus: Bus) -> bool:
    return not await bus.connected()


async def is_sent(bus: Bus, outgoing: Outgoing) -> bool:
    return list(await bus.publish([outgoing])) == [Sent()]
