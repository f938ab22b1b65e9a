"""Following the log: nothing is skipped, nothing is applied twice, and what stops a view is said."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import Append, StaleCheckpoint, Statement, StoreUnavailable, ViewStore
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.projections.feed import Feed, fitting
from stepbus.projections.follow import Follower
from stepbus.projections.history import HISTORY
from stepbus.projections.rebuild import digest
from stepbus.projections.runner import Runner
from stepbus.projections.tasks import TASKS
from stepbus.projections.views import PROJECTIONS
from tests.support import logs
from tests.support.projected import OTHER_TASK, Projected, accepted, completed, dispatched, projected


class Troubled:
    """Views that fail as told, and are the real ones in all else."""

    def __init__(self, views: ViewStore, *failures: Exception) -> None:
        self._views = views
        self.failures = list(failures)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views, name)

    async def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Fail, or commit."""
        if self.failures:
            raise self.failures.pop(0)
        await self._views.apply(projection, after, position, statements)


async def of_the_future(log: Projected) -> int:
    """Let a newer release have written a record of an event type that this one doesn't know."""
    record = e.Record(first=1, meta=e.Metadata(at_ms=1), events=(e.TaskCompleted(),))
    data = e.encode_record(record).replace(b"TaskCompleted", b"TaskTeleported")
    await log.store.append([Append(uuid4(), 0, e.TASK, data)])
    return await log.store.head()


async def test_a_record_that_cannot_be_applied_stops_the_view_and_is_named_in_its_health(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    unknown = await of_the_future(log)
    await log.given(completed("begin"))
    runner = Runner(log.store, log.views)

    await runner.start()
    try:
        await wait_until(lambda: "tasks stopped" in runner.health()[1])
        await wait_until(lambda: log_at(log, "templates", unknown + 1))
    finally:
        await runner.stop()

    ok, detail = runner.health()
    assert not ok
    assert f"tasks stopped at position {unknown}: Refused: event.unknown_type" in detail
    assert await log.views.checkpoint("tasks") == unknown - 1
    assert (await log.row("SELECT satisfied_steps FROM view_tasks"))["satisfied_steps"] == 0


async def log_at(log: Projected, name: str, position: int) -> bool:
    return await log.views.checkpoint(name) >= position


async def test_a_view_that_was_moved_on_by_another_process_goes_on_from_there(log: Projected) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.when(TASKS)
    follower = log.follower(TASKS)
    following = asyncio.create_task(follower.run())
    await wait_until(lambda: follower.position == 2)

    await log.views.reset("tasks", TASKS.emptying)
    await log.given(accepted(), dispatched("begin"), stream=OTHER_TASK)
    await wait_until(lambda: follower.position == 3)

    assert (await log.row("SELECT COUNT(*) AS tasks FROM view_tasks"))["tasks"] == 2
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_two_processes_that_keep_one_view_do_not_apply_anything_twice(log: Projected) -> None:
    await log.given_template()
    await log.views.create(HISTORY.ddl)
    runners = [Runner(log.store, log.views), Runner(log.store, log.views)]
    for runner in runners:
        await runner.start()
    try:
        for number in range(40):
            await log.given(accepted(), dispatched("begin"), completed("begin", result=number), stream=uuid4())
        head = await log.store.head()
        for runner in runners:
            assert await runner.wait_for(head, 10)
            assert runner.health()[0], runner.health()
    finally:
        for runner in runners:
            await runner.stop()

    assert (await log.row("SELECT COUNT(*) AS records FROM view_history"))["records"] == 40
    assert (await log.row("SELECT SUM(satisfied_steps) AS steps FROM view_tasks"))["steps"] == 40


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), StaleCheckpoint("moved")], ids=str)
async def test_a_store_that_fails_for_a_while_is_tried_again(log: Projected, failure: Exception) -> None:
    await log.given_template()
    await log.given(accepted(), dispatched("begin"))
    await log.views.create(TASKS.ddl)
    follower = Follower(TASKS, log.feed, Troubled(log.views, failure, failure))
    following = asyncio.create_task(follower.run())

    await wait_until(lambda: follower.position == 2)

    assert follower.stopped is None
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_what_stands_before_the_record_that_fails_is_in_the_view(log: Projected) -> None:
    await log.given_template()
    for _ in range(5):
        await log.given(accepted(), stream=uuid4())
    unknown = await of_the_future(log)
    await log.views.create(TASKS.ddl)
    follower = log.follower(TASKS)

    await follower.run()

    assert follower.stopped is not None
    assert follower.stopped.position == unknown
    assert (await log.row("SELECT COUNT(*) AS tasks FROM view_tasks"))["tasks"] == 5


async def test_followers_at_one_position_share_one_reading_of_the_log(log: Projected) -> None:
    await log.given_template()
    feed = Feed(log.store, pace_s=0)

    one, other = await asyncio.gather(feed.after(0), feed.after(0))

    assert one is other
    await feed.close()


async def test_a_feed_waits_for_what_comes(log: Projected) -> None:
    feed = Feed(log.store, pace_s=0)
    waiting = asyncio.create_task(feed.after(0))
    await asyncio.sleep(0)
    assert not waiting.done()

    position = await log.given_template()

    assert [entry.position for entry in await waiting] == [position]
    await feed.close()


async def test_a_reader_that_is_behind_is_led_to_where_the_others_stand(log: Projected) -> None:
    for _ in range(5):
        await log.given(accepted(), stream=uuid4())
    feed = Feed(log.store, batch=3, pace_s=0)
    ahead = await feed.after(0)
    ahead = await feed.after(ahead[-1].position)
    await log.given(accepted(), stream=uuid4())

    behind = await feed.after(2)

    assert [entry.position for entry in behind] == [3, 4, 5]
    assert await feed.after(behind[-1].position) is await feed.after(ahead[-1].position)
    await feed.close()


class Paced:
    """A log, and an event loop whose pauses are noted down rather than waited for."""

    def __init__(self, log: Projected, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self.feed = Feed(log.store, batch=2, pace_s=60)
        monkeypatch.setattr("stepbus.projections.feed.asyncio.sleep", self._sleep)

    async def _sleep(self, delay_s: float) -> None:
        self.pauses.append(delay_s)


async def test_the_end_of_the_log_is_read_at_a_pace_and_what_is_before_it_at_once(
    log: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await log.given(accepted(), stream=uuid4())
    paced = Paced(log, monkeypatch)

    assert [entry.position for entry in await paced.feed.after(0)] == [1, 2]
    assert [entry.position for entry in await paced.feed.after(2)] == [3]
    await paced.feed.after(1)
    assert paced.pauses == []

    await log.given(accepted(), stream=uuid4())
    assert [entry.position for entry in await paced.feed.after(3)] == [4]
    assert len(paced.pauses) == 1
    assert 0 < paced.pauses[0] <= 60
    await paced.feed.close()


@pytest.mark.parametrize(("took_s", "size"), [(0.01, 200), (0.05, 100), (0.2, 50), (9.0, 50)])
def test_batches_grow_while_they_are_quick_and_shrink_when_they_are_slow(took_s: float, size: int) -> None:
    assert fitting(100, took_s, largest=500) == size


def test_batches_stay_within_bounds() -> None:
    assert fitting(400, 0.0, largest=500) == 500
    assert fitting(26, 1.0, largest=500) == fitting(25, 1.0, largest=500) == 25
    assert fitting(1, 1.0, largest=1) == 1


async def test_projections_that_ask_at_once_share_a_transaction_and_no_fault(log: Projected) -> None:
    """One has moved on, one has a row that fails: the third gets its rows."""
    await log.given_template()
    await log.views.create(TASKS.ddl)
    nowhere = Statement("INSERT INTO nowhere (n) VALUES (:n)", [{"n": 1}])
    size = Statement("INSERT INTO view_task_sizes VALUES (:hash, :steps)", [{"hash": "h", "steps": 1}])

    outcomes = await asyncio.gather(
        log.views.apply("stale", 5, 9, [nowhere]),
        log.views.apply("broken", 0, 9, [nowhere]),
        log.views.apply("good", 0, 9, [size]),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [StaleCheckpoint, StoreUnavailable, type(None)]
    assert [await log.views.checkpoint(name) for name in ("stale", "broken", "good")] == [0, 0, 9]
    assert (await log.row("SELECT total_steps FROM view_task_sizes"))["total_steps"] == 1


async def test_views_that_cannot_be_written_hold_up_no_round_of_the_coordinator(tmp_path: Path) -> None:
    template = logs.orders()
    async with projected(f"sqlite:///{tmp_path}/log.db") as log, logs.coordinator(log.store, [template]) as running:
        runner = Runner(log.store, log.views)
        await runner.start()
        before = await log.store.head()
        assert await runner.wait_for(before, 10)
        with closing(sqlite3.connect(tmp_path / "log-views.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            state = await logs.live_through(running, template, seed=7)

            assert state.events > 10
            assert await log.views.checkpoint("tasks") == before
            other.execute("ROLLBACK")
        assert await runner.wait_for(await log.store.head(), 30)
        await runner.stop()


async def test_live_views_and_views_built_from_zero_are_the_same(log: Projected) -> None:
    runner = Runner(log.store, log.views)
    await runner.start()
    await log.given_template()
    for _ in range(20):
        task = uuid4()
        await log.given(accepted(), dispatched("begin"), stream=task)
        await log.given(completed("begin"), dispatched("left"), dispatched("right"), stream=task)
    assert await runner.wait_for(await log.store.head(), 10)
    await runner.stop()
    live = [await digest(log.views, projection) for projection in PROJECTIONS]

    for projection in PROJECTIONS:
        await log.views.reset(projection.name, projection.emptying)
    await log.when(*PROJECTIONS)

    assert [await digest(log.views, projection) for projection in PROJECTIONS] == live
    assert all(found.rows for found in live[:5])
