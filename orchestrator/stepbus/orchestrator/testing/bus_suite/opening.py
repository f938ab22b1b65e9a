"""Opening and closing: what a broker needs is made once, and a closed bus says so."""

import asyncio

import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    QUEUE,
    Bench,
    OpenBus,
    bodies,
    message,
    messages,
    numbered,
    publish,
    receive,
)


class Opening(Bench):
    """Cases of `provision`, `connected` and `close`."""

    async def test_provisioning_again_changes_nothing(self, bus: Bus) -> None:
        await publish(bus, *messages(3))

        await bus.provision([QUEUE])

        assert bodies(await receive(await bus.subscribe(JOBS), 3)) == numbered(3)

    async def test_many_may_provision_at_once(self, open_another: OpenBus) -> None:
        buses = [await open_another() for _ in range(4)]

        await asyncio.gather(*[bus.provision([QUEUE, f"own.{number}"]) for number, bus in enumerate(buses)])

        await publish(buses[0], message(1), message(2, "jobs.own.3"))
        assert bodies(await receive(await buses[1].subscribe("jobs.own.3"))) == [b"body 2"]

    async def test_a_queue_can_be_added_later(self, bus: Bus) -> None:
        await bus.provision(["shipping.send"])

        await publish(bus, message(1, "jobs.shipping.send"))

        assert bodies(await receive(await bus.subscribe("jobs.shipping.send"))) == [b"body 1"]

    @pytest.mark.parametrize("queue", ["", "*", ">", "a b", "a..b", "a" * 200, "a/b", "ä"])
    async def test_a_queue_that_cannot_exist_is_refused(self, bus: Bus, queue: str) -> None:
        with pytest.raises(Refused, match="expected"):
            await bus.provision([queue])

    async def test_before_the_channels_are_provisioned_there_is_nothing_to_subscribe_to(
        self, open_another: OpenBus
    ) -> None:
        bus = await open_another()

        with pytest.raises(BusUnavailable, match="provision"):
            await bus.subscribe("tasks")

    @pytest.mark.parametrize("prefix", ["", "A", "a.b", "a b", "*", ">", "a" * 33, "a\r\n"])
    async def test_a_prefix_that_is_no_token_is_refused(self, prefix: str) -> None:
        with pytest.raises(Refused, match="expected"):
            await self.open_bus(BusSettings(prefix=prefix))

    async def test_a_bus_is_connected_until_it_is_closed(self, bus: Bus) -> None:
        assert await bus.connected()

        await bus.close()

        assert not await bus.connected()

    async def test_closing_twice_is_closing(self, bus: Bus) -> None:
        await bus.close()
        await bus.close()

        assert not await bus.connected()

    async def test_a_closed_bus_takes_no_subscriptions(self, bus: Bus) -> None:
        await bus.close()

        with pytest.raises(BusUnavailable):
            await bus.subscribe(JOBS)
        with pytest.raises(BusUnavailable):
            await bus.listen("events", from_start=True)

    async def test_a_bus_closed_while_somebody_waits_lets_him_go(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        call = asyncio.create_task(subscription.receive(1, 20))
        await asyncio.wait({call}, timeout=0.05)

        await bus.close()

        assert not await asyncio.wait_for(call, 5)

    async def test_what_was_confirmed_before_closing_is_there_after_it(self, bus: Bus, open_another: OpenBus) -> None:
        another = await open_another()
        await publish(bus, *messages(20))
        await bus.close()

        assert bodies(await receive(await another.subscribe(JOBS), 20)) == numbered(20)
