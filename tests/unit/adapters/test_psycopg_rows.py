"""Rows that go to PostgreSQL as one JSON document, and those that can not."""

from collections.abc import Mapping

import pytest

from stepbus.adapters.postgres import connect
from stepbus.adapters.postgres.rows import FEW_ROWS, as_json
from stepbus.orchestrator.ports import Statement, Value, ViewStore

MANY = FEW_ROWS + 1
CREATE = "CREATE TABLE IF NOT EXISTS things (id TEXT NOT NULL, n BIGINT, body BYTEA)"
INSERT = "INSERT INTO things (id, n) VALUES (:id, :n)"

TEXTS = ["", "null", "true", '{"a":true}', "\\n", '":false', "ä€𝄞", "'; DROP TABLE things; --", "$$", "%s :id"]
UNUSUAL: Mapping[str, Value] = {"flag": True, "bytes": b"body", "large": 2**64, "NUL": "a\0b"}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_no_reason_to_send_rows_by_themselves(text: str) -> None:
    assert as_json([{"id": text, "n": 1}]) is not None


@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL)
def test_what_would_not_arrive_as_it_is_does_not_go_as_json(value: Value) -> None:
    assert as_json([{"id": "a", "n": value}]) is None


async def opened(database: str) -> ViewStore:
    """Give the views of a database, with a table of things."""
    adapter = connect(database)
    assert adapter.views is not None
    views = await adapter.views()
    await views.create([CREATE])
    return views


async def rows(views: ViewStore) -> list[tuple[str, int | None]]:
    return [(row["id"], row["n"]) for row in await views.query(Statement("SELECT id, n FROM things ORDER BY n"))]


async def test_rows_arrive_as_they_are_however_many_there_are(postgres_database: str) -> None:
    views = await opened(postgres_database)
    given = [(text, number) for number, text in enumerate([*TEXTS, "\\u0000", "a" * 10_000])]

    await views.apply("things", 0, 1, [Statement(INSERT, [{"id": text, "n": n} for text, n in given])])
    assert await rows(views) == given

    await views.reset("things", [Statement("DELETE FROM things")])
    for text, n in given:
        await views.apply("things", n, n + 1, [Statement(INSERT, [{"id": text, "n": n}])])
    assert await rows(views) == given
    await views.close()


async def test_many_rows_with_an_unusual_value_arrive_too(postgres_database: str) -> None:
    views = await opened(postgres_database)
    both = "INSERT INTO things (id, n, body) VALUES (:id, :n, :body)"

    await views.apply("things", 0, 1, [Statement(INSERT, [{"id": "a", "n": True}] * MANY)])
    await views.apply("things", 1, 2, [Statement(both, [{"id": "b", "n": 2, "body": b"\0"}] * MANY)])

    assert await rows(views) == [("a", 1)] * MANY + [("b", 2)] * MANY
    await views.close()


async def test_many_rows_about_one_key_take_effect_one_after_the_other(postgres_database: str) -> None:
    views = await opened(postgres_database)
    add = "UPDATE things SET n = n * 2 + :more WHERE id = :id"

    changes = [Statement(INSERT, [{"id": "a", "n": 0}]), Statement(add, [{"id": "a", "more": n} for n in range(10)])]
    await views.apply("things", 0, 1, changes)

    expected = 0
    for more in range(10):
        expected = expected * 2 + more
    assert await rows(views) == [("a", expected)]
    await views.close()
