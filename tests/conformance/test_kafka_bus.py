"""The bus on Kafka against the suite of its port, and what only Kafka can be: of another make, shared by partitions."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from stepbus.adapters.kafka import connect
from stepbus.adapters.kafka.provisioning import BusMismatch
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, Outgoing, Removable, Subscription
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import (
    bodies,
    demand_silence,
    message,
    messages,
    publish,
    receive,
    receive_one,
    refusal,
)
from stepbus.orchestrator.testing.waiting import wait_until
from tools.servers.kinds import free_port


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


@pytest_asyncio.fixture
async def client(kafka_url: str, unique_name: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An operator's client; what was made below `unique_name` is deleted after the test."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    await client.start()
    yield client
    await client.close()
    await delete_topics(kafka_url, unique_name)


@pytest_asyncio.fixture
async def bus(kafka_url: str, unique_name: str, client: AIOKafkaAdminClient) -> AsyncIterator[Bus]:
    """A bus below `unique_name`, not provisioned yet."""
    del client  # it deletes the topics afterwards
    bus = await open_bus(f"{kafka_url}?ack_wait=2&partitions=4", BusSettings(unique_name))
    yield bus
    await bus.close()


async def config_of(client: AIOKafkaAdminClient, topic: str) -> Mapping[str, str]:
    [response] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_a_topic_with_other_partitions_is_refused_and_both_are_shown(
    bus: Bus, client: AIOKafkaAdminClient, unique_name: str
) -> None:
    await client.create_topics([NewTopic(f"{unique_name}.results", 3, 1)])

    with pytest.raises(BusMismatch, match=rf"topic {unique_name}\.results to have partitions 8, but it has 3"):
        await bus.provision()


async def test_a_job_queue_with_other_partitions_is_refused_and_stays_as_it_is(
    bus: Bus, client: AIOKafkaAdminClient, unique_name: str
) -> None:
    await client.create_topics([NewTopic(f"{unique_name}.jobs.a", 2, 1)])

    with pytest.raises(BusMismatch, match="to have partitions 4, but it has 2"):
        await bus.provision(["a"])

    [described] = await client.describe_topics([f"{unique_name}.jobs.a"])
    assert len(described["partitions"]) == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cleanup.policy", "compact", "to have cleanup.policy 'delete', but it has 'compact'"),
        ("max.message.bytes", "1000", "to have max.message.bytes '1048576', but it has '1000'"),
    ],
)
async def test_a_topic_of_another_make_is_refused_and_both_are_shown(
    bus: Bus, client: AIOKafkaAdminClient, unique_name: str, name: str, value: str, said: str
) -> None:
    await client.create_topics([NewTopic(f"{unique_name}.tasks", 4, 1, topic_configs={name: value})])

    with pytest.raises(BusMismatch, match=said):
        await bus.provision()

    assert (await config_of(client, f"{unique_name}.tasks"))[name] == value


async def test_limits_that_an_operator_chose_stay(bus: Bus, client: AIOKafkaAdminClient, unique_name: str) -> None:
    chosen = {"retention.ms": "600000", "max.message.bytes": "9000000"}
    await client.create_topics([NewTopic(f"{unique_name}.events", 1, 1, topic_configs=chosen)])

    await bus.provision()

    assert (await config_of(client, f"{unique_name}.events")).items() >= chosen.items()


async def test_topics_are_made_as_the_settings_say(bus: Bus, client: AIOKafkaAdminClient, unique_name: str) -> None:
    await bus.provision(["a.b"])

    names = {"tasks": 4, "jobs.a.b": 4, "results": 8, "events": 1, "quarantine": 1, "replies": 1}
    described = await client.describe_topics([f"{unique_name}.{name}" for name in names])
    assert {topic["topic"]: len(topic["partitions"]) for topic in described} == {
        f"{unique_name}.{name}": count for name, count in names.items()
    }
    days = 24 * 3_600_000
    assert (await config_of(client, f"{unique_name}.events"))["retention.ms"] == str(7 * days)
    assert (await config_of(client, f"{unique_name}.quarantine"))["retention.ms"] == str(30 * days)


async def test_a_queue_that_kafka_can_not_tell_from_another_is_refused_and_both_are_shown(
    bus: Bus, unique_name: str
) -> None:
    await bus.provision(["a.b"])

    with pytest.raises(BusMismatch, match=rf"{unique_name}\.jobs\.a_b.*collides.*{unique_name}\.jobs\.a\.b"):
        await bus.provision(["a_b"])
    assert (await refusal(bus, message(1, "jobs.a_b"))).permanent


async def test_the_topic_of_a_queue_is_made_when_the_queue_is_first_used(bus: Bus) -> None:
    await bus.provision()

    subscription = await bus.subscribe("jobs.read.first")
    await publish(bus, message(1, "jobs.read.first"), message(2, "jobs.sent.first"))

    assert bodies(await receive(subscription)) == [b"body 1"]
    assert bodies(await receive(await bus.subscribe("jobs.sent.first"))) == [b"body 2"]


async def test_replicas_are_asked_for_as_the_url_says(kafka_url: str, unique_name: str) -> None:
    bus = await open_bus(f"{kafka_url}?replication_factor=3", BusSettings(unique_name))
    try:
        with pytest.raises(BusUnavailable, match="InvalidReplicationFactor"):
            await bus.provision()
    finally:
        await bus.close()


async def test_a_message_lies_where_a_plain_client_looks_for_it(bus: Bus, kafka_url: str, unique_name: str) -> None:
    await bus.provision(["a"])
    await publish(bus, Outgoing("jobs.a", "id-1", b"job", "task-1"), Outgoing("results.3", "id-2", b"answer", "task-1"))
    await publish(bus, Outgoing("replies.me", "id-3", b"reply", "task-1"))

    host = kafka_url.removeprefix("kafka://")
    topics = [f"{unique_name}.{name}" for name in ("jobs.a", "results", "replies")]
    found: dict[str, Any] = {}
    async with AIOKafkaConsumer(*topics, bootstrap_servers=host, auto_offset_reset="earliest") as plain:
        while len(found) < len(topics):
            record = await plain.getone()
            found[record.topic.removeprefix(f"{unique_name}.")] = record

    assert {name: (one.key, one.value, dict(one.headers)["stepbus-id"]) for name, one in found.items()} == {
        "jobs.a": (b"task-1", b"job", b"id-1"),
        "results": (b"task-1", b"answer", b"id-2"),
        "replies": (b"me", b"reply", b"id-3"),
    }
    assert found["results"].partition == 3
    assert bus.address("results.3") == f"{unique_name}.results.3"


async def test_only_what_comes_before_the_first_undone_is_committed(
    bus: Bus, client: AIOKafkaAdminClient, unique_name: str
) -> None:
    await bus.provision()
    await publish(bus, *messages(5, "results.2"))
    subscription = await bus.subscribe("results.2")
    out = await receive(subscription, 5)
    await subscription.ack([out[0], out[1], out[3]])
    await subscription.close()

    offsets = await client.list_consumer_group_offsets(f"{unique_name}.results.coordinator")
    assert offsets[TopicPartition(f"{unique_name}.results", 2)].offset == 2


async def test_what_is_held_of_a_partition_that_stays_is_not_given_again_when_another_reader_comes(
    bus: Bus, kafka_url: str, unique_name: str
) -> None:
    await bus.provision(["a"])
    first = await bus.subscribe("jobs.a", in_hand=40)
    await publish(bus, *[Outgoing("jobs.a", f"id-{n}", b"%d" % n, f"task-{n}") for n in range(40)])
    out = await receive(first, 40)
    another = await open_bus(f"{kafka_url}?ack_wait=30&partitions=4", BusSettings(unique_name))
    try:
        second = await another.subscribe("jobs.a", in_hand=40)
        again = list(await second.receive(100, 2.0))

        stayed = [one for one in out if one.receipt.partition < 2]
        assert 0 < len(stayed) < 40
        assert not set(bodies(again)) & set(bodies(stayed))
        await first.ack(stayed)
        await second.ack(again)
    finally:
        await another.close()


async def test_a_partition_that_is_not_there_is_refused(bus: Bus) -> None:
    await bus.provision()

    with pytest.raises(Refused, match=r"expected a partition below 8 of .*results, found 8"):
        await bus.subscribe("results.8")
    assert "more than 8 partitions, but it has 8" in (await refusal(bus, message(1, "results.8"))).reason


async def test_a_listener_for_replies_hears_none_of_before(bus: Bus) -> None:
    await bus.provision()
    await publish(bus, message(1, "replies.me"))

    listener = await bus.listen("replies.me", from_start=True)
    await publish(bus, message(2, "replies.me"), message(3, "replies.you"))

    assert (await receive_one(listener)).body == b"body 2"
    await demand_silence(listener, 0.2)


async def test_credentials_that_a_broker_does_not_ask_for_are_refused_and_never_shown(
    kafka_url: str, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = f"{kafka_url.replace('://', '://ann:s3cret@')}?connect_timeout=0.2"

    with pytest.raises(BusUnavailable) as refused:
        await open_bus(url, BusSettings(unique_name))

    assert kafka_url.removeprefix("kafka://") in str(refused.value)
    assert "s3cret" not in str(refused.value) + caplog.text


async def test_a_broker_without_tls_is_sent_nothing_that_was_meant_for_one_with_it(
    kafka_url: str, unique_name: str
) -> None:
    with pytest.raises(BusUnavailable):
        await open_bus(f"{kafka_url}?tls=true&connect_timeout=0.2", BusSettings(unique_name))


async def test_a_broker_that_is_not_there_is_named(unique_name: str) -> None:
    port = free_port()

    with pytest.raises(BusUnavailable, match=rf"Kafka at 127\.0\.0\.1:{port}, localhost:{port}"):
        await open_bus(f"kafka://127.0.0.1:{port},localhost:{port}?connect_timeout=0.2", BusSettings(unique_name))


async def test_of_several_brokers_one_that_answers_is_enough(kafka_url: str, unique_name: str) -> None:
    hosts = f"kafka://127.0.0.1:{free_port()},{kafka_url.removeprefix('kafka://')}"

    bus = await open_bus(hosts, BusSettings(unique_name))

    assert await bus.connected()
    await bus.close()


async def test_what_is_removed_is_gone_and_what_has_a_longer_prefix_is_not(
    bus: Bus, client: AIOKafkaAdminClient, unique_name: str
) -> None:
    assert isinstance(bus, Removable)
    await bus.provision(["a"])
    await publish(bus, *messages(3, "jobs.a"), message(1, "events"))
    reader = await bus.subscribe("jobs.a")
    await reader.ack(await receive(reader, 3))
    await reader.close()
    await client.create_topics([NewTopic(f"{unique_name}-b.tasks", 1, 1)])

    await bus.remove()

    assert [topic for topic in await client.list_topics() if topic.startswith(unique_name)] == [
        f"{unique_name}-b.tasks"
    ]
    assert not [name for name, *_ in await client.list_consumer_groups() if name.startswith(unique_name)]
    await bus.provision(["a"])
    await publish(bus, message(4, "jobs.a"))
    assert bodies(await receive(await bus.subscribe("jobs.a"))) == [b"body 4"]


@pytest_asyncio.fixture
async def successor(kafka_url: str, unique_name: str, bus: Bus) -> AsyncIterator[Bus]:
    """A second bus below `unique_name`."""
    del bus  # it deletes the topics afterwards
    successor = await open_bus(f"{kafka_url}?ack_wait=2&partitions=4", BusSettings(unique_name))
    yield successor
    await successor.close()


async def read_results_and_requests(bus: Bus, client: AIOKafkaAdminClient, name: str) -> list[Subscription]:
    """Read both, and wait until an ack of a result is committed."""
    await bus.provision()
    requests, results = await bus.subscribe("tasks"), await bus.subscribe("results.0")
    await publish(bus, *messages(1, "results.0"))
    await results.ack(await receive(results))
    group, at = f"{name}.results.coordinator", TopicPartition(f"{name}.results", 0)

    async def is_committed() -> bool:
        offsets = await client.list_consumer_group_offsets(group)
        return at in offsets and offsets[at].offset == 1

    await wait_until(is_committed)
    return [requests, results]


async def test_who_reads_on_for_one_who_did_not_sign_off_ends_his_part_in_the_requests_and_he_joins_again_if_he_lives(
    bus: Bus, successor: Bus, client: AIOKafkaAdminClient, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    requests, _ = await read_results_and_requests(bus, client, unique_name)

    await successor.subscribe("results.0")

    assert f"leaves the group {unique_name}.tasks.coordinator" in caplog.text
    await publish(bus, *messages(8, "tasks"))
    assert sorted(bodies(await receive(requests, 8))) == [b"body %d" % number for number in range(1, 9)]


async def test_who_reads_on_for_one_who_gave_up_his_partition_lets_him_be(
    bus: Bus, successor: Bus, client: AIOKafkaAdminClient, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, results = await read_results_and_requests(bus, client, unique_name)
    await results.close()

    await successor.subscribe("results.0")

    assert "leaves the group" not in caplog.text
