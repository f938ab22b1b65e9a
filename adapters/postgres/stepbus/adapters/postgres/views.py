"""The views in PostgreSQL, in ordinary tables that any tool may read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from eventsourcing.persistence import IntegrityError, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from psycopg import Connection, Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.rows import DictRow
from psycopg.sql import SQL
from psycopg.types.string import StrDumperUnknown

from stepbus.adapters.postgres.datastore import CREATION_LOCK, PostgresSessions
from stepbus.adapters.postgres.settings import PostgresSettings
from stepbus.adapters.postgres.sql import with_psycopg_parameters
from stepbus.adapters.recorders.views import demand_checkpoint
from stepbus.orchestrator.ports import Statement

STATEMENT_TIMEOUT_S = 60  # a view may be large, and is emptied in one statement
_NUL_SHOWN = "\N{REPLACEMENT CHARACTER}"
_PROJECTION_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))"


class _Text(StrDumperUnknown):
    """PostgreSQL holds no U+0000 in text, and SQLite does: a view shows it as U+FFFD, the log has it as it came."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", _NUL_SHOWN) if "\0" in obj else obj)


class _BoolAsInteger(Dumper):
    """SQLite has no booleans: True is 1."""

    oid = 21  # int2

    def dump(self, obj: bool) -> Buffer | None:  # noqa: FBT001 - psycopg's signature
        return b"1" if obj else b"0"


class _IntegerFromBool(Loader):
    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _Number(Loader):
    """A sum of integers is `numeric` in PostgreSQL and an integer in SQLite."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


class _ViewSessions(PostgresSessions):
    """Sessions in which values go in and come out as they do with SQLite."""

    def connect(self) -> Connection[DictRow]:
        connection = super().connect()
        connection.adapters.register_dumper(str, _Text)
        connection.adapters.register_dumper(bool, _BoolAsInteger)
        connection.adapters.register_loader("bool", _IntegerFromBool)
        connection.adapters.register_loader("numeric", _Number)
        return connection


class PostgresViewTables(PostgresTrackingRecorder):
    """The library's tracking recorder for PostgreSQL, which keeps the checkpoints in the transactions of the rows."""

    datastore: PostgresSessions

    def create_table(self) -> None:
        """Create what is not there, in one transaction that waits for others that do the same."""
        self.datastore.create_schema()
        with self.datastore.pipelined() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            for statement in self.sql_create_statements:
                connection.execute(statement, prepare=False)
            with suppress(IntegrityError):  # the mark by which the library knows a tracking table of today
                self._insert_tracking(connection.cursor(), Tracking(self.table_migration_identifier, 1))

    def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""
        with self.datastore.pipelined() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            for statement in statements:
                connection.execute(statement.encode(), prepare=False)

    def checkpoint(self, projection: str) -> int:
        """Give the position that a projection's rows stand for."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            return self._max_tracking_id(projection, cursor) or 0

    def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Commit rows and checkpoint together; others who would move the same projection on wait."""
        with self.datastore.pipelined() as connection:
            connection.execute(_PROJECTION_LOCK, (projection,))
            demand_checkpoint(projection, after, self._max_tracking_id(projection, connection.cursor()) or 0)
            for statement in statements:
                _run(connection.cursor(), statement)
            self._insert_tracking(connection.cursor(), Tracking(projection, position))

    def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements and forget the checkpoint, in one transaction."""
        forget = SQL("DELETE FROM stepbus_view_tracking WHERE application_name = %s")
        with self.datastore.pipelined() as connection:
            connection.execute(_PROJECTION_LOCK, (projection,))
            for statement in statements:
                _run(connection.cursor(), statement)
            connection.execute(forget, (projection,))

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            _run(cursor, statement)
            return cursor.fetchall()

    def close(self) -> None:
        """Close all connections."""
        self.datastore.close()


def open_tables(settings: PostgresSettings) -> PostgresViewTables:
    """Give the view tables of a database; what is ours is made if it is not there."""
    datastore = _ViewSessions(settings, statement_timeout_s=STATEMENT_TIMEOUT_S)
    tables = PostgresViewTables(datastore, tracking_table_name="stepbus_view_tracking")
    try:
        tables.create_table()
    except BaseException:
        tables.close()
        raise
    return tables


def _run(cursor: Cursor[DictRow], statement: Statement) -> None:
    rows = cast("Sequence[Mapping[str, Any]]", statement.rows)
    if len(rows) > 1:
        cursor.executemany(with_psycopg_parameters(statement.sql).encode(), rows)
    elif rows:
        cursor.execute(with_psycopg_parameters(statement.sql).encode(), rows[0])
    else:
        cursor.execute(statement.sql.encode())
