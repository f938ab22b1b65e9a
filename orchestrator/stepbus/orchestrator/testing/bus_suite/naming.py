"""Naming: what no broker can carry is refused on all of them alike; all else is apart, however alike it looks."""

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings
from stepbus.orchestrator.testing.bus_suite.bench import (
    JOBS,
    QUEUE,
    bodies,
    demand_silence,
    message,
    publish,
    receive,
    refusal,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same, refused

cases = Family("naming", "hostile names are refused, whoever gives them, and harm nobody")

HOSTILE = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a.",
    "*",
    "a.*",
    ">",
    "a.>",
    "#",
    "a.#",
    "+",
    "?",
    "[a-z]",
    "a b",
    " a",
    "a\tb",
    "a\x00b",
    "a\r\nPUB x 0\r\n",
    "a/b",
    "../../etc/passwd",
    "a\\b",
    "a:b",
    "a,b",
    "a=b",
    "{a}",
    '"a"',
    "$SYS",
    "$JS.API",
    "$share/a",
    "@a",
    "é",
    "日本",
    "a\u202eb",
    "Ａ",  # noqa: RUF001 - a letter that looks like ours
    "a" * 129,
    "a." * 5_000 + "a",
]


@cases.case(each=HOSTILE)
async def a_hostile_name_is_refused_wherever_it_stands_and_harms_nobody(trial: Trial, name: str) -> None:
    bus = trial.bus
    for kind in ("jobs", "replies", "results"):
        answer = await refusal(bus, message(1, f"{kind}.{name}"))
        demand(answer.permanent, "a refusal for good", answer)
        with refused(Refused, "expected"):
            bus.address(f"{kind}.{name}")
    with refused(Refused, "expected"):
        await bus.provision([name])
    with refused(Refused, "expected"):
        await bus.subscribe(f"jobs.{name}")
    with refused(Refused, "expected"):
        await bus.subscribe("events", group=name)
    with refused(Refused, "expected"):
        await bus.listen(f"replies.{name}", from_start=False)
    with refused(Refused, "expected"):
        await trial.another(BusSettings(prefix=name))

    await publish(bus, message(1))
    demand_same(bodies(await receive(await bus.subscribe(JOBS))), [b"body 1"])


@cases.case(
    each=["Tasks", "TASKS", "task", "tasks ", "event", "amq", "amq.direct", "__transaction_state", "_INBOX", "stats"]
)
async def a_channel_that_is_none_of_ours_takes_no_message(trial: Trial, channel: str) -> None:
    answer = await refusal(trial.bus, message(1, channel))

    demand(answer.permanent, "a refusal for good", answer)
    with refused(Refused, "expected"):
        await trial.bus.subscribe(channel)


ODD = ["amq.direct", "amq", "__transaction_state", "-", "_", "0", "tasks", "results.0", "again", "a." * 63 + "ab"]


@cases.case(each=ODD)
async def a_queue_may_have_any_name_of_tokens_that_brokers_use_themselves(trial: Trial, queue: str) -> None:
    await trial.bus.provision([queue])
    await publish(trial.bus, message(1, f"jobs.{queue}"))

    received = await receive(await trial.bus.subscribe(f"jobs.{queue}"))

    demand_same([(one.channel, one.body) for one in received], [(f"jobs.{queue}", b"body 1")])


@cases.case()
async def queues_whose_names_look_alike_are_apart(trial: Trial) -> None:
    names = ["a.b", "a_b", "a-b", "A.b", "a.B", "a", "b", "a.b.c", "ab"]
    await trial.bus.provision(names)
    await publish(trial.bus, *[message(number, f"jobs.{name}") for number, name in enumerate(names, 1)])

    for number, name in enumerate(names, 1):
        subscription = await trial.bus.subscribe(f"jobs.{name}")
        demand_same(bodies(await receive(subscription)), [b"body %d" % number])
        demand_same(list(await subscription.receive(9, 0)), [])


@cases.case()
async def prefixes_that_begin_alike_are_apart(trial: Trial) -> None:
    begin = trial.settings.prefix
    buses = [await trial.another(BusSettings(prefix=f"{begin}{ending}")) for ending in ("_", "-a", "_a", "a")]
    readers = []
    for bus in buses:
        await bus.provision([QUEUE])
        readers.append(await bus.subscribe(JOBS))
    await publish(trial.bus, message(9), message(9, "tasks"))
    for number, bus in enumerate(buses):
        await publish(bus, message(number))

    for number, reader in enumerate(readers):
        demand_same(bodies(await receive(reader)), [b"body %d" % number])
        await demand_silence(reader, 0.05)
    demand_same(bodies(await receive(await trial.bus.subscribe(JOBS))), [b"body 9"])
