"""The bus on RabbitMQ against the suite of its port, and what only its server can be: of another make, full, short."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldValue

from stepbus.adapters.rabbitmq import connect
from stepbus.adapters.rabbitmq.provisioning import BusMismatch
from stepbus.adapters.rabbitmq.topology import WORK
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, Sent
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    QUEUE,
    bodies,
    demand_silence,
    message,
    publish,
    receive,
    receive_one,
    refusal,
)
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.plain_servers import certify
from tools.servers.kinds import free_port


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


@pytest_asyncio.fixture
async def client(rabbitmq_url: str, unique_name: str) -> AsyncIterator[AbstractChannel]:
    """An operator's channel; what was made below `unique_name` is deleted after the test."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        yield await connection.channel()
    await delete_queues(rabbitmq_url, BusSettings(unique_name))


@pytest_asyncio.fixture
async def bus(rabbitmq_url: str, unique_name: str, client: AbstractChannel) -> AsyncIterator[Bus]:
    """A bus below `unique_name`, not provisioned yet."""
    del client  # it deletes the queues afterwards
    bus = await open_bus(rabbitmq_url, BusSettings(unique_name))
    yield bus
    await bus.close()


async def test_a_queue_of_another_make_is_refused_and_both_are_shown(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await client.declare_queue(f"{unique_name}.tasks", durable=True)

    with pytest.raises(
        BusMismatch, match=rf"queue {unique_name}\.tasks to have x-overflow 'reject-publish', but it has none"
    ):
        await bus.provision()


async def test_a_job_queue_that_drops_what_comes_often_is_refused_and_both_are_shown(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await bus.provision()
    arguments = {**WORK, "x-delivery-limit": 5}
    await client.declare_queue(f"{unique_name}.jobs.{QUEUE}", durable=True, arguments=arguments)

    with pytest.raises(BusMismatch, match="to have x-delivery-limit '2147483647', but it has '5'"):
        await bus.provision([QUEUE])
    with pytest.raises(BusMismatch):
        await bus.subscribe(JOBS)


async def test_a_stream_that_keeps_less_is_refused_and_both_are_shown(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    arguments: dict[str, FieldValue] = {"x-queue-type": "stream", "x-max-age": "1D"}
    await client.declare_queue(f"{unique_name}.events", durable=True, arguments=arguments)

    with pytest.raises(BusMismatch, match=rf"queue {unique_name}\.events to have x-m"):
        await bus.provision()


async def test_a_queue_that_a_plain_worker_declared_is_the_same_queue(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await bus.provision()
    queue = await client.declare_queue(f"{unique_name}.jobs.{QUEUE}", durable=True, arguments=dict(WORK))

    await bus.provision([QUEUE])
    await publish(bus, message(1))

    async def has_come() -> bool:
        return await queue.get(fail=False) is not None

    await wait_until(has_come)


async def test_a_job_of_a_handler_that_nobody_serves_yet_waits_in_a_queue_of_its_own(bus: Bus) -> None:
    await bus.provision()
    await publish(bus, message(1))

    assert bodies(await receive(await bus.subscribe(JOBS))) == [b"body 1"]


async def test_a_queue_that_two_make_at_one_moment_can_be_read_by_both(
    bus: Bus, rabbitmq_url: str, unique_name: str
) -> None:
    await bus.provision()
    other = await open_bus(rabbitmq_url, BusSettings(unique_name))
    try:
        for number in range(12):
            queue = f"jobs.race{number}"
            readers = await asyncio.gather(*(one.subscribe(queue, in_hand=1) for one in (bus, other)))
            await publish(bus, message(1, queue), message(2, queue))
            assert sorted(bodies([await receive_one(reader) for reader in readers])) == [b"body 1", b"body 2"]
    finally:
        await other.close()


async def test_a_group_that_is_left_as_soon_as_it_has_heard_all_hears_nothing_again(bus: Bus) -> None:
    await bus.provision()
    await publish(bus, message(1, "events"))
    for number in range(12):
        group = f"group{number}"
        reader = await bus.subscribe("events", group)
        await reader.ack([await receive_one(reader)])
        await reader.close()
        await demand_silence(await bus.subscribe("events", group), 0.1)


async def test_a_job_queue_that_was_deleted_is_made_again_for_a_later_message(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await bus.provision([QUEUE])
    await client.queue_delete(f"{unique_name}.jobs.{QUEUE}")

    assert "there is none" in (await refusal(bus, message(1))).reason

    async def is_sent() -> bool:
        return await bus.publish([message(1)]) == [Sent()]

    await wait_until(is_sent)


async def test_a_message_keeps_what_its_sender_said_when_it_waits_for_its_delay(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await bus.provision([QUEUE])
    sent = aio_pika.Message(
        b"1", headers={"cloudEvents:id": "7", "n": 5}, content_type="application/json", message_id="m"
    )
    await client.default_exchange.publish(sent, f"{unique_name}.jobs.{QUEUE}")
    subscription = await bus.subscribe(JOBS)
    expected = {"ce-id": "7", "n": "5", "content-type": "application/json"}

    for count in (1, 2, 3):
        [delivery] = await receive(subscription)
        assert (delivery.count, delivery.headers) == (count, expected)
        await subscription.nack(delivery, delay_s=0.05)


async def test_a_header_that_no_client_should_send_harms_nobody(
    bus: Bus, client: AbstractChannel, unique_name: str
) -> None:
    await bus.provision()
    odd: dict[str, FieldValue] = {
        "stepbus-deliveries": "many",
        "x-delivery-count": -3,
        "list": [1, {"a": None}],
        "é": "ü",
        "at": 0.5,
    }
    await client.default_exchange.publish(aio_pika.Message(b"1", headers=odd), f"{unique_name}.tasks")

    [delivery] = await receive(await bus.subscribe("tasks"))

    assert (delivery.count, delivery.headers) == (1, {"é": "ü", "at": "0.5"})


async def test_a_queue_named_by_the_server_gets_the_reply_of_a_plain_client(bus: Bus, client: AbstractChannel) -> None:
    queue = await client.declare_queue(exclusive=True)

    channel = bus.reply_channel(queue.name)
    assert channel is not None
    await publish(bus, message(1, channel))

    async def has_come() -> bool:
        return await queue.get(fail=False) is not None

    await wait_until(has_come)


async def test_no_reply_goes_to_a_queue_that_is_not_for_replies(bus: Bus, unique_name: str) -> None:
    for address in ("amq.gen-", "amq.gen-a b", "amq.rabbitmq.reply-to", f"{unique_name}.replies.amq.gen-x", "other"):
        assert bus.reply_channel(address) is None


async def test_a_name_for_replies_is_one_clients(bus: Bus, rabbitmq_url: str, unique_name: str) -> None:
    await bus.listen("replies.me", from_start=False)
    other = await open_bus(rabbitmq_url, BusSettings(unique_name))

    with pytest.raises(BusUnavailable, match="another connection has it"):
        await other.listen("replies.me", from_start=False)

    await other.close()


async def test_the_size_of_a_message_is_bounded_as_the_url_says(rabbitmq_url: str, unique_name: str) -> None:
    bus = await open_bus(f"{rabbitmq_url}?max_message=10", BusSettings(unique_name))

    refused = await refusal(bus, message(1, "replies.a", bytes(11)))

    assert refused.permanent
    assert "expected at most 10 bytes, found 11" in refused.reason
    await publish(bus, message(1, "replies.a", bytes(10)))
    await bus.close()


async def test_wrong_credentials_are_refused_at_once_and_never_shown(
    rabbitmq_url: str, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    wrong = rabbitmq_url.replace("guest:guest", "ann:s3cret")

    with pytest.raises(BusUnavailable, match="ACCESS_REFUSED") as refused:
        await open_bus(f"{wrong}?connect_timeout=60", BusSettings(unique_name))

    assert urlsplit(rabbitmq_url).netloc.partition("@")[2] in str(refused.value)
    assert "s3cret" not in str(refused.value) + caplog.text


async def test_a_virtual_host_that_is_not_there_is_named(rabbitmq_url: str, unique_name: str) -> None:
    with pytest.raises(BusUnavailable, match="a/b"):
        await open_bus(f"{rabbitmq_url.rstrip('/')}/a%2Fb?connect_timeout=0.1", BusSettings(unique_name))


async def test_of_several_servers_the_one_that_answers_is_taken(rabbitmq_url: str, unique_name: str) -> None:
    bus = await open_bus(rabbitmq_url.replace("@", f"@127.0.0.1:{free_port()},"), BusSettings(unique_name))

    assert await bus.connected()
    await bus.close()


async def test_a_server_that_is_not_there_is_named(unique_name: str) -> None:
    port = free_port()

    with pytest.raises(BusUnavailable, match=rf"a RabbitMQ server at 127\.0\.0\.1:{port}, localhost:{port}"):
        await open_bus(f"amqp://127.0.0.1:{port},localhost:{port}?connect_timeout=0.2", BusSettings(unique_name))


async def test_a_server_that_speaks_something_else_is_no_server(unique_name: str) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BusUnavailable, match="a RabbitMQ server at"):
            await open_bus(f"amqp://127.0.0.1:{port}?connect_timeout=0.1", BusSettings(unique_name))


async def test_a_server_with_tls_is_reached_and_checked(
    rabbitmq_url: str, unique_name: str, tmp_path: Path, client: AbstractChannel
) -> None:
    del client
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    await certify(certificate, key)
    async with tls_before(rabbitmq_url, certificate, key) as port:
        trusting = f"amqps://127.0.0.1:{port}?tls_ca={certificate}&connect_timeout=1"
        bus = await open_bus(trusting, BusSettings(unique_name))
        await bus.provision()
        await publish(bus, message(1, "tasks", bytes(300_000)))
        assert bodies(await receive(await bus.subscribe("tasks"))) == [bytes(300_000)]
        await bus.close()

        with pytest.raises(BusUnavailable, match="certificate verify failed"):
            await open_bus(f"amqps://127.0.0.1:{port}?connect_timeout=60", BusSettings(unique_name))


@asynccontextmanager
async def tls_before(url: str, certificate: Path, key: Path) -> AsyncIterator[int]:
    """Give the port of something that ends TLS before a server, as a load balancer does."""
    behind = urlsplit(url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(behind.hostname, behind.port)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    async with await asyncio.start_server(join, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
