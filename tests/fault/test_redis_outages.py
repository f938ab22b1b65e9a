"""A Redis server that dies, freezes, or comes back without its memory, under a bus that is in use."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from time import monotonic

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from stepbus.adapters.redis import connect, connection
from stepbus.adapters.redis import reader as reading
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, NotSent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.outages import demand_that_kills_lose_nothing, is_away, is_stopped, opened_bus, send_until_confirmed
from tools.servers import Server

SETTINGS = BusSettings(prefix="outage", publish_timeout_s=2.0)


def opened(url: str) -> AbstractAsyncContextManager[Bus]:
    return opened_bus(connect, f"{url}?ack_wait=2", SETTINGS)


@pytest_asyncio.fixture
async def bus(own_redis: Server) -> AsyncIterator[Bus]:
    """A provisioned bus on a server that the test may kill."""
    async with opened(own_redis.url) as bus:
        await bus.provision(["a"])
        yield bus


async def is_length(server: Server, stream: str, expected: int) -> bool:
    async with Redis.from_url(server.url) as client:
        return int(await client.xlen(stream)) == expected


async def test_nothing_confirmed_is_lost_when_the_server_is_killed_again_and_again(own_redis: Server, bus: Bus) -> None:
    await demand_that_kills_lose_nothing(own_redis, bus, within_s=100)


async def test_what_was_confirmed_is_known_by_its_id_after_a_kill(own_redis: Server, bus: Bus) -> None:
    await publish(bus, *messages(5, "jobs.a"))
    await asyncio.to_thread(own_redis.kill)
    await asyncio.to_thread(own_redis.start)
    await wait_until(bus.connected)

    await publish(bus, *messages(5, "jobs.a"))

    assert await is_length(own_redis, "outage:jobs:a", 5)


async def test_what_was_out_when_the_server_was_killed_comes_again_and_says_so(own_redis: Server, bus: Bus) -> None:
    await publish(bus, message(1, "jobs.a"))
    reader = await bus.subscribe("jobs.a")
    await receive(reader)

    await asyncio.to_thread(own_redis.kill)
    await asyncio.to_thread(own_redis.start)

    [again] = await receive(reader)
    assert (again.body, again.count) == (b"body 1", 2)


async def test_what_is_in_flight_is_answered_for_when_the_connection_is_lost(own_redis: Server, bus: Bus) -> None:
    os.kill(own_redis.pid, signal.SIGSTOP)  # so that it takes in the messages and confirms none
    await wait_until(lambda: is_stopped(own_redis.pid))
    publishing = asyncio.create_task(bus.publish(messages(200, "jobs.a")))
    await asyncio.wait({publishing}, timeout=0.1)
    begun = monotonic()

    await asyncio.to_thread(own_redis.kill)

    assert {type(answer) for answer in await publishing} == {NotSent}
    assert monotonic() - begun < SETTINGS.publish_timeout_s / 2


async def test_while_the_server_is_away_nothing_is_sent_nor_received_and_then_all_is_as_before(
    own_redis: Server, bus: Bus
) -> None:
    reader = await bus.subscribe("jobs.a")
    listener = await bus.listen("events", from_start=False)
    await publish(bus, message(1, "jobs.a"), message(1, "events"))
    await reader.ack(await receive(reader))
    await receive(listener)

    await asyncio.to_thread(own_redis.stop)
    await wait_until(lambda: is_away(bus))
    begun = monotonic()
    assert not (await refusal(bus, message(2, "jobs.a"))).permanent
    assert monotonic() - begun < SETTINGS.publish_timeout_s
    assert not await reader.receive(1, 0.1)
    assert not await listener.receive(1, 0.1)
    with pytest.raises(BusUnavailable):
        await bus.subscribe("tasks")
    with pytest.raises(BusUnavailable):
        await bus.listen("events", from_start=True)

    await asyncio.to_thread(own_redis.start)
    await wait_until(bus.connected)
    await publish(bus, message(2, "jobs.a"), message(2, "events"))
    assert bodies(await receive(reader)) == [b"body 2"]
    assert bodies(await receive(listener)) == [b"body 2"]


async def test_who_waits_through_an_outage_is_served_after_it(own_redis: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    waiting = asyncio.create_task(reader.receive(1, 30))
    await asyncio.wait({waiting}, timeout=0.1)
    await asyncio.to_thread(own_redis.kill)
    await asyncio.wait({waiting}, timeout=1)
    await asyncio.to_thread(own_redis.start)
    await wait_until(bus.connected)

    await publish(bus, message(1, "jobs.a"))

    assert bodies(await waiting) == [b"body 1"]


async def test_what_was_fetched_before_an_outage_can_be_acked_after_it(own_redis: Server, bus: Bus) -> None:
    await publish(bus, message(1, "jobs.a"))
    reader = await bus.subscribe("jobs.a")
    out = await receive(reader)
    await asyncio.to_thread(own_redis.stop)
    await asyncio.to_thread(own_redis.start)
    await wait_until(bus.connected)

    await reader.ack(out)

    await wait_until(lambda: is_length(own_redis, "outage:jobs:a", 0))


async def test_a_frozen_server_confirms_nothing_and_is_left(
    own_redis: Server, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_ECHO_S", 0.5)
    monkeypatch.setattr(reading, "_SILENT_S", 0.5)
    reader = await bus.subscribe("jobs.a")
    waiting = asyncio.create_task(reader.receive(1, 60))
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        more_than_sockets_hold = [message(number, "jobs.a", bytes(500_000)) for number in range(1, 31)]
        answers = await bus.publish(more_than_sockets_hold)
        assert {type(answer) for answer in answers} == {NotSent}
        assert monotonic() - begun < 2 * SETTINGS.publish_timeout_s
        await wait_until(lambda: is_away(bus), within_s=20)
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    await wait_until(bus.connected)
    await publish(bus, message(99, "jobs.a"))
    seen = bodies(await waiting)
    while b"body 99" not in seen:  # the frozen server may have taken in some of the first
        seen += bodies(await receive(reader))


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_server_that_has_lost_all_its_keys_is_provisioned_again(
    own_redis: Server, bus: Bus, *, is_restarted: bool
) -> None:
    reader = await bus.subscribe("jobs.a")
    results = await bus.subscribe("results.*")
    listener = await bus.listen("events", from_start=True)
    await publish(bus, *messages(5, "jobs.a"), *messages(5, "events"))
    await reader.ack(await receive(reader, 5))
    await receive(listener, 5)

    async with Redis.from_url(own_redis.url) as client:
        await client.flushall()
    if is_restarted:
        await asyncio.to_thread(own_redis.stop)
        await asyncio.to_thread(own_redis.start)
        await wait_until(bus.connected)

    await send_until_confirmed(bus, [message(6, "jobs.a"), message(6, "events"), message(6, "results.1")])
    assert bodies(await receive(reader)) == [b"body 6"]
    assert bodies(await receive(results)) == [b"body 6"]
    assert bodies(await receive(listener)) == [b"body 6"]


async def test_scripts_that_the_server_has_forgotten_are_loaded_again(own_redis: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    async with Redis.from_url(own_redis.url) as client:
        await client.script_flush()

    await send_until_confirmed(bus, [message(1, "jobs.a")])

    await reader.ack(await receive(reader))


async def test_connections_that_an_operator_kills_are_made_anew(own_redis: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    waiting = asyncio.create_task(reader.receive(1, 30))
    await asyncio.wait({waiting}, timeout=0.1)
    async with Redis.from_url(own_redis.url) as client:
        await client.client_kill_filter(_type="normal", skipme=True)

    await send_until_confirmed(bus, [message(1, "jobs.a")])

    await reader.ack(await waiting)


async def test_a_server_that_comes_up_late_is_waited_for(own_redis: Server) -> None:
    await asyncio.to_thread(own_redis.stop)
    opening = asyncio.create_task(open_for_a_moment(own_redis.url))
    await asyncio.wait({opening}, timeout=0.3)
    assert not opening.done()

    await asyncio.to_thread(own_redis.start)

    assert await opening


async def open_for_a_moment(url: str) -> bool:
    async with opened(url) as bus:
        return await bus.connected()


async def test_a_bus_is_closed_soon_though_the_server_is_away(own_redis: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    waiting = asyncio.create_task(reader.receive(1, 60))
    await asyncio.to_thread(own_redis.kill)
    await wait_until(lambda: is_away(bus))

    async with asyncio.timeout(3):  # less than a reader waits for an answer
        await bus.close()

    assert not await waiting


async def test_an_outage_is_told_in_few_words(own_redis: Server, bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    reader = await bus.subscribe("jobs.a")
    waiting = asyncio.create_task(reader.receive(1, 60))
    await asyncio.to_thread(own_redis.kill)
    await wait_until(lambda: is_away(bus))
    await asyncio.wait({asyncio.create_task(bus.publish([message(1, "jobs.a")]))}, timeout=1)
    await asyncio.to_thread(own_redis.start)
    await wait_until(bus.connected)
    await publish(bus, message(1, "jobs.a"))
    await waiting

    told = [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
    assert [record.getMessage().split("; ")[0] for record in told] == [
        f"the connection to Redis at {own_redis.url.removeprefix('redis://')} is lost",
        f"connected to Redis at {own_redis.url.removeprefix('redis://')} again",
    ]
    assert not any(record.exc_info for record in told)
