"""Poison: a broker looks into nothing, and what nobody can read is nobody's trouble but its reader's."""

from stepbus.orchestrator.testing.bus_suite.bench import JOBS, bodies, message, publish, receive, receive_one
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand, demand_same

cases = Family("poison", "any bytes arrive as they were sent, and stand in nobody's way")

POISON = [
    b"",
    b"\x00",
    b"\x00\xff\xfe",
    b"{",
    b"[" * 5000,
    b"\xc3(",
    b"\xef\xbb\xbf{}",
    b"PUB x 5\r\n+ACK\r\n",
    b"-NAK",
    b"+TERM",
    b"NATS/1.0 503\r\n\r\n",
    b"*3\r\n$3\r\nDEL\r\n",
    b"AMQP\x00\x00\x09\x01",
    b"\xce" * 64,
    b"\r\n" * 100,
    bytes(range(256)),
]


@cases.case(each=POISON)
async def no_body_is_changed_refused_or_looked_into(trial: Trial, body: bytes) -> None:
    await publish(trial.bus, message(body=body))

    demand_same((await receive_one(await trial.bus.subscribe(JOBS))).body, body)


@cases.case()
async def a_message_that_is_given_back_again_and_again_holds_up_no_other(trial: Trial) -> None:
    await publish(trial.bus, message(1, body=b"poison"), *[message(number) for number in range(2, 22)])
    subscription = await trial.bus.subscribe(JOBS)
    good: list[bytes] = []
    poisonous = 0
    while len(good) < 20 or poisonous < 8:
        for delivery in await receive(subscription):
            if delivery.body == b"poison":
                poisonous += 1
                await subscription.nack(delivery, delay_s=0.01)
            else:
                good.append(delivery.body)
                await subscription.ack([delivery])

    demand_same(good, [b"body %d" % number for number in range(2, 22)])


@cases.case()
async def a_message_is_never_dropped_however_often_it_is_given_back(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    subscription = await trial.bus.subscribe(JOBS)
    for _ in range(40):
        await subscription.nack(await receive_one(subscription))

    demand_same((await receive_one(subscription)).body, b"body 1")


@cases.case(plain=True)
async def large_and_many_headers_arrive_or_are_refused_at_the_door(trial: Trial) -> None:
    headers = {f"x-{number}": "a" * 500 for number in range(50)} | {"x-large": "b" * 8000, "x-empty": "", "ce-a": "ü"}
    subscription = await trial.bus.subscribe("tasks")

    await trial.send_plainly(trial.bus.address("tasks"), b"1", headers)
    await trial.send_plainly(trial.bus.address("tasks"), b"2", {})

    first, second = await receive(subscription, 2)
    demand(headers.items() <= first.headers.items(), f"{len(headers)} headers", dict(first.headers))
    demand_same([first.body, second.body], [b"1", b"2"])


@cases.case(plain=True)
async def a_message_of_an_unknown_type_arrives_with_all_that_it_says(trial: Trial) -> None:
    headers = {"ce-specversion": "9.9", "ce-type": "no.such.type", "content-type": "image/png", "x-other": "1"}
    subscription = await trial.bus.subscribe("results.*")

    await trial.send_plainly(trial.bus.address("results.0"), b"\x89PNG", headers)

    delivery = await receive_one(subscription)
    demand(headers.items() <= delivery.headers.items(), f"the headers {headers}", dict(delivery.headers))
    demand_same(delivery.body, b"\x89PNG")


@cases.case(plain=True)
async def what_a_plain_client_sends_keeps_its_order_among_ours(trial: Trial) -> None:
    for number in range(1, 6):
        await publish(trial.bus, message(number, "tasks", b"ours %d" % number))
        await trial.send_plainly(trial.bus.address("tasks"), b"plain %d" % number, {})

    received = bodies(await receive(await trial.bus.subscribe("tasks"), 10))

    demand_same(received, [body % number for number in range(1, 6) for body in (b"ours %d", b"plain %d")])
