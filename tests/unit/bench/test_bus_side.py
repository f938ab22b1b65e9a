"""Client, bare worker and stand-in at a bus: what they send is what the contract asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import orjson
import pytest

from stepbus.contracts import codec, envelope, messages
from stepbus.orchestrator.bench.bare import BareWorker
from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.floor import StandIn, job
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import PAYLOAD, QUEUE
from stepbus.orchestrator.bootstrap import opened_bus
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.ports import Bus, Delivery, Outgoing
from stepbus.orchestrator.testing.waiting import wait_until

PATIENCE_S = 10.0


@pytest.fixture
async def bus(unique_name: str) -> AsyncIterator[Bus]:
    async with opened_bus(Settings(bus=f"memory:{unique_name}"), f"memory:{unique_name}") as bus:
        await bus.provision((QUEUE,))
        yield bus


@asynccontextmanager
async def working(bus: Bus) -> AsyncIterator[None]:
    task = asyncio.create_task(BareWorker(bus).run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def received(bus: Bus, channel: str, count: int = 1) -> list[Delivery]:
    subscription = await bus.subscribe(channel)
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += await subscription.receive(count, 1.0)
    await subscription.ack(found)
    return found


def changed(kind: str, task_id: str, **data: object) -> Outgoing:
    body = {"id": uuid4().hex, "type": kind, "data": {"task_id": task_id, **data}}
    return Outgoing("events", uuid4().hex, orjson.dumps(body))


async def test_the_bare_worker_answers_as_the_contract_asks(bus: Bus) -> None:
    asked = messages.read(envelope.read(job(bus.address("results.3"))))
    assert isinstance(asked, messages.StepRequested)
    await bus.publish([Outgoing(f"jobs.{QUEUE}", "j1", job(bus.address("results.3")))])

    async with working(bus):
        (delivery,) = await received(bus, "results.*")

    event = envelope.read(delivery.body)
    answer = messages.read(event)
    assert delivery.channel == "results.3"
    assert isinstance(answer, messages.StepCompleted)
    assert (answer.step, answer.attempt, answer.token) == (asked.step, asked.attempt, asked.token)
    assert answer.result == PAYLOAD
    assert event.partitionkey == str(answer.task_id)
    assert event.dataschema == messages.StepCompleted.dataschema()


async def test_the_bare_worker_answers_each_job_once_and_is_done_with_it(bus: Bus) -> None:
    jobs = [Outgoing(f"jobs.{QUEUE}", f"j{number}", job(bus.address("results.0"))) for number in range(300)]
    await bus.publish(jobs)

    async with working(bus):
        answers = await received(bus, "results.*", 300)
    again = await (await bus.subscribe(f"jobs.{QUEUE}")).receive(1, 0.0)

    assert len({envelope.read(delivery.body).id for delivery in answers}) == 300
    assert list(again) == []


async def test_the_stand_in_and_a_worker_keep_jobs_moving(bus: Bus) -> None:
    async with working(bus):
        rates = await StandIn(bus).run(in_flight=5, runs=2, window_s=0.05)

    assert len(rates) == 2
    assert min(rates) > 0


async def test_a_client_asks_for_tasks_that_a_coordinator_can_read(bus: Bus) -> None:
    client = Client(bus, "W2")

    await client.submit(2)
    requests = [messages.read(envelope.read(delivery.body)) for delivery in await received(bus, "tasks", 2)]

    assert client.open_tasks == 2
    for request in requests:
        assert isinstance(request, messages.TaskRequested)
        assert (request.namespace, request.template, request.context) == ("bench", "W2", PAYLOAD)
        assert str(request.task_id) in client.laps


async def test_a_client_hears_of_its_tasks_and_of_no_others(bus: Bus) -> None:
    client = Client(bus, "W2")
    await client.submit(2)
    first, second = client.laps
    async with client.hearing():
        await bus.publish(
            [
                changed("task.accepted", first),
                changed("task.accepted", second),
                changed("task.completed", str(uuid4())),
                changed("task.completed", first),
            ]
        )
        await client.until(lambda: client.open_tasks == 1, PATIENCE_S, "one task to end")
        lap = client.laps[first]
        assert 0 < lap.requested < lap.accepted <= lap.ended
        assert client.laps[second].ended == 0
        await client.until_accepted(PATIENCE_S)
        assert client.accepted == 2

        await bus.publish([changed("task.completed", second)])
        await client.until_idle(PATIENCE_S)


async def test_a_task_that_fails_ends_the_measurement(bus: Bus) -> None:
    client = Client(bus, "W2")
    await client.submit(1)
    async with client.hearing():
        await bus.publish([changed("task.failed", *client.laps, reason="because")])
        with pytest.raises(Unfinished, match=r"found task\.failed: .*because"):
            await client.until_idle(PATIENCE_S)


async def test_a_task_that_does_not_end_in_time_ends_the_measurement(bus: Bus) -> None:
    client = Client(bus, "W2")
    await client.submit(3)
    async with client.hearing():
        with pytest.raises(Unfinished, match="3 of 3 tasks are still open"):
            await client.until_idle(0.01)


async def test_a_bus_that_takes_no_request_ends_the_measurement(bus: Bus) -> None:
    await bus.close()

    with pytest.raises(Unfinished, match="expected the bus to take a request"):
        await Client(bus, "W2").submit(1)


async def test_a_client_tells_how_many_have_ended(bus: Bus) -> None:
    ended: list[int] = []
    client = Client(bus, "W2", on_ends=ended.append)
    await client.submit(3)
    async with client.hearing():
        await bus.publish([changed("task.completed", task_id) for task_id in client.laps])
        await wait_until(lambda: sum(ended) == 3)


def test_a_job_of_the_floor_is_as_small_as_one_of_a_task() -> None:
    assert 700 < len(job("stepbus.results.0")) < 1200
    assert codec.decode(job("stepbus.results.0"))["data"]["replyto"] == "stepbus.results.0"
