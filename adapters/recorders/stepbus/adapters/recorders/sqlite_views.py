"""View tables in SQLite: in a file, or in memory."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

from eventsourcing.persistence import IntegrityError, Tracking
from eventsourcing.sqlite import SQLiteCursor, SQLiteTrackingRecorder

from stepbus.adapters.recorders.parameters import numbered
from stepbus.adapters.recorders.sqlite import SqliteDatastore
from stepbus.adapters.recorders.views import Move, Verdict, judge
from stepbus.orchestrator.ports import Statement, Value


class SqliteViewTables(SQLiteTrackingRecorder):
    """The library's tracking recorder for SQLite, which keeps the checkpoints in the transactions of the rows."""

    datastore: SqliteDatastore

    def create_table(self) -> None:
        """Create what is not there, in one transaction, so that several processes may do so at once."""
        with self.datastore.transaction(commit=True) as cursor:
            for statement in self.create_table_statements:
                cursor.execute(statement)
            with suppress(IntegrityError):  # the mark by which the library knows a tracking table of today
                self._insert_tracking(cursor, Tracking(self.table_migration_identifier, 1))

    def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""
        with self.datastore.transaction(commit=True) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def checkpoint(self, projection: str) -> int:
        """Give the position that a projection's rows stand for."""
        return self.max_tracking_id(projection) or 0

    def apply(self, moves: Sequence[Move]) -> Sequence[Verdict]:
        """Commit the rows and checkpoints of all moves in one transaction, but for those that are refused."""
        with self.datastore.transaction(commit=True) as cursor:
            standing = {name: self._max_tracking_id(name, cursor) or 0 for name in {move.projection for move in moves}}
            reached = dict(standing)
            verdicts = judge(moves, reached)
            for move, refused in zip(moves, verdicts, strict=True):
                if refused is None:
                    _run(cursor, move.statements)
            for name, position in reached.items():
                if position != standing[name]:
                    self._insert_tracking(cursor, Tracking(name, position))
        return verdicts

    def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements and forget the checkpoint, in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            _run(cursor, statements)
            cursor.execute("DELETE FROM tracking WHERE application_name = ?", (projection,))

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement.sql, *statement.rows)
            rows: Sequence[sqlite3.Row] = cursor.fetchall()
            return [dict(row) for row in rows]

    def close(self) -> None:
        """Close all connections."""
        self.datastore.close()


def open_sqlite_tables(datastore: SqliteDatastore) -> SqliteViewTables:
    """Give the view tables of a database, made if they are not there."""
    tables = SqliteViewTables(datastore)
    try:
        tables.create_table()
    except BaseException:
        tables.close()
        raise
    return tables


def _run(cursor: SQLiteCursor, statements: Iterable[Statement]) -> None:
    """Run statements. Values that are bound by number cost a third less than values that are looked up by name."""
    for statement in statements:
        if statement.rows:
            sql, names = numbered(statement.sql, "?")
            cursor.executemany(sql, map(_values_of(names), statement.rows))
        else:
            cursor.execute(statement.sql)


def _values_of(names: Sequence[str]) -> Callable[[Mapping[str, Value]], Sequence[Value]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: [row[name] for name in names]
