"""Resync: the jobs of open attempts go out again, as they were, and nothing else happens."""

from collections.abc import Sequence
from uuid import uuid4

import pytest

from stepbus.contracts.messages import StepError
from stepbus.orchestrator.core.commands import FailStep
from stepbus.orchestrator.ports import Bus, BusUnavailable, NotSent, Outgoing, Sent
from stepbus.orchestrator.runtime import resync as resync_module
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.resync import resync
from stepbus.orchestrator.runtime.serve import Serving
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import CAUSE, completion, memory_bus, memory_store, now_ms, request, serving
from tests.unit.runtime.test_relay import Watched


def jobs(bus: Watched) -> set[tuple[str, str, str, bytes]]:
    """What was published to workers, whole."""
    return {(sent.channel, sent.id, sent.key, sent.body) for sent in bus.published if sent.channel.startswith("jobs.")}


def steps(bus: Watched) -> list[str]:
    return sorted(sent.channel.rpartition(".")[2] for sent in bus.published)


async def sent_all(parts: Serving) -> None:
    """Wait until the relay has sent all that the log says."""
    head = await parts.store.head()
    await wait_until(lambda: parts.relay.confirmed >= head)


async def test_the_jobs_of_open_attempts_are_sent_as_the_relay_had_sent_them() -> None:
    store, bus, empty = await memory_store(), Watched(await memory_bus()), Watched(await memory_bus())
    async with serving(store, bus) as parts:
        for number in range(5):
            await parts.coordinator.submit(request(context={"order": number}))
        await sent_all(parts)

        done = await resync(store, empty, 2)

    assert (done.jobs, done.tasks, done.undeliverable) == (5, 5, {})
    assert done.queues == ["default.begin"]
    assert jobs(empty) == jobs(bus)


async def test_what_is_over_is_not_sent_again() -> None:
    store, bus, empty = await memory_store(), Watched(await memory_bus()), Watched(await memory_bus())
    async with serving(store, bus) as parts:
        open_task, done_task = request(), request()
        for intent in (open_task, done_task):
            await parts.coordinator.submit(intent)
            for step in ("begin", "left"):
                await parts.coordinator.submit(completion(intent.command.task_id, step, result={"of": step}))
        for step in ("right", "end"):
            await parts.coordinator.submit(completion(done_task.command.task_id, step))
        await sent_all(parts)

        done = await resync(store, empty, 2)

    assert (done.jobs, done.tasks) == (1, 1)
    assert steps(empty) == ["right"]
    assert jobs(empty) <= jobs(bus)


async def test_of_a_step_that_was_tried_again_the_open_attempt_is_sent() -> None:
    store, bus, empty = await memory_store(), Watched(await memory_bus()), Watched(await memory_bus())
    async with serving(store, bus) as parts:
        task_id = uuid4()
        await parts.coordinator.submit(request(task_id))
        await parts.coordinator.submit(completion(task_id, "begin"))
        error = StepError(code="test.refused", message="not now", retryable=True)
        await parts.coordinator.submit(TaskIntent(FailStep(task_id, "left", 1, error, now_ms()), CAUSE))
        await wait_until(lambda: len(bus.ids("jobs.default.left")) == 2)

        await resync(store, empty, 2)

    assert steps(empty) == ["left", "right"]
    assert empty.ids("jobs.default.left") == bus.ids("jobs.default.left")[1:]


async def test_nothing_is_stored_and_a_broker_that_lost_nothing_gives_each_job_once() -> None:
    store, bus = await memory_store(), Watched(await memory_bus())
    async with serving(store, bus) as parts:
        await parts.coordinator.submit(request())
        await sent_all(parts)
        head = await store.head()

        for _ in range(3):
            await resync(store, bus, 2)

        assert await store.head() == head
        deliveries = await (await bus.subscribe("jobs.default.begin", "worker")).receive(10, 0.1)
        assert len(deliveries) == 1


async def test_an_empty_log_has_nothing_to_send() -> None:
    done = await resync(await memory_store(), await memory_bus(), 2)

    assert (done.jobs, done.tasks, list(done.queues)) == (0, 0, [])


class Refusing:
    """A bus that refuses jobs, for good or for now."""

    def __init__(self, bus: Bus, refusal: NotSent) -> None:
        self._bus = bus
        self._refusal = refusal
        self.address, self.provision = bus.address, bus.provision

    async def publish(self, outgoing: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        return [self._refusal] * len(outgoing)


async def test_a_job_that_no_broker_takes_is_told_with_the_reason() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus()) as parts:
        await parts.coordinator.submit(request())

        done = await resync(store, Refusing(await memory_bus(), NotSent("too large", permanent=True)), 2)  # type: ignore[arg-type]

    assert (done.jobs, list(done.undeliverable.values())) == (0, ["too large"])


async def test_a_broker_that_confirms_nothing_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync_module, "_PATIENCE_S", 0.3)
    store = await memory_store()
    async with serving(store, await memory_bus()) as parts:
        await parts.coordinator.submit(request())

        with pytest.raises(BusUnavailable, match=r"to confirm 1 jobs in 0\.3 s, but away"):
            await resync(store, Refusing(await memory_bus(), NotSent("away")), 2)  # type: ignore[arg-type]
