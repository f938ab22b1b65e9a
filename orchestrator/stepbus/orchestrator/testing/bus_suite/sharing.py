"""Sharing: one message, one reader of a group."""

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    PATIENCE_S,
    QUEUE,
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
from stepbus.orchestrator.testing.bus_suite.demands import demand_same, refused

NOT_SHARED = ["results", "replies.a", "jobs.*", "jobs.>", "*", ">", "tasks.>", "jobs.a b", "events.*", ""]


cases = Family("sharing", "one message, one reader of a group")


@cases.case()
async def two_readers_of_a_group_share_and_none_gets_what_the_other_has(trial: Trial) -> None:
    one = await trial.bus.subscribe(JOBS, in_hand=10)
    two = await (await trial.another()).subscribe(JOBS, in_hand=10)
    await publish(trial.bus, *messages(200))
    received: list[bytes] = []
    while len(received) < 200:
        for subscription in (one, two):
            deliveries = await subscription.receive(10, 0.05)
            await subscription.ack(deliveries)
            received += bodies(deliveries)

    demand_same(sorted(received), sorted(numbered(200)))


@cases.case()
async def a_job_queue_is_shared_whatever_group_is_named(trial: Trial) -> None:
    await publish(trial.bus, *messages(2))

    first = await receive_one(await trial.bus.subscribe(JOBS, group="a", in_hand=1))
    second = await receive_one(await trial.bus.subscribe(JOBS, group="b", in_hand=1))

    demand_same({first.body, second.body}, set(numbered(2)))


@cases.case()
async def the_work_of_coordinators_is_not_shared_with_a_second_group(trial: Trial) -> None:
    for channel in ("tasks", "results.*"):
        await trial.bus.subscribe(channel, group="coordinator")

        with refused(Refused):
            await trial.bus.subscribe(channel, group="other")


@cases.case()
async def a_queue_whose_name_begins_with_that_of_another_is_apart(trial: Trial) -> None:
    await trial.bus.provision(["orders", "orders.check.again"])
    await publish(trial.bus, message(1, "jobs.orders"), message(2, "jobs.orders.check.again"), message(3))

    for channel, body in (("jobs.orders", b"body 1"), ("jobs.orders.check.again", b"body 2"), (JOBS, b"body 3")):
        subscription = await trial.bus.subscribe(channel)
        demand_same(bodies(await receive(subscription)), [body])
        await demand_silence(subscription, 0.1)


@cases.case()
async def the_results_of_one_partition_come_to_whoever_takes_that_one(trial: Trial) -> None:
    await publish(trial.bus, message(1, "results.0"), message(2, "results.1"))
    first = await trial.bus.subscribe("results.0")
    second = await (await trial.another()).subscribe("results.1")
    await publish(trial.bus, message(3, "results.1"), message(4, "results.0"))

    demand_same(bodies(await receive(first, 2)), [b"body 1", b"body 4"])
    demand_same(bodies(await receive(second, 2)), [b"body 2", b"body 3"])


@cases.case()
async def a_partition_that_one_gives_up_is_gone_on_with_by_another(trial: Trial) -> None:
    first = await trial.bus.subscribe("results.1")
    await publish(trial.bus, message(1, "results.1"), message(2, "results.1"), message(3, "results.1"))
    deliveries = await receive(first, 3)
    await first.ack(deliveries[:1])
    await first.nack(deliveries[1])
    await first.nack(deliveries[2])
    await first.close()

    second = await (await trial.another()).subscribe("results.1")

    demand_same(sorted(bodies(await receive(second, 2))), [b"body 2", b"body 3"])


@cases.case()
async def results_of_all_partitions_come_each_in_the_order_sent(trial: Trial) -> None:
    await publish(trial.bus, *[message(n, f"results.{n % trial.settings.partitions}") for n in range(1, 41)])

    received = await receive(await trial.bus.subscribe("results.*"), 40)

    for partition in range(trial.settings.partitions):  # a broker keeps the order of each; of all together, some do
        sent = [b"body %d" % n for n in range(1, 41) if n % trial.settings.partitions == partition]
        demand_same([one.body for one in received if one.channel == f"results.{partition}"], sent)


@cases.case()
async def a_group_of_its_own_gets_all_events_and_goes_on_where_it_was(trial: Trial) -> None:
    await publish(trial.bus, message(1, "events"))
    await trial.bus.subscribe("events", group="mail")
    await publish(trial.bus, message(2, "events"))
    audit = await trial.bus.subscribe("events", group="audit")
    out = await receive(audit, 2)
    demand_same(bodies(out), numbered(2))
    await audit.ack(out)
    await audit.close()
    await publish(trial.bus, message(3, "events"))

    demand_same(bodies(await receive(await trial.bus.subscribe("events", group="audit"))), [b"body 3"])
    demand_same(sorted(bodies(await receive(await trial.bus.subscribe("events", group="mail"), 3))), numbered(3))


@cases.case()
async def another_prefix_is_another_world(trial: Trial) -> None:
    elsewhere = await trial.another(BusSettings(prefix=f"{trial.settings.prefix}-b"))
    await elsewhere.provision([QUEUE])
    subscription, listener = await elsewhere.subscribe(JOBS), await elsewhere.listen("events", from_start=True)
    await publish(trial.bus, message(1), message(2, "events"))
    await publish(elsewhere, message(1, body=b"of another"))

    demand_same(bodies(await receive(subscription)), [b"of another"])
    await demand_silence(listener, 0.2)
    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS))), [b"body 1"])


@cases.case(each=NOT_SHARED)
async def what_cannot_be_shared_is_refused(trial: Trial, channel: str) -> None:
    with refused(Refused, "expected"):
        await trial.bus.subscribe(channel)


@cases.case(each=["", "a.b", "a b", "*", ">", "a" * 65, "a\r\nb"])
async def a_group_that_is_no_token_is_refused(trial: Trial, group: str) -> None:
    with refused(Refused, "expected"):
        await trial.bus.subscribe("events", group=group)


@cases.case()
async def readers_come_and_go_while_messages_flow(trial: Trial) -> None:
    await publish(trial.bus, *messages(60))
    received: list[bytes] = []
    while len(received) < 60:
        subscription = await trial.bus.subscribe(JOBS, in_hand=8)
        deliveries = await subscription.receive(5, PATIENCE_S)
        await subscription.ack(deliveries)
        received += bodies(deliveries)
        await subscription.close()

    demand_same(sorted(received), sorted(numbered(60)))


@cases.case()
async def two_of_a_group_share_events_and_two_groups_each_get_all(trial: Trial) -> None:
    another = await trial.another()
    mail = [await bus.subscribe("events", group="mail", in_hand=5) for bus in (trial.bus, another)]
    audit = await another.subscribe("events", group="audit", in_hand=200)
    await publish(trial.bus, *messages(60, "events"))
    shared: list[bytes] = []
    while len(shared) < 60:
        for subscription in mail:
            deliveries = await subscription.receive(5, 0.05)
            await subscription.ack(deliveries)
            shared += bodies(deliveries)

    demand_same(sorted(shared), sorted(numbered(60)))
    demand_same(bodies(await receive(audit, 60)), numbered(60))


@cases.case()
async def two_who_read_all_results_share_them(trial: Trial) -> None:
    one = await trial.bus.subscribe("results.*", in_hand=4)
    two = await (await trial.another()).subscribe("results.*", in_hand=4)
    await publish(trial.bus, *[message(number, f"results.{number % 8}") for number in range(1, 81)])
    received: list[bytes] = []
    while len(received) < 80:
        for subscription in (one, two):
            deliveries = await subscription.receive(4, 0.05)
            await subscription.ack(deliveries)
            received += bodies(deliveries)

    demand_same(sorted(received), sorted(numbered(80)))
