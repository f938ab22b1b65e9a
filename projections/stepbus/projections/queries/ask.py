"""One question to the views."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepbus.orchestrator.ports import Statement, Value, ViewStore

Row = Mapping[str, Any]


async def ask(views: ViewStore, sql: str, **parameters: Value) -> Sequence[Row]:
    """Give the rows that answer a SELECT."""
    return await views.query(Statement(sql, (parameters,) if parameters else ()))


async def ask_one(views: ViewStore, sql: str, **parameters: Value) -> Row | None:
    """Give the row that answers a SELECT of at most one; None if there is none."""
    return next(iter(await ask(views, sql, **parameters)), None)
