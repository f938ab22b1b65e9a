"""Views made anew from the log, and what shows that they are the same."""

from uuid import uuid4

import pytest

from stepbus.contracts.problems import Refused
from stepbus.projections import rebuild_all
from stepbus.projections.rebuild import digest
from stepbus.projections.runner import Runner
from stepbus.projections.tasks import TASKS
from stepbus.projections.views import PROJECTIONS
from tests.support.projected import Projected, accepted, completed, dispatched, projected


async def given_tasks(log: Projected, count: int) -> None:
    await log.given_template()
    for _ in range(count):
        task = uuid4()
        await log.given(accepted(), dispatched("begin"), stream=task)
        await log.given(completed("begin"), dispatched("left"), stream=task)


async def test_a_rebuild_gives_the_views_that_were_there(log: Projected) -> None:
    await given_tasks(log, 10)
    await log.when(*PROJECTIONS)

    rebuilt = await rebuild_all(log.store, log.views)

    assert [view.name for view in rebuilt] == [projection.name for projection in PROJECTIONS]
    assert all(view.digest_before == view.digest_after for view in rebuilt)
    assert all(view.position == 21 for view in rebuilt)
    assert {view.name: view.rows for view in rebuilt}["tasks"] == 11  # ten tasks and the size of one template


async def test_a_rebuild_mends_a_view_that_was_changed_by_hand_and_shows_that_it_was(log: Projected) -> None:
    await given_tasks(log, 3)
    await log.when(TASKS)
    good = await digest(log.views, TASKS)
    await log.views.create(["UPDATE view_tasks SET satisfied_steps = 99"])

    (rebuilt,) = await rebuild_all(log.store, log.views, ["tasks"])

    assert rebuilt.digest_before != rebuilt.digest_after == good.sha256


async def test_a_rebuild_beside_a_running_projection_ends_in_the_same_view(log: Projected) -> None:
    await given_tasks(log, 5)
    runner = Runner(log.store, log.views)
    await runner.start()
    try:
        assert await runner.wait_for(await log.store.head(), 10)
        good = await digest(log.views, TASKS)
        await rebuild_all(log.store, log.views)
        assert await runner.wait_for(await log.store.head(), 10)
        assert await digest(log.views, TASKS) == good
        assert runner.health()[0]
    finally:
        await runner.stop()


async def test_a_view_of_an_unknown_name_is_refused_with_the_known_ones(log: Projected) -> None:
    with pytest.raises(Refused, match=r"expected one of tasks, steps.*found 'task'"):
        await rebuild_all(log.store, log.views, ["task"])


async def test_the_digest_sees_every_row_of_a_view_of_many_pages(
    log: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    await given_tasks(log, 25)
    await log.when(TASKS)
    whole = await digest(log.views, TASKS)

    monkeypatch.setattr("stepbus.projections.rebuild._PAGE", 7)

    assert await digest(log.views, TASKS) == whole
    assert whole.rows == 26


async def test_one_log_gives_one_digest_on_every_database(
    log: Projected, postgres_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await given_tasks(log, 10)
    await log.when(*PROJECTIONS)
    expected = [await digest(log.views, projection) for projection in PROJECTIONS]

    for url in (f"sqlite:///{tmp_path_factory.mktemp('views')}/log.db", postgres_database):
        async with projected(url) as other:
            for stored in await log.store.read(0, 1000):
                await other.copy(stored)
            await other.when(*PROJECTIONS)
            assert [await digest(other.views, projection) for projection in PROJECTIONS] == expected, url
