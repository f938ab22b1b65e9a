"""A statement run for many rows by one call: a function of the session loops over the rows, which it gets as JSON.

A row sent by itself costs the client ten times of what it costs as a line of JSON. The function runs the statement once
for each row, in their order, as the port says; the server infers the types of the parameters as it does without it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier, Literal

from stepbus.adapters.recorders.parameters import numbered, with_parameters
from stepbus.orchestrator.ports import Statement, Value

FEW_ROWS = 3
"""Up to so many rows are sent by themselves: most statements that are run rarely never need a function."""

_TYPES = {"text", "bigint"}
_REFUSED = rb"\u0000"
# What PostgreSQL takes for no number, as the value of a key; the quote within a text has a backslash before it.
_BOOLEAN = re.compile(rb'(?<!\\)":(?:true|false)')

_PROBE = "stepbus_probe"
_FIND_TYPES = "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = %s"
_CREATE = """CREATE FUNCTION {name} (stepbus_rows json) RETURNS void LANGUAGE plpgsql AS {body}"""
_BODY = """DECLARE stepbus_row record;
BEGIN
    FOR stepbus_row IN SELECT * FROM json_to_recordset(stepbus_rows) AS stepbus_given ({columns}) LOOP
        {statement};
    END LOOP;
END"""


class RowLoops:
    """The functions of all sessions, each made at its first use."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Connection[DictRow], dict[str, str]] = WeakKeyDictionary()

    def prepare(self, connection: Connection[DictRow], statements: Sequence[Statement]) -> None:
        """Make the functions that these statements need and that are not there; outside a transaction.

        Raises:
            psycopg.Error: a statement is not one that the database can run.
        """
        known = self._known.setdefault(connection, {})
        for statement in statements:
            if len(statement.rows) > FEW_ROWS and statement.sql not in known:
                known[statement.sql] = _make(connection, statement.sql, len(known))

    def run(self, connection: Connection[DictRow], statement: Statement) -> bool:
        """Run the statement for all its rows; False, and nothing is done, if they have to be sent by themselves."""
        name = self._known.get(connection, {}).get(statement.sql, "")
        rows = as_json(statement.rows) if name and len(statement.rows) > FEW_ROWS else None
        if rows is None:
            return False
        connection.execute(f"SELECT {name} (%s::json)".encode(), (rows,))
        return True


def as_json(rows: Sequence[Mapping[str, Value]]) -> str | None:
    """Give the rows as a JSON array; None if they hold what would not arrive as it is."""
    try:
        body = orjson.dumps(rows)
    except TypeError:  # bytes, or an integer that no column holds
        return None
    if _REFUSED in body or ((b'":true' in body or b'":false' in body) and _BOOLEAN.search(body)):
        return None
    return body.decode()


def _make(connection: Connection[DictRow], sql: str, number: int) -> str:
    """Make the function of a statement, and give its name; an empty one if it has parameters of unusual types."""
    dollars, names = numbered(sql, "$")
    types = _types_of(connection, dollars)
    if not _TYPES.issuperset(types):
        return ""
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
    body = _BODY.format(columns=columns, statement=with_parameters(sql, "stepbus_row.{}".format))
    name = f"stepbus_rows_{number}"
    connection.execute(SQL(_CREATE).format(name=Identifier("pg_temp", name), body=Literal(body)), prepare=False)
    return f"pg_temp.{name}"


def _types_of(connection: Connection[DictRow], sql: str) -> Sequence[str]:
    connection.execute(f"PREPARE {_PROBE} AS {sql}".encode(), prepare=False)
    try:
        found: Any = connection.execute(_FIND_TYPES, (_PROBE,)).fetchone()
    finally:
        connection.execute(f"DEALLOCATE {_PROBE}", prepare=False)
    types: list[str] = found["types"]
    return types
