"""Tasks at hand: few enough, no longer than they are used, and always what the log says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from stepbus.orchestrator.bootstrap import running
from stepbus.orchestrator.bootstrap.settings import read_settings
from stepbus.orchestrator.core.commands import CancelTask
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.due_index import DueIndex
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.orchestrator.runtime.tasks import TaskInHand, Tasks
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import (
    CAUSE,
    FORK_AND_JOIN,
    PLAN,
    completion,
    document,
    memory_bus,
    memory_store,
    now_ms,
    request,
    serving,
)


async def tasks(room: int = 100, room_bytes: int = 10_000) -> Tasks:
    store = await memory_store()
    return Tasks(store, Catalogue(store), room, room_bytes=room_bytes)


def in_hand(version: int = 1, size: int = 0, task_id: UUID | None = None) -> TaskInHand:
    state = TaskState.blank(task_id or uuid4(), PLAN)
    state.version = version
    return TaskInHand(state, "default", "c", size)


def is_kept(here: Tasks, task: TaskInHand) -> bool:
    return here.kept(task.state.task_id) is task


async def begun(parts: Serving) -> UUID:
    """Give a task whose first step is dispatched."""
    intent = request()
    await parts.coordinator.submit(intent)
    return intent.command.task_id


async def test_a_task_that_nothing_happens_to_is_let_go() -> None:
    here, idle, busy = await tasks(), in_hand(), in_hand()
    here.keep(idle)
    here.keep(busy)
    here.age()
    assert is_kept(here, idle)
    here.keep(busier := in_hand(2, task_id=busy.state.task_id))
    here.age()
    assert not is_kept(here, idle)
    assert is_kept(here, busier)


async def test_of_many_tasks_no_more_are_kept_than_there_is_room_for_and_the_latest_are() -> None:
    here = await tasks(room=10)
    many = [in_hand() for _ in range(57)]
    for task in many:
        here.keep(task)
        assert sum(is_kept(here, one) for one in many) <= 10
    assert all(is_kept(here, task) for task in many[-5:])


async def test_there_may_be_room_for_a_single_task() -> None:
    here, one, other = await tasks(room=1), in_hand(), in_hand()
    here.keep(one)
    assert is_kept(here, one)
    here.keep(other)
    assert [is_kept(here, one), is_kept(here, other)] == [False, True]


async def test_tasks_with_large_results_are_kept_only_as_far_as_their_bytes_go() -> None:
    here = await tasks(room_bytes=10_000)
    many = [in_hand(size=1_000) for _ in range(50)]
    for task in many:
        here.keep(task)
    assert 5 <= sum(is_kept(here, task) for task in many) <= 10


async def test_a_task_that_is_decided_on_again_and_again_counts_once() -> None:
    here, other, task_id = await tasks(room_bytes=10_000), in_hand(), uuid4()
    here.keep(other)
    for version in range(1, 50):
        here.keep(in_hand(version, 1_000, task_id))
    for _ in range(50):
        task = here.kept(task_id)
        assert task is not None
        here.forget(task_id)
        task.state.version += 1
        here.keep(task)
    assert is_kept(here, other)


async def test_a_state_is_never_kept_in_place_of_a_newer_one() -> None:
    here, newer = await tasks(), in_hand(3)
    here.keep(newer)
    here.keep(in_hand(2, task_id=newer.state.task_id))
    assert is_kept(here, newer)
    here.age()
    here.keep(in_hand(3, task_id=newer.state.task_id))
    assert is_kept(here, newer)


async def test_what_is_forgotten_is_not_kept_in_either_generation() -> None:
    here, old, young = await tasks(), in_hand(), in_hand()
    here.keep(old)
    here.age()
    here.keep(young)
    here.forget(old.state.task_id)
    here.forget(young.state.task_id)
    assert not is_kept(here, old)
    assert not is_kept(here, young)


async def test_a_task_that_was_let_go_is_folded_from_the_log_when_it_is_needed() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        here, task_id = parts.coordinator.tasks, await begun(parts)
        kept = here.kept(task_id)
        assert kept is not None
        here.age()
        here.age()
        assert here.kept(task_id) is None
        folded = await here.load(task_id)
        assert folded is not None
        assert folded is not kept
        assert folded.state.digest() == kept.state.digest()
        assert folded.size == sum(len(stored.data) for stored in await store.read_stream(task_id))
        here.age()
        here.age()
        for step in ("begin", "left", "right", "end"):
            await parts.coordinator.submit(completion(task_id, step))
        assert (await here.refreshed(task_id)) is not None


async def test_a_task_that_has_ended_is_let_go_at_once_and_can_still_be_asked_for() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        here, task_id = parts.coordinator.tasks, await begun(parts)
        await parts.coordinator.submit(TaskIntent(CancelTask(task_id, "", now_ms()), CAUSE))
        assert here.kept(task_id) is None
        ended = await here.load(task_id)
        assert ended is not None
        assert ended.state.status == "cancelled"
        assert here.kept(task_id) is None


class Slow:
    """A store in which something happens between a read and its answer."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.meanwhile: list[TaskIntent] = []
        self.parts: Serving | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_stream(self, stream: UUID, after: int = 0) -> Sequence[StoredRecord]:
        """Have something else decided, then read."""
        if self.meanwhile and self.parts is not None:
            await self.parts.coordinator.submit(self.meanwhile.pop())
        return await self._store.read_stream(stream, after)


async def test_who_looks_at_a_task_while_a_round_takes_it_on_sees_each_event_once() -> None:
    store = Slow(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        here, task_id = parts.coordinator.tasks, await begun(parts)
        store.parts, store.meanwhile = parts, [completion(task_id, "begin")]
        seen = await here.refreshed(task_id)
        assert seen is not None
        fresh = await Tasks(store, parts.coordinator.catalogue, 1).load(task_id)
        assert fresh is not None
        assert (seen.state.version, seen.state.digest()) == (2, fresh.state.digest())


async def test_a_process_lets_tasks_go_after_the_time_that_its_settings_say(tmp_path: Path) -> None:
    values = {"data": tmp_path, "bus": f"memory:{tmp_path.name}", "passivate_after_s": 0.01}
    async with running(read_settings(None, {}, values).settings, ["coordinator"]) as found:
        parts = found.serving
        await parts.desk.register(document(FORK_AND_JOIN), "operator/test")
        task_id = await begun(parts)
        await wait_until(lambda: parts.coordinator.tasks.kept(task_id) is None)


async def test_a_process_packs_the_timers_of_idle_tasks_after_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    generations_ms: list[int] = []

    class Recorded(DueIndex):
        def __init__(self, generation_ms: int) -> None:
            super().__init__(generation_ms)
            generations_ms.append(generation_ms)

    monkeypatch.setattr("stepbus.orchestrator.runtime.timers.DueIndex", Recorded)
    limits = Limits(passivate_after_s=7.5, drain_timeout_s=5)
    async with serving(await memory_store(), await memory_bus(), limits=limits):
        assert generations_ms == [7_500]


async def test_a_process_keeps_no_more_tasks_than_its_settings_say(tmp_path: Path) -> None:
    values = {"data": tmp_path, "bus": f"memory:{tmp_path.name}", "cache_tasks": 2}
    async with running(read_settings(None, {}, values).settings, ["coordinator"]) as found:
        parts = found.serving
        await parts.desk.register(document(FORK_AND_JOIN), "operator/test")
        many = await asyncio.gather(*(begun(parts) for _ in range(10)))
        assert 1 <= sum(parts.coordinator.tasks.kept(task_id) is not None for task_id in many) <= 2
