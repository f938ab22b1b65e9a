"""Hearing: all that is said on a channel, by everybody who listens; and replies to a client."""

import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.bus_suite.bench import (
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

NO_REPLY_ADDRESSES = [
    "",
    "tasks",
    "replies.a",
    "{prefix}",
    "{prefix}.tasks",
    "{prefix}.results.0",
    "{prefix}.jobs.a",
    "{prefix}.quarantine",
    "{prefix}.replies",
    "{prefix}.replies.",
    "{prefix}.replies.*",
    "{prefix}.replies.>",
    "{prefix}.replies.a b",
    "{prefix}.replies.a\r\nPUB {prefix}.tasks 0\r\n",
    "{prefix}.replies.a..b",
    "{prefix}x.replies.a",
    "$JS.API.STREAM.DELETE.X",
    "$SYS.REQ.SERVER.PING",
    "_INBOX",
    "_INBOX.",
    "_INBOX.*",
    "_INBOX.>",
    "_INBOX.a b",
    "http://example.org/",
]


class Hearing(Bench):
    """Cases of `listen`, `address` and `reply_channel`."""

    @pytest.mark.parametrize("channel", ["events", "quarantine"])
    async def test_a_listener_from_the_start_hears_what_is_kept_and_what_comes(self, bus: Bus, channel: str) -> None:
        await publish(bus, *messages(3, channel))

        listener = await bus.listen(channel, from_start=True)
        await publish(bus, message(4, channel))

        assert bodies(await receive(listener, 4)) == numbered(4)

    async def test_a_listener_from_now_on_hears_only_what_comes(self, bus: Bus) -> None:
        await publish(bus, *messages(3, "events"))

        listener = await bus.listen("events", from_start=False)
        await publish(bus, message(4, "events"))

        assert bodies(await receive(listener)) == [b"body 4"]

    async def test_all_listeners_hear_all(self, bus: Bus, open_another: OpenBus) -> None:
        listeners = [await bus.listen("events", from_start=False) for _ in range(2)]
        listeners.append(await (await open_another()).listen("events", from_start=True))
        await publish(bus, *messages(50, "events"))

        for listener in listeners:
            assert bodies(await receive(listener, 50)) == numbered(50)

    async def test_what_was_heard_does_not_come_again_acked_or_not(self, bus: Bus) -> None:
        listener = await bus.listen("events", from_start=True)
        await publish(bus, *messages(2, "events"))
        first, second = await receive(listener, 2)

        await listener.ack([first])
        await listener.nack(second)
        await listener.extend(second)

        assert (first.channel, first.count) == ("events", 1)
        await demand_silence(listener, self.redelivery_s * 1.2)

    async def test_a_listener_who_never_acks_hears_on(self, bus: Bus) -> None:
        listener = await bus.listen("events", from_start=True)
        await publish(bus, *messages(2500, "events"))

        assert bodies(await receive(listener, 2500)) == numbered(2500)

    async def test_a_closed_listener_hears_nothing(self, bus: Bus) -> None:
        listener = await bus.listen("events", from_start=True)

        await listener.close()
        await publish(bus, message(1, "events"))

        assert not await listener.receive(10, 0.1)

    async def test_a_listener_takes_nothing_away_from_a_group(self, bus: Bus) -> None:
        await publish(bus, message(1, "quarantine"))

        assert bodies(await receive(await bus.listen("quarantine", from_start=True))) == [b"body 1"]
        assert bodies(await receive(await bus.subscribe("quarantine", group="desk"))) == [b"body 1"]

    @pytest.mark.parametrize("channel", ["tasks", "jobs.a", "results.1", "results.*", "events.*", "*", "replies.*", ""])
    async def test_what_cannot_be_heard_alone_is_refused(self, bus: Bus, channel: str) -> None:
        with pytest.raises(Refused, match="expected"):
            await bus.listen(channel, from_start=True)

    async def test_a_reply_reaches_the_address_that_a_client_named(self, bus: Bus, open_another: OpenBus) -> None:
        client = await open_another()
        listener = await client.listen("replies.client-1.q", from_start=False)

        channel = bus.reply_channel(client.address("replies.client-1.q"))
        assert channel is not None
        await publish(bus, message(1, channel))

        assert (await receive_one(listener)).body == b"body 1"

    async def test_a_reply_that_nobody_waits_for_is_sent_and_gone(self, bus: Bus) -> None:
        await publish(bus, message(1, "replies.nobody"))

        await demand_silence(await bus.listen("replies.nobody", from_start=False), 0.1)

    @pytest.mark.parametrize("address", NO_REPLY_ADDRESSES)
    async def test_no_reply_goes_to_a_place_that_is_not_for_replies(self, bus: Bus, address: str) -> None:
        prefix = bus.address("tasks").removesuffix(".tasks")

        assert bus.reply_channel(address.replace("{prefix}", prefix)) is None

    async def test_a_channel_that_cannot_exist_has_no_address(self, bus: Bus) -> None:
        with pytest.raises(Refused, match="expected"):
            bus.address("jobs.>")
