"""Receiving: as soon as there is one, no more than asked for, no more than in hand."""

import asyncio
from time import monotonic

import pytest

from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    PATIENCE_S,
    Bench,
    bodies,
    demand_silence,
    message,
    messages,
    numbered,
    publish,
    receive,
    receive_one,
    waiting,
)

POISON = [b"", b"\x00\xff\xfe", b"{", b"[" * 5000, b"\xc3(", b"PUB x 5\r\n+ACK\r\n", b"-NAK", b"NATS/1.0 503\r\n\r\n"]


class Receiving(Bench):
    """Cases of `receive`, `ack` and `in_hand`."""

    async def test_receiving_gives_none_when_the_time_has_passed(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        begun = monotonic()

        await demand_silence(subscription, 0.2)

        assert 0.2 <= monotonic() - begun < PATIENCE_S

    async def test_receiving_gives_what_is_there_without_waiting_for_more(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        await publish(bus, *messages(3))

        assert bodies(await receive(subscription, 3)) == numbered(3)
        await publish(bus, message(4))
        begun = monotonic()
        assert bodies(await subscription.receive(100, PATIENCE_S)) == [b"body 4"]
        assert monotonic() - begun < PATIENCE_S / 2

    async def test_who_waits_is_woken_by_the_next_message(self, bus: Bus) -> None:
        call = await waiting(await bus.subscribe(JOBS))

        await publish(bus, message(1))

        assert bodies(await call) == [b"body 1"]

    async def test_receiving_gives_no_more_than_asked_for(self, bus: Bus) -> None:
        await publish(bus, *messages(5))
        subscription = await bus.subscribe(JOBS)

        first = await receive(subscription, 2)

        assert bodies(first) == numbered(2)
        assert bodies(first + await receive(subscription, 3)) == numbered(5)

    @pytest.mark.parametrize("body", POISON)
    async def test_no_body_is_changed_refused_or_looked_into(self, bus: Bus, body: bytes) -> None:
        await publish(bus, message(body=body))

        assert (await receive_one(await bus.subscribe(JOBS))).body == body

    async def test_headers_and_body_of_a_plain_client_arrive(self, bus: Bus) -> None:
        subscription = await bus.subscribe("tasks")

        await self.send_plainly(bus, bus.address("tasks"), b"1", {"ce-specversion": "1.0", "ce-id": "é"})

        delivery = await receive_one(subscription)
        assert (delivery.channel, delivery.body) == ("tasks", b"1")
        assert {"ce-specversion": "1.0", "ce-id": "é"}.items() <= delivery.headers.items()

    async def test_an_address_is_where_a_plain_client_reaches_a_partition(self, bus: Bus) -> None:
        subscription = await bus.subscribe("results.*")

        await self.send_plainly(bus, bus.address("results.3"), b"done", {})

        assert (await receive_one(subscription)).channel == "results.3"

    async def test_nothing_sent_before_the_first_subscription_is_missed(self, bus: Bus) -> None:
        await publish(bus, *messages(3), message(4, "tasks"), message(5, "results.0"))

        assert bodies(await receive(await bus.subscribe(JOBS), 3)) == numbered(3)
        assert (await receive_one(await bus.subscribe("tasks"))).body == b"body 4"
        assert (await receive_one(await bus.subscribe("results.*"))).body == b"body 5"

    async def test_no_more_than_in_hand_are_out_unacked(self, bus: Bus) -> None:
        await publish(bus, *messages(10))
        subscription = await bus.subscribe(JOBS, in_hand=3)
        out = await receive(subscription, 3)

        await demand_silence(subscription, self.redelivery_s / 4)

        await subscription.ack(out[:2])
        assert bodies(await receive(subscription, 2)) == [b"body 4", b"body 5"]
        await demand_silence(subscription, self.redelivery_s / 4)

    async def test_an_ack_lets_a_waiting_reader_have_the_next(self, bus: Bus) -> None:
        await publish(bus, *messages(2))
        subscription = await bus.subscribe(JOBS, in_hand=1)
        first = await receive_one(subscription)
        call = await waiting(subscription)

        await subscription.ack([first])

        assert bodies(await call) == [b"body 2"]

    async def test_what_one_reader_may_not_take_yet_another_can(self, bus: Bus) -> None:
        await publish(bus, *messages(4))
        full = await bus.subscribe(JOBS, in_hand=2)
        await receive(full, 2)

        other = await bus.subscribe(JOBS, in_hand=2)

        assert bodies(await receive(other, 2)) == [b"body 3", b"body 4"]

    async def test_a_long_backlog_is_worked_off_through_a_small_hand(self, bus: Bus) -> None:
        await publish(bus, *messages(300))
        subscription = await bus.subscribe(JOBS, in_hand=7)
        received: list[bytes] = []
        while len(received) < 300:
            deliveries = await subscription.receive(100, PATIENCE_S)
            assert 1 <= len(deliveries) <= 7
            received += bodies(deliveries)
            await subscription.ack(deliveries)

        assert received == numbered(300)

    async def test_a_cancelled_receive_loses_nothing(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        call = await waiting(subscription)
        call.cancel()
        await asyncio.wait({call})

        await publish(bus, message(1))

        assert bodies(await receive(subscription)) == [b"body 1"]

    async def test_two_calls_on_one_subscription_share_what_comes(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        calls = [await waiting(subscription, limit=1), await waiting(subscription, limit=1)]

        await publish(bus, *messages(2))

        received = [bodies(await call) for call in calls]
        assert sorted(received) == [[b"body 1"], [b"body 2"]]

    async def test_a_closed_subscription_gives_nothing_even_to_who_waits(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        call = await waiting(subscription)

        await subscription.close()
        await publish(bus, message(1))

        assert not await call
        assert not await subscription.receive(10, 0)

    async def test_a_backlog_is_drained_and_stays_drained(self, bus: Bus) -> None:
        await publish(bus, *messages(200))
        subscription = await bus.subscribe(JOBS, in_hand=50)
        for _ in range(4):
            await subscription.ack(await receive(subscription, 50))
        await subscription.close()

        await demand_silence(await bus.subscribe(JOBS), 0.2)
