"""Redelivery: until it is acked, not before its time, and to another if need be."""

from time import monotonic

from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
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


class Redelivery(Bench):
    """Cases of `nack`, `extend`, `close` and of acks that do not come."""

    async def test_an_acked_message_does_not_come_again(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)

        await subscription.ack([await receive_one(subscription)])

        await demand_silence(subscription, self.redelivery_s * 1.5)

    async def test_an_unacked_message_comes_again_and_says_so(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)
        first = await receive_one(subscription)

        again = await receive_one(subscription)

        assert (first.body, first.count) == (again.body, 1)
        assert again.count == 2

    async def test_what_a_dead_reader_held_goes_to_another(self, bus: Bus) -> None:
        await publish(bus, *messages(5))
        await receive(await bus.subscribe(JOBS), 5)

        another = await bus.subscribe(JOBS)

        assert sorted(bodies(await receive(another, 5))) == numbered(5)

    async def test_a_reader_who_acks_nothing_is_given_the_next_when_his_time_is_over(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS, in_hand=1)
        await receive_one(subscription)

        assert (await receive_one(subscription)).count == 2

    async def test_what_a_reader_never_asked_for_goes_to_another_and_not_to_him_as_well(self, bus: Bus) -> None:
        idle = await bus.subscribe(JOBS, in_hand=1)
        await publish(bus, message(1))
        busy = await bus.subscribe(JOBS)

        await busy.ack([await receive_one(busy)])

        await demand_silence(idle, 0.1)

    async def test_a_nacked_message_comes_again_at_once(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS, in_hand=1)
        begun = monotonic()

        await subscription.nack(await receive_one(subscription))

        assert (await receive_one(subscription)).count == 2
        assert monotonic() - begun < self.redelivery_s

    async def test_a_nacked_message_does_not_come_before_its_delay(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)
        first = await receive_one(subscription)
        begun = monotonic()

        await subscription.nack(first, delay_s=0.4)

        assert (await receive_one(subscription)).count == 2
        assert monotonic() - begun >= 0.4

    async def test_a_message_that_waits_for_its_delay_holds_up_no_other(self, bus: Bus) -> None:
        await publish(bus, *messages(3))
        subscription = await bus.subscribe(JOBS, in_hand=1)
        await subscription.nack(await receive_one(subscription), delay_s=60)

        for expected in (b"body 2", b"body 3"):
            delivery = await receive_one(subscription)
            assert delivery.body == expected
            await subscription.ack([delivery])

    async def test_the_count_rises_with_every_delivery(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)
        counts = []
        for _ in range(5):
            delivery = await receive_one(subscription)
            counts.append(delivery.count)
            await subscription.nack(delivery)

        assert counts == [1, 2, 3, 4, 5]

    async def test_a_message_that_is_extended_is_not_given_to_another(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)
        delivery = await receive_one(subscription)
        another = await bus.subscribe(JOBS)

        for _ in range(6):
            await subscription.extend(delivery)
            await demand_silence(another, self.redelivery_s / 3)

        await subscription.ack([delivery])
        await demand_silence(another, self.redelivery_s * 1.2)

    async def test_what_is_done_to_a_message_after_its_ack_is_moot(self, bus: Bus) -> None:
        await publish(bus, message(1))
        subscription = await bus.subscribe(JOBS)
        delivery = await receive_one(subscription)
        await subscription.ack([delivery])

        await subscription.ack([delivery])
        await subscription.nack(delivery)
        await subscription.extend(delivery)

        await demand_silence(subscription, self.redelivery_s * 1.2)

    async def test_closing_gives_back_at_once_what_was_not_handed_out(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        await publish(bus, *messages(20))
        begun = monotonic()
        [first] = await receive(subscription)

        await subscription.close()

        assert sorted(bodies(await receive(await bus.subscribe(JOBS), 19))) == sorted(set(numbered(20)) - {first.body})
        assert monotonic() - begun < self.redelivery_s

    async def test_what_was_handed_out_can_be_acked_after_closing(self, bus: Bus) -> None:
        await publish(bus, *messages(2))
        subscription = await bus.subscribe(JOBS)
        out = await receive(subscription, 2)
        await subscription.close()

        await subscription.ack(out)

        await demand_silence(await bus.subscribe(JOBS), self.redelivery_s * 1.5)

    async def test_closing_the_bus_gives_back_at_once_what_it_held(self, bus: Bus, open_another: OpenBus) -> None:
        await publish(bus, *messages(5))
        another = await open_another()
        begun = monotonic()
        await receive(await bus.subscribe(JOBS), 5)

        await bus.close()

        received = await receive(await another.subscribe(JOBS), 5)
        assert sorted(bodies(received)) == numbered(5)
        assert monotonic() - begun < self.redelivery_s
