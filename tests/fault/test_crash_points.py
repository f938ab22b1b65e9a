"""A coordinator that dies, or hears nothing of what it did, at every point where it leaves a trace.

Each life is played from the beginning: a coordinator runs until it comes to such a point for the n-th time, then it is
gone and another one starts over the same log and broker. Whatever n is, every task ends as it should, each step's
effect happens, and the log keeps every invariant. Lives are played for n = 1, 2, 3, … until one ends before its point.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from stepbus.contracts import codec
from stepbus.contracts import events as e
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.ports import Bus, EventStore, Outgoing, Sent
from stepbus.orchestrator.runtime import relay
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.orchestrator.runtime.verify import verify
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Context, PermanentError, RetryableError, Worker
from tests.support.mortal import Fate, Life, MortalBus, MortalStore
from tests.support.world import cloud_event, memory_bus, memory_store

TEMPLATE = from_mapping(
    {
        "name": "parcel",
        "version": "1.0.0",
        "defaults": {"timeout": "30s", "retry": {"max_attempts": 3, "initial": "1ms", "jitter": 0}},
        "steps": [
            {"name": "weigh", "handler": "parcel.work", "queue": "parcel"},
            {"name": "book", "handler": "parcel.work", "queue": "parcel", "depends_on": ["weigh"]},
            {"name": "label", "handler": "parcel.work", "queue": "parcel", "depends_on": ["weigh"]},
            {"name": "send", "handler": "parcel.work", "queue": "parcel", "depends_on": ["book", "label"]},
        ],
    }
)
STEPS = {step.name for step in TEMPLATE.steps}
GOOD, REFUSED = uuid4(), uuid4()
ENDINGS = {GOOD: "TaskCompleted", REFUSED: "TaskFailed"}
POISON = b'{"specversion": "1.0", "id": "poison", "source": "/test", "type": "task.requested", "data": NaN}'
CALLS = (
    "provisioning",
    "receiving tasks",
    "receiving results.*",
    "appending",
    "publishing jobs",
    "publishing news",
    "saving the checkpoint",
    "acking tasks",
    "acking results.*",
)


@dataclass
class World:
    """What outlives a process: the log, the broker, the worker and the client; and what the last two saw."""

    store: EventStore
    bus: Bus
    broker: str
    effects: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    heard: list[tuple[str, Any]] = field(default_factory=list)
    replies: list[tuple[str, Any]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def made(cls) -> AsyncIterator["World"]:
        """A world with a registered template, a worker, and a client that has asked for all that it will ask for."""
        broker = uuid4().hex
        world = cls(await memory_store(), await memory_bus(broker), broker)
        await world.bus.provision(["parcel"])
        listening = [
            asyncio.create_task(world._hear("events", world.heard)),
            asyncio.create_task(world._hear("replies.client", world.replies)),
        ]
        try:
            await world.register()
            async with world.worker():
                await world.ask()
                yield world
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            await world.bus.close()
            await world.store.close()

    async def register(self) -> None:
        serving = await Serving.open(self.store, self.bus, 2, None, Limits())
        serving.begin()
        await serving.desk.register(TEMPLATE.canonical(), "operator/test")
        await asyncio.gather(*(part.end() for part in serving.parts.values()))

    def worker(self) -> Worker:
        worker = Worker(bus=self.bus, name="packer")

        @worker.handler("parcel.work", queue="parcel")
        async def work(context: Context) -> dict[str, str]:
            self.effects[context.task_id, context.step] += 1
            if context.step == "label" and context.attempt == 1:
                raise RetryableError("printer.jam")
            if context.step == "book" and context.task_id == REFUSED:
                raise PermanentError("carrier.refuses")
            return {"done": context.step}

        return worker

    async def ask(self) -> None:
        requests = [
            cloud_event(
                "task.requested",
                {
                    "template": "parcel",
                    "task_id": str(task_id),
                    "replyto": self.bus.address("replies.client"),
                },
                f"request-{task_id}",
            )
            for task_id in ENDINGS
        ]
        bodies = [requests[0], POISON, requests[1], requests[0]]
        outgoing = [Outgoing("tasks", str(number), body) for number, body in enumerate(bodies)]
        assert await self.bus.publish(outgoing) == [Sent()] * len(bodies)

    async def events(self, stream: UUID) -> list[e.Event]:
        stored = await self.store.read_stream(stream)
        return [event for entry in stored for event in e.decode_record(entry.data).events]

    async def is_over(self) -> bool:
        return all([await self._ended(task_id) for task_id in ENDINGS]) and await self._is_told()

    async def _ended(self, task_id: UUID) -> bool:
        return bool({"TaskCompleted", "TaskFailed"} & {event.TYPE for event in await self.events(task_id)})

    async def _is_told(self) -> bool:
        told = {kind for kind, _ in self.heard}
        quarantined = await self.store.read(0, 10, e.QUARANTINE)
        return {"task.completed", "task.failed"} <= told and len(self.replies) >= len(ENDINGS) and bool(quarantined)

    async def _hear(self, channel: str, into: list[tuple[str, Any]]) -> None:
        subscription = await self.bus.listen(channel, from_start=channel == "events")
        while True:
            for delivery in await subscription.receive(100, 1.0):
                event = codec.decode(delivery.body)
                into.append((event["type"], event["data"]))


async def coordinate(world: World, life: Life) -> None:
    """Be a coordinator until cancelled, and end as a killed process does: nothing is finished."""
    bus = MortalBus(await memory_bus(world.broker), life)
    serving = None
    try:
        limits = Limits(RoundLimits(count=2))
        serving = await Serving.open(MortalStore(world.store, life), bus, 2, None, limits)
        await serving.coordinate()
        serving.begin()
        await asyncio.Event().wait()
    finally:
        if serving is not None:
            await asyncio.gather(*(part.end() for part in serving.parts.values()))
        await bus.close()


async def live(world: World, life: Life, *, until_met: bool) -> None:
    """Have a coordinator until all is over, or its fate has met it."""
    coordinating = asyncio.create_task(coordinate(world, life))
    over = asyncio.create_task(wait_until(world.is_over, within_s=20))
    met = asyncio.create_task(life.met.wait())
    waits = [over, met] if until_met else [over]
    await asyncio.wait([coordinating, *waits], return_when=asyncio.FIRST_COMPLETED)
    for task in (coordinating, over, met):
        task.cancel()
    ended, seen, _ = await asyncio.gather(coordinating, over, met, return_exceptions=True)
    if not life.met.is_set():
        assert isinstance(ended, asyncio.CancelledError), repr(ended)
    assert not isinstance(seen, AssertionError), seen


async def check(world: World) -> None:
    """See that nothing is lost and nothing doubled."""
    for task_id, ending in ENDINGS.items():
        types = Counter(event.TYPE for event in await world.events(task_id))
        assert types["TaskAccepted"] == types[ending] == 1, types
    assert {step for task_id, step in world.effects if task_id == GOOD} == STEPS
    accepted = [data["task_id"] for kind, data in world.replies if kind == "task.accepted"]
    assert set(accepted) == {str(task_id) for task_id in ENDINGS}
    quarantined = [event for entry in await world.store.read(0, 10, e.QUARANTINE) for event in events_in(entry.data)]
    assert [event.TYPE for event in quarantined] == ["MessageQuarantined"]
    report = await verify(world.store)
    assert not report.violations, report.violations


def events_in(data: bytes) -> Sequence[e.Event]:
    return e.decode_record(data).events


@pytest.fixture(autouse=True)
def checkpoint_behind_every_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_CHECKPOINT_EVERY_S", 0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_coordinator_may_die_at_any_point(side: str, call: str) -> None:
    for number in count(1):
        life = Life(f"{side} {call}", number)
        async with World.made() as world:
            await live(world, life, until_met=True)
            if not life.met.is_set():
                assert number > 1, life.passed
                break
            await live(world, Life(), until_met=False)
            await check(world)


@pytest.mark.parametrize("call", CALLS)
async def test_a_coordinator_may_lose_the_answer_to_anything_it_did(call: str) -> None:
    for number in count(1):
        life = Life(f"after {call}", number, Fate.LOSE_THE_ANSWER)
        async with World.made() as world:
            await live(world, life, until_met=False)
            await check(world)
        if not life.met.is_set():
            assert number > 1, life.passed
            break


@pytest.mark.parametrize("seed", range(40))
async def test_coordinators_may_die_one_after_another(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - the same each time is what is wanted
    async with World.made() as world:
        for _ in range(5):
            point = f"{chance.choice(('before', 'after'))} {chance.choice(CALLS)}"
            await live(world, Life(point, chance.randint(1, 4)), until_met=True)
        await live(world, Life(), until_met=False)
        await check(world)
