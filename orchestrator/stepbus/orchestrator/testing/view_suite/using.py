"""Using views from many tasks, and closing them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stepbus.orchestrator.ports import Statement, StoreUnavailable, ViewStore
from stepbus.orchestrator.testing.view_suite.bench import SELECT, Bench, ids, insert, select, task

USES: dict[str, Callable[[ViewStore], Awaitable[object]]] = {
    "apply": lambda views: views.apply("tasks", 0, 1, []),
    "checkpoint": lambda views: views.checkpoint("tasks"),
    "create": lambda views: views.create([]),
    "query": lambda views: views.query(Statement(SELECT)),
    "reset": lambda views: views.reset("tasks", []),
}


class Using(Bench):
    """Cases of many callers, of errors and of `close`."""

    async def test_many_may_query_and_apply_at_once(self, views: ViewStore) -> None:
        await asyncio.gather(
            *(views.apply(f"projection {n}", 0, 1, [insert(task(f"{n:02}"))]) for n in range(20)),
            *(select(views) for _ in range(20)),
        )

        assert await ids(views) == [f"{n:02}" for n in range(20)]

    async def test_a_query_that_fails_harms_no_other(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task())])

        with pytest.raises(StoreUnavailable, match="nowhere"):
            await select(views, "SELECT * FROM nowhere")

        assert await ids(views) == ["a"]

    async def test_a_cancelled_caller_harms_no_other(self, views: ViewStore) -> None:
        calls = [asyncio.ensure_future(views.apply(f"{n}", 0, 1, [insert(task(f"{n}"))])) for n in range(9)]
        await asyncio.sleep(0)  # let every call begin
        calls[4].cancel()

        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert [outcome for n, outcome in enumerate(outcomes) if n != 4] == [None] * 8

    async def test_closing_finishes_what_was_begun(self, views: ViewStore) -> None:
        calls = [asyncio.ensure_future(views.apply(f"{n}", 0, 1, [insert(task(f"{n}"))])) for n in range(30)]
        await asyncio.sleep(0)  # let every call begin

        await views.close()

        assert await asyncio.gather(*calls) == [None] * 30

    @pytest.mark.parametrize("use", list(USES))
    async def test_closed_views_are_unavailable(self, views: ViewStore, use: str) -> None:
        await views.close()

        with pytest.raises(StoreUnavailable, match="closed"):
            await USES[use](views)

    async def test_closing_twice_is_as_good_as_once(self, views: ViewStore) -> None:
        await views.close()
        await views.close()
