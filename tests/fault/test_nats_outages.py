"""A NATS server that dies, freezes, or comes back without its memory, under a bus that is in use."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import monotonic

import nats
import pytest
import pytest_asyncio

from stepbus.adapters.nats import connect, connection, subscription, topology
from stepbus.adapters.nats.embedded import EmbeddedServer
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, NotSent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.outages import demand_that_kills_lose_nothing, is_away, is_stopped, opened_bus, send_until_confirmed
from tools.servers import Server

SETTINGS = BusSettings(prefix="outage", publish_timeout_s=2.0)


def opened(url: str) -> AbstractAsyncContextManager[Bus]:
    return opened_bus(connect, f"{url}?ack_wait=2", SETTINGS)


@pytest_asyncio.fixture
async def bus(own_nats: Server) -> AsyncIterator[Bus]:
    """A provisioned bus on a server that the test may kill."""
    async with opened(own_nats.url) as bus:
        await bus.provision(["a"])
        yield bus


async def test_nothing_confirmed_is_lost_when_the_server_is_killed_again_and_again(own_nats: Server, bus: Bus) -> None:
    await demand_that_kills_lose_nothing(own_nats, bus, within_s=100)


async def test_what_is_in_flight_is_answered_for_when_the_connection_is_lost(own_nats: Server, bus: Bus) -> None:
    os.kill(own_nats.pid, signal.SIGSTOP)  # so that it takes in the messages and confirms none
    await wait_until(lambda: is_stopped(own_nats.pid))
    publishing = asyncio.create_task(bus.publish(messages(200, "jobs.a")))
    await asyncio.wait({publishing}, timeout=0.1)
    begun = monotonic()

    await asyncio.to_thread(own_nats.kill)

    assert {type(answer) for answer in await publishing} == {NotSent}
    assert monotonic() - begun < SETTINGS.publish_timeout_s / 2


async def test_a_bus_that_is_closed_while_the_server_is_frozen_leaves_nothing_running(own_nats: Server) -> None:
    before = asyncio.all_tasks()
    async with opened(own_nats.url) as bus:
        await bus.provision(["a"])
        await bus.subscribe("jobs.a")
        await bus.listen("events", from_start=True)
        os.kill(own_nats.pid, signal.SIGSTOP)
        await wait_until(lambda: is_stopped(own_nats.pid))

    await wait_until(lambda: asyncio.all_tasks() <= before)


async def test_while_the_server_is_away_nothing_is_sent_nor_received_and_then_all_is_as_before(
    own_nats: Server, bus: Bus
) -> None:
    reader = await bus.subscribe("jobs.a")
    listener = await bus.listen("events", from_start=False)
    await publish(bus, message(1, "jobs.a"), message(1, "events"))
    await reader.ack(await receive(reader))
    await receive(listener)

    await asyncio.to_thread(own_nats.stop)
    await wait_until(lambda: is_away(bus))
    begun = monotonic()
    assert not (await refusal(bus, message(2, "jobs.a"))).permanent
    assert monotonic() - begun < SETTINGS.publish_timeout_s
    assert not await reader.receive(1, 0.1)
    assert not await listener.receive(1, 0.1)
    with pytest.raises(BusUnavailable):
        await bus.subscribe("tasks")

    await asyncio.to_thread(own_nats.start)
    await wait_until(bus.connected)
    await publish(bus, message(2, "jobs.a"), message(2, "events"))
    assert bodies(await receive(reader)) == [b"body 2"]
    assert bodies(await receive(listener)) == [b"body 2"]


async def test_what_was_fetched_before_an_outage_can_be_acked_after_it(own_nats: Server, bus: Bus) -> None:
    await publish(bus, message(1, "jobs.a"))
    reader = await bus.subscribe("jobs.a")
    out = await receive(reader)
    await asyncio.to_thread(own_nats.stop)
    await asyncio.to_thread(own_nats.start)
    await wait_until(bus.connected)

    await reader.ack(out)

    client = await nats.connect(own_nats.url)

    async def is_done_with() -> bool:
        return (await client.jsm().stream_info("OUTAGE_JOBS")).state.messages == 0

    await wait_until(is_done_with)
    await client.close()


async def test_a_frozen_server_confirms_nothing_and_is_left(
    own_nats: Server, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_ECHO_S", 0.5)
    reader = await bus.subscribe("jobs.a")
    os.kill(own_nats.pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        more_than_sockets_hold = [message(number, "jobs.a", bytes(500_000)) for number in range(1, 31)]
        answers = await bus.publish(more_than_sockets_hold)
        assert {type(answer) for answer in answers} == {NotSent}
        assert monotonic() - begun < 2 * SETTINGS.publish_timeout_s
        await wait_until(lambda: is_away(bus), within_s=20)
    finally:
        os.kill(own_nats.pid, signal.SIGCONT)

    await wait_until(bus.connected)
    await publish(bus, message(99, "jobs.a"))
    seen: list[bytes] = []
    while b"body 99" not in seen:  # the frozen server may have taken in some of the first
        seen += bodies(await receive(reader))


async def test_a_server_that_returns_without_its_folder_is_provisioned_again(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    await server.start()
    async with opened(server.url) as bus:
        await bus.provision(["a"])
        reader = await bus.subscribe("jobs.a")
        listener = await bus.listen("events", from_start=True)
        await publish(bus, *messages(5, "jobs.a"), *messages(5, "events"))
        await reader.ack(await receive(reader, 5))
        await receive(listener, 5)

        await server.stop()
        shutil.rmtree(tmp_path / "jetstream")
        await server.start()

        await wait_until(bus.connected)
        await send_until_confirmed(bus, [message(6, "jobs.a"), message(6, "events")])
        assert bodies(await receive(reader)) == [b"body 6"]
        assert bodies(await receive(listener)) == [b"body 6"]
    await server.stop()


async def test_a_server_that_comes_up_late_is_waited_for(own_nats: Server) -> None:
    await asyncio.to_thread(own_nats.stop)
    opening = asyncio.create_task(open_for_a_moment(own_nats.url))
    await asyncio.wait({opening}, timeout=0.3)
    assert not opening.done()

    await asyncio.to_thread(own_nats.start)

    assert await opening


async def open_for_a_moment(url: str) -> bool:
    async with opened(url) as bus:
        return await bus.connected()


async def test_a_reader_who_hears_nothing_for_long_is_still_served(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "_ASKED_FOR_S", 1)
    monkeypatch.setattr(subscription, "_HEARTBEAT_S", 0.3)
    reader = await bus.subscribe("jobs.a")
    assert not await reader.receive(10, 2.5)  # longer than two requests to the server last

    await publish(bus, message(1, "jobs.a"))

    assert bodies(await reader.receive(10, 5)) == [b"body 1"]


async def test_an_outage_is_told_in_few_words(own_nats: Server, bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(own_nats.kill)
    await wait_until(lambda: is_away(bus))
    await asyncio.wait({asyncio.create_task(bus.publish([message(1, "jobs.a")]))}, timeout=1)
    await asyncio.to_thread(own_nats.start)
    await wait_until(bus.connected)

    told = [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
    assert [record.getMessage().split("; ")[0] for record in told] == [
        f"the connection to NATS at {own_nats.url.removeprefix('nats://')} is lost",
        f"connected to NATS at {own_nats.url.removeprefix('nats://')} again",
    ]
    assert not any(record.exc_info for record in told)
