"""The bench that the cases of the view suite are tried on: opened views, two tables, and short words for a case."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest_asyncio

from stepbus.orchestrator.ports import Statement, Value, ViewStore

OpenViews = Callable[[], Awaitable[ViewStore]]

CREATE = [
    """CREATE TABLE IF NOT EXISTS tasks (
        id TEXT PRIMARY KEY,
        amount BIGINT,
        share DOUBLE PRECISION,
        body BYTEA
    )""",
    "CREATE INDEX IF NOT EXISTS tasks_by_amount ON tasks (amount)",
    "CREATE TABLE IF NOT EXISTS steps (name TEXT NOT NULL PRIMARY KEY)",
]
INSERT = "INSERT INTO tasks (id, amount, share, body) VALUES (:id, :amount, :share, :body)"
UPSERT = f"{INSERT} ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"
SELECT = "SELECT id, amount, share, body FROM tasks ORDER BY id"


class Bench(ABC):
    """How an adapter opens its views, and the fixtures that the cases ask for. Each case has fresh views."""

    @abstractmethod
    async def open_views(self) -> ViewStore:
        """Open the views of this case."""

    @pytest_asyncio.fixture
    async def open_again(self) -> AsyncIterator[OpenViews]:
        """What opens views once more, closed after the case."""
        opened: list[ViewStore] = []

        async def open_again() -> ViewStore:
            opened.append(await self.open_views())
            return opened[-1]

        yield open_again
        for views in opened:
            await views.close()

    @pytest_asyncio.fixture
    async def views(self, open_again: OpenViews) -> ViewStore:
        """Views with two empty tables."""
        views = await open_again()
        await views.create(CREATE)
        return views


def task(
    id: str = "a",  # noqa: A002 - the column's name
    amount: Value = 1,
    share: Value = None,
    body: Value = None,
) -> Mapping[str, Value]:
    """Give a row of the first table."""
    return {"id": id, "amount": amount, "share": share, "body": body}


def insert(*rows: Mapping[str, Value]) -> Statement:
    """Insert rows into the first table."""
    return Statement(INSERT, rows)


def insert_step(name: str) -> Statement:
    """Insert a row into the second table."""
    return Statement("INSERT INTO steps (name) VALUES (:name)", [{"name": name}])


async def select(views: ViewStore, sql: str = SELECT, **parameters: Value) -> list[Mapping[str, Any]]:
    """Give the rows of a SELECT, of the whole first table unless said."""
    return [*await views.query(Statement(sql, [parameters] if parameters else []))]


async def ids(views: ViewStore) -> list[str]:
    """Give the ids in the first table."""
    return [row["id"] for row in await select(views)]


async def steps(views: ViewStore) -> list[str]:
    """Give the names in the second table."""
    return [row["name"] for row in await select(views, "SELECT name FROM steps ORDER BY name")]
