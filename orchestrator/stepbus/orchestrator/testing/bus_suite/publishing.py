"""Publishing: confirmed or not, never neither."""

import pytest

from stepbus.orchestrator.ports import Bus, NotSent, Outgoing, Sent
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
    refusal,
)

NO_CHANNELS = [
    "",
    "job",
    "jobs",
    "jobs.",
    "jobs.*",
    "jobs.>",
    "jobs.a..b",
    "jobs.a b",
    "jobs.a\r\nPUB x 0",
    "jobs.é",
    "jobs." + "a" * 200,
    "tasks.*",
    "tasks.1",
    "results",
    "results.*",
    "results.-1",
    "results.01",
    "results.1.2",
    "replies.*",
    "$JS.API.STREAM.LIST",
    "_INBOX.abc",
    ">",
]


class Publishing(Bench):
    """Cases of `publish`."""

    async def test_every_message_of_a_call_is_answered_in_order(self, bus: Bus) -> None:
        answers = await bus.publish([message(1), message(2, "jobs.*"), message(3, "tasks")])

        assert [type(answer) for answer in answers] == [Sent, NotSent, Sent]

    async def test_an_empty_call_answers_nothing(self, bus: Bus) -> None:
        assert list(await bus.publish([])) == []

    async def test_what_was_sent_is_received_as_it_was_sent(self, bus: Bus) -> None:
        await publish(bus, message(body=b'{"a": 1}'))

        delivery = await receive_one(await bus.subscribe(JOBS))

        assert (delivery.channel, delivery.body, delivery.count) == (JOBS, b'{"a": 1}', 1)

    async def test_messages_of_one_channel_keep_their_order(self, bus: Bus) -> None:
        await publish(bus, *messages(500))

        assert bodies(await receive(await bus.subscribe(JOBS), 500)) == numbered(500)

    async def test_a_message_sent_twice_under_one_id_is_confirmed_twice_and_delivered_once(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        await publish(bus, message(1), message(1))
        await publish(bus, message(1), message(2))

        expected = [1, 2] if self.knows_duplicates else [1, 1, 1, 2]

        received = await receive(subscription, len(expected))
        assert bodies(received) == [message(number).body for number in expected]

    async def test_one_id_on_two_channels_is_two_messages(self, bus: Bus) -> None:
        await publish(bus, message(1, "results.1"), message(1, "results.2"), message(1, "tasks"))

        received = await receive(await bus.subscribe("results.*"), 2)

        assert {delivery.channel for delivery in received} == {"results.1", "results.2"}
        assert (await receive_one(await bus.subscribe("tasks"))).channel == "tasks"

    @pytest.mark.parametrize("channel", NO_CHANNELS)
    async def test_a_channel_that_cannot_exist_is_refused_for_good(self, bus: Bus, channel: str) -> None:
        assert (await refusal(bus, message(1, channel))).permanent

    @pytest.mark.parametrize("message_id", ["", "a\r\nNats-Rollup: all", "a\nb", "a\x00b", "a" * 1000])
    async def test_an_id_that_no_broker_could_carry_is_refused_for_good(self, bus: Bus, message_id: str) -> None:
        assert (await refusal(bus, Outgoing(JOBS, message_id, b""))).permanent

    async def test_a_large_message_is_sent_whole(self, bus: Bus) -> None:
        body = bytes(range(256)) * (self.largest_body // 256)
        await publish(bus, message(body=body))

        assert (await receive_one(await bus.subscribe(JOBS))).body == body

    async def test_a_message_over_the_limit_is_refused_for_good_and_harms_no_other(self, bus: Bus) -> None:
        answers = await bus.publish([message(1), message(2, body=bytes(4 * self.largest_body)), message(3)])

        assert [type(answer) for answer in answers] == [Sent, NotSent, Sent]
        assert isinstance(answers[1], NotSent)
        assert answers[1].permanent
        assert bodies(await receive(await bus.subscribe(JOBS), 2)) == [b"body 1", b"body 3"]
        assert await bus.connected()

    async def test_a_refusal_says_what_was_expected_and_found(self, bus: Bus) -> None:
        reason = (await refusal(bus, message(1, "jobs.a b"))).reason

        assert "expected" in reason
        assert "'jobs.a b'" in reason

    async def test_before_the_channels_are_provisioned_nothing_is_sent_but_may_be_later(
        self, open_another: OpenBus
    ) -> None:
        bus = await open_another()

        assert not (await refusal(bus, message(1, "tasks"))).permanent

        await bus.provision()
        await publish(bus, message(1, "tasks"))

    async def test_a_closed_bus_sends_nothing_and_says_so(self, bus: Bus) -> None:
        await bus.close()

        assert not (await refusal(bus, message(1))).permanent

    async def test_a_refused_message_is_nowhere(self, bus: Bus) -> None:
        subscription = await bus.subscribe(JOBS)
        await bus.publish([message(1, body=bytes(4 * self.largest_body)), message(2, "jobs.*")])

        await demand_silence(subscription, 0.2)
