"""Following the log: nothing is skipped, nothing is applied twice, and what stops a view is said."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import Append, StaleCheckpoint, Statement, StoreUnavailable, ViewStore
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.projections.feed import Feed
from stepbus.projections.follow import Follower
from stepbus.projections.history import HISTORY
from stepbus.projections.rebuild import digest
from stepbus.projections.runner import Runner
from stepbus.projections.tasks import TASKS
from stepbus.projections.views import PROJECTIONS
from tests.support.projected import OTHER_TASK, Projected, accepted, completed, dispatched


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
