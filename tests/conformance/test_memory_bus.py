"""The bus of a single process against the suite of its port, and what only it can be: full, and shared by name."""

import asyncio
from collections.abc import Mapping

import pytest

from stepbus.adapters.memory import connect
from stepbus.adapters.memory.broker import Broker
from stepbus.adapters.memory.bus import MemoryBus
from stepbus.adapters.memory.queue import Limits
from stepbus.orchestrator.ports import Bus, BusSettings, NotSent, Sent
from stepbus.orchestrator.testing.bus_suite import BusSuite
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, refusal, waiting

BROKER = Broker(Limits(ack_wait_s=0.5))


class TestMemoryBus(BusSuite):
    redelivery_s = 0.5
    is_in_process = True

    async def open_bus(self, settings: BusSettings) -> Bus:
        return MemoryBus(settings, BROKER)

    async def send_plainly(self, bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        assert isinstance(bus, MemoryBus)
        assert bus.send_plainly(address, body, headers) == Sent()


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def bus_with(limits: Limits, clock: Clock | None = None) -> MemoryBus:
    bus = MemoryBus(BusSettings(), Broker(limits, clock or Clock()))
    await bus.provision()
    return bus


async def shared_bus(name: str) -> Bus:
    open_bus = connect(f"memory:{name}").bus
    assert open_bus is not None
    bus = await open_bus(BusSettings())
    await bus.provision()
    return bus


async def test_a_full_queue_refuses_the_newest_until_there_is_room() -> None:
    bus = await bus_with(Limits(queue_messages=2))
    await publish(bus, *messages(2))

    assert not (await refusal(bus, message(3))).permanent

    subscription = await bus.subscribe("jobs.orders.check")
    await subscription.ack(await subscription.receive(1, 0))
    await publish(bus, message(3))
    assert bodies(await subscription.receive(9, 0)) == [b"body 2", b"body 3"]


async def test_a_queue_is_full_by_its_bytes_too() -> None:
    bus = await bus_with(Limits(queue_bytes=10))
    await publish(bus, message(1, body=b"12345678"))

    assert not (await refusal(bus, message(2, body=b"123"))).permanent
    await publish(bus, message(3, body=b"12"))


async def test_what_is_out_unacked_takes_room() -> None:
    bus = await bus_with(Limits(queue_messages=1))
    subscription = await bus.subscribe("tasks")
    await publish(bus, message(1, "tasks"))
    await subscription.receive(1, 0)

    assert isinstance((await bus.publish([message(2, "tasks")]))[0], NotSent)


async def test_of_events_the_newest_are_kept() -> None:
    bus = await bus_with(Limits(topic_messages=3))
    slow = await bus.listen("events", from_start=True)

    await publish(bus, *messages(5, "events"))

    late = await bus.listen("events", from_start=True)
    for listener in (slow, late):
        assert bodies(await listener.receive(9, 0)) == [b"body 3", b"body 4", b"body 5"]


async def test_of_large_events_fewer_are_kept() -> None:
    bus = await bus_with(Limits(topic_bytes=13))

    await publish(bus, *messages(5, "events"))

    assert bodies(await (await bus.listen("events", from_start=True)).receive(9, 0)) == [b"body 4", b"body 5"]


async def test_an_id_is_forgotten_when_its_time_is_over() -> None:
    clock = Clock()
    bus = await bus_with(Limits(duplicate_window_s=10), clock)
    subscription = await bus.subscribe("tasks")
    for later_s, expected in ((0.0, 1), (9.0, 0), (21.0, 1)):
        clock.now_s += later_s
        await publish(bus, message(1, "tasks"))

        received = await subscription.receive(9, 0)
        assert len(received) == expected
        await subscription.ack(received)


async def test_of_very_many_ids_the_last_are_known() -> None:
    bus = await bus_with(Limits(duplicates=10))
    for number in range(1, 51):
        await publish(bus, message(number, "tasks"))
    await publish(bus, message(1, "tasks"), message(45, "tasks"))

    received = await (await bus.subscribe("tasks")).receive(100, 0)

    assert len(received) == 51
    assert received[-1].body == b"body 1"


async def test_ids_are_known_on_more_channels_than_a_bus_remembers_the_way_to() -> None:
    bus = await bus_with(Limits())
    outgoing = [message(number, f"jobs.q{number}") for number in range(5000)]
    await publish(bus, *outgoing)
    await publish(bus, *outgoing)

    for number in (0, 4999):
        assert len(await (await bus.subscribe(f"jobs.q{number}")).receive(9, 0)) == 1


async def test_of_several_out_each_comes_again_when_it_is_late_itself() -> None:
    clock = Clock()
    bus = await bus_with(Limits(ack_wait_s=30), clock)
    await publish(bus, *messages(4, "tasks"))
    subscription = await bus.subscribe("tasks")
    first, second, *_ = await subscription.receive(3, 0)
    clock.now_s += 10
    fourth = await subscription.receive(9, 0)
    await subscription.extend(second)
    await subscription.ack([first])

    for later_s, expected in ((19, []), (1, [b"body 3"]), (10, [b"body 4", b"body 2"])):
        clock.now_s += later_s
        assert bodies(await subscription.receive(9, 0)) == expected
    assert bodies(fourth) == [b"body 4"]


@pytest.mark.parametrize("delay_s", [0.0, 0.01])
async def test_what_one_reader_gives_back_goes_to_another_who_waits(unique_name: str, delay_s: float) -> None:
    bus = await shared_bus(unique_name)
    one, other = [await bus.subscribe("jobs.a") for _ in range(2)]
    await publish(bus, message(1, "jobs.a"))
    [delivery] = await one.receive(9, 0)
    calls = [await waiting(reader) for reader in (one, other)]

    await one.nack(delivery, delay_s)

    done, [left] = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    assert done == {calls[1]}
    left.cancel()


async def test_buses_of_one_name_reach_each_other_and_no_other(unique_name: str) -> None:
    one, same, other = [await shared_bus(name) for name in (unique_name, unique_name, f"{unique_name}2")]
    await publish(one, message(1, "tasks"))

    assert bodies(await (await same.subscribe("tasks")).receive(9, 0)) == [b"body 1"]
    assert not await (await other.subscribe("tasks")).receive(9, 0)


async def test_a_channel_for_replies_is_gone_with_its_last_listener() -> None:
    bus = await bus_with(Limits())
    listener = await bus.listen("replies.a", from_start=False)
    await publish(bus, message(1, "replies.a"))
    await listener.close()

    again = await bus.listen("replies.a", from_start=True)

    assert not await again.receive(9, 0)
