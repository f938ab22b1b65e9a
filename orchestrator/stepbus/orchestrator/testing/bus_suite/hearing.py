"""Hearing: all that is said on a channel, by everybody who listens; and replies to a client."""

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.testing.bus_suite.bench import (
    bodies,
    demand_silence,
    message,
    messages,
    numbered,
    publish,
    receive,
    receive_one,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, refused

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


cases = Family("hearing", "all that is said on a channel, by everybody who listens; and replies to a client")


@cases.case(each=["events", "quarantine"])
async def a_listener_from_the_start_hears_what_is_kept_and_what_comes(trial: Trial, channel: str) -> None:
    await publish(trial.bus, *messages(3, channel))

    listener = await trial.bus.listen(channel, from_start=True)
    await publish(trial.bus, message(4, channel))

    demand_same(bodies(await receive(listener, 4)), numbered(4))


@cases.case()
async def a_listener_from_now_on_hears_only_what_comes(trial: Trial) -> None:
    await publish(trial.bus, *messages(3, "events"))

    listener = await trial.bus.listen("events", from_start=False)
    await publish(trial.bus, message(4, "events"))

    demand_same(bodies(await receive(listener)), [b"body 4"])


@cases.case()
async def all_listeners_hear_all(trial: Trial) -> None:
    listeners = [await trial.bus.listen("events", from_start=False) for _ in range(2)]
    listeners.append(await (await trial.another()).listen("events", from_start=True))
    await publish(trial.bus, *messages(50, "events"))

    for listener in listeners:
        demand_same(bodies(await receive(listener, 50)), numbered(50))


@cases.case()
async def what_was_heard_does_not_come_again_acked_or_not(trial: Trial) -> None:
    listener = await trial.bus.listen("events", from_start=True)
    await publish(trial.bus, *messages(2, "events"))
    first, second = await receive(listener, 2)

    await listener.ack([first])
    await listener.nack(second)
    await listener.extend(second)

    demand_same((first.channel, first.count), ("events", 1))
    await demand_silence(listener, trial.redelivery_s * 1.2)


@cases.case()
async def a_listener_who_never_acks_hears_on(trial: Trial) -> None:
    listener = await trial.bus.listen("events", from_start=True)
    await publish(trial.bus, *messages(2500, "events"))

    demand_same(bodies(await receive(listener, 2500)), numbered(2500))


@cases.case()
async def a_closed_listener_hears_nothing(trial: Trial) -> None:
    listener = await trial.bus.listen("events", from_start=True)

    await listener.close()
    await publish(trial.bus, message(1, "events"))

    await demand_silence(listener, 0.1)


@cases.case()
async def a_listener_takes_nothing_away_from_a_group(trial: Trial) -> None:
    await publish(trial.bus, message(1, "quarantine"))

    demand_same(bodies(await receive(await trial.bus.listen("quarantine", from_start=True))), [b"body 1"])
    demand_same(bodies(await receive(await trial.bus.subscribe("quarantine", group="desk"))), [b"body 1"])


@cases.case(each=["tasks", "jobs.a", "results.1", "results.*", "events.*", "*", "replies.*", ""])
async def what_cannot_be_heard_alone_is_refused(trial: Trial, channel: str) -> None:
    with refused(Refused, "expected"):
        await trial.bus.listen(channel, from_start=True)


@cases.case()
async def a_reply_reaches_the_address_that_a_client_named(trial: Trial) -> None:
    client = await trial.another()
    listener = await client.listen("replies.client-1.q", from_start=False)

    address = client.address("replies.client-1.q")
    channel = trial.bus.reply_channel(address)
    demand(channel is not None, "a channel to reply to", address)
    await publish(trial.bus, message(1, channel or ""))

    demand_same((await receive_one(listener)).body, b"body 1")


@cases.case()
async def a_reply_that_nobody_waits_for_is_sent_and_gone(trial: Trial) -> None:
    await publish(trial.bus, message(1, "replies.nobody"))

    await demand_silence(await trial.bus.listen("replies.nobody", from_start=False), 0.1)


@cases.case(each=NO_REPLY_ADDRESSES)
async def no_reply_goes_to_a_place_that_is_not_for_replies(trial: Trial, address: str) -> None:
    demand_same(trial.bus.reply_channel(address.replace("{prefix}", trial.settings.prefix)), None)


@cases.case(each=["tasks", "jobs.orders.check", "results.0", "events", "quarantine"])
async def no_reply_goes_to_a_channel_of_ours(trial: Trial, channel: str) -> None:
    demand_same(trial.bus.reply_channel(trial.bus.address(channel)), None)


@cases.case()
async def a_channel_that_cannot_exist_has_no_address(trial: Trial) -> None:
    with refused(Refused, "expected"):
        trial.bus.address("jobs.>")


@cases.case()
async def a_listener_who_begins_again_from_the_start_hears_all_again(trial: Trial) -> None:
    await publish(trial.bus, *messages(10, "quarantine"))
    for _ in range(3):
        listener = await trial.bus.listen("quarantine", from_start=True)
        demand_same(bodies(await receive(listener, 10)), numbered(10))
        await listener.close()


@cases.case()
async def from_now_on_means_from_when_listen_returned(trial: Trial) -> None:
    for number in range(1, 11):
        listener = await trial.bus.listen("events", from_start=False)
        await publish(trial.bus, message(number, "events"))
        demand_same(bodies(await receive(listener)), [b"body %d" % number])
        await listener.close()


@cases.case()
async def replies_reach_each_client_its_own(trial: Trial) -> None:
    names = [f"client-{number}" for number in range(10)]
    listeners = [await trial.bus.listen(f"replies.{name}", from_start=False) for name in names]
    await publish(trial.bus, *[message(number, f"replies.{name}") for number, name in enumerate(names)])

    for number, listener in enumerate(listeners):
        demand_same(bodies(await receive(listener)), [b"body %d" % number])
        demand_same(list(await listener.receive(9, 0)), [])
