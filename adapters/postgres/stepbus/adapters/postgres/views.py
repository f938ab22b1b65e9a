"""The views in PostgreSQL, in ordinary tables that any tool may read.

Commits of rows do not wait for the disk, which the log needs more: when the server dies, the last of them may go, rows
and checkpoint together, and are made again from the log. Tables, once made, are there for good.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from eventsourcing.persistence import IntegrityError, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from psycopg import Connection, Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.rows import DictRow
from psycopg.types.string import StrDumperUnknown

from stepbus.adapters.postgres.datastore import CREATION_LOCK, PostgresSessions
from stepbus.adapters.postgres.rows import RowLoops
from stepbus.adapters.postgres.settings import PostgresSettings
from stepbus.adapters.postgres.sql import with_psycopg_parameters
from stepbus.adapters.recorders.views import Move, Verdict, judge
from stepbus.orchestrator.ports import Statement

STATEMENT_TIMEOUT_S = 60  # a view may be large, and is emptied in one statement
_NUL_SHOWN = "\N{REPLACEMENT CHARACTER}"
# One after the other in the order of the names, so that two processes can not wait for each other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(name, 7)) FROM unnest(%s::text[]) AS name"
_CHECKPOINTS = """SELECT application_name, notification_id FROM stepbus_view_tracking
    WHERE application_name = ANY(%s::text[])"""
_TRACK = """INSERT INTO stepbus_view_tracking (application_name, notification_id)
    SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id"""
_FORGET = "DELETE FROM stepbus_view_tracking WHERE application_name = %s"
# Rows of views are changed a few times: with room beside them, their indexes need not be.
_ROOM = " WITH (fillfactor = 70)"


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
        connection.execute("SET synchronous_commit = off")
        return connection


class PostgresViewTables(PostgresTrackingRecorder):
    """The library's tracking recorder for PostgreSQL, which keeps the checkpoints in the transactions of the rows."""

    datastore: PostgresSessions

    def __init__(self, datastore: PostgresSessions) -> None:
        super().__init__(datastore, tracking_table_name="stepbus_view_tracking")
        self._loops = RowLoops()

    def create_table(self) -> None:
        """Create what is not there, in one transaction that waits for others that do the same."""
        self.datastore.create_schema()
        with self._creating() as connection:
            for statement in self.sql_create_statements:
                connection.execute(statement, prepare=False)
            with suppress(IntegrityError):  # the mark by which the library knows a tracking table of today
                self._insert_tracking(connection.cursor(), Tracking(self.table_migration_identifier, 1))

    def create(self, statements: Sequence[str]) -> None:
        """Run DDL."""
        with self._creating() as connection:
            for statement in statements:
                room = _ROOM if statement.startswith("CREATE TABLE") else ""
                connection.execute((statement + room).encode(), prepare=False)

    @contextmanager
    def _creating(self) -> Iterator[Connection[DictRow]]:
        with self.datastore.pipelined() as connection:
            connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            yield connection

    def checkpoint(self, projection: str) -> int:
        """Give the position that a projection's rows stand for."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            return self._max_tracking_id(projection, cursor) or 0

    def apply(self, moves: Sequence[Move]) -> Sequence[Verdict]:
        """Commit rows and checkpoints together; others who would move the same projections on wait."""
        names = sorted({move.projection for move in moves})
        with self.datastore.get_connection() as connection:
            self._loops.prepare(connection, [statement for move in moves for statement in move.statements])
        with self.datastore.pipelined() as connection:
            connection.execute(_LOCK, (names,))
            found = connection.execute(_CHECKPOINTS, (names,)).fetchall()
            reached = {row["application_name"]: row["notification_id"] for row in found}
            verdicts = judge(moves, reached)
            for move, refused in zip(moves, verdicts, strict=True):
                if refused is None:
                    self._run_all(connection, move.statements)
            connection.execute(_TRACK, (list(reached), list(reached.values())))
        return verdicts

    def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements and forget the checkpoint, in one transaction."""
        with self.datastore.pipelined() as connection:
            connection.execute(_LOCK, ([projection],))
            self._run_all(connection, statements)
            connection.execute(_FORGET, (projection,))

    def _run_all(self, connection: Connection[DictRow], statements: Sequence[Statement]) -> None:
        for statement in statements:
            if not self._loops.run(connection, statement):
                _run(connection.cursor(), statement)

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
    tables = PostgresViewTables(datastore)
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
