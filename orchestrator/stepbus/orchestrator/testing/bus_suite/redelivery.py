"""Redelivery: until it is acked, not before its time, and to another if need be."""

from time import monotonic

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
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, demand_soon

cases = Family("redelivery", "until it is acked, not before its time, and to another if need be")


@cases.case()
async def an_acked_message_does_not_come_again(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)

    await subscription.ack([await receive_one(subscription)])

    await demand_silence(subscription, trial.redelivery_s * 1.5)


@cases.case()
async def an_unacked_message_comes_again_and_says_so(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    first = await receive_one(subscription)

    again = await receive_one(subscription)

    demand_same((first.body, first.count), (again.body, 1))
    demand_same(again.count, 2)


@cases.case()
async def what_a_dead_reader_held_goes_to_another(trial: Trial) -> None:
    await publish(trial.bus, *messages(5))
    await receive(await trial.bus.subscribe(JOBS), 5)

    another = await trial.bus.subscribe(JOBS)

    demand_same(sorted(bodies(await receive(another, 5))), numbered(5))


@cases.case()
async def a_reader_who_acks_nothing_is_given_the_next_when_his_time_is_over(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS, in_hand=1)
    await receive_one(subscription)

    demand_same((await receive_one(subscription)).count, 2)


@cases.case()
async def what_a_reader_never_asked_for_goes_to_another_and_not_to_him_as_well(trial: Trial) -> None:
    idle = await trial.bus.subscribe(JOBS, in_hand=1)
    await publish(trial.bus, message(1))
    busy = await trial.bus.subscribe(JOBS)

    await busy.ack([await receive_one(busy)])

    await demand_silence(idle, 0.1)


@cases.case()
async def a_nacked_message_comes_again_at_once(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS, in_hand=1)
    begun = monotonic()

    await subscription.nack(await receive_one(subscription))

    demand_same((await receive_one(subscription)).count, 2)
    demand_soon(begun, trial.redelivery_s)


@cases.case()
async def a_nacked_message_does_not_come_before_its_delay(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    first = await receive_one(subscription)
    begun = monotonic()

    await subscription.nack(first, delay_s=0.4)

    demand_same((await receive_one(subscription)).count, 2)
    demand(monotonic() - begun >= 0.4, "it after 0.4 s", f"it after {monotonic() - begun:.2f} s")


@cases.case()
async def a_message_that_waits_for_its_delay_holds_up_no_other(trial: Trial) -> None:
    await publish(trial.bus, *messages(3))
    subscription = await trial.bus.subscribe(JOBS, in_hand=1)
    await subscription.nack(await receive_one(subscription), delay_s=60)

    for expected in (b"body 2", b"body 3"):
        delivery = await receive_one(subscription)
        demand_same(delivery.body, expected)
        await subscription.ack([delivery])


@cases.case()
async def the_count_rises_with_every_delivery(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    counts = []
    for _ in range(5):
        delivery = await receive_one(subscription)
        counts.append(delivery.count)
        await subscription.nack(delivery)

    demand_same(counts, [1, 2, 3, 4, 5])


@cases.case()
async def a_message_that_is_extended_is_not_given_to_another(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    delivery = await receive_one(subscription)
    another = await trial.bus.subscribe(JOBS)

    for _ in range(6):
        await subscription.extend(delivery)
        await demand_silence(another, trial.redelivery_s / 3)

    await subscription.ack([delivery])
    await demand_silence(another, trial.redelivery_s * 1.2)


@cases.case()
async def what_is_done_to_a_message_after_its_ack_is_moot(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    delivery = await receive_one(subscription)
    await subscription.ack([delivery])

    await subscription.ack([delivery])
    await subscription.nack(delivery)
    await subscription.extend(delivery)

    await demand_silence(subscription, trial.redelivery_s * 1.2)


@cases.case()
async def closing_gives_back_at_once_what_was_not_handed_out(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    await publish(trial.bus, *messages(20))
    begun = monotonic()
    [first] = await receive(subscription)

    await subscription.close()

    demand_same(
        sorted(bodies(await receive(await trial.bus.subscribe(JOBS), 19))), sorted(set(numbered(20)) - {first.body})
    )
    demand_soon(begun, trial.redelivery_s)


@cases.case()
async def what_was_handed_out_can_be_acked_after_closing(trial: Trial) -> None:
    await publish(trial.bus, *messages(2))
    subscription = await trial.bus.subscribe(JOBS)
    out = await receive(subscription, 2)
    await subscription.close()

    await subscription.ack(out)

    await demand_silence(await trial.bus.subscribe(JOBS), trial.redelivery_s * 1.5)


@cases.case()
async def closing_the_bus_gives_back_at_once_what_it_held(trial: Trial) -> None:
    await publish(trial.bus, *messages(5))
    another = await trial.another()
    begun = monotonic()
    await receive(await trial.bus.subscribe(JOBS), 5)

    await trial.bus.close()

    received = await receive(await another.subscribe(JOBS), 5)
    demand_same(sorted(bodies(received)), numbered(5))
    demand_soon(begun, trial.redelivery_s)


@cases.case()
async def the_count_goes_with_the_message_to_another_reader(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    first = await trial.bus.subscribe(JOBS)
    await first.nack(await receive_one(first))
    await first.nack(await receive_one(first))
    await first.close()

    count = (await receive_one(await trial.bus.subscribe(JOBS))).count
    demand(count >= 3, "a message that two deliveries went before to say so", count)


@cases.case()
async def delayed_messages_come_in_the_order_of_their_times(trial: Trial) -> None:
    await publish(trial.bus, *messages(3))
    subscription = await trial.bus.subscribe(JOBS)
    for delivery, delay_s in zip(await receive(subscription, 3), (0.9, 0.2, 0.55), strict=True):
        await subscription.nack(delivery, delay_s)

    received: list[bytes] = []
    for _ in range(3):
        delivery = await receive_one(subscription)
        await subscription.ack([delivery])
        received.append(delivery.body)
    demand_same(received, [b"body 2", b"body 3", b"body 1"])


@cases.case()
async def a_delay_outlives_the_reader_who_asked_for_it(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    leaving = await trial.another()
    subscription = await leaving.subscribe(JOBS)
    await subscription.nack(await receive_one(subscription), delay_s=0.3)
    await leaving.close()

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS))), [b"body 1"])


@cases.case()
async def many_that_are_given_back_at_once_all_come_again_once(trial: Trial) -> None:
    await publish(trial.bus, *messages(50))
    subscription = await trial.bus.subscribe(JOBS)
    for delivery in await receive(subscription, 50):
        await subscription.nack(delivery, delay_s=0.05)

    again = await receive(subscription, 50)

    await subscription.ack(again)
    demand_same(sorted(bodies(again)), sorted(numbered(50)))
    demand_same({delivery.count for delivery in again}, {2})
    await demand_silence(subscription, trial.redelivery_s * 1.2)
