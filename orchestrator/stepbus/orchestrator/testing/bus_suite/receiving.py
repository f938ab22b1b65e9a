"""Receiving: as soon as there is one, no more than asked for, no more than in hand."""

import asyncio
from time import monotonic

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
    receive_one,
    waiting,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, demand_soon

cases = Family("receiving", "as soon as there is one, no more than asked for, no more than in hand")


@cases.case()
async def receiving_gives_none_when_the_time_has_passed(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    begun = monotonic()

    await demand_silence(subscription, 0.2)

    demand(0.2 <= monotonic() - begun < PATIENCE_S, "none after 0.2 s", f"none after {monotonic() - begun:.2f} s")


@cases.case()
async def receiving_gives_what_is_there_without_waiting_for_more(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    await publish(trial.bus, *messages(3))

    demand_same(bodies(await receive(subscription, 3)), numbered(3))
    await publish(trial.bus, message(4))
    begun = monotonic()
    demand_same(bodies(await subscription.receive(100, PATIENCE_S)), [b"body 4"])
    demand_soon(begun, PATIENCE_S / 2)


@cases.case()
async def who_waits_is_woken_by_the_next_message(trial: Trial) -> None:
    call = await waiting(await trial.bus.subscribe(JOBS))

    await publish(trial.bus, message(1))

    demand_same(bodies(await call), [b"body 1"])


@cases.case()
async def receiving_gives_no_more_than_asked_for(trial: Trial) -> None:
    await publish(trial.bus, *messages(5))
    subscription = await trial.bus.subscribe(JOBS)

    first = await receive(subscription, 2)

    demand_same(bodies(first), numbered(2))
    demand_same(bodies(first + await receive(subscription, 3)), numbered(5))


@cases.case(plain=True)
async def headers_and_body_of_a_plain_client_arrive(trial: Trial) -> None:
    subscription = await trial.bus.subscribe("tasks")

    await trial.send_plainly(trial.bus.address("tasks"), b"1", {"ce-specversion": "1.0", "ce-id": "é"})

    delivery = await receive_one(subscription)
    demand_same((delivery.channel, delivery.body), ("tasks", b"1"))
    headers = {"ce-specversion": "1.0", "ce-id": "é"}
    demand(headers.items() <= delivery.headers.items(), f"the headers {headers}", dict(delivery.headers))


@cases.case(plain=True)
async def an_address_is_where_a_plain_client_reaches_a_partition(trial: Trial) -> None:
    subscription = await trial.bus.subscribe("results.*")

    await trial.send_plainly(trial.bus.address("results.3"), b"done", {})

    demand_same((await receive_one(subscription)).channel, "results.3")


@cases.case()
async def nothing_sent_before_the_first_subscription_is_missed(trial: Trial) -> None:
    await publish(trial.bus, *messages(3), message(4, "tasks"), message(5, "results.0"))

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 3)), numbered(3))
    demand_same((await receive_one(await trial.bus.subscribe("tasks"))).body, b"body 4")
    demand_same((await receive_one(await trial.bus.subscribe("results.*"))).body, b"body 5")


@cases.case()
async def no_more_than_in_hand_are_out_unacked(trial: Trial) -> None:
    await publish(trial.bus, *messages(10))
    subscription = await trial.bus.subscribe(JOBS, in_hand=3)
    out = await receive(subscription, 3)

    await demand_silence(subscription, trial.redelivery_s / 4)

    await subscription.ack(out[:2])
    demand_same(bodies(await receive(subscription, 2)), [b"body 4", b"body 5"])
    await demand_silence(subscription, trial.redelivery_s / 4)


@cases.case()
async def an_ack_lets_a_waiting_reader_have_the_next(trial: Trial) -> None:
    await publish(trial.bus, *messages(2))
    subscription = await trial.bus.subscribe(JOBS, in_hand=1)
    first = await receive_one(subscription)
    call = await waiting(subscription)

    await subscription.ack([first])

    demand_same(bodies(await call), [b"body 2"])


@cases.case()
async def what_one_reader_may_not_take_yet_another_can(trial: Trial) -> None:
    await publish(trial.bus, *messages(4))
    full = await trial.bus.subscribe(JOBS, in_hand=2)
    await receive(full, 2)

    other = await trial.bus.subscribe(JOBS, in_hand=2)

    demand_same(bodies(await receive(other, 2)), [b"body 3", b"body 4"])


@cases.case()
async def a_long_backlog_is_worked_off_through_a_small_hand(trial: Trial) -> None:
    await publish(trial.bus, *messages(300))
    subscription = await trial.bus.subscribe(JOBS, in_hand=7)
    received: list[bytes] = []
    while len(received) < 300:
        deliveries = await subscription.receive(100, PATIENCE_S)
        demand(1 <= len(deliveries) <= 7, "one message at least and seven at most", len(deliveries))
        received += bodies(deliveries)
        await subscription.ack(deliveries)

    demand_same(received, numbered(300))


@cases.case()
async def a_cancelled_receive_loses_nothing(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    call = await waiting(subscription)
    call.cancel()
    await asyncio.wait({call})

    await publish(trial.bus, message(1))

    demand_same(bodies(await receive(subscription)), [b"body 1"])


@cases.case()
async def two_calls_on_one_subscription_share_what_comes(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    calls = [await waiting(subscription, limit=1), await waiting(subscription, limit=1)]

    await publish(trial.bus, *messages(2))

    received = [bodies(await call) for call in calls]
    demand_same(sorted(received), [[b"body 1"], [b"body 2"]])


@cases.case()
async def a_closed_subscription_gives_nothing_even_to_who_waits(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    call = await waiting(subscription)

    await subscription.close()
    await publish(trial.bus, message(1))

    demand_same(list(await call), [])
    demand_same(list(await subscription.receive(10, 0)), [])


@cases.case()
async def a_backlog_is_drained_and_stays_drained(trial: Trial) -> None:
    await publish(trial.bus, *messages(200))
    subscription = await trial.bus.subscribe(JOBS, in_hand=50)
    for _ in range(4):
        await subscription.ack(await receive(subscription, 50))
    await subscription.close()

    await demand_silence(await trial.bus.subscribe(JOBS), 0.2)
