"""The views in PostgreSQL against the suite of their port, and a server that goes away."""

import asyncio

import pytest

from stepbus.adapters.postgres import connect
from stepbus.orchestrator.ports import StoreUnavailable, ViewStore
from stepbus.orchestrator.testing.view_suite import SharedViewSuite
from stepbus.orchestrator.testing.view_suite.bench import CREATE, ids, insert, task
from tools.servers import Server


async def open_url(url: str) -> ViewStore:
    views = connect(url).views
    assert views is not None
    return await views()


class TestPostgresViews(SharedViewSuite):
    @pytest.fixture(autouse=True)
    def fresh_database(self, postgres_database: str) -> None:
        self.url = postgres_database

    async def open_views(self) -> ViewStore:
        return await open_url(self.url)


async def test_views_in_a_schema_are_apart_from_those_outside(postgres_database: str) -> None:
    inside, outside = await open_url(f"{postgres_database}?schema=inside"), await open_url(postgres_database)
    await asyncio.gather(inside.create(CREATE), outside.create(CREATE))

    await inside.apply("tasks", 0, 3, [insert(task())])

    assert await ids(outside) == []
    assert [await inside.checkpoint("tasks"), await outside.checkpoint("tasks")] == [3, 0]
    await asyncio.gather(inside.close(), outside.close())


async def test_views_are_there_again_after_the_server_was_killed(own_postgres: Server) -> None:
    views = await open_url(own_postgres.url)
    await views.create(CREATE)
    await views.apply("tasks", 0, 7, [insert(task("a"))])

    await asyncio.to_thread(own_postgres.kill)
    with pytest.raises(StoreUnavailable):
        await views.apply("tasks", 7, 8, [insert(task("b"))])
    await asyncio.to_thread(own_postgres.start)

    standing, rows = await views.checkpoint("tasks"), await ids(views)
    assert (standing, rows) in [(7, ["a"]), (0, [])]  # what the server had not written yet is made again from the log
    await views.apply("tasks", standing, 8, [insert(task("b"))])
    assert await ids(views) == [*rows, "b"]
    await views.close()
