"""Timers: what is due is decided, once, whichever process was there when it was set."""

from uuid import UUID

import pytest

from stepbus.contracts.messages import StepError
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.core.commands import FailStep, RequestTask, TimeOutTask
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import EventStore, Snapshot, StoreUnavailable
from stepbus.orchestrator.runtime import follow
from stepbus.orchestrator.runtime import timers as timers_module
from stepbus.orchestrator.runtime.due import Due
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.serve import Serving
from stepbus.orchestrator.runtime.tasks import TaskInHand
from stepbus.orchestrator.runtime.timers import INDEX_STREAM
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import (
    CAUSE,
    Broken,
    completion,
    document,
    memory_bus,
    memory_store,
    now_ms,
    request,
    serving,
    types_of,
)

HASTY = from_mapping(
    {
        "name": "hasty",
        "version": "1.0.0",
        "steps": [{"name": "only", "timeout": "20ms", "retry": {"max_attempts": 2, "initial": "1ms", "jitter": 0}}],
    }
)


async def begin_hasty(parts: Serving, task_id: UUID, timeout_ms: int | None = None) -> None:
    await parts.desk.register(document(HASTY), "operator/test")
    command = RequestTask(task_id, Plan.of(HASTY), {}, "request-1", parts.coordinator.clock.now_ms(), timeout_ms)
    await parts.coordinator.submit(TaskIntent(command, CAUSE))


async def until_it_ends(store: EventStore, task_id: UUID, last: str) -> list[str]:
    async def ended() -> bool:
        return last in await types_of(store, task_id)

    await wait_until(ended)
    return await types_of(store, task_id)


async def test_an_attempt_that_nobody_answers_times_out_and_is_tried_again() -> None:
    store, task_id = await memory_store(), UUID(int=1)
    async with serving(store, await memory_bus()) as parts:
        await begin_hasty(parts, task_id)
        history = await until_it_ends(store, task_id, "TaskFailed")
    assert history == [
        "TaskAccepted",
        "StepDispatched",
        "StepTimedOut",
        "StepDispatched",
        "StepTimedOut",
        "TaskFailed",
    ]


async def test_a_retry_is_dispatched_when_its_delay_has_passed() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus()) as parts:
        intent = request()
        task_id = intent.command.task_id
        await parts.coordinator.submit(intent)
        await parts.coordinator.submit(completion(task_id, "begin"))
        error = StepError(code="carrier.away")
        now_ms = parts.coordinator.clock.now_ms()
        await parts.coordinator.submit(TaskIntent(FailStep(task_id, "left", 1, error, now_ms), CAUSE))

        async def is_dispatched_again() -> bool:
            return (await types_of(store, task_id)).count("StepDispatched") == 4

        await wait_until(is_dispatched_again)


async def test_a_task_past_its_deadline_fails() -> None:
    store, task_id = await memory_store(), UUID(int=2)
    async with serving(store, await memory_bus()) as parts:
        await begin_hasty(parts, task_id, timeout_ms=1)
        assert (await until_it_ends(store, task_id, "TaskFailed"))[-2:] == ["StepCancelled", "TaskFailed"]


async def test_a_timer_set_by_a_process_that_is_gone_fires_all_the_same() -> None:
    store, task_id = await memory_store(), UUID(int=3)
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        await begin_hasty(parts, task_id)
    async with serving(store, await memory_bus()):
        assert "StepTimedOut" in await until_it_ends(store, task_id, "StepTimedOut")


async def test_a_snapshot_of_the_index_saves_reading_the_log_again() -> None:
    store, task_id = await memory_store(), UUID(int=4)
    async with serving(store, await memory_bus()) as parts:
        await parts.coordinator.submit(request(task_id))
        await wait_until(lambda: parts.timers.position == parts.relay.confirmed)
    snapshot = await store.snapshot(INDEX_STREAM)
    assert snapshot is not None
    assert snapshot.version == await store.head()
    assert task_id.bytes in snapshot.data


async def test_a_long_log_is_snapshotted_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers_module, "_SNAPSHOT_EVERY", 2)
    store = await memory_store()
    async with serving(store, await memory_bus()) as parts:
        await parts.coordinator.submit(request())
        await parts.coordinator.submit(request())

        async def is_there() -> bool:
            return await store.snapshot(INDEX_STREAM) is not None

        await wait_until(is_there)


async def test_a_timer_that_could_not_be_decided_fires_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers_module, "_PAUSE_MS", 1)
    store, task_id = Broken(await memory_store()), UUID(int=5)
    async with serving(store, await memory_bus()) as parts:
        await begin_hasty(parts, task_id)
        store.failures = [StoreUnavailable("away")] * 3
        assert "StepTimedOut" in await until_it_ends(store, task_id, "StepTimedOut")


async def test_a_task_that_the_store_does_not_give_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers_module, "_PAUSE_MS", 1)
    store, task_id, errors = await memory_store(), UUID(int=6), [StoreUnavailable("away")] * 3
    async with serving(store, await memory_bus()) as parts:
        refreshed = parts.coordinator.tasks.refreshed

        async def fails_first(task_id: UUID) -> TaskInHand | None:
            if errors:
                raise errors.pop()
            return await refreshed(task_id)

        monkeypatch.setattr(parts.coordinator.tasks, "refreshed", fails_first)
        await begin_hasty(parts, task_id)
        assert "StepTimedOut" in await until_it_ends(store, task_id, "StepTimedOut")


async def test_a_task_that_can_not_be_folded_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    store, broken_id, task_id = await memory_store(), UUID(int=7), UUID(int=8)
    async with serving(store, await memory_bus()) as parts:
        refreshed = parts.coordinator.tasks.refreshed

        async def fails_for_one(task_id: UUID) -> TaskInHand | None:
            if task_id == broken_id:
                raise TypeError("no task")
            return await refreshed(task_id)

        monkeypatch.setattr(parts.coordinator.tasks, "refreshed", fails_for_one)
        await begin_hasty(parts, broken_id)
        await begin_hasty(parts, task_id)
        assert "StepTimedOut" in await until_it_ends(store, task_id, "StepTimedOut")


async def test_a_retry_that_another_coordinator_set_fires_here_though_an_older_state_is_at_hand() -> None:
    store, task_id = await memory_store(), UUID(int=9)
    async with (
        serving(store, await memory_bus()) as here,
        serving(store, await memory_bus(), coordinate=False) as there,
    ):
        await here.coordinator.submit(request(task_id))
        await here.coordinator.submit(completion(task_id, "begin"))
        failure = FailStep(task_id, "left", 1, StepError(code="carrier.away"), there.coordinator.clock.now_ms())
        await there.coordinator.submit(TaskIntent(failure, CAUSE))

        async def is_dispatched_again() -> bool:
            return (await types_of(store, task_id)).count("StepDispatched") == 4

        await wait_until(is_dispatched_again)


@pytest.mark.parametrize("data", [b"[]", b"\x01\0\0\0\0\xff"], ids=["of another format", "not whole"])
async def test_a_snapshot_that_can_not_be_read_is_told_of_and_the_log_is_read_instead(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store, task_id = await memory_store(), UUID(int=10)
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        await begin_hasty(parts, task_id)
    await store.save_snapshot(INDEX_STREAM, Snapshot(await store.head(), data))
    async with serving(store, await memory_bus()):
        assert "StepTimedOut" in await until_it_ends(store, task_id, "StepTimedOut")
    assert "the snapshot of the timers can't be read" in caplog.text


async def test_what_has_ended_is_not_looked_at_while_the_log_is_read_from_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "_BATCH", 1)
    store, begun_ms = await memory_store(), now_ms()
    looked_at: list[UUID] = []
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        for number in range(20):
            await begin_hasty(parts, UUID(int=number), timeout_ms=1)
        await wait_until(lambda: now_ms() > begun_ms + 1)
        for number in range(20):
            await parts.coordinator.submit(TaskIntent(TimeOutTask(UUID(int=number), now_ms()), CAUSE))

    def look(state: TaskState, _now_ms: int, _limit: int) -> Due:
        looked_at.append(state.task_id)
        return Due((), None)

    monkeypatch.setattr(timers_module, "due_of", look)
    async with serving(store, await memory_bus()) as parts:
        head = await store.head()
        await wait_until(lambda: parts.timers.position >= head)
    assert looked_at == []
