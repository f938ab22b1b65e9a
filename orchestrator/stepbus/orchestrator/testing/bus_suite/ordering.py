"""Ordering: what belongs together stays in order; what was sent again is known by its id where the broker keeps ids."""

import asyncio

from stepbus.orchestrator.ports import Outgoing
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
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand_same

cases = Family("ordering", "messages of a key keep their order; a repeat is known by its id where the broker keeps ids")


def keyed(key: str, numbers: range) -> list[Outgoing]:
    """Give messages of one key, numbered."""
    return [Outgoing(JOBS, f"{key}:{number}", f"{key} {number}".encode(), key) for number in numbers]


def of_key(received: list[bytes], key: str) -> list[bytes]:
    """Give the bodies of one key, in the order received."""
    return [body for body in received if body.startswith(f"{key} ".encode())]


@cases.case()
async def messages_of_one_key_keep_their_order_among_those_of_others(trial: Trial) -> None:
    keys = [f"task-{number}" for number in range(20)]
    for first in range(0, 30, 5):
        await publish(trial.bus, *[one for key in keys for one in keyed(key, range(first, first + 5))])

    received = bodies(await receive(await trial.bus.subscribe(JOBS), 600))

    for key in keys:
        demand_same(of_key(received, key), [one.body for one in keyed(key, range(30))])


@cases.case()
async def two_who_send_at_once_each_keep_their_order(trial: Trial) -> None:
    another = await trial.another()

    async def send(bus_number: int) -> None:
        bus = (trial.bus, another)[bus_number]
        for first in range(0, 100, 10):
            await publish(bus, *keyed(f"bus-{bus_number}", range(first, first + 10)))

    await asyncio.gather(send(0), send(1))

    received = bodies(await receive(await trial.bus.subscribe(JOBS), 200))
    for key in ("bus-0", "bus-1"):
        demand_same(of_key(received, key), [one.body for one in keyed(key, range(100))])


@cases.case()
async def a_key_of_any_length_and_letters_is_carried(trial: Trial) -> None:
    keys = ["", "a", "ü", "日本", "a b", "a/b?c=d", "k" * 1000]
    await publish(trial.bus, *[Outgoing(JOBS, f"id-{n}", b"%d" % n, key) for n, key in enumerate(keys)])

    received = bodies(await receive(await trial.bus.subscribe(JOBS), len(keys)))

    demand_same(received, [b"%d" % number for number in range(len(keys))])


@cases.case()
async def calls_one_after_another_keep_their_order(trial: Trial) -> None:
    for number in range(1, 61):
        await publish(trial.bus, message(number))

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 60)), numbered(60))


@cases.case()
async def what_is_acked_in_another_order_does_not_come_again(trial: Trial) -> None:
    await publish(trial.bus, *messages(10))
    subscription = await trial.bus.subscribe(JOBS)
    out = await receive(subscription, 10)

    for delivery in reversed(out[5:]):
        await subscription.ack([delivery])

    again = bodies(await receive(subscription, 5))
    demand_same(sorted(again), sorted(numbered(5)))


@cases.case()
async def a_repeat_by_another_bus_is_the_same_message(trial: Trial) -> None:
    another = await trial.another()
    subscription = await trial.bus.subscribe(JOBS)
    await publish(trial.bus, message(1))
    await publish(another, message(1), message(2))

    expected = [b"body 1", b"body 2"] if trial.knows_duplicates else [b"body 1", b"body 1", b"body 2"]

    demand_same(bodies(await receive(subscription, len(expected))), expected)
    await demand_silence(subscription, 0.1)


@cases.case()
async def a_repeat_of_what_was_done_with_does_not_come_again_where_ids_are_known(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    await publish(trial.bus, message(1))
    await subscription.ack(await receive(subscription))

    await publish(trial.bus, message(1), message(2))

    expected = [b"body 2"] if trial.knows_duplicates else [b"body 1", b"body 2"]
    demand_same(bodies(await receive(subscription, len(expected))), expected)


@cases.case()
async def results_of_one_partition_keep_their_order_while_others_are_worked_off(trial: Trial) -> None:
    last = trial.settings.partitions - 1
    for number in range(1, 41):
        await publish(trial.bus, message(number, "results.0"), message(number, f"results.{last}"))
    subscription = await trial.bus.subscribe("results.*", in_hand=6)
    received: list[tuple[str, bytes]] = []
    while len(received) < 80:
        deliveries = await subscription.receive(6, PATIENCE_S)
        received += [(delivery.channel, delivery.body) for delivery in deliveries]
        await subscription.ack(deliveries)

    for channel in ("results.0", f"results.{last}"):
        demand_same([body for of, body in received if of == channel], numbered(40))
