"""Querying: one SQL for every database, and values that come back as they went in."""

import pytest

from stepbus.orchestrator.ports import Statement, Value, ViewStore
from stepbus.orchestrator.testing.view_suite.bench import SELECT, Bench, ids, insert, select, task

TEXTS = ["", "plain", "it's", 'say "so"', "50 % of :all %s %(x)s ::text", "naïve 🜂\n\t\\", "null"]
INTEGERS = [0, -1, 2**31, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -1.5, 1e300, 0.1]


class Querying(Bench):
    """Cases of `query`, and of what values survive."""

    async def test_rows_are_mappings_by_column(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", 5, 0.5, b"body"))])

        assert await select(views) == [{"id": "a", "amount": 5, "share": 0.5, "body": b"body"}]

    async def test_no_rows_are_none(self, views: ViewStore) -> None:
        assert await select(views) == []

    async def test_a_query_has_parameters(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(*(task(name, number) for number, name in enumerate("abcde")))])

        sql = "SELECT id FROM tasks WHERE amount >= :least AND amount <> :but ORDER BY id LIMIT :limit"
        rows = await select(views, sql, least=1, but=2, limit=2)

        assert rows == [{"id": "b"}, {"id": "d"}]

    async def test_a_parameter_may_stand_in_several_places(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a"), task("b"))])
        sql = "SELECT id FROM tasks WHERE (CAST(:id AS TEXT) IS NULL OR id = :id) ORDER BY id"

        assert await select(views, sql, id="b") == [{"id": "b"}]
        assert await select(views, sql, id=None) == [{"id": "a"}, {"id": "b"}]

    async def test_string_literals_are_left_alone(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("50 %:x"), task("other"))])

        without = await select(views, "SELECT ':id %s it''s' AS said FROM tasks WHERE id LIKE '50 \\%%' ESCAPE '\\'")
        parameters = await select(
            views, "SELECT ':id %s' AS said FROM tasks WHERE id LIKE '50 %' AND id = :id", id="50 %:x"
        )

        assert without == [{"said": ":id %s it's"}]
        assert parameters == [{"said": ":id %s"}]

    async def test_a_pattern_may_be_a_parameter(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("order 1"), task("order 2"), task("other"))])

        assert len(await select(views, "SELECT id FROM tasks WHERE id LIKE :pattern", pattern="order%")) == 2

    async def test_counts_and_sums_of_integers_are_integers(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", 2), task("b", 3), task("c", None))])

        [row] = await select(
            views,
            "SELECT COUNT(*) AS n, COUNT(amount) AS known, SUM(amount) AS total, MAX(amount) AS most,"
            " SUM(CASE WHEN amount > :than THEN 1 ELSE 0 END) AS above FROM tasks",
            than=2,
        )

        assert row == {"n": 3, "known": 2, "total": 5, "most": 3, "above": 1}
        assert {type(value) for value in row.values()} == {int}

    async def test_a_comparison_is_1_or_0(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", 2))])

        [row] = await select(views, "SELECT amount = 2 AS is_two, amount = 3 AS is_three FROM tasks")

        assert [row["is_two"], row["is_three"]] == [1, 0]

    @pytest.mark.parametrize("text", TEXTS)
    async def test_texts_come_back_as_they_were(self, views: ViewStore, text: str) -> None:
        await views.apply("tasks", 0, 1, [insert(task(text))])

        assert await ids(views) == [text]
        assert len(await select(views, "SELECT id FROM tasks WHERE id = :id", id=text)) == 1

    async def test_a_nul_in_a_text_fails_nothing(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a\0b"))])

        [shown] = await ids(views)
        assert shown in {"a\0b", "a\N{REPLACEMENT CHARACTER}b"}

    @pytest.mark.parametrize("number", INTEGERS)
    async def test_integers_come_back_as_they_were(self, views: ViewStore, number: int) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", number))])

        assert [row["amount"] for row in await select(views)] == [number]
        assert len(await select(views, "SELECT id FROM tasks WHERE amount = :amount", amount=number)) == 1

    @pytest.mark.parametrize("number", FLOATS)
    async def test_floats_come_back_as_they_were(self, views: ViewStore, number: float) -> None:
        await views.apply("tasks", 0, 1, [insert(task(share=number))])

        assert [row["share"] for row in await select(views)] == [number]

    async def test_bytes_of_every_value_come_back_as_they_were(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task(body=bytes(range(256))))])

        [row] = await select(views)
        assert row["body"] == bytes(range(256))
        assert isinstance(row["body"], bytes)

    async def test_nothing_comes_back_as_nothing(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", None, None, None))])

        assert await select(views) == [{"id": "a", "amount": None, "share": None, "body": None}]

    async def test_rows_of_one_statement_may_differ_in_what_they_lack(self, views: ViewStore) -> None:
        rows: list[Value] = [None, 1, 2**40, None, 3]

        await views.apply("tasks", 0, 1, [insert(*(task(f"{n}", value) for n, value in enumerate(rows)))])

        assert [row["amount"] for row in await select(views)] == rows

    async def test_true_is_1(self, views: ViewStore) -> None:
        await views.apply("tasks", 0, 1, [insert(task("a", True), task("b", False))])  # noqa: FBT003

        assert [row["amount"] for row in await select(views)] == [1, 0]

    async def test_a_query_with_two_rows_of_parameters_is_the_callers_error(self, views: ViewStore) -> None:
        with pytest.raises(ValueError, match="at most one row"):
            await views.query(Statement(SELECT, [{"a": 1}, {"a": 2}]))
