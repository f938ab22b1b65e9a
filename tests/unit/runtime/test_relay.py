"""The relay: what the log says was sent is sent, at least once, under one id."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from stepbus.contracts import messages
from stepbus.orchestrator.ports import Bus, BusUnavailable, NotSent, Outgoing, Sent
from stepbus.orchestrator.runtime import relay as relay_module
from stepbus.orchestrator.runtime.relay import READER
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import completion, memory_bus, memory_store, request, serving, types_of


class Watched:
    """A bus that remembers what was published, and refuses what it is told to refuse."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.published: list[Outgoing] = []
        self.refusals: list[NotSent] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, outgoing: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Publish, or refuse the first message as told."""
        if self.refusals and outgoing:
            refusal = self.refusals.pop()
            return [refusal, *await self.publish(outgoing[1:])]
        self.published.extend(outgoing)
        return await self._bus.publish(outgoing)

    def ids(self, channel: str) -> list[str]:
        """Give the ids of what was published on a channel."""
        return [sent.id for sent in self.published if sent.channel == channel]


async def test_a_dispatch_goes_to_the_queue_of_its_step_and_the_acceptance_to_the_public() -> None:
    bus = Watched(await memory_bus())
    store = await memory_store()
    async with serving(store, bus) as parts:
        outcome = await parts.coordinator.submit(request(context={"order": 7}))
        await wait_until(lambda: bus.ids("jobs.default.begin"))
        epoch = (await store.identity()).epoch
        assert bus.ids("events") == [f"{epoch}:{outcome.position}.0"]
        assert bus.ids("jobs.default.begin") == [f"{epoch}:{outcome.position}.1"]
        job = next(sent for sent in bus.published if sent.channel == "jobs.default.begin")
        data = messages.StepRequested.model_validate(orjson.loads(job.body)["data"])
        assert data.inputs.context == {"order": 7}
        assert job.key == str(outcome.id)


async def test_a_job_carries_the_results_of_what_its_step_depends_on() -> None:
    bus = Watched(await memory_bus())
    async with serving(await memory_store(), bus) as parts:
        intent = request()
        await parts.coordinator.submit(intent)
        for step in ("begin", "left", "right"):
            await parts.coordinator.submit(completion(intent.command.task_id, step, result={"of": step}))
        await wait_until(lambda: bus.ids("jobs.default.end"))
        job = next(sent for sent in bus.published if sent.channel == "jobs.default.end")
        results = orjson.loads(job.body)["data"]["inputs"]["results"]
        assert results == {"left": {"of": "left"}, "right": {"of": "right"}}


async def test_what_was_not_confirmed_is_sent_again_under_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.001)
    bus = Watched(await memory_bus())
    async with serving(await memory_store(), bus) as parts:
        bus.refusals = [NotSent("the broker is away"), NotSent("the broker is away")]
        await parts.coordinator.submit(request())
        await wait_until(lambda: bus.ids("jobs.default.begin") and bus.ids("events"))
        await wait_until(lambda: not parts.relay.is_blocked)
        assert len(bus.ids("events")) == 1


async def test_while_nothing_is_confirmed_the_process_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(relay_module, "_LONGEST_PAUSE_S", 0.01)
    bus = Watched(await memory_bus())
    async with serving(await memory_store(), bus) as parts:
        assert parts.health()["ready"]
        bus.refusals = [NotSent("away")] * 40
        await parts.coordinator.submit(request())
        await wait_until(lambda: not parts.health()["ready"])
        assert parts.health()["parts"]["relay"] == {"ok": False, "detail": "the bus confirms nothing"}
        await wait_until(lambda: parts.health()["ready"])


async def test_a_job_that_no_broker_takes_fails_its_step_for_good() -> None:
    bus = Watched(await memory_bus())
    store = await memory_store()
    async with serving(store, bus) as parts:
        intent = request()
        await parts.coordinator.submit(intent)
        await wait_until(lambda: bus.ids("jobs.default.begin"))
        bus.refusals = [NotSent("larger than the broker takes", permanent=True)]
        await parts.coordinator.submit(completion(intent.command.task_id, "begin"))
        await wait_until(lambda: bus.ids("jobs.default.right"))

        async def failed() -> bool:
            return "StepFailed" in await types_of(store, intent.command.task_id)

        await wait_until(failed)


async def test_after_a_crash_the_relay_sends_again_what_came_after_its_checkpoint() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        outcome = await parts.coordinator.submit(request())
    assert await store.checkpoint(READER) == 0
    bus = Watched(await memory_bus())
    async with serving(store, bus):
        await wait_until(lambda: bus.ids("jobs.default.begin"))
        epoch = (await store.identity()).epoch
        assert bus.ids("jobs.default.begin") == [f"{epoch}:{outcome.position}.1"]


async def test_a_dispatch_that_was_answered_meanwhile_is_not_sent_again() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        await parts.coordinator.submit(intent)
        await parts.coordinator.submit(completion(intent.command.task_id, "begin"))
    bus = Watched(await memory_bus())
    async with serving(store, bus):
        await wait_until(lambda: bus.ids("jobs.default.left") and bus.ids("jobs.default.right"))
        assert bus.ids("jobs.default.begin") == []


async def test_a_drain_leaves_nothing_unsent_and_the_checkpoint_at_the_head() -> None:
    store, bus = await memory_store(), Watched(await memory_bus())
    async with serving(store, bus) as parts:
        await asyncio.gather(*(parts.coordinator.submit(request()) for _ in range(30)))
    assert len(bus.ids("jobs.default.begin")) == 30
    assert await store.checkpoint(READER) == await store.head()


async def test_no_number_of_handlers_asks_anything_of_the_broker() -> None:
    class Bounded(Watched):
        async def provision(self, queues: Sequence[str] = ()) -> None:
            """Provision the channels; refuse what a broker with a limit on consumers would."""
            if queues:
                raise BusUnavailable("maximum consumers limit reached")
            await self._bus.provision()

    bus = Bounded(await memory_bus())
    async with serving(await memory_store(), bus) as parts:
        await parts.coordinator.submit(request())
        await wait_until(lambda: bus.ids("jobs.default.begin"))
        assert parts.health()["ready"]
