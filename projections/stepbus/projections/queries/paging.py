"""Pages of a listing, each beginning where the one before ended, so that new rows shift nothing.

A cursor is the order of the listing and the place of the last row in it, as base64url of JSON. Whoever changes it gets
another page or a refusal, never another's rows: it goes into the query as values only.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import Statement, Value, ViewStore


@dataclass(frozen=True, slots=True)
class Order:
    """How a listing is ordered. `columns` tell its rows apart, and are compared together; `types` are theirs."""

    name: str
    columns: tuple[str, ...]
    types: tuple[type[str | int], ...]
    descending: bool = False


@dataclass(slots=True)
class Conditions:
    """What the rows must meet, all of it; each condition with the parameters that it names."""

    clauses: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def add(self, clause: str, **values: Value) -> None:
        """Demand this too."""
        self.clauses.append(clause)
        self.values.update(values)

    def equal(self, **columns: Value) -> None:
        """Demand these values of these columns; None demands nothing."""
        for column, value in columns.items():
            if value is not None:
                self.add(f"{column} = :{column}", **{column: value})

    def one_of(self, column: str, choices: Sequence[str]) -> None:
        """Demand one of these values of the column; no choice demands nothing."""
        if choices:
            values: dict[str, Value] = {f"{column}_{number}": choice for number, choice in enumerate(choices)}
            self.add(f"{column} IN ({', '.join(f':{name}' for name in values)})", **values)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a listing, and the cursor for those that follow; None at its end."""

    rows: Sequence[Mapping[str, Any]]
    next_cursor: str | None


async def page(
    views: ViewStore, select: str, conditions: Conditions, order: Order, cursor: str | None, limit: int
) -> Page:
    """Give the rows of `select` (columns and tables) that meet the conditions, from the cursor on.

    Raises:
        Refused: `query.cursor`, this is no cursor of this listing in this order.
    """
    clauses, values = list(conditions.clauses), dict(conditions.values)
    if cursor is not None:
        places = read_cursor(cursor, order)
        values |= {f"after_{number}": value for number, value in enumerate(places)}
        parameters = ", ".join(f":after_{number}" for number in range(len(places)))
        clauses.append(f"({', '.join(order.columns)}) {'<' if order.descending else '>'} ({parameters})")
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    ordered = ", ".join(f"{column} DESC" if order.descending else column for column in order.columns)
    sql = f"{select}{where} ORDER BY {ordered} LIMIT {limit + 1:d}"
    rows = await views.query(Statement(sql, (values,) if values else ()))
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], write_cursor(order, rows[limit - 1]))


def write_cursor(order: Order, row: Mapping[str, Any]) -> str:
    """Give the cursor for what follows this row."""
    names = (column.rpartition(".")[2] for column in order.columns)
    return urlsafe_b64encode(codec.encode([order.name, *(row[name] for name in names)])).decode().rstrip("=")


def read_cursor(cursor: str, order: Order) -> Sequence[Any]:
    """Give the values that a cursor holds, one for each column of the order.

    Raises:
        Refused: `query.cursor`, it holds none.
    """
    trouble = refuse("query.cursor", f"expected a next_cursor of this listing ordered by {order.name}", "/cursor")
    try:
        value = codec.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (Refused, UnicodeEncodeError, binascii.Error):
        raise trouble from None
    match value:
        case [order.name, *places] if tuple(map(type, places)) == order.types:
            return places
        case _:
            raise trouble
