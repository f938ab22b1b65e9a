"""The same views, opened again and by several."""

import asyncio

from stepbus.orchestrator.ports import StaleCheckpoint, ViewStore
from stepbus.orchestrator.testing.view_suite.bench import CREATE, Bench, OpenViews, ids, insert, task


class Sharing(Bench):
    """Cases of views that several stores open: every call of `open_views` opens the same ones."""

    async def test_rows_and_checkpoint_are_there_when_opened_again(
        self, views: ViewStore, open_again: OpenViews
    ) -> None:
        await views.apply("tasks", 0, 7, [insert(task("a"))])
        await views.close()

        again = await open_again()
        assert await ids(again) == ["a"]
        assert await again.checkpoint("tasks") == 7

    async def test_of_two_stores_that_apply_the_same_step_one_wins(
        self, views: ViewStore, open_again: OpenViews
    ) -> None:
        other = await open_again()

        for position in range(10):
            outcomes = await asyncio.gather(
                views.apply("tasks", position, position + 1, [insert(task(f"{position} one"))]),
                other.apply("tasks", position, position + 1, [insert(task(f"{position} other"))]),
                return_exceptions=True,
            )
            assert {type(outcome) for outcome in outcomes} == {type(None), StaleCheckpoint}

        assert len(await ids(views)) == 10

    async def test_what_one_store_applied_another_sees(self, views: ViewStore, open_again: OpenViews) -> None:
        other = await open_again()
        await views.apply("tasks", 0, 7, [insert(task("a"))])

        assert await ids(other) == ["a"]
        assert await other.checkpoint("tasks") == 7

    async def test_several_may_create_the_same_tables_at_once(self, open_again: OpenViews) -> None:
        stores = await asyncio.gather(*(open_again() for _ in range(4)))

        await asyncio.gather(*(store.create(CREATE) for store in stores))

        assert await ids(stores[0]) == []
