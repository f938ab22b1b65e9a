"""The bus on Redis against the suite of its port, and what only a Redis server can be: of another make, full, weak."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from stepbus.adapters.redis import connect, topology
from stepbus.adapters.redis import reader as reading
from stepbus.adapters.redis import subscription as subscription_module
from stepbus.adapters.redis.provisioning import BusMismatch
from stepbus.adapters.redis.topology import Keeping
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, NotSent, Removable, Sent
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.plain_servers import certify, running_at
from tools.servers.kinds import free_port
from tools.servers.kinds.kind import find_binary


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


@pytest_asyncio.fixture
async def client(redis_url: str, unique_name: str) -> AsyncIterator[Redis]:
    """An operator's client; what was made below `unique_name` is deleted after the test."""
    async with Redis.from_url(redis_url) as client:
        yield client
    await delete_keys(redis_url, unique_name)


@pytest_asyncio.fixture
async def bus(redis_url: str, unique_name: str, client: Redis) -> AsyncIterator[Bus]:
    """A bus below `unique_name`, not provisioned yet."""
    del client  # it deletes the keys afterwards
    bus = await open_bus(f"{redis_url}?ack_wait=1", BusSettings(unique_name))
    yield bus
    await bus.close()


async def test_keys_of_another_type_are_refused_and_both_are_shown(bus: Bus, client: Redis, unique_name: str) -> None:
    await client.set(f"{unique_name}:tasks", "mine")
    await client.sadd(f"{unique_name}:jobs:a", "mine")

    with pytest.raises(BusMismatch) as refused:
        await bus.provision(["a"])

    assert [problem.message for problem in refused.value.problems] == [
        f"expected key {unique_name}:tasks to be a stream, but it is a string",
        f"expected key {unique_name}:jobs:a to be a stream, but it is a set",
    ]
    assert len(await client.keys(f"{unique_name}:*")) == 2


async def test_a_key_that_became_something_else_is_shown_to_who_subscribes_listens_and_publishes(
    bus: Bus, client: Redis, unique_name: str
) -> None:
    await bus.provision()
    for key in ("jobs:a", "events"):
        await client.delete(f"{unique_name}:{key}")
        await client.set(f"{unique_name}:{key}", "mine")

    with pytest.raises(BusMismatch, match=f"expected key {unique_name}:jobs:a to be a stream, but it is a string"):
        await bus.subscribe("jobs.a")
    with pytest.raises(BusMismatch, match=f"expected key {unique_name}:events to be a stream, but it is a string"):
        await bus.listen("events", from_start=True)
    assert "WRONGTYPE" in (await refusal(bus, message(1, "jobs.a"))).reason
    assert await client.get(f"{unique_name}:jobs:a") == b"mine"


async def test_a_job_queue_that_others_read_as_a_group_of_their_own_is_refused(
    bus: Bus, client: Redis, unique_name: str
) -> None:
    await bus.provision()
    await client.xgroup_create(f"{unique_name}:jobs:a", "mine", mkstream=True)

    with pytest.raises(Refused, match="to have one group, 'workers', but it has 'mine'"):
        await bus.subscribe("jobs.a")


async def test_what_is_done_with_is_deleted_and_who_has_left_is_forgotten(
    bus: Bus, client: Redis, unique_name: str
) -> None:
    await bus.provision(["a"])
    subscription = await bus.subscribe("jobs.a")
    await publish(bus, *messages(3, "jobs.a"))
    first, *rest = await receive(subscription, 3)
    await subscription.ack([first])
    await wait_until(lambda: is_length(client, f"{unique_name}:jobs:a", 2))

    await subscription.close()
    [still_there] = await client.xinfo_consumers(f"{unique_name}:jobs:a", "workers")
    assert still_there["pending"] == 2
    await subscription.ack(rest)

    async def is_forgotten() -> bool:
        return await client.xinfo_consumers(f"{unique_name}:jobs:a", "workers") == []

    await wait_until(is_forgotten)
    assert await client.xlen(f"{unique_name}:jobs:a") == 0


async def is_length(client: Redis, stream: str, expected: int) -> bool:
    return int(await client.xlen(stream)) == expected


async def test_a_plain_worker_shares_the_queue_and_what_it_leaves_behind_comes_to_others(
    bus: Bus, client: Redis, unique_name: str
) -> None:
    await bus.provision(["a"])
    stream = f"{unique_name}:jobs:a"
    await publish(bus, *messages(2, "jobs.a"))
    found: Any = await client.xreadgroup("workers", "plain", {stream: ">"}, count=2)
    [[_, [(done, fields), (left, _)]]] = found
    assert fields[b"body"] == b"body 1"
    await client.xack(stream, "workers", done)
    await client.xdel(stream, done)

    [again] = await receive(await bus.subscribe("jobs.a"))

    assert (again.body, again.count, again.receipt.entry) == (b"body 2", 2, left)


async def test_what_nobody_was_given_counts_as_never_delivered(bus: Bus) -> None:
    await bus.provision(["a"])
    subscription = await bus.subscribe("jobs.a")
    call = asyncio.create_task(subscription.receive(5, 20))
    await asyncio.wait({call}, timeout=0.05)
    call.cancel()  # what it asked for comes all the same, and lies in the buffer
    await asyncio.wait({call})
    await publish(bus, *messages(3, "jobs.a"))
    await subscription.close()

    again = await receive(await bus.subscribe("jobs.a"), 3)

    assert [(one.body, one.count) for one in again] == [(b"body 1", 1), (b"body 2", 1), (b"body 3", 1)]


async def test_a_delay_longer_than_the_ack_wait_is_kept_though_its_reader_is_gone(bus: Bus) -> None:
    await bus.provision(["a"])
    await publish(bus, message(1, "jobs.a"))
    subscription = await bus.subscribe("jobs.a")
    begun = monotonic()
    [delivery] = await receive(subscription)
    await subscription.nack(delivery, delay_s=1.8)
    await subscription.close()

    [again] = await receive(await bus.subscribe("jobs.a"))

    assert (again.count, monotonic() - begun >= 1.8) == (2, True)


async def test_who_takes_a_partition_over_is_given_at_once_what_another_left_there(
    redis_url: str, unique_name: str, client: Redis
) -> None:
    del client
    bus = await open_bus(redis_url, BusSettings(unique_name))
    try:
        await bus.provision()
        await publish(bus, *messages(3, "results.1"), message(4, "results.2"))
        frozen, elsewhere = await bus.subscribe("results.1"), await bus.subscribe("results.2")
        [first, second, third] = await receive(frozen, 3)
        [out] = await receive(elsewhere)
        await frozen.ack([first])
        begun = monotonic()

        again = await receive(await bus.subscribe("results.1"), 2)

        assert monotonic() - begun < topology._COORDINATORS_S  # noqa: SLF001
        assert [(one.body, one.count) for one in again] == [(second.body, 2), (third.body, 2)]
        await frozen.nack(second)  # moot: it has another reader by now
        await elsewhere.ack([out])
    finally:
        await bus.close()


async def test_what_a_coordinator_has_in_hand_is_soon_given_to_another(
    redis_url: str, unique_name: str, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    monkeypatch.setattr(topology, "_COORDINATORS_S", 0.5)
    bus = await open_bus(redis_url, BusSettings(unique_name))
    try:
        await bus.provision()
        await publish(bus, message(1, "tasks"), message(1, "results.1"), message(1, "jobs.a"))
        for channel in ("tasks", "results.*", "jobs.a"):
            await receive(await bus.subscribe(channel))

        for channel in ("tasks", "results.*"):
            [again] = await receive(await bus.subscribe(channel))
            assert again.count == 2
        assert not await (await bus.subscribe("jobs.a")).receive(1, 1)
    finally:
        await bus.close()


async def test_a_small_hand_is_filled_from_every_partition(bus: Bus) -> None:
    await bus.provision()
    subscription = await bus.subscribe("results.*", in_hand=2)
    await publish(bus, *[message(number, f"results.{number}") for number in range(8)])
    seen: list[bytes] = []
    while len(seen) < 8:
        deliveries = await subscription.receive(8, 5)
        assert 1 <= len(deliveries) <= 2
        seen += bodies(deliveries)
        await subscription.ack(deliveries)

    assert sorted(seen) == [b"body %d" % number for number in range(8)]


async def test_an_entry_of_the_future_is_in_nobodys_way(bus: Bus, client: Redis, unique_name: str) -> None:
    await bus.provision(["a"])
    await client.xadd(f"{unique_name}:jobs:a", {"body": "from the future"}, id="99999999999999-7")
    await publish(bus, *messages(3, "jobs.a"))
    await publish(bus, *messages(3, "jobs.a"))

    received = await receive(await bus.subscribe("jobs.a"), 4)

    assert bodies(received) == [b"from the future", b"body 1", b"body 2", b"body 3"]


async def test_closing_waits_for_no_read(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "READ_S", 60)
    await bus.provision()
    reader = await bus.subscribe("tasks")
    waiting = asyncio.create_task(reader.receive(1, 60))
    await asyncio.wait({waiting}, timeout=0.2)
    begun = monotonic()

    await reader.close()

    assert monotonic() - begun < reading._GOODBYE_S  # noqa: SLF001
    assert not await waiting


async def test_what_is_told_is_trimmed_by_number_and_by_age(
    bus: Bus, client: Redis, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(topology._KEPT, "events", Keeping(most=100))  # noqa: SLF001
    monkeypatch.setitem(topology._KEPT, "quarantine", Keeping(age_ms=1))  # noqa: SLF001
    await bus.provision()
    await publish(bus, *messages(1000, "events"))
    await publish(bus, *messages(1000, "quarantine"))
    await publish(bus, message(1001, "quarantine"))

    assert 100 <= await client.xlen(f"{unique_name}:events") < 300
    assert await client.xlen(f"{unique_name}:quarantine") < 300


async def test_the_memory_for_ids_is_bounded_and_ends(
    bus: Bus, client: Redis, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "_WORK", Keeping(ids=100))
    await bus.provision()
    for first in range(1, 1001, 100):
        await publish(bus, *[message(number, "tasks") for number in range(first, first + 100)])
    await publish(bus, *[message(number, "tasks") for number in range(901, 1001)])

    sets = [f"{unique_name}:tasks:ids", f"{unique_name}:tasks:ids:old"]
    assert sum([int(await client.scard(one)) for one in sets]) <= 200
    assert all([0 < await client.ttl(one) <= 240 for one in sets])
    assert await client.xlen(f"{unique_name}:tasks") == 1000


async def test_a_reply_is_kept_for_a_minute(bus: Bus, client: Redis, unique_name: str) -> None:
    await bus.provision()
    await publish(bus, message(1, "replies.me"))

    assert 50 < await client.ttl(f"{unique_name}:replies:me") <= 60


async def test_what_is_removed_is_gone_and_what_has_a_longer_prefix_is_not(
    bus: Bus, client: Redis, unique_name: str
) -> None:
    assert isinstance(bus, Removable)
    await bus.provision(["a"])
    await publish(bus, *messages(3, "jobs.a"), message(1, "replies.me"), message(1, "events"))
    await client.set(f"{unique_name}-b:tasks", "mine")

    await bus.remove()

    assert await client.keys(f"{unique_name}*") == [f"{unique_name}-b:tasks".encode()]
    assert "provision the bus" in (await refusal(bus, message(4, "jobs.a"))).reason


async def test_messages_are_as_large_as_the_url_says(redis_url: str, unique_name: str, client: Redis) -> None:
    del client
    bus = await open_bus(f"{redis_url}?max_message=10", BusSettings(unique_name))
    try:
        await bus.provision()
        await publish(bus, message(1, "tasks", bytes(10)))
        answer = await refusal(bus, message(2, "tasks", bytes(11)))
        assert (answer.permanent, "expected at most 10 bytes, found 11" in answer.reason) == (True, True)
    finally:
        await bus.close()


async def test_each_database_is_a_world_of_its_own(redis_url: str, unique_name: str) -> None:
    bus = await open_bus(f"{redis_url}/3", BusSettings(unique_name))
    try:
        await bus.provision()
        async with Redis.from_url(redis_url, db=3) as there, Redis.from_url(redis_url) as here:
            assert await there.exists(f"{unique_name}:tasks")
            assert not await here.exists(f"{unique_name}:tasks")
    finally:
        await bus.close()
        await delete_keys(f"{redis_url}/3", unique_name)


async def test_a_database_that_is_not_there_is_refused(redis_url: str, unique_name: str) -> None:
    with pytest.raises(BusUnavailable, match="DB index is out of range"):
        await open_bus(f"{redis_url}/99", BusSettings(unique_name))


async def test_a_full_server_takes_nothing_new_but_lets_work_go_on(tmp_path: Path) -> None:
    async with plain_server(tmp_path, "--maxmemory", "8mb") as url:
        bus = await open_bus(f"{url}?ack_wait=1", BusSettings())
        try:
            await bus.provision(["a"])
            await publish(bus, *[message(number, "jobs.a") for number in (1, 2, 3)])
            count = 3
            while True:
                count += 1
                [answer] = await bus.publish([message(count, "jobs.a", bytes(250_000))])
                if isinstance(answer, NotSent):
                    break
            assert (answer.permanent, "OOM" in answer.reason) == (False, True)

            subscription = await bus.subscribe("jobs.a")
            back, late, _ = await receive(subscription, 3)
            await subscription.nack(back, delay_s=0.2)
            again = await receive(subscription, count - 3)
            while {back.body, late.body} - set(bodies(again)):
                again += await receive(subscription)
            await subscription.ack(again)

            async def is_sent() -> bool:
                return await bus.publish([message(count, "jobs.a")]) == [Sent()]

            await wait_until(is_sent)
        finally:
            await bus.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--appendonly", "no"), ["has appendonly no: a crash loses what it has confirmed since its last snapshot"]),
        (
            ("--appendonly", "yes", "--appendfsync", "everysec"),
            ["has appendfsync everysec: a power failure loses what it has confirmed in the last second"],
        ),
        (
            ("--appendonly", "yes", "--appendfsync", "no"),
            ["has appendfsync no: a power failure loses what it has confirmed and the system has not written yet"],
        ),
        (
            ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
            ["has maxmemory-policy allkeys-lru: when its memory is full it drops messages; take noeviction"],
        ),
        (("--rename-command", "CONFIG", ""), ["does not say what it keeps on disk; see that appendonly is yes"]),
        ((), []),
    ],
)
async def test_what_a_servers_configuration_gives_less_of_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: Sequence[str], told: Sequence[str]
) -> None:
    async with plain_server(tmp_path, *options) as url:
        bus = await open_bus(url, BusSettings())
        await bus.close()

    assert caplog.messages == [f"Redis at {url.removeprefix('redis://')} {one}" for one in told]


async def test_a_replica_takes_nothing_but_may_do_so_later(tmp_path: Path) -> None:
    async with plain_server(tmp_path) as url:
        bus = await open_bus(url, BusSettings())
        async with Redis.from_url(url) as operator:
            try:
                await bus.provision(["a"])
                await operator.replicaof("127.0.0.1", free_port())

                answer = await refusal(bus, message(1, "jobs.a"))
                assert (answer.permanent, "READONLY" in answer.reason) == (False, True)
                with pytest.raises(BusUnavailable, match="READONLY"):
                    await bus.provision(["b"])

                await operator.replicaof("NO", "ONE")
                await publish(bus, message(1, "jobs.a"))
            finally:
                await bus.close()


async def test_credentials_open_a_locked_server(tmp_path: Path) -> None:
    users = ("--user", "ann", "on", ">s3:cret", "~*", "+@all", "--user", "default", "off")
    async with plain_server(tmp_path, *users) as url:
        bus = await open_bus(url.replace("://", "://ann:s3%3Acret@"), BusSettings())
        try:
            await bus.provision()
            await publish(bus, message(1, "events"))
            assert bodies(await receive(await bus.listen("events", from_start=True))) == [b"body 1"]
        finally:
            await bus.close()


@pytest.mark.parametrize("credentials", ["ann:0pen@", ":0pen@", ""])
async def test_wrong_credentials_are_refused_at_once_and_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, credentials: str
) -> None:
    caplog.set_level("DEBUG")
    async with plain_server(tmp_path, "--requirepass", "s3cret") as url:
        with pytest.raises(BusUnavailable, match=r"invalid username-password|Authentication required") as refused:
            await open_bus(url.replace("://", f"://{credentials}"), BusSettings())

    assert url.removeprefix("redis://") in str(refused.value)
    assert "0pen" not in str(refused.value) + caplog.text


async def test_a_server_without_tls_is_sent_nothing_that_was_meant_for_one_with_it() -> None:
    heard = bytearray()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(1000))
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BusUnavailable, match="SSL"):
            await open_bus(f"rediss://ann:s3cret@127.0.0.1:{port}?connect_timeout=0.2", BusSettings())

    assert heard
    assert b"s3cret" not in heard


async def test_a_server_with_tls_is_reached_and_checked(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    await certify(certificate, key)
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    async with plain_server(tmp_path, *files, "--tls-auth-clients", "no", is_tls=True) as url:
        bus = await open_bus(f"{url}?tls_ca={certificate}&connect_timeout=1", BusSettings())
        try:
            await bus.provision()
            await publish(bus, message(1, "events"))
            assert bodies(await receive(await bus.listen("events", from_start=True))) == [b"body 1"]
        finally:
            await bus.close()

        with pytest.raises(BusUnavailable, match="certificate verify failed"):
            await open_bus(f"{url}?connect_timeout=0.2", BusSettings())


async def test_a_server_that_is_not_there_is_named(unique_name: str) -> None:
    port = free_port()

    with pytest.raises(BusUnavailable, match=rf"a Redis server at 127\.0\.0\.1:{port}"):
        await open_bus(f"redis://u:p@127.0.0.1:{port}?connect_timeout=0.2", BusSettings(unique_name))


@asynccontextmanager
async def plain_server(folder: Path, *options: str, is_tls: bool = False) -> AsyncIterator[str]:
    """Give the URL of a server that is run with these options, and keeps on disk what it confirms unless they say."""
    port = free_port()
    ports = ("--port", "0", "--tls-port", str(port)) if is_tls else ("--port", str(port))
    kept = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder))
    async with running_at(
        port,
        *(find_binary("redis-server", hint="from the machine's packages"), "--bind", "127.0.0.1", *ports),
        *kept,
        *options,
    ):
        yield f"{'rediss' if is_tls else 'redis'}://127.0.0.1:{port}"
