"""Applying: rows and checkpoint together or neither, each projection for itself."""

import asyncio
from collections.abc import Mapping

import pytest

from stepbus.orchestrator.ports import StaleCheckpoint, Statement, StoreUnavailable, Value, ViewStore
from stepbus.orchestrator.testing.view_suite.bench import (
    CREATE,
    UPSERT,
    Bench,
    ids,
    insert,
    insert_step,
    select,
    steps,
    task,
)


class Applying(Bench):
    """Cases of `create`, `apply`, `checkpoint` and `reset`."""

    async def test_creating_what_is_there_changes_nothing(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task())])

        await views.create(CREATE)

        assert await ids(views) == ["a"]

    async def test_a_projection_without_rows_stands_at_0(self, views: ViewStore) -> None:
        assert await views.checkpoint("tasks") == 0

    async def test_rows_and_checkpoint_are_there_together(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 7, [insert(task("a"), task("b"))])

        assert await ids(views) == ["a", "b"]
        assert await views.checkpoint("tasks") == 7

    async def test_a_statement_that_fails_takes_rows_and_checkpoint_with_it(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a"))])

        with pytest.raises(StoreUnavailable, match="nowhere"):
            await views.apply("tasks", 1, 2, [insert(task("b")), Statement("INSERT INTO nowhere VALUES (1)")])

        assert await ids(views) == ["a"]
        assert await views.checkpoint("tasks") == 1
        await views.apply("tasks", 1, 2, [insert(task("b"))])

    @pytest.mark.parametrize(
        "row", [task("a"), task(id="b", amount=2**63), {**task(), "id": None}], ids=["twice", "too large", "missing"]
    )
    async def test_rows_that_can_never_fit_are_no_outage_and_change_nothing(
        self, views: ViewStore, row: Mapping[str, Value]
    ) -> None:
        await views.create(["CREATE TABLE IF NOT EXISTS strict (id TEXT NOT NULL PRIMARY KEY, amount BIGINT)"])
        strictly = "INSERT INTO strict (id, amount) VALUES (:id, :amount)"
        await views.apply("tasks", 0, 1, [Statement(strictly, [task("a")])])

        with pytest.raises(ValueError, match="can hold"):
            await views.apply("tasks", 1, 2, [insert(task("c")), Statement(strictly, [row])])

        assert await ids(views) == []
        assert await views.checkpoint("tasks") == 1

    async def test_rows_that_build_on_another_checkpoint_are_refused(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 5, [insert(task("a"))])

        for after in (0, 4, 6):
            with pytest.raises(StaleCheckpoint):
                await views.apply("tasks", after, 9, [insert(task("b"))])

        assert await ids(views) == ["a"]
        assert await views.checkpoint("tasks") == 5

    async def test_the_first_rows_build_on_0(self, views: ViewStore) -> None:
        with pytest.raises(StaleCheckpoint):
            await views.apply("tasks", 3, 9, [insert(task())])

        assert await ids(views) == []

    async def test_of_two_that_apply_the_same_step_one_wins(self, views: ViewStore) -> None:
        outcomes = await asyncio.gather(
            *(views.apply("tasks", 0, 1, [insert(task(name))]) for name in "abcde"), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes].count(StaleCheckpoint) == 4
        assert len(await ids(views)) == 1

    async def test_a_position_that_does_not_move_on_is_the_callers_error(self, views: ViewStore) -> None:
        with pytest.raises(ValueError, match="expected a position above 3"):
            await views.apply("tasks", 3, 3, [])

    async def test_a_checkpoint_may_move_on_without_rows(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 4, [])
        await views.apply("tasks", 4, 1_000_000_000_000, [])

        assert await views.checkpoint("tasks") == 1_000_000_000_000

    async def test_projections_have_checkpoints_of_their_own(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 7, [insert(task())])
        await views.apply("steps", 0, 3, [insert_step("check")])

        assert [await views.checkpoint(name) for name in ("tasks", "steps", "others")] == [7, 3, 0]

    async def test_statements_are_run_in_order_once_for_each_row(self, views: ViewStore) -> None:
        await views.apply(
            "tasks",
            0,
            1,
            [
                Statement(UPSERT, [task("a", 1), task("b", 1), task("a", 2)]),
                Statement("UPDATE tasks SET amount = amount * 10"),
                Statement("UPDATE tasks SET amount = amount + :more WHERE id = :id", [{"id": "b", "more": 5}]),
            ],
        )

        assert [(row["id"], row["amount"]) for row in await select(views)] == [("a", 20), ("b", 15)]

    async def test_thousands_of_rows_are_applied_at_once(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(*(task(f"{number:05}", number) for number in range(3_000)))])

        assert len(await ids(views)) == 3_000

    async def test_whoever_reads_sees_all_of_an_application_or_none(self, views: ViewStore) -> None:
        async def apply() -> None:
            for position in range(20):
                rows = [task(f"{position} {number}") for number in range(10)]
                await views.apply("tasks", position, position + 1, [insert(row) for row in rows])

        applying = asyncio.ensure_future(apply())
        while not applying.done():
            assert len(await ids(views)) % 10 == 0
        await applying

    async def test_a_reset_empties_the_rows_and_goes_back_to_0(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 7, [insert(task())])
        await views.apply("steps", 0, 3, [insert_step("check")])

        await views.reset("tasks", [Statement("DELETE FROM tasks")])

        assert await ids(views) == []
        assert [await views.checkpoint(name) for name in ("tasks", "steps")] == [0, 3]
        assert await steps(views) == ["check"]

    async def test_a_projection_begins_anew_after_a_reset(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 7, [insert(task())])
        await views.reset("tasks", [Statement("DELETE FROM tasks")])

        with pytest.raises(StaleCheckpoint):
            await views.apply("tasks", 7, 8, [insert(task("of one that has not noticed"))])
        await views.apply("tasks", 0, 2, [insert(task("first"))])

        assert await ids(views) == ["first"]

    async def test_a_reset_that_fails_changes_nothing(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 7, [insert(task())])

        with pytest.raises(StoreUnavailable):
            await views.reset("tasks", [Statement("DELETE FROM tasks"), Statement("DELETE FROM nowhere")])

        assert await ids(views) == ["a"]
        assert await views.checkpoint("tasks") == 7
