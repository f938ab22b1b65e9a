"""Publishing: confirmed or not, never neither."""

from stepbus.orchestrator.ports import NotSent, Outgoing, Sent
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
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
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same

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


cases = Family("publishing", "every message is confirmed or not, never neither")


async def demand_permanent(trial: Trial, outgoing: Outgoing) -> None:
    """See that a message is refused for good."""
    answer = await refusal(trial.bus, outgoing)
    demand(answer.permanent, "a refusal for good", answer)


async def demand_passing(trial: Trial, outgoing: Outgoing) -> None:
    """See that a message is refused, and may be sent later."""
    answer = await refusal(trial.bus, outgoing)
    demand(not answer.permanent, "a refusal for now", answer)


@cases.case()
async def every_message_of_a_call_is_answered_in_order(trial: Trial) -> None:
    answers = await trial.bus.publish([message(1), message(2, "jobs.*"), message(3, "tasks")])

    demand_same([type(answer) for answer in answers], [Sent, NotSent, Sent])


@cases.case()
async def an_empty_call_answers_nothing(trial: Trial) -> None:
    demand_same(list(await trial.bus.publish([])), [])


@cases.case()
async def what_was_sent_is_received_as_it_was_sent(trial: Trial) -> None:
    await publish(trial.bus, message(body=b'{"a": 1}'))

    delivery = await receive_one(await trial.bus.subscribe(JOBS))

    demand_same((delivery.channel, delivery.body, delivery.count), (JOBS, b'{"a": 1}', 1))


@cases.case()
async def messages_of_one_channel_keep_their_order(trial: Trial) -> None:
    await publish(trial.bus, *messages(500))

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 500)), numbered(500))


@cases.case()
async def a_message_sent_twice_under_one_id_is_confirmed_twice_and_delivered_once(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    await publish(trial.bus, message(1), message(1))
    await publish(trial.bus, message(1), message(2))

    expected = [1, 2] if trial.knows_duplicates else [1, 1, 1, 2]

    received = await receive(subscription, len(expected))
    demand_same(bodies(received), [message(number).body for number in expected])


@cases.case()
async def one_id_on_two_channels_is_two_messages(trial: Trial) -> None:
    await publish(trial.bus, message(1, "results.1"), message(1, "results.2"), message(1, "tasks"))

    received = await receive(await trial.bus.subscribe("results.*"), 2)

    demand_same({delivery.channel for delivery in received}, {"results.1", "results.2"})
    demand_same((await receive_one(await trial.bus.subscribe("tasks"))).channel, "tasks")


@cases.case(each=NO_CHANNELS)
async def a_channel_that_cannot_exist_is_refused_for_good(trial: Trial, channel: str) -> None:
    await demand_permanent(trial, message(1, channel))


@cases.case(each=["", "a\r\nNats-Rollup: all", "a\nb", "a\x00b", "a" * 1000])
async def an_id_that_no_broker_could_carry_is_refused_for_good(trial: Trial, message_id: str) -> None:
    await demand_permanent(trial, Outgoing(JOBS, message_id, b""))


@cases.case()
async def a_large_message_is_sent_whole(trial: Trial) -> None:
    body = bytes(range(256)) * (trial.largest_body // 256)
    await publish(trial.bus, message(body=body))

    demand_same((await receive_one(await trial.bus.subscribe(JOBS))).body, body)


@cases.case()
async def a_message_over_the_limit_is_refused_for_good_and_harms_no_other(trial: Trial) -> None:
    answers = await trial.bus.publish([message(1), message(2, body=bytes(4 * trial.largest_body)), message(3)])

    demand_same([type(answer) for answer in answers], [Sent, NotSent, Sent])
    demand(isinstance(answers[1], NotSent) and answers[1].permanent, "a refusal for good", answers[1])
    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 2)), [b"body 1", b"body 3"])
    demand(await trial.bus.connected(), "the bus to be connected", "that it is not")


@cases.case()
async def a_refusal_says_what_was_expected_and_found(trial: Trial) -> None:
    reason = (await refusal(trial.bus, message(1, "jobs.a b"))).reason

    demand("expected" in reason and "'jobs.a b'" in reason, "what was expected, and 'jobs.a b'", reason)


@cases.case(bare=True)
async def before_the_channels_are_provisioned_nothing_is_sent_but_may_be_later(trial: Trial) -> None:
    await demand_passing(trial, message(1, "tasks"))

    await trial.bus.provision()
    await publish(trial.bus, message(1, "tasks"))


@cases.case()
async def a_closed_bus_sends_nothing_and_says_so(trial: Trial) -> None:
    await trial.bus.close()

    await demand_passing(trial, message(1))


@cases.case()
async def a_refused_message_is_nowhere(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    await trial.bus.publish([message(1, body=bytes(4 * trial.largest_body)), message(2, "jobs.*")])

    await demand_silence(subscription, 0.2)
