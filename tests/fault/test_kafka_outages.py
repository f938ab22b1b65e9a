"""A Kafka broker that dies, freezes, or comes back without its memory, under a bus that is in use."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from time import monotonic

import pytest
import pytest_asyncio

from stepbus.adapters.kafka import connect
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, NotSent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support import outages
from tests.support.outages import demand_that_kills_lose_nothing, is_away, is_stopped, opened_bus
from tools.servers import Server

SETTINGS = BusSettings(prefix="outage", publish_timeout_s=2.0)

send_until_confirmed = partial(outages.send_until_confirmed, back_within_s=60)


def opened(url: str) -> AbstractAsyncContextManager[Bus]:
    return opened_bus(connect, f"{url}?ack_wait=5&session_timeout=6&connect_timeout=30&partitions=4", SETTINGS)


@pytest_asyncio.fixture
async def bus(own_kafka: Server) -> AsyncIterator[Bus]:
    """A provisioned bus on a broker that the test may kill."""
    async with opened(own_kafka.url) as bus:
        await bus.provision(["a"])
        yield bus


async def test_nothing_confirmed_is_lost_when_the_broker_is_killed_again_and_again(own_kafka: Server, bus: Bus) -> None:
    await demand_that_kills_lose_nothing(own_kafka, bus, within_s=200, send=send_until_confirmed, of_many_tasks=True)


async def test_acks_are_not_forgotten_when_the_broker_is_killed(own_kafka: Server, bus: Bus) -> None:
    await publish(bus, *messages(20, "jobs.a"))
    reader = await bus.subscribe("jobs.a")
    out = await receive(reader, 20)
    await reader.ack(out[:15])
    await asyncio.to_thread(own_kafka.kill)
    await asyncio.to_thread(own_kafka.start)
    await wait_until(bus.connected, within_s=60)

    await reader.ack(out[15:19])
    await reader.close()

    async with opened(own_kafka.url) as another:
        assert bodies(await receive(await another.subscribe("jobs.a"))) == [b"body 20"]


async def test_what_is_in_flight_is_answered_for_when_the_broker_dies(own_kafka: Server, bus: Bus) -> None:
    os.kill(own_kafka.pid, signal.SIGSTOP)  # so that it takes in the messages and confirms none
    await wait_until(lambda: is_stopped(own_kafka.pid))
    publishing = asyncio.create_task(bus.publish(messages(200, "jobs.a")))
    await asyncio.wait({publishing}, timeout=0.1)

    await asyncio.to_thread(own_kafka.kill)

    begun = monotonic()
    assert {type(answer) for answer in await publishing} == {NotSent}
    assert monotonic() - begun < SETTINGS.publish_timeout_s + 1


async def test_while_the_broker_is_away_nothing_is_sent_nor_received_and_then_all_is_as_before(
    own_kafka: Server, bus: Bus
) -> None:
    reader = await bus.subscribe("jobs.a")
    partition = await bus.subscribe("results.3")
    listener = await bus.listen("events", from_start=False)
    await publish(bus, message(1, "jobs.a"), message(1, "results.3"), message(1, "events"))
    await reader.ack(await receive(reader))
    await partition.ack(await receive(partition))
    await receive(listener)

    await asyncio.to_thread(own_kafka.kill)
    await wait_until(lambda: is_away(bus))
    begun = monotonic()
    assert not (await refusal(bus, message(2, "jobs.a"))).permanent
    assert monotonic() - begun < SETTINGS.publish_timeout_s + 1
    assert not await reader.receive(1, 0.1)
    assert not await listener.receive(1, 0.1)
    with pytest.raises(BusUnavailable):
        await bus.subscribe("tasks")

    await asyncio.to_thread(own_kafka.start)
    await wait_until(bus.connected, within_s=60)
    await send_until_confirmed(bus, [message(2, "jobs.a"), message(2, "results.3"), message(2, "events")])
    assert bodies(await receive(reader)) == [b"body 2"]
    assert bodies(await receive(partition)) == [b"body 2"]
    assert bodies(await receive(listener)) == [b"body 2"]


async def test_a_frozen_broker_confirms_nothing_and_is_waited_for(own_kafka: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    os.kill(own_kafka.pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        answers = await bus.publish([message(number, "jobs.a", bytes(500_000)) for number in range(1, 31)])
        assert {type(answer) for answer in answers} == {NotSent}
        assert monotonic() - begun < 2 * SETTINGS.publish_timeout_s
        assert await is_away(bus)
    finally:
        os.kill(own_kafka.pid, signal.SIGCONT)

    await send_until_confirmed(bus, [message(99, "jobs.a")])
    seen: list[bytes] = []
    while b"body 99" not in seen:  # the frozen broker may have taken in some of the first
        deliveries = await receive(reader)
        await reader.ack(deliveries)
        seen += bodies(deliveries)


async def test_a_broker_that_returns_without_its_folder_is_provisioned_again(own_kafka: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    listener = await bus.listen("events", from_start=True)
    await publish(bus, *messages(5, "jobs.a"), *messages(5, "events"))
    await reader.ack(await receive(reader, 5))
    await receive(listener, 5)

    await asyncio.to_thread(own_kafka.kill)
    await wait_until(lambda: is_away(bus))
    await asyncio.to_thread(own_kafka.wipe)
    await asyncio.to_thread(own_kafka.start)

    await wait_until(bus.connected, within_s=60)
    new = [message(number, channel) for number in range(6, 16) for channel in ("jobs.a", "events")]
    await send_until_confirmed(bus, new)
    assert bodies(await receive(reader, 10)) == [b"body %d" % number for number in range(6, 16)]
    assert bodies(await receive(listener, 10)) == [b"body %d" % number for number in range(6, 16)]


async def test_a_broker_that_comes_up_late_is_waited_for(own_kafka: Server) -> None:
    await asyncio.to_thread(own_kafka.stop)
    opening = asyncio.create_task(open_for_a_moment(own_kafka.url))
    await asyncio.wait({opening}, timeout=0.3)
    assert not opening.done()

    await asyncio.to_thread(own_kafka.start)

    assert await opening


async def open_for_a_moment(url: str) -> bool:
    async with opened(url) as bus:
        return await bus.connected()


async def test_an_outage_is_told_in_few_words(own_kafka: Server, bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    reader = await bus.subscribe("jobs.a")
    await asyncio.to_thread(own_kafka.kill)
    await wait_until(lambda: is_away(bus))
    await bus.publish([message(1, "jobs.a")])
    assert not await reader.receive(1, 1.0)
    await asyncio.to_thread(own_kafka.start)
    await wait_until(bus.connected, within_s=60)

    told = [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
    assert [record.getMessage().split("; ")[0] for record in told] == [
        f"the connection to Kafka at {own_kafka.url.removeprefix('kafka://')} is lost",
        f"connected to Kafka at {own_kafka.url.removeprefix('kafka://')} again",
    ]
    assert not any(record.exc_info for record in told)
