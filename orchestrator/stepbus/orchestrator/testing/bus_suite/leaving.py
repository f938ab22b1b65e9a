"""Leaving: readers join, leave and die, buses close in the middle of things, and no message is lost by it."""

import asyncio
from time import monotonic

from stepbus.orchestrator.ports import NotSent, Sent, Subscription
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    PATIENCE_S,
    bodies,
    demand_silence,
    message,
    messages,
    numbered,
    publish,
    receive,
    waiting,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.child import Child
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, demand_soon

cases = Family("leaving", "readers join, leave and die, and buses close in the middle of things, and nothing is lost")


@cases.case(processes=True)
async def what_a_killed_process_held_goes_to_another(trial: Trial) -> None:
    await publish(trial.bus, *messages(5))
    async with Child(trial.bench.url, trial.settings, "hold", "5") as child:
        await child.said("held 5")
        child.kill()

    subscription = await trial.bus.subscribe(JOBS)
    demand_same(sorted(bodies(await receive(subscription, 5))), numbered(5))


@cases.case(processes=True)
async def who_is_left_gets_what_comes_after_another_was_killed(trial: Trial) -> None:
    left = await trial.bus.subscribe(JOBS)
    async with Child(trial.bench.url, trial.settings, "hold", "1") as child:
        await publish(trial.bus, *messages(20))
        received = await taken(left, 18)
        child.kill()
    await publish(trial.bus, *[message(number) for number in range(21, 41)])
    while len(received) < 40:
        received |= await taken(left, 1)

    demand_same(received, set(numbered(40)))


@cases.case(processes=True)
async def what_a_killed_process_had_confirmed_is_there(trial: Trial) -> None:
    async with Child(trial.bench.url, trial.settings, "send", "100000") as child:
        await child.said("sent 200")
        child.kill()
        confirmed = child.last_number()

    received = bodies(await receive(await trial.bus.subscribe(JOBS, in_hand=100_000), confirmed))
    demand_same(received[:confirmed], numbered(confirmed))


@cases.case(processes=True)
async def a_listener_hears_on_when_another_process_that_listened_is_killed(trial: Trial) -> None:
    listener = await trial.bus.listen("events", from_start=False)
    async with Child(trial.bench.url, trial.settings, "listen") as child:
        await child.said("listening")
        child.kill()
    await publish(trial.bus, *messages(20, "events"))

    demand_same(bodies(await receive(listener, 20)), numbered(20))


async def taken(subscription: Subscription, count: int) -> set[bytes]:
    """Take and ack so many messages at least."""
    received: set[bytes] = set()
    deadline = monotonic() + PATIENCE_S
    while len(received) < count:
        demand(monotonic() < deadline, f"{count} messages within {PATIENCE_S:g} s", len(received))
        deliveries = await subscription.receive(100, 1.0)
        await subscription.ack(deliveries)
        received.update(bodies(deliveries))
    return received


@cases.case()
async def readers_join_and_leave_under_load_and_all_is_done(trial: Trial) -> None:
    done: set[bytes] = set()

    async def read(turns: int) -> None:
        while len(done) < 400:
            subscription = await (await trial.another()).subscribe(JOBS, in_hand=20)
            for _ in range(turns):
                deliveries = await subscription.receive(10, 0.05)
                await subscription.ack(deliveries)
                done.update(bodies(deliveries))
            await subscription.close()

    async def send() -> None:
        for first in range(1, 401, 20):
            await publish(trial.bus, *[message(number) for number in range(first, first + 20)])

    async with asyncio.timeout(2 * PATIENCE_S):
        await asyncio.gather(read(7), read(20), read(50), send())

    demand_same(done, set(numbered(400)))


@cases.case()
async def a_reader_who_joins_late_shares_what_is_left(trial: Trial) -> None:
    await publish(trial.bus, *messages(40))
    first = await trial.bus.subscribe(JOBS, in_hand=5)
    held = await receive(first, 5)

    late = await (await trial.another()).subscribe(JOBS, in_hand=5)
    received = set(bodies(held)) | await taken(late, 5)

    await first.ack(held)
    while len(received) < 40:
        for subscription in (first, late):
            deliveries = await subscription.receive(5, 0.1)
            await subscription.ack(deliveries)
            received.update(bodies(deliveries))
    demand_same(received, set(numbered(40)))


@cases.case()
async def a_bus_closed_while_it_publishes_answers_for_each_message_and_has_sent_what_it_says(trial: Trial) -> None:
    closing = await trial.another()
    calls = [
        asyncio.create_task(closing.publish([message(number) for number in range(first, first + 100)]))
        for first in range(1, 2001, 100)
    ]
    await asyncio.sleep(0.01)
    await closing.close()

    begun = monotonic()
    answers = [answer for call in calls for answer in await call]
    demand_soon(begun, trial.settings.publish_timeout_s + 1)
    demand_same(len(answers), 2000)
    demand(all(isinstance(answer, Sent | NotSent) for answer in answers), "Sent or NotSent for each", answers)
    confirmed = {message(number).body for number, answer in enumerate(answers, 1) if answer == Sent()}
    subscription = await trial.bus.subscribe(JOBS)
    missing = set(confirmed)
    while missing:
        missing -= await taken(subscription, 1)


@cases.case()
async def a_bus_closed_while_others_receive_lets_them_all_go(trial: Trial) -> None:
    closing = await trial.another()
    readers = [await closing.subscribe(JOBS), await closing.subscribe("tasks"), await closing.subscribe("results.*")]
    readers += [await closing.listen("events", from_start=True), await closing.listen("replies.a", from_start=False)]
    calls = [await waiting(reader) for reader in readers]
    begun = monotonic()

    await closing.close()

    demand_same([list(await call) for call in calls], [[]] * 5)
    demand_soon(begun, PATIENCE_S / 2)


@cases.case()
async def what_was_received_of_a_bus_that_closed_is_another_s_at_once(trial: Trial) -> None:
    await publish(trial.bus, *messages(30))
    closing = await trial.another()
    reader = await closing.subscribe(JOBS, in_hand=30)
    out = await receive(reader, 30)
    await reader.ack(out[:10])
    begun = monotonic()

    await closing.close()

    received = await receive(await trial.bus.subscribe(JOBS), 20)
    demand_same(sorted(bodies(received)), sorted(bodies(out[10:])))
    demand_soon(begun, trial.redelivery_s)


@cases.case()
async def a_reader_who_drains_hands_over_what_he_did_not_take_and_nothing_is_done_twice(trial: Trial) -> None:
    await publish(trial.bus, *messages(100))
    leaving = await trial.bus.subscribe(JOBS, in_hand=40)
    mine = await receive(leaving, 30)
    await leaving.close()
    await leaving.ack(mine)

    rest = await receive(await (await trial.another()).subscribe(JOBS), 70)

    demand_same(sorted(bodies([*mine, *rest])), sorted(numbered(100)))


@cases.case()
async def acks_that_were_given_just_before_closing_count(trial: Trial) -> None:
    await publish(trial.bus, *messages(50))
    closing = await trial.another()
    reader = await closing.subscribe(JOBS)
    await reader.ack(await receive(reader, 50))

    await closing.close()

    await demand_silence(await trial.bus.subscribe(JOBS), trial.redelivery_s * 1.5)


@cases.case()
async def many_open_and_close_again_and_again(trial: Trial) -> None:
    for number in range(1, 16):
        bus = await trial.another()
        await publish(bus, message(number))
        await bus.close()

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 15)), numbered(15))
