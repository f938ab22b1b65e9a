"""Opening and closing: what a broker needs is made once, and a closed bus says so."""

import asyncio

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, Sent
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    QUEUE,
    bodies,
    message,
    messages,
    numbered,
    publish,
    receive,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, refused

cases = Family("opening", "what a broker needs is made once, and a closed bus says so")


@cases.case()
async def provisioning_again_changes_nothing(trial: Trial) -> None:
    await publish(trial.bus, *messages(3))

    await trial.bus.provision([QUEUE])

    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS), 3)), numbered(3))


@cases.case(bare=True)
async def many_may_provision_at_once(trial: Trial) -> None:
    buses = [await trial.another() for _ in range(4)]

    await asyncio.gather(*[bus.provision([QUEUE, f"own.{number}"]) for number, bus in enumerate(buses)])

    await publish(buses[0], message(1), message(2, "jobs.own.3"))
    demand_same(bodies(await receive(await buses[1].subscribe("jobs.own.3"))), [b"body 2"])


@cases.case()
async def a_queue_can_be_added_later(trial: Trial) -> None:
    await trial.bus.provision(["shipping.send"])

    await publish(trial.bus, message(1, "jobs.shipping.send"))

    demand_same(bodies(await receive(await trial.bus.subscribe("jobs.shipping.send"))), [b"body 1"])


@cases.case(each=["", "*", ">", "a b", "a..b", "a" * 200, "a/b", "ä"])
async def a_queue_that_cannot_exist_is_refused(trial: Trial, queue: str) -> None:
    with refused(Refused, "expected"):
        await trial.bus.provision([queue])


@cases.case(bare=True)
async def before_the_channels_are_provisioned_there_is_nothing_to_subscribe_to(trial: Trial) -> None:
    with refused(BusUnavailable, "provision"):
        await trial.bus.subscribe("tasks")


@cases.case(each=["", "A", "a.b", "a b", "*", ">", "a" * 33, "a\r\n", "amq"])
async def a_prefix_that_is_no_token_is_refused(trial: Trial, prefix: str) -> None:
    with refused(Refused, "expected"):
        await trial.another(BusSettings(prefix=prefix))


@cases.case()
async def a_bus_is_connected_until_it_is_closed(trial: Trial) -> None:
    demand(await trial.bus.connected(), "an open bus to be connected", "that it is not")

    await trial.bus.close()

    demand(not await trial.bus.connected(), "a closed bus to be unconnected", "that it is connected")


@cases.case()
async def closing_twice_is_closing(trial: Trial) -> None:
    await trial.bus.close()
    await trial.bus.close()

    demand(not await trial.bus.connected(), "a closed bus to be unconnected", "that it is connected")


@cases.case()
async def a_closed_bus_takes_no_subscriptions(trial: Trial) -> None:
    await trial.bus.close()

    with refused(BusUnavailable):
        await trial.bus.subscribe(JOBS)
    with refused(BusUnavailable):
        await trial.bus.listen("events", from_start=True)


@cases.case()
async def a_bus_closed_while_somebody_waits_lets_him_go(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    call = asyncio.create_task(subscription.receive(1, 20))
    await asyncio.wait({call}, timeout=0.05)

    await trial.bus.close()

    demand_same(list(await asyncio.wait_for(call, 5)), [])


@cases.case()
async def what_was_confirmed_before_closing_is_there_after_it(trial: Trial) -> None:
    another = await trial.another()
    await publish(trial.bus, *messages(20))
    await trial.bus.close()

    demand_same(bodies(await receive(await another.subscribe(JOBS), 20)), numbered(20))


@cases.case()
async def provisioning_while_messages_flow_disturbs_none(trial: Trial) -> None:
    subscription = await trial.bus.subscribe(JOBS)
    another = await trial.another()
    for first in range(1, 41, 10):
        await publish(trial.bus, *[message(number) for number in range(first, first + 10)])
        await another.provision([QUEUE, f"more.{first}"])

    received = await receive(subscription, 40)
    await subscription.ack(received)
    demand_same(bodies(received), numbered(40))


@cases.case(bare=True)
async def two_who_provision_at_once_and_again_make_one_of_each(trial: Trial) -> None:
    buses = [trial.bus, await trial.another()]
    for _ in range(3):
        await asyncio.gather(*[bus.provision([QUEUE]) for bus in buses])
    await publish(trial.bus, message(1))
    await asyncio.gather(*[bus.provision([QUEUE]) for bus in buses])

    received = await receive(await trial.bus.subscribe(JOBS))

    demand_same(bodies(received), [b"body 1"])


@cases.case()
async def there_may_be_many_queues_each_with_its_own_messages(trial: Trial) -> None:
    queues = [f"many.q{number}" for number in range(25)]
    await trial.bus.provision(queues)
    await publish(trial.bus, *[message(number, f"jobs.{queue}") for number, queue in enumerate(queues)])

    subscriptions = [await trial.bus.subscribe(f"jobs.{queue}", in_hand=10) for queue in queues]
    received = await asyncio.gather(*[receive(subscription) for subscription in subscriptions])

    demand_same([bodies(one) for one in received], [[b"body %d" % number] for number in range(25)])


@cases.case()
async def a_job_waits_on_its_channel_until_the_queue_is_opened(trial: Trial) -> None:
    answer = (await trial.bus.publish([message(1, "jobs.opened.later")]))[0]
    await trial.bus.provision(["opened.later"])
    if answer != Sent():
        await publish(trial.bus, message(1, "jobs.opened.later"))

    received = await receive(await trial.bus.subscribe("jobs.opened.later"))

    demand_same(bodies(received), [b"body 1"])
