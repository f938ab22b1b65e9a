"""Several coordinators in one process: each works on its partitions, hands them on, and drops what others have."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import orjson
import pytest

from stepbus.contracts import events as e
from stepbus.contracts import messages
from stepbus.orchestrator.core.route import slot_of
from stepbus.orchestrator.ports import Bus, EventStore, Outgoing, Subscription
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.ownership import LeaseTimes
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import answer, events_of, memory_bus, memory_store, request, serving

LIMITS = Limits(RoundLimits(count=100), drain_timeout_s=5, leases=LeaseTimes(lasts_s=0.5, renewed_every_s=0.05))


def task_of(partition: int) -> UUID:
    """Give a new task whose answers go to this one of two partitions."""
    while slot_of(task := uuid4()) % 2 != partition:
        pass
    return task


async def until_shared(one: Serving, two: Serving) -> None:
    await wait_until(lambda: len(one.estate.partitions) == len(two.estate.partitions) == 1)
    assert set(one.estate.partitions) | set(two.estate.partitions) == {0, 1}


class Workshop:
    """A worker of every queue of the fork and join, and the names of the jobs that it was given."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._subscriptions: list[Subscription] = []
        self.jobs: Counter[tuple[UUID, str, int]] = Counter()

    async def run(self) -> None:
        self._subscriptions = [
            await self._bus.subscribe(f"jobs.default.{step}") for step in ("begin", "left", "right", "end")
        ]
        await asyncio.gather(*map(self._work, self._subscriptions))

    async def _work(self, subscription: Subscription) -> None:
        while True:
            for delivery in await subscription.receive(100, 1.0):
                job = messages.StepRequested.model_validate(orjson.loads(delivery.body)["data"])
                self.jobs[job.task_id, job.step, job.attempt] += 1
                channel = job.replyto.removeprefix("stepbus.")
                await self._bus.publish([Outgoing(channel, str(uuid4()), answer(job, result={}))])
                await subscription.ack([delivery])


async def until_complete(store: EventStore, *tasks: UUID) -> None:
    async def is_so() -> bool:
        last = [(await events_of(store, task))[-1:] for task in tasks]
        return all(found and isinstance(found[0], e.TaskCompleted) for found in last)

    await wait_until(is_so)


@pytest.mark.parametrize("asked_of", [0, 1])
async def test_a_task_is_carried_to_its_end_whoever_accepts_it(asked_of: int) -> None:
    name, store = uuid4().hex, await memory_store()
    shop = Workshop(await memory_bus(name))
    async with (
        serving(store, await memory_bus(name), shared=True, limits=LIMITS) as one,
        serving(store, await memory_bus(name), shared=True, limits=LIMITS) as two,
    ):
        await until_shared(one, two)
        working = asyncio.create_task(shop.run())
        tasks = [task_of(number % 2) for number in range(20)]
        for task in tasks:
            await (one, two)[asked_of].coordinator.submit(request(task))
        await until_complete(store, *tasks)
        working.cancel()
    assert set(shop.jobs.values()) == {1}
    assert len(shop.jobs) == 4 * len(tasks)


async def test_who_ends_hands_everything_to_the_other_at_once() -> None:
    name, store = uuid4().hex, await memory_store()
    long = Limits(LIMITS.round, drain_timeout_s=5, leases=LeaseTimes(lasts_s=600, renewed_every_s=0.05))
    async with serving(store, await memory_bus(name), shared=True, limits=long) as one:
        async with serving(store, await memory_bus(name), shared=True, limits=long) as two:
            await until_shared(one, two)
        await wait_until(lambda: list(one.estate.partitions) == [0, 1])
        detail = one.health()["parts"]["leases"]["detail"]
        assert detail == "partitions 0, 1, timers; 0 other coordinators"


async def test_what_was_accepted_while_nobody_had_its_partition_is_sent_by_whoever_takes_it() -> None:
    name, store = uuid4().hex, await memory_store()
    async with serving(store, await memory_bus(name), coordinate=False) as parts:
        tasks = [task_of(number % 2) for number in range(10)]
        for task in tasks:
            await parts.coordinator.submit(request(task))
    shop = Workshop(await memory_bus(name))
    async with serving(store, await memory_bus(name), shared=True, limits=LIMITS):
        working = asyncio.create_task(shop.run())
        await until_complete(store, *tasks)
        working.cancel()
    assert set(shop.jobs.values()) == {1}


async def test_one_that_cannot_renew_drops_what_it_has_and_the_other_carries_on() -> None:
    name, store = uuid4().hex, await memory_store()
    shop = Workshop(await memory_bus(name))
    async with (
        serving(store, await memory_bus(name), shared=True, limits=LIMITS) as one,
        serving(store, await memory_bus(name), shared=True, limits=LIMITS) as two,
    ):
        await until_shared(one, two)
        (partition,) = one.estate.partitions
        task = task_of(partition)
        await one.coordinator.submit(request(task))
        assert one.coordinator.tasks.kept(task) is not None

        await one.parts["leases"].end()
        await wait_until(lambda: list(two.estate.partitions) == [0, 1])
        await one.coordinator.submit(request())

        assert list(one.estate.partitions) == []
        assert one.coordinator.tasks.kept(task) is None
        assert one.relay.unsent(1_000_000) == 0
        working = asyncio.create_task(shop.run())
        await until_complete(store, task)
        working.cancel()


async def test_a_partition_that_cannot_be_taken_in_is_shown_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, store = await memory_bus(), await memory_store()
    real, failures = bus.subscribe, [ConnectionError("planted")]

    async def subscribe(channel: str, group: str = "coordinator", in_hand: int = 1000) -> Subscription:
        if channel == "results.1" and failures:
            raise failures.pop()
        return await real(channel, group, in_hand)

    monkeypatch.setattr(bus, "subscribe", subscribe)
    async with serving(store, bus, shared=True, limits=LIMITS) as parts:
        await wait_until(lambda: not parts.health()["ready"])
        assert "partition 1" in parts.health()["parts"]["leases"]["detail"]
        await wait_until(lambda: parts.health()["ready"])
