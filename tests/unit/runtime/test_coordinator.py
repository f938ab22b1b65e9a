"""Rounds: what `submit` answers is in the log, and a stream that moved on harms nobody else."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.core import decide as decide_module
from stepbus.orchestrator.core.commands import CancelTask
from stepbus.orchestrator.ports import Append, Appended, EventStore, StoreUnavailable, VersionConflict
from stepbus.orchestrator.runtime import coordinator as coordinator_module
from stepbus.orchestrator.runtime.asked import Undecidable
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.follow import Follower
from stepbus.orchestrator.runtime.intents import NoteIntent, RegisterIntent, TaskIntent
from stepbus.orchestrator.runtime.serve import Limits
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import (
    CAUSE,
    FORK_AND_JOIN,
    Broken,
    completion,
    events_of,
    memory_bus,
    memory_store,
    request,
    serving,
    types_of,
)


class Stuck:
    """A store whose disk takes no more until it is released, and is the real one in all else."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.released = asyncio.Event()
        self.commits: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        """Commit once released."""
        self.commits.append(len(batches))
        await self.released.wait()
        return await self._store.append(batches)


async def test_what_is_answered_is_in_the_log() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        outcome = await parts.coordinator.submit(intent)
        (stored,) = await store.read_stream(intent.command.task_id)
        assert outcome.position == stored.position
        assert await types_of(store, intent.command.task_id) == ["TaskAccepted", "StepDispatched"]


async def test_many_intents_share_one_commit() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        store.commits.clear()
        await asyncio.gather(*(parts.coordinator.submit(request()) for _ in range(50)))
        assert store.commits == [50]


async def test_a_round_decides_no_more_than_its_limit() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False, limits=Limits(RoundLimits(count=20))) as parts:
        store.commits.clear()
        await asyncio.gather(*(parts.coordinator.submit(request()) for _ in range(50)))
        assert store.commits == [20, 20, 10]


async def test_a_round_that_waits_takes_what_comes_meanwhile() -> None:
    store = Broken(await memory_store())
    limits = Limits(RoundLimits(count=20, wait_s=0.05))
    async with serving(store, await memory_bus(), coordinate=False, limits=limits) as parts:
        store.commits.clear()
        first = parts.coordinator.submit(request())
        for _ in range(3):  # the loop of rounds has seen the first and waits for more
            await asyncio.sleep(0)
        await asyncio.gather(first, parts.coordinator.submit(request()))
        assert store.commits == [2]


async def test_commands_of_one_task_in_one_round_follow_each_other() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        task_id = intent.command.task_id
        await asyncio.gather(*map(parts.coordinator.submit, [intent, completion(task_id, "begin")]))
        assert await types_of(store, task_id) == [
            "TaskAccepted",
            "StepDispatched",
            "StepCompleted",
            "StepDispatched",
            "StepDispatched",
        ]
        assert [stored.version for stored in await store.read_stream(task_id)] == [1, 2]


async def test_a_history_counts_events_and_a_stream_counts_records() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        await parts.coordinator.submit(intent)
        await parts.coordinator.submit(completion(intent.command.task_id, "begin"))
        records = [e.decode_record(stored.data) for stored in await store.read_stream(intent.command.task_id)]
        assert [record.first for record in records] == [1, 3]


async def test_a_task_that_is_not_there_is_missing() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        outcome = await parts.coordinator.submit(TaskIntent(CancelTask(uuid4(), "", 1), CAUSE))
        assert outcome.rejection is not None
        assert (outcome.rejection.code, outcome.rejection.kind) == ("task.unknown", "missing")


async def test_a_coordinator_that_is_behind_decides_again_on_what_the_log_holds() -> None:
    store = await memory_store()
    async with (
        serving(store, await memory_bus(), coordinate=False) as one,
        serving(store, await memory_bus(), coordinate=False) as other,
    ):
        intent = request()
        task_id = intent.command.task_id
        await one.coordinator.submit(intent)
        await other.coordinator.submit(completion(task_id, "begin"))
        await other.coordinator.submit(completion(task_id, "left"))
        await one.coordinator.submit(completion(task_id, "right"))
        await other.coordinator.submit(completion(task_id, "end"))
        assert (await types_of(store, task_id))[-2:] == ["StepCompleted", "TaskCompleted"]


async def test_an_answer_is_not_refused_on_a_state_that_is_behind() -> None:
    store = await memory_store()
    async with (
        serving(store, await memory_bus(), coordinate=False) as one,
        serving(store, await memory_bus(), coordinate=False) as other,
    ):
        intent = request()
        task_id = intent.command.task_id
        await one.coordinator.submit(intent)
        await other.coordinator.submit(completion(task_id, "begin"))
        outcome = await one.coordinator.submit(completion(task_id, "left"))
        assert outcome.rejection is None
        assert outcome.position > 0


async def test_one_conflict_holds_up_nobody_else_in_the_round() -> None:
    store = await memory_store()
    async with (
        serving(store, await memory_bus(), coordinate=False) as one,
        serving(store, await memory_bus(), coordinate=False) as other,
    ):
        shared, alone = request(), request()
        await asyncio.gather(*map(one.coordinator.submit, [shared, alone]))
        await other.coordinator.submit(completion(shared.command.task_id, "begin"))
        outcomes = await asyncio.gather(
            one.coordinator.submit(TaskIntent(CancelTask(shared.command.task_id, "", 3_000), CAUSE)),
            one.coordinator.submit(completion(alone.command.task_id, "begin")),
        )
        assert all(outcome.position for outcome in outcomes)
        assert (await types_of(store, shared.command.task_id))[-1] == "TaskCancelled"


async def test_a_note_that_is_there_already_is_not_made_twice() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        note = NoteIntent(uuid4(), e.QUARANTINE, e.MessageResubmitted(), CAUSE)
        first = await parts.coordinator.submit(note)
        second = await parts.coordinator.submit(note)
        assert first.position > 0
        assert second.position in (0, first.position)
        assert len(await events_of(store, note.stream)) == 1


async def test_a_store_that_is_away_is_said_so_and_the_next_try_succeeds() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        store.failures.append(StoreUnavailable("the disk is away"))
        with pytest.raises(StoreUnavailable, match="the disk is away"):
            await parts.coordinator.submit(intent)
        assert (await parts.coordinator.submit(intent)).position > 0


async def test_a_commit_whose_answer_was_lost_is_not_made_twice() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        store.lost_answers.append(StoreUnavailable("the answer was lost"))
        with pytest.raises(StoreUnavailable):
            await parts.coordinator.submit(intent)
        await parts.coordinator.submit(intent)
        assert await types_of(store, intent.command.task_id) == ["TaskAccepted", "StepDispatched"]


async def test_a_decision_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    poison = request()

    def decide(state: object, command: object) -> object:
        if command is poison.command:
            raise ZeroDivisionError("planted")
        return decide_module.decide(state, command)  # type: ignore[arg-type]

    monkeypatch.setattr(coordinator_module, "decide", decide)
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        failed, done = await asyncio.gather(
            parts.coordinator.submit(poison), parts.coordinator.submit(request()), return_exceptions=True
        )
        assert isinstance(failed, Undecidable)
        assert not isinstance(done, BaseException)


async def test_a_round_that_fails_as_a_whole_does_not_end_the_rounds() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        store.failures.append(ZeroDivisionError("planted"))
        with pytest.raises(Undecidable, match="planted"):
            await parts.coordinator.submit(request())
        assert (await parts.coordinator.submit(request())).position > 0


async def test_a_template_registered_twice_is_registered_once_and_never_changed() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        other = from_mapping({"name": "fork_and_join", "version": "1.0.0", "steps": [{"name": "only"}]})
        second = from_mapping({"name": "fork_and_join", "version": "1.1.0", "steps": [{"name": "only"}]})
        same, changed, new = await asyncio.gather(
            *(parts.coordinator.submit(RegisterIntent(t, CAUSE)) for t in (FORK_AND_JOIN, other, second))
        )
        assert (same.position, same.rejection) == (0, None)
        assert changed.rejection is not None
        assert changed.rejection.code == "template.immutable"
        assert new.position > 0
        assert await types_of(store, e.CATALOGUE_STREAM) == ["TemplateRegistered", "TemplateRegistered"]


async def test_who_follows_hears_of_commits_in_order_of_position() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        follower = Follower(store, await store.head())
        parts.coordinator.inform(follower)
        await asyncio.gather(*(parts.coordinator.submit(request()) for _ in range(20)))
        batch = await anext(aiter(follower.batches()))
        positions = [committed.position for committed in batch]
        assert positions == sorted(positions)
        assert len(positions) == 20


async def test_a_slow_disk_makes_rounds_larger_and_leaves_the_log_to_be_read() -> None:
    store = Stuck(await memory_store())
    store.released.set()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        known = await parts.coordinator.submit(request())
        store.commits.clear()
        store.released.clear()
        first = asyncio.ensure_future(parts.coordinator.submit(request()))
        await wait_until(lambda: bool(store.commits))
        rest = parts.coordinator.submit_all([request() for _ in range(50)])
        assert await parts.desk.live_state(known.id) is not None
        assert parts.coordinator.backlog == 50
        store.released.set()
        await asyncio.gather(first, rest)
        assert store.commits == [1, 50]


async def test_what_is_decided_is_seen_by_nobody_before_it_is_in_the_log() -> None:
    store = Stuck(await memory_store())
    store.released.set()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        intent = request()
        await parts.coordinator.submit(intent)
        store.released.clear()
        store.commits.clear()
        decided = parts.coordinator.submit_all([completion(intent.command.task_id, "begin")])
        await wait_until(lambda: bool(store.commits))
        seen = await parts.desk.live_state(intent.command.task_id)
        assert seen is not None
        assert seen.version == 1
        store.released.set()
        await decided
        seen = await parts.desk.live_state(intent.command.task_id)
        assert seen is not None
        assert seen.version == 2
