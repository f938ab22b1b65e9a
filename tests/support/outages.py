"""What the tests of outages share, whatever the broker: a bus under its test, and a load while its server is killed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from stepbus.orchestrator.ports import Adapter, Bus, BusSettings, Outgoing, Sent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message
from stepbus.orchestrator.testing.waiting import wait_until
from tools.servers import Server

_MESSAGES = 6000
_BATCH = 50


@asynccontextmanager
async def opened_bus(connect: Callable[[str], Adapter], url: str, settings: BusSettings) -> AsyncIterator[Bus]:
    """Give the bus of an adapter, for the length of the block."""
    open_bus = connect(url).bus
    assert open_bus is not None
    bus = await open_bus(settings)
    try:
        yield bus
    finally:
        await bus.close()


Send = Callable[[Bus, Sequence[Outgoing]], Awaitable[None]]


async def send_until_confirmed(
    bus: Bus, outgoing: Sequence[Outgoing], *, back_within_s: float = 30, within_s: float | None = None
) -> None:
    """Send as the relay does: what was not confirmed again, under the same id."""
    async with asyncio.timeout(within_s):
        while outgoing:
            answers = await bus.publish(outgoing)
            outgoing = [one for one, answer in zip(outgoing, answers, strict=True) if answer != Sent()]
            if outgoing:
                await wait_until(bus.connected, within_s=back_within_s)


async def demand_that_kills_lose_nothing(
    server: Server, bus: Bus, within_s: float, *, send: Send = send_until_confirmed, of_many_tasks: bool = False
) -> None:
    """Send and take messages of `jobs.a` while the server is killed three times; see that each was taken.

    With `of_many_tasks` each has a key of its own.
    """
    received: set[bytes] = set()
    sent = 0

    async def send_all() -> None:
        nonlocal sent
        for first in range(1, _MESSAGES + 1, _BATCH):
            batch = [message(number, "jobs.a") for number in range(first, first + _BATCH)]
            for one in batch if of_many_tasks else ():
                one.key = one.id
            await send(bus, batch)
            sent += _BATCH

    async def take() -> None:
        reader = await bus.subscribe("jobs.a", in_hand=200)
        while len(received) < _MESSAGES:
            deliveries = await reader.receive(100, 1.0)
            received.update(bodies(deliveries))
            await reader.ack(deliveries)

    async def kill() -> None:
        for share in (0.2, 0.5, 0.8):
            await wait_until(lambda share=share: sent >= share * _MESSAGES, within_s=60)  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    async with asyncio.timeout(within_s):
        await asyncio.gather(send_all(), take(), kill())

    assert received == {message(number).body for number in range(1, _MESSAGES + 1)}


async def is_away(bus: Bus) -> bool:
    """Say whether the bus knows that its broker is away."""
    return not await bus.connected()


def is_stopped(pid: int) -> bool:
    """Say whether every thread of a process is stopped."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) <= {"T"}
