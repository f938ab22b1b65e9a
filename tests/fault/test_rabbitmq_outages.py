"""A RabbitMQ server that dies, freezes, or comes back without its memory, under a bus that is in use."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from time import monotonic

import aio_pika
import pytest
import pytest_asyncio

from stepbus.adapters.rabbitmq import connect
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.settings import parse
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, NotSent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support import outages
from tests.support.outages import demand_that_kills_lose_nothing, is_away, is_stopped, opened_bus
from tools.servers import Server

SETTINGS = BusSettings(prefix="outage", partitions=2, publish_timeout_s=2.0)

send_until_confirmed = partial(outages.send_until_confirmed, back_within_s=60, within_s=60)


def opened(url: str) -> AbstractAsyncContextManager[Bus]:
    return opened_bus(connect, f"{url}?ack_wait=2", SETTINGS)


@pytest_asyncio.fixture
async def bus(own_rabbitmq: Server) -> AsyncIterator[Bus]:
    """A provisioned bus on a server that the test may kill."""
    async with opened(own_rabbitmq.url) as bus:
        await bus.provision(["a"])
        await settle(bus)
        yield bus


async def settle(bus: Bus) -> None:
    """Let the server note on disk which queues there are: killed within a second, it forgets them."""
    reader = await bus.subscribe("tasks")
    assert not await reader.receive(1, 2.0)
    await reader.close()


async def test_nothing_confirmed_is_lost_when_the_server_is_killed_again_and_again(
    own_rabbitmq: Server, bus: Bus
) -> None:
    await demand_that_kills_lose_nothing(own_rabbitmq, bus, within_s=150, send=send_until_confirmed)


def pids_of(server: Server) -> list[int]:
    """Give the processes of a server, of which the one that was started is but a shell or the first."""
    session = os.getsid(server.pid)
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if session_of(stat) == session]


def session_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[3])
    except OSError:
        return -1


def signal_all(server: Server, number: signal.Signals) -> None:
    for pid in pids_of(server):
        os.kill(pid, number)


async def freeze(server: Server) -> None:
    signal_all(server, signal.SIGSTOP)
    await wait_until(lambda: all(is_stopped(pid) for pid in pids_of(server)))


async def test_what_is_in_flight_is_answered_for_when_the_connection_is_lost(own_rabbitmq: Server, bus: Bus) -> None:
    await freeze(own_rabbitmq)  # so that it takes in the messages and confirms none
    publishing = asyncio.create_task(bus.publish(messages(200, "jobs.a")))
    await asyncio.wait({publishing}, timeout=0.1)
    begun = monotonic()

    await asyncio.to_thread(own_rabbitmq.kill)

    assert {type(answer) for answer in await publishing} == {NotSent}
    assert monotonic() - begun < SETTINGS.publish_timeout_s / 2


async def test_while_the_server_is_away_nothing_is_sent_nor_received_and_then_all_is_as_before(
    own_rabbitmq: Server, bus: Bus
) -> None:
    reader = await bus.subscribe("jobs.a")
    merged = await bus.subscribe("results.*")
    listener = await bus.listen("events", from_start=False)
    untold = await bus.listen("quarantine", from_start=False)
    replies = await bus.listen("replies.me", from_start=False)
    await publish(bus, message(1, "jobs.a"), message(1, "events"))
    await reader.ack(await receive(reader))
    await receive(listener)

    await asyncio.to_thread(own_rabbitmq.stop)
    await wait_until(lambda: is_away(bus))
    begun = monotonic()
    assert not (await refusal(bus, message(2, "jobs.a"))).permanent
    assert monotonic() - begun < SETTINGS.publish_timeout_s
    assert not await reader.receive(1, 0.1)
    assert not await listener.receive(1, 0.1)
    with pytest.raises(BusUnavailable):
        await bus.subscribe("tasks")

    await asyncio.to_thread(own_rabbitmq.start)
    await send_until_confirmed(
        bus, [message(2, channel) for channel in ("jobs.a", "results.1", "events", "quarantine", "replies.me")]
    )
    assert bodies(await receive(reader)) == [b"body 2"]
    assert bodies(await receive(merged)) == [b"body 2"]
    assert bodies(await receive(listener)) == [b"body 2"]
    assert bodies(await receive(untold)) == [b"body 2"]
    while not await replies.receive(1, 0.2):  # nothing is kept for who is not there yet
        await publish(bus, message(2, "replies.me"))


async def test_what_was_out_when_the_server_died_comes_again_and_its_ack_is_moot(
    own_rabbitmq: Server, bus: Bus
) -> None:
    await publish(bus, *messages(2, "jobs.a"))
    reader = await bus.subscribe("jobs.a")
    out = await receive(reader, 2)
    await asyncio.to_thread(own_rabbitmq.kill)
    await asyncio.to_thread(own_rabbitmq.start)
    await wait_until(bus.connected, within_s=60)

    again = await receive(reader, 2)
    await reader.ack(out)

    assert bodies(again) == bodies(out)
    async with opened(own_rabbitmq.url) as another:
        late = await another.subscribe("jobs.a")
        await reader.close()
        await bus.close()
        assert bodies(await receive(late, 2)) == bodies(out)


async def test_a_group_of_its_own_goes_on_where_it_was(own_rabbitmq: Server, bus: Bus) -> None:
    mail = await bus.subscribe("events", group="mail")
    await settle(bus)
    await publish(bus, *messages(3, "events"))
    await mail.ack(await receive(mail, 3))

    await asyncio.to_thread(own_rabbitmq.kill)
    await asyncio.to_thread(own_rabbitmq.start)
    await send_until_confirmed(bus, [message(4, "events")])

    seen: list[bytes] = []
    while b"body 4" not in seen:  # an ack that was under way is lost with the server, so one of the first may come
        seen += bodies(await receive(mail))


async def test_a_frozen_server_confirms_nothing_and_is_left(own_rabbitmq: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    await freeze(own_rabbitmq)
    try:
        begun = monotonic()
        more_than_sockets_hold = [message(number, "jobs.a", bytes(500_000)) for number in range(1, 31)]
        answers = await bus.publish(more_than_sockets_hold)
        assert {type(answer) for answer in answers} == {NotSent}
        assert monotonic() - begun < 2 * SETTINGS.publish_timeout_s
        await wait_until(lambda: is_away(bus), within_s=30)
    finally:
        signal_all(own_rabbitmq, signal.SIGCONT)

    await send_until_confirmed(bus, [message(99, "jobs.a")])
    seen: list[bytes] = []
    while b"body 99" not in seen:  # the frozen server may have taken in some of the first
        deliveries = await receive(reader)
        await reader.ack(deliveries)
        seen += bodies(deliveries)


async def test_a_server_that_returns_without_its_memory_is_provisioned_again(own_rabbitmq: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    listener = await bus.listen("events", from_start=True)
    mail = await bus.subscribe("events", group="mail")
    await publish(bus, *messages(5, "jobs.a"), *messages(5, "events"))
    await reader.ack(await receive(reader, 5))
    await receive(listener, 5)
    await mail.ack(await receive(mail, 5))

    await asyncio.to_thread(restart_without_memory, own_rabbitmq)

    await send_until_confirmed(bus, [message(6, "jobs.a"), message(6, "events")])
    assert bodies(await receive(reader)) == [b"body 6"]
    assert bodies(await receive(listener)) == [b"body 6"]
    assert bodies(await receive(mail)) == [b"body 6"]


def restart_without_memory(server: Server) -> None:
    folder = Path(f"/proc/{server.pid}/cwd").resolve()
    server.kill()
    shutil.rmtree(folder / "data")
    server.start()


async def test_queues_that_are_deleted_under_a_reader_are_made_again(own_rabbitmq: Server, bus: Bus) -> None:
    reader = await bus.subscribe("jobs.a")
    async with await aio_pika.connect(own_rabbitmq.url) as client:
        await (await client.channel()).queue_delete("outage.jobs.a")

    await send_until_confirmed(bus, [message(1, "jobs.a")])

    assert bodies(await receive(reader)) == [b"body 1"]


async def test_a_server_that_comes_up_late_is_waited_for(own_rabbitmq: Server) -> None:
    await asyncio.to_thread(own_rabbitmq.stop)
    opening = asyncio.create_task(open_for_a_moment(f"{own_rabbitmq.url}?connect_timeout=60"))
    await asyncio.wait({opening}, timeout=0.3)
    assert not opening.done()

    await asyncio.to_thread(own_rabbitmq.start)

    assert await opening


async def open_for_a_moment(url: str) -> bool:
    open_bus = connect(url).bus
    assert open_bus is not None
    bus = await open_bus(SETTINGS)
    is_connected = await bus.connected()
    await bus.close()
    return is_connected


class Told:
    """Counts how often it was told to begin on a new connection."""

    def __init__(self) -> None:
        self.times = 0

    def attach(self, wire: Wire) -> None:
        del wire
        self.times += 1

    def detach(self) -> None:
        pass


async def test_who_begins_while_a_connection_returns_is_not_told_to_begin_again(own_rabbitmq: Server) -> None:
    before, gone, meanwhile = Told(), Told(), Told()
    settings = parse(own_rabbitmq.url)
    connection = Connection(settings, settings.heartbeat_s(SETTINGS.session_timeout_s))

    async def return_slowly() -> None:
        connection.link(meanwhile)  # as a reader does that begins at once, since there is a connection
        connection.unlink(gone)
        await asyncio.sleep(0.1)

    await connection.open()
    connection.on_return = return_slowly
    connection.link(before)
    connection.link(gone)
    await asyncio.to_thread(own_rabbitmq.kill)
    await asyncio.to_thread(own_rabbitmq.start)

    await wait_until(lambda: before.times == 1, within_s=60)
    assert (gone.times, meanwhile.times) == (0, 0)
    await connection.close()


async def test_an_outage_is_told_in_few_words(own_rabbitmq: Server, bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(own_rabbitmq.kill)
    await wait_until(lambda: is_away(bus))
    await asyncio.wait({asyncio.create_task(bus.publish([message(1, "jobs.a")]))}, timeout=1)
    await asyncio.to_thread(own_rabbitmq.start)
    await wait_until(bus.connected, within_s=60)

    told = [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
    host = own_rabbitmq.url.removeprefix("amqp://guest:guest@").strip("/")
    assert sorted(record.getMessage().split("; ")[0] for record in told) == [
        *[f"connected to RabbitMQ at {host} again"] * 2,
        *[f"the connection to RabbitMQ at {host} is lost"] * 2,
    ]
    assert not any(record.exc_info for record in told)
    assert "guest:guest" not in caplog.text
