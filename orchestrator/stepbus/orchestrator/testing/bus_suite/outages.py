"""Outages: what a broker has confirmed outlives its death, and a bus outlives its broker's.

These cases need a server that they may kill, freeze and empty. They are tried by `BrokerSuite` alone.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol, cast

from stepbus.orchestrator.ports import BusUnavailable, NotSent, Outgoing, Sent
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    QUEUE,
    Bench,
    bodies,
    message,
    messages,
    numbered,
    publish,
    receive,
    refusal,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, demand_soon, refused
from stepbus.orchestrator.testing.waiting import wait_until

cases = Family("outages", "what is confirmed outlives the broker's death, and a bus outlives its broker's")

RETURN_S = 60.0
"""How long a bus may take to find its broker again, and a reader to be given what a dead connection held."""

SLACK_S = 3.0
"""How much longer than its timeout a call may take on a machine that has much to do."""


class Killable(Protocol):
    """A server of the test's own, that keeps its address over restarts."""

    @property
    def pid(self) -> int:
        """Give the process that leads its group."""
        ...

    def start(self) -> None:
        """Start it, or start it again; returns when it is ready."""

    def kill(self) -> None:
        """End it at once."""

    def stop(self) -> None:
        """End it in good order."""

    def wipe(self) -> None:
        """End it at once and delete its data."""


class Broker(Bench):
    """An adapter whose broker is there to be killed."""

    server: Killable

    outage_s: float = 10.0
    """How long the broker is down in the case of a long outage."""


def broker(trial: Trial) -> Broker:
    """Give the broker of a trial."""
    return cast("Broker", trial.bench)


async def restart(server: Killable) -> None:
    """Kill it and start it again."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def until_back(trial: Trial) -> None:
    """Wait until the bus is connected and messages are confirmed again."""
    await wait_until(trial.bus.connected, within_s=RETURN_S)
    await send_until_confirmed(trial, [message(1, "replies.nobody")])


async def until_away(trial: Trial) -> None:
    """Wait until the bus knows that its broker is away."""

    async def is_away() -> bool:
        return not await trial.bus.connected()

    await wait_until(is_away, within_s=RETURN_S)


async def send_until_confirmed(trial: Trial, outgoing: list[Outgoing]) -> None:
    """Send as the relay does: what was not confirmed again, under the same id."""
    deadline = monotonic() + RETURN_S
    while outgoing:
        answers = await trial.bus.publish(outgoing)
        outgoing = [one for one, answer in zip(outgoing, answers, strict=True) if answer != Sent()]
        demand(monotonic() < deadline, f"all to be confirmed within {RETURN_S:g} s", f"{len(outgoing)} that are not")
        if outgoing:
            await asyncio.sleep(0.1)


async def take_until(trial: Trial, wanted: set[bytes]) -> None:
    """Take and ack jobs until these have come, whatever comes beside them."""
    subscription = await trial.bus.subscribe(JOBS, in_hand=200)
    deadline = monotonic() + RETURN_S
    missing = set(wanted)
    while missing:
        demand(monotonic() < deadline, f"all within {RETURN_S:g} s", f"{len(missing)} missing, as {min(missing)!r}")
        deliveries = await subscription.receive(100, 1.0)
        missing.difference_update(bodies(deliveries))
        await subscription.ack(deliveries)


@contextmanager
def frozen(server: Killable) -> Iterator[None]:
    """Stop all of its processes in their tracks for the length of the block."""
    group = os.getpgid(server.pid)
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


@cases.case()
async def a_broker_killed_again_and_again_under_load_loses_nothing_confirmed(trial: Trial) -> None:
    count, server = 1500, broker(trial).server
    sent = 0

    async def send() -> None:
        nonlocal sent
        for first in range(1, count + 1, 50):
            await send_until_confirmed(trial, [message(number) for number in range(first, first + 50)])
            sent += 50

    async def torment() -> None:
        for share in (0.2, 0.6):
            await wait_until(lambda share=share: sent >= share * count, within_s=RETURN_S)  # type: ignore[misc]
            await restart(server)

    async with asyncio.timeout(2 * RETURN_S):
        await asyncio.gather(send(), torment(), take_until(trial, set(numbered(count))))


@cases.case()
async def what_was_in_flight_when_the_broker_died_is_answered_for_and_what_was_confirmed_is_there(trial: Trial) -> None:
    server = broker(trial).server
    calls = [
        asyncio.create_task(trial.bus.publish([message(number, body=b"%d " % number + bytes(2000))]))
        for number in range(500)
    ]
    await asyncio.wait({calls[0]})
    begun = monotonic()
    await asyncio.to_thread(server.kill)
    answers = [answer for call in calls for answer in await call]
    demand_soon(begun, trial.settings.publish_timeout_s + SLACK_S)
    demand(all(isinstance(one, Sent | NotSent) for one in answers), "Sent or NotSent for each", answers)
    await asyncio.to_thread(server.start)
    await until_back(trial)

    confirmed = {b"%d " % number + bytes(2000) for number, answer in enumerate(answers) if answer == Sent()}
    await take_until(trial, confirmed)


@cases.case()
async def a_broker_that_is_down_for_long_is_found_again_and_all_goes_on(trial: Trial) -> None:
    server = broker(trial).server
    reader = await trial.bus.subscribe(JOBS)
    listener = await trial.bus.listen("events", from_start=False)
    await publish(trial.bus, message(1), message(1, "events"))
    await reader.ack(await receive(reader))
    await receive(listener)

    await asyncio.to_thread(server.kill)
    await until_away(trial)
    begun = monotonic()
    answer = await refusal(trial.bus, message(2))
    demand(not answer.permanent, "a refusal for now", answer)
    demand_soon(begun, trial.settings.publish_timeout_s + SLACK_S)
    with refused(BusUnavailable):
        await trial.bus.subscribe("tasks")
    demand_same(list(await reader.receive(1, broker(trial).outage_s)), [])
    demand_same(list(await listener.receive(1, 0.1)), [])

    await asyncio.to_thread(server.start)
    await until_back(trial)
    await send_until_confirmed(trial, [message(3), message(3, "events")])
    while (delivery := (await receive(reader))[0]).body != b"body 3":  # the refused one may be there all the same
        await reader.ack([delivery])
    while (await receive(listener))[0].body != b"body 3":
        pass
    demand_same(bodies(await receive(await trial.bus.listen("events", from_start=True), 2)), [b"body 1", b"body 3"])


@cases.case()
async def what_was_in_hand_when_the_broker_died_comes_again_and_what_was_acked_does_not(trial: Trial) -> None:
    await publish(trial.bus, *messages(20))
    reader = await trial.bus.subscribe(JOBS)
    out = await receive(reader, 20)
    await reader.ack(out[:10])
    await asyncio.sleep(0.5)  # an ack that is lost on its way is a redelivery, and none of these are to be
    await restart(broker(trial).server)
    await until_back(trial)

    again: set[bytes] = set()
    while len(again) < 10:
        deliveries = await receive(reader)
        await reader.ack(deliveries)
        again.update(bodies(deliveries))
    demand_same(again, set(bodies(out[10:])))


@cases.case()
async def a_broker_that_comes_back_empty_is_provisioned_again_and_all_goes_on(trial: Trial) -> None:
    server = broker(trial).server
    reader, tasks = await trial.bus.subscribe(JOBS), await trial.bus.subscribe("tasks")
    results = await trial.bus.subscribe("results.*")
    listener = await trial.bus.listen("events", from_start=True)
    await publish(trial.bus, *messages(5), *messages(5, "events"))
    await reader.ack(await receive(reader, 5))
    await receive(listener, 5)

    await asyncio.to_thread(server.wipe)
    await asyncio.to_thread(server.start)
    await wait_until(trial.bus.connected, within_s=RETURN_S)
    await (await trial.another()).provision([QUEUE])

    channels = (JOBS, "tasks", "results.3", "events")
    await send_until_confirmed(trial, [message(6, channel) for channel in channels])
    for subscription in (reader, tasks, results, listener):
        demand_same(bodies(await receive(subscription)), [b"body 6"])


@cases.case()
async def a_frozen_broker_confirms_nothing_and_each_message_is_answered_for_in_time(trial: Trial) -> None:
    with frozen(broker(trial).server):
        begun = monotonic()
        answers = await trial.bus.publish([message(number, body=bytes(300_000)) for number in range(1, 31)])
        demand_same({type(answer) for answer in answers}, {NotSent})
        demand_soon(begun, 2 * trial.settings.publish_timeout_s + SLACK_S)
        demand(not any(answer.permanent for answer in answers if isinstance(answer, NotSent)), "for now", answers)

    await until_back(trial)
    await send_until_confirmed(trial, [message(99)])
    await take_until(trial, {b"body 99"})


@cases.case()
async def a_bus_can_be_closed_while_its_broker_is_away(trial: Trial) -> None:
    closing = await trial.another()
    reader = await closing.subscribe(JOBS)
    await publish(closing, message(1))
    await receive(reader)
    await asyncio.to_thread(broker(trial).server.kill)
    await until_away(trial)
    begun = monotonic()

    await closing.close()

    demand_soon(begun, trial.settings.publish_timeout_s + SLACK_S)
    demand_same(list(await reader.receive(1, 0)), [])
    await asyncio.to_thread(broker(trial).server.start)
    await until_back(trial)
    await take_until(trial, {b"body 1"})
