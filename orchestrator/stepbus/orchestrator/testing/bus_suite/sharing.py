"""Sharing: one message, one reader of a group."""

import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    PATIENCE_S,
    Bench,
    OpenBus,
    bodies,
    demand_silence,
    message,
    messages,
    numbered,
    publish,
    receive,
    receive_one,
)

NOT_SHARED = ["results", "results.1", "replies.a", "jobs.*", "jobs.>", "*", ">", "tasks.>", "jobs.a b", "events.*", ""]


class Sharing(Bench):
    """Cases of `subscribe` and its groups."""

    async def test_two_readers_of_a_group_share_and_none_gets_what_the_other_has(
        self, bus: Bus, open_another: OpenBus
    ) -> None:
        one = await bus.subscribe(JOBS, in_hand=10)
        two = await (await open_another()).subscribe(JOBS, in_hand=10)
        await publish(bus, *messages(200))
        received: list[bytes] = []
        while len(received) < 200:
            for subscription in (one, two):
                deliveries = await subscription.receive(10, 0.05)
                await subscription.ack(deliveries)
                received += bodies(deliveries)

        assert sorted(received) == sorted(numbered(200))

    async def test_a_job_queue_is_shared_whatever_group_is_named(self, bus: Bus) -> None:
        await publish(bus, *messages(2))

        first = await receive_one(await bus.subscribe(JOBS, group="a", in_hand=1))
        second = await receive_one(await bus.subscribe(JOBS, group="b", in_hand=1))

        assert {first.body, second.body} == set(numbered(2))

    async def test_the_work_of_coordinators_is_not_shared_with_a_second_group(self, bus: Bus) -> None:
        for channel in ("tasks", "results.*"):
            await bus.subscribe(channel, group="coordinator")

            with pytest.raises(Refused):
                await bus.subscribe(channel, group="other")

    async def test_a_queue_whose_name_begins_with_that_of_another_is_apart(self, bus: Bus) -> None:
        await bus.provision(["orders", "orders.check.again"])
        await publish(bus, message(1, "jobs.orders"), message(2, "jobs.orders.check.again"), message(3))

        for channel, body in (("jobs.orders", b"body 1"), ("jobs.orders.check.again", b"body 2"), (JOBS, b"body 3")):
            subscription = await bus.subscribe(channel)
            assert bodies(await receive(subscription)) == [body]
            await demand_silence(subscription, 0.1)

    async def test_results_of_all_partitions_come_in_the_order_sent(self, bus: Bus, settings: BusSettings) -> None:
        await publish(bus, *[message(n, f"results.{n % settings.partitions}") for n in range(1, 41)])

        received = await receive(await bus.subscribe("results.*"), 40)

        assert bodies(received) == numbered(40)
        assert {delivery.channel for delivery in received} == {f"results.{n}" for n in range(settings.partitions)}

    async def test_a_group_of_its_own_gets_all_events_and_goes_on_where_it_was(self, bus: Bus) -> None:
        await publish(bus, message(1, "events"))
        await bus.subscribe("events", group="mail")
        await publish(bus, message(2, "events"))
        audit = await bus.subscribe("events", group="audit")
        out = await receive(audit, 2)
        assert bodies(out) == numbered(2)
        await audit.ack(out)
        await audit.close()
        await publish(bus, message(3, "events"))

        assert bodies(await receive(await bus.subscribe("events", group="audit"))) == [b"body 3"]
        assert sorted(bodies(await receive(await bus.subscribe("events", group="mail"), 3))) == numbered(3)

    async def test_another_prefix_is_another_world(self, bus: Bus, settings: BusSettings) -> None:
        elsewhere = await self.open_bus(BusSettings(prefix=f"{settings.prefix}-b"))
        try:
            await elsewhere.provision()
            subscription = await elsewhere.subscribe("tasks")
            await publish(bus, message(1, "tasks"))

            await demand_silence(subscription, 0.2)
        finally:
            await elsewhere.close()

    @pytest.mark.parametrize("channel", NOT_SHARED)
    async def test_what_cannot_be_shared_is_refused(self, bus: Bus, channel: str) -> None:
        with pytest.raises(Refused, match="expected"):
            await bus.subscribe(channel)

    @pytest.mark.parametrize("group", ["", "a.b", "a b", "*", ">", "a" * 65, "a\r\nb"])
    async def test_a_group_that_is_no_token_is_refused(self, bus: Bus, group: str) -> None:
        with pytest.raises(Refused, match="expected"):
            await bus.subscribe("events", group=group)

    async def test_readers_come_and_go_while_messages_flow(self, bus: Bus) -> None:
        await publish(bus, *messages(60))
        received: list[bytes] = []
        while len(received) < 60:
            subscription = await bus.subscribe(JOBS, in_hand=8)
            deliveries = await subscription.receive(5, PATIENCE_S)
            await subscription.ack(deliveries)
            received += bodies(deliveries)
            await subscription.close()

        assert sorted(received) == sorted(numbered(60))
