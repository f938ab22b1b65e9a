"""Limits: up to the largest message all arrive whole; who reads slowly holds no more than his hand."""

import asyncio
import tracemalloc

from stepbus.orchestrator.ports import NotSent, Sent
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    PATIENCE_S,
    bodies,
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

cases = Family("limits", "messages to the limit arrive whole, those over it are refused, and memory is bounded")

KIB = 1024
SIZES = [
    1,
    125,
    126,
    127,
    128,
    4 * KIB - 1,
    4 * KIB,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    131_065,
    128 * KIB,
    256 * KIB,
]


@cases.case(each=SIZES)
async def a_message_of_any_size_to_the_limit_arrives_whole(trial: Trial, size: int) -> None:
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    await publish(trial.bus, message(1, body=body), message(2))

    received = await receive(await trial.bus.subscribe(JOBS), 2)

    demand(received[0].body == body, f"{size:,} bytes as they were sent", f"{len(received[0].body):,} bytes")
    demand_same(received[1].body, b"body 2")


@cases.case(each=[4, 8, 32])
async def a_message_over_the_limit_is_refused_in_time_for_good_and_the_next_is_sent(trial: Trial, times: int) -> None:
    answer = await refusal(trial.bus, message(1, body=bytes(times * trial.largest_body)))

    demand(answer.permanent, "a refusal for good", answer)
    await publish(trial.bus, message(2))
    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS))), [b"body 2"])


@cases.case()
async def many_large_messages_of_one_call_are_all_answered_and_all_there(trial: Trial) -> None:
    outgoing = [message(number, body=b"%d " % number + bytes(200 * KIB)) for number in range(40)]
    answers = await trial.bus.publish(outgoing)
    confirmed = [one.body for one, answer in zip(outgoing, answers, strict=True) if answer == Sent()]
    subscription = await trial.bus.subscribe(JOBS, in_hand=5)
    received: list[bytes] = []
    while len(received) < len(confirmed):
        deliveries = await receive(subscription)
        await subscription.ack(deliveries)
        received += bodies(deliveries)

    demand_same([body[:3] for body in received], [body[:3] for body in confirmed])
    demand(received == confirmed, "every body as it was sent", "another")


@cases.case()
async def a_call_of_thousands_is_answered_for_each(trial: Trial) -> None:
    answers = await trial.bus.publish([*messages(3000), message(1, "jobs.*"), message(3001)])

    demand_same({type(answer) for answer in answers[:3000]}, {Sent})
    demand_same([type(answer) for answer in answers[3000:]], [NotSent, Sent])


@cases.case()
async def calls_at_once_do_not_take_each_others_answers(trial: Trial) -> None:
    async def send(number: int) -> list[type]:
        channel = JOBS if number % 2 else "jobs.*"
        return [type(answer) for answer in await trial.bus.publish([message(number, channel)])]

    answers = await asyncio.gather(*[send(number) for number in range(200)])

    demand_same(answers, [[Sent] if number % 2 else [NotSent] for number in range(200)])


@cases.case(processes=True)
async def a_slow_reader_keeps_no_more_in_memory_than_his_hand_holds(trial: Trial) -> None:
    for number in range(12):
        await publish(trial.bus, *[message(8 * number + each, body=bytes(256 * KIB)) for each in range(8)])
    tracemalloc.start()
    try:
        subscription = await trial.bus.subscribe(JOBS, in_hand=4)
        out = await receive(subscription, 4)
        demand_same(list(await subscription.receive(9, trial.redelivery_s / 4)), [])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    demand(held < 12 * 1024 * KIB, "less than half of the 24 MiB that wait in memory", f"{held / 1024 / KIB:.1f} MiB")
    demand_same(len(out), 4)


@cases.case()
async def a_slow_reader_gets_all_in_the_end(trial: Trial) -> None:
    await publish(trial.bus, *messages(40))
    subscription = await trial.bus.subscribe(JOBS, in_hand=2)
    received: list[bytes] = []
    while len(received) < 40:
        deliveries = await subscription.receive(1, PATIENCE_S)
        await asyncio.sleep(0.005)
        await subscription.ack(deliveries)
        received += bodies(deliveries)

    demand_same(received, numbered(40))


@cases.case()
async def a_reader_whose_hand_is_full_holds_up_no_other_queue(trial: Trial) -> None:
    await trial.bus.provision(["other"])
    full = await trial.bus.subscribe(JOBS, in_hand=1)
    other = await trial.bus.subscribe("jobs.other")
    await publish(trial.bus, *messages(20))
    await receive_one(full)

    await publish(trial.bus, *messages(20, "jobs.other"), *messages(20, "tasks"))

    demand_same(bodies(await receive(other, 20)), numbered(20))
    demand_same(bodies(await receive(await trial.bus.subscribe("tasks"), 20)), numbered(20))
