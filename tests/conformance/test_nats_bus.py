"""The bus on NATS against the suite of its port, and what only a NATS server can be: of another make, full, locked."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig

from stepbus.adapters.nats import connect
from stepbus.adapters.nats.embedded import BINARY
from stepbus.adapters.nats.provisioning import BusMismatch
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, Sent
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.plain_servers import certify, running_at
from tools.servers.kinds import free_port


class TestNatsBus(BusSuite):
    redelivery_s = 1.0
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def _server(self, nats_url: str, settings: BusSettings) -> AsyncIterator[None]:
        self.url = nats_url
        yield
        await delete_streams(nats_url, settings.prefix)

    async def open_bus(self, settings: BusSettings) -> Bus:
        return await open_bus(f"{self.url}?ack_wait={self.redelivery_s}", settings)

    async def send_plainly(self, _bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        client = await nats.connect(self.url)
        await client.jetstream().publish(address, body, headers=dict(headers))
        await client.close()


async def open_bus(url: str, settings: BusSettings) -> Bus:
    bus = connect(url).bus
    assert bus is not None
    return await bus(settings)


async def delete_streams(url: str, prefix: str) -> None:
    """Delete what was made below a prefix: a server can hold only so many streams that reserve their space.

    One stream stays: with the last one the server removes their folder, and one that is created meanwhile may lose its.
    """
    client = await nats.connect(url)
    manager = client.jsm()
    await manager.add_stream(StreamConfig(name="STAYS", subjects=["stays"]))
    for stream in await manager.streams_info():
        if stream.config.name is not None and stream.config.name.startswith(prefix.upper()):
            await manager.delete_stream(stream.config.name)
    await client.close()


@pytest_asyncio.fixture
async def client(nats_url: str, unique_name: str) -> AsyncIterator[Client]:
    """An operator's client; what was made below `unique_name` is deleted after the test."""
    client = await nats.connect(nats_url)
    yield client
    await client.close()
    await delete_streams(nats_url, unique_name)


@pytest_asyncio.fixture
async def bus(nats_url: str, unique_name: str, client: Client) -> AsyncIterator[Bus]:
    """A bus below `unique_name`, not provisioned yet."""
    del client  # it deletes the streams afterwards
    bus = await open_bus(nats_url, BusSettings(unique_name))
    yield bus
    await bus.close()


async def test_a_stream_of_another_make_is_refused_and_both_are_shown(
    bus: Bus, client: Client, unique_name: str
) -> None:
    name = f"{unique_name.upper()}_JOBS"
    await client.jsm().add_stream(StreamConfig(name=name, subjects=[f"{unique_name}.jobs.>"]))

    with pytest.raises(BusMismatch, match=rf"stream {name} to have retention 'workqueue', but it has 'limits'"):
        await bus.provision()


async def test_a_consumer_of_another_make_is_refused_and_both_are_shown(
    bus: Bus, client: Client, unique_name: str
) -> None:
    await bus.provision()
    config = ConsumerConfig(durable_name="a=b", filter_subject=f"{unique_name}.jobs.a.b", max_deliver=5)
    await client.jsm().add_consumer(f"{unique_name.upper()}_JOBS", config)

    with pytest.raises(BusMismatch, match="to have max_deliver -1, but it has 5"):
        await bus.provision(["a.b"])


async def test_a_stream_that_takes_our_subjects_under_another_name_is_refused(
    bus: Bus, client: Client, unique_name: str
) -> None:
    await client.jsm().add_stream(StreamConfig(name=f"{unique_name.upper()}-X", subjects=[f"{unique_name}.>"]))

    with pytest.raises(BusMismatch, match=rf"expected no other stream to take {unique_name}\.tasks"):
        await bus.provision()


async def test_limits_that_an_operator_chose_stay(bus: Bus, client: Client, nats_url: str, unique_name: str) -> None:
    await bus.provision(["a"])
    manager = client.jsm()
    jobs, events = f"{unique_name.upper()}_JOBS", f"{unique_name.upper()}_EVENTS"
    config = (await manager.stream_info(events)).config
    await manager.update_stream(config.evolve(max_bytes=1_000_000, max_age=600))
    consumer = (await manager.consumer_info(jobs, "a")).config
    await manager.add_consumer(jobs, consumer.evolve(max_ack_pending=5))

    again = await open_bus(nats_url, BusSettings(unique_name))
    await again.provision(["a"])
    await again.close()

    assert (await manager.stream_info(events)).config.max_bytes == 1_000_000
    assert (await manager.consumer_info(jobs, "a")).config.max_ack_pending == 5


async def test_a_full_stream_refuses_the_newest_until_there_is_room(bus: Bus, client: Client, unique_name: str) -> None:
    await bus.provision()
    config = (await client.jsm().stream_info(f"{unique_name.upper()}_TASKS")).config
    await client.jsm().update_stream(config.evolve(max_msgs=2))
    await publish(bus, *messages(2, "tasks"))

    answer = await refusal(bus, message(3, "tasks"))
    assert not answer.permanent
    assert "maximum messages exceeded" in answer.reason

    subscription = await bus.subscribe("tasks")
    await subscription.ack(await receive(subscription, 2))

    async def is_sent() -> bool:
        return await bus.publish([message(3, "tasks")]) == [Sent()]

    await wait_until(is_sent)
    assert bodies(await receive(subscription)) == [b"body 3"]


async def test_a_message_over_the_streams_own_limit_is_refused_for_good(
    bus: Bus, client: Client, unique_name: str
) -> None:
    await bus.provision()
    config = (await client.jsm().stream_info(f"{unique_name.upper()}_TASKS")).config
    await client.jsm().update_stream(config.evolve(max_msg_size=100))

    assert (await refusal(bus, message(1, "tasks", bytes(200)))).permanent


async def test_a_message_never_goes_to_a_stream_that_is_not_ours(bus: Bus, client: Client, unique_name: str) -> None:
    await bus.provision()
    await client.jsm().delete_stream(f"{unique_name.upper()}_TASKS")
    other = f"{unique_name.upper()}-OTHER"
    await client.jsm().add_stream(StreamConfig(name=other, subjects=[f"{unique_name}.tasks"]))

    answer = await refusal(bus, message(1, "tasks"))

    assert "expected stream does not match" in answer.reason
    assert (await client.jsm().stream_info(other)).state.messages == 0


async def test_a_consumer_of_a_plain_worker_is_the_same_consumer(bus: Bus, client: Client, unique_name: str) -> None:
    await bus.provision()
    await client.jsm().add_consumer(
        f"{unique_name.upper()}_JOBS",
        ConsumerConfig(
            durable_name="a=b",
            filter_subject=f"{unique_name}.jobs.a.b",
            ack_wait=30,
            max_deliver=-1,
            max_ack_pending=1000,
        ),
    )

    await bus.provision(["a.b"])
    await publish(bus, message(1, "jobs.a.b"))

    plain = await client.jetstream().pull_subscribe_bind("a=b", f"{unique_name.upper()}_JOBS")
    [fetched] = await plain.fetch(1, timeout=5)
    assert fetched.data == b"body 1"


async def test_a_deleted_consumer_is_made_again_and_its_messages_come(
    bus: Bus, client: Client, unique_name: str
) -> None:
    await bus.provision(["a"])
    subscription = await bus.subscribe("jobs.a")
    await publish(bus, message(1, "jobs.a"))
    await subscription.ack(await receive(subscription))
    jobs = f"{unique_name.upper()}_JOBS"

    async def is_acked() -> bool:
        return (await client.jsm().stream_info(jobs)).state.messages == 0

    await wait_until(is_acked)

    await client.jsm().delete_consumer(jobs, "a")
    await publish(bus, message(2, "jobs.a"))

    assert bodies(await receive(subscription)) == [b"body 2"]


async def test_an_inbox_of_a_plain_client_gets_its_reply(bus: Bus, client: Client) -> None:
    inbox = client.new_inbox()
    waiting = await client.subscribe(inbox)
    await client.flush()

    channel = bus.reply_channel(inbox)
    assert channel is not None
    await publish(bus, message(1, channel))

    assert (await waiting.next_msg(timeout=5)).data == b"body 1"


async def test_replicas_are_asked_for_as_the_url_says(nats_url: str, unique_name: str) -> None:
    bus = await open_bus(f"{nats_url}?replicas=3", BusSettings(unique_name))
    try:
        with pytest.raises(BusUnavailable, match="replicas"):
            await bus.provision()
    finally:
        await bus.close()


async def test_a_server_without_streams_says_so(tmp_path: Path, unique_name: str) -> None:
    async with plain_server(tmp_path) as url:
        bus = await open_bus(url, BusSettings(unique_name))
        try:
            with pytest.raises(BusUnavailable, match="JetStream"):
                await bus.provision()
            assert not (await refusal(bus, message(1, "tasks"))).permanent
        finally:
            await bus.close()


async def test_credentials_open_a_locked_server(tmp_path: Path, unique_name: str) -> None:
    async with plain_server(tmp_path, "--jetstream", "--user", "ann", "--pass", "s3cret") as url:
        bus = await open_bus(url.replace("://", "://ann:s3cret@"), BusSettings(unique_name))
        try:
            await bus.provision()
            await publish(bus, message(1, "events"))
            listener = await bus.listen("events", from_start=True)
            assert bodies(await receive(listener)) == [b"body 1"]
        finally:
            await bus.close()


async def test_wrong_credentials_are_refused_at_once_and_never_shown(
    tmp_path: Path, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with plain_server(tmp_path, "--user", "ann", "--pass", "s3cret") as url:
        with pytest.raises(BusUnavailable, match="Authorization Violation") as refused:
            await open_bus(url.replace("://", "://ann:0pen@"), BusSettings(unique_name))

    assert url.removeprefix("nats://") in str(refused.value)
    assert "0pen" not in str(refused.value) + caplog.text


async def test_a_server_without_tls_is_sent_nothing_that_was_meant_for_one_with_it(
    tmp_path: Path, unique_name: str
) -> None:
    async with plain_server(tmp_path) as url:
        with pytest.raises(BusUnavailable, match="TLS"):
            await open_bus(
                url.replace("nats://", "tls://ann:s3cret@") + "?connect_timeout=0.2", BusSettings(unique_name)
            )


async def test_a_server_with_tls_is_reached_and_checked(tmp_path: Path, unique_name: str) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    await certify(certificate, key)
    async with plain_server(tmp_path, "--jetstream", "--tlscert", str(certificate), "--tlskey", str(key)) as url:
        trusting = f"{url.replace('nats://', 'tls://')}?tls_ca={certificate}&connect_timeout=1"
        bus = await open_bus(trusting, BusSettings(unique_name))
        try:
            await bus.provision()
            await publish(bus, message(1, "events"))
            assert bodies(await receive(await bus.listen("events", from_start=True))) == [b"body 1"]
        finally:
            await bus.close()

        with pytest.raises(BusUnavailable, match="certificate verify failed"):
            await open_bus(f"{url.replace('nats://', 'tls://')}?connect_timeout=0.2", BusSettings(unique_name))


async def test_a_server_that_is_not_there_is_named(unique_name: str) -> None:
    port = free_port()

    with pytest.raises(BusUnavailable, match=rf"a NATS server at 127\.0\.0\.1:{port}, localhost:{port}"):
        await open_bus(f"nats://u:p@127.0.0.1:{port},localhost:{port}?connect_timeout=0.2", BusSettings(unique_name))


async def test_of_several_servers_the_one_that_answers_is_taken(nats_url: str, unique_name: str) -> None:
    hosts = f"nats://127.0.0.1:{free_port()},{nats_url.removeprefix('nats://')}"

    bus = await open_bus(hosts, BusSettings(unique_name))

    assert await bus.connected()
    await bus.close()


@asynccontextmanager
async def plain_server(folder: Path, *options: str) -> AsyncIterator[str]:
    """Give the URL of a server that is run with these options."""
    port = free_port()
    async with running_at(
        port,
        *(BINARY, "--addr", "127.0.0.1", "--port", str(port), "--store_dir", str(folder), *options),
    ):
        yield f"nats://127.0.0.1:{port}"


async def test_who_takes_a_partition_has_at_once_what_another_reader_of_it_has_not_acked(
    nats_url: str, unique_name: str
) -> None:
    settings = BusSettings(prefix=unique_name)
    first, second = await open_bus(nats_url, settings), await open_bus(nats_url, settings)
    await first.provision()
    await publish(first, message(1, "results.2"), message(2, "results.2"))
    frozen = await first.subscribe("results.2")
    assert len(await frozen.receive(10, 5)) == 2

    taken = await second.subscribe("results.2")

    assert bodies(await receive(taken, 2)) == [b"body 1", b"body 2"]
    for bus in (first, second):
        await bus.close()


async def test_partitions_can_be_read_one_by_one_after_all_of_them_and_the_other_way_round(
    nats_url: str, unique_name: str
) -> None:
    bus = await open_bus(nats_url, BusSettings(prefix=unique_name))
    await bus.provision()
    for number, channel in enumerate(("results.*", "results.1", "results.*", "results.1"), 1):
        subscription = await bus.subscribe(channel)
        await publish(bus, message(number, "results.1"))
        deliveries = await receive(subscription)
        await subscription.ack(deliveries)
        assert bodies(deliveries) == [b"body %d" % number]
        await subscription.close()
    await bus.close()
