"""The log in PostgreSQL.

Ordered: every group holds the events table in EXCLUSIVE mode from before it reads the heads of its streams until it is
committed, and numbers its records on from the last one; so positions become visible in their order, whoever writes, and
a reader that has seen one has seen all before it. (The library's database functions take no such lock and drop the
checkpoint; they are never used.) The lock is held for two round trips and one flush, for a whole group.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, LiteralString, TypeVar, TypeVarTuple
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.postgres import PostgresProcessRecorder
from psycopg import Connection
from psycopg.rows import DictRow, TupleRow, tuple_row

from stepbus.adapters.postgres.datastore import CREATION_LOCK, ConnectionLost, PostgresSessions
from stepbus.adapters.postgres.settings import PostgresSettings
from stepbus.adapters.recorders.log import LAYOUT, Answer, KeepSnapshot, LogRecorder, Write, appends_of
from stepbus.orchestrator.ports import Append, Lease, LogIdentity, Snapshot, StoredRecord, StoreUnavailable

Given = TypeVar("Given")
Args = TypeVarTuple("Args")

CLOCK_KEPT_S = 5.0
_CREATE: tuple[LiteralString, ...] = (
    """
CREATE TABLE IF NOT EXISTS stepbus_identity (
    id integer PRIMARY KEY CHECK (id = 1),
    layout integer NOT NULL,
    epoch text NOT NULL,
    secret bytea NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS stepbus_snapshots (
    originator_id uuid PRIMARY KEY,
    originator_version bigint NOT NULL,
    state bytea NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS stepbus_leases (
    name text PRIMARY KEY,
    owner text NOT NULL,
    number bigint NOT NULL,
    ends_at timestamptz NOT NULL
)""",
)
_MAKE_IDENTITY = """
INSERT INTO stepbus_identity (id, layout, epoch, secret) VALUES (1, %s, %s, %s) ON CONFLICT DO NOTHING"""
_WANTED = ("CREATE TABLE", "CREATE UNIQUE INDEX")  # of the library's; its types and functions are not used
_LOCK = "LOCK TABLE stepbus_events IN EXCLUSIVE MODE"
_SELECT = "SELECT notification_id, originator_id, originator_version, topic, state FROM stepbus_events "
_SELECT_HEADS = """
SELECT asked, (SELECT max(originator_version) FROM stepbus_events WHERE originator_id = asked) AS head
FROM unnest(%s::uuid[]) AS asked
UNION ALL SELECT NULL, max(notification_id) FROM stepbus_events"""
_INSERT = """
INSERT INTO stepbus_events (notification_id, originator_id, originator_version, topic, state)
SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::bigint[], %s::text[], %b::bytea[])"""
_UPSERT_SNAPSHOT = """
INSERT INTO stepbus_snapshots (originator_id, originator_version, state) VALUES (%s, %s, %s)
ON CONFLICT (originator_id) DO UPDATE SET originator_version = excluded.originator_version, state = excluded.state
WHERE stepbus_snapshots.originator_version <= excluded.originator_version"""
# Numbers begin at the clock's, so that a forgotten lease does not begin anew below what it had.
_HOLD = """
INSERT INTO stepbus_leases AS held (name, owner, number, ends_at)
SELECT name, %(owner)s, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, clock_timestamp() + %(lasts)s
FROM unnest(%(names)s::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, ends_at = clock_timestamp() + %(lasts)s,
    number = CASE WHEN held.ends_at > clock_timestamp() THEN held.number
        ELSE greatest(held.number + 1, excluded.number) END
WHERE held.owner = excluded.owner OR held.ends_at <= clock_timestamp()"""
_FORGET_LEASES = "DELETE FROM stepbus_leases WHERE ends_at <= clock_timestamp() - interval '1 day'"
_SELECT_LEASES = """
SELECT name, owner, number, ceil(extract(epoch FROM ends_at - clock_timestamp()) * 1000)::bigint
FROM stepbus_leases WHERE ends_at > clock_timestamp() ORDER BY name"""
_RELEASE = "UPDATE stepbus_leases SET ends_at = '-infinity' WHERE owner = %s AND name = ANY(%s)"


class PostgresLog(PostgresProcessRecorder, LogRecorder[Connection[DictRow]]):
    """The library's process recorder for PostgreSQL, with groups that are judged under the lock."""

    datastore: PostgresSessions

    def __init__(self, datastore: PostgresSessions) -> None:
        super().__init__(datastore, events_table_name="stepbus_events", tracking_table_name="stepbus_tracking")
        self._clock: tuple[int, float] | None = None

    def create_table(self) -> None:
        """Create what is not there, in one transaction that waits for others that do the same."""
        self.datastore.create_schema()
        ours = [statement for statement in self.sql_create_statements if statement.as_string().startswith(_WANTED)]
        with self.datastore.pipelined() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION_LOCK,))
            for statement in ours:
                connection.execute(statement, prepare=False)
            for sql in _CREATE:
                connection.execute(sql, prepare=False)
            with suppress(IntegrityError):  # the mark by which the library knows a tracking table of today
                self._insert_tracking(connection.cursor(), Tracking(self.table_migration_identifier, 1))
            connection.execute(_MAKE_IDENTITY, (LAYOUT, secrets.token_hex(8), secrets.token_bytes(32)))

    def commit(self, writes: Sequence[Write]) -> list[Answer]:
        """Commit all writes in one transaction; once more if the connection was lost.

        If the first commit was done and only its answer lost, the second finds every batch stored as it is.
        """
        return _again_if_lost(super().commit, writes)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, tracking: Tracking | None = None, **_: Any
    ) -> Sequence[int]:
        """Add the records, all or IntegrityError: the library's own way in, under the same lock."""
        with self.writing(durably=True) as connection:
            head, _heads = self.heads(connection, ())
            self.insert(connection, head + 1, appends_of(stored_events))
            if tracking is not None:
                self.track(connection, tracking)
        return range(head + 1, head + 1 + len(stored_events))

    @contextmanager
    def writing(self, *, durably: bool) -> Iterator[Connection[DictRow]]:
        """Hold the lock on the events, or none for what is not durable: that is on rows that each transaction sorts."""
        with self.datastore.pipelined() as connection:
            connection.execute(_LOCK if durably else "SET LOCAL synchronous_commit = off")
            yield connection

    def heads(self, cursor: Connection[DictRow], streams: Sequence[UUID]) -> tuple[int, Sequence[int]]:
        """Seek the last position, and the last version of each stream."""
        selected = cursor.execute(_SELECT_HEADS, (list(streams),), prepare=True)
        self.datastore.await_answers(cursor)
        rows = selected.fetchall()
        found = {row["asked"]: row["head"] or 0 for row in rows}
        return found[None], [found[stream] for stream in streams]

    def find(self, cursor: Connection[DictRow], stream: UUID, version: int) -> StoredRecord | None:
        """Give one record."""
        where: LiteralString = "WHERE originator_id = %s AND originator_version = %s"
        selected = cursor.cursor(binary=True, row_factory=tuple_row).execute(_SELECT + where, (stream, version))
        self.datastore.await_answers(cursor)
        found = selected.fetchone()
        return None if found is None else StoredRecord._make(found)

    def insert(self, cursor: Connection[DictRow], first: int, accepted: Sequence[Append]) -> None:
        """Add the records behind the last one."""
        columns = (
            list(range(first, first + len(accepted))),
            [batch.stream for batch in accepted],
            [batch.expected + 1 for batch in accepted],
            [batch.category for batch in accepted],
            [batch.data for batch in accepted],
        )
        cursor.execute(_INSERT, columns, prepare=True)

    def track(self, cursor: Connection[DictRow], tracking: Tracking) -> None:
        """Keep how far a reader has come."""
        self._insert_tracking(cursor.cursor(), tracking)

    def upsert_snapshot(self, cursor: Connection[DictRow], kept: KeepSnapshot) -> None:
        """Keep a snapshot, unless a newer one is kept."""
        cursor.execute(_UPSERT_SNAPSHOT, (kept.stream, kept.snapshot.version, kept.snapshot.data))

    def select_stream(self, stream: UUID, after: int) -> Sequence[StoredRecord]:
        """Give the records of a stream above a version."""
        where: LiteralString = "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version"
        return [StoredRecord._make(row) for row in self._select(_SELECT + where, stream, after)]

    def select_log(self, after: int, limit: int, category: str | None) -> Sequence[StoredRecord]:
        """Give records above a position."""
        if category is None:
            where: LiteralString = "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
            return [StoredRecord._make(row) for row in self._select(_SELECT + where, after, limit)]
        where = "WHERE notification_id > %s AND topic = %s ORDER BY notification_id LIMIT %s"
        return [StoredRecord._make(row) for row in self._select(_SELECT + where, after, category, limit)]

    def select_snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the kept snapshot of a stream."""
        rows = self._select("SELECT originator_version, state FROM stepbus_snapshots WHERE originator_id = %s", stream)
        return Snapshot(*rows[0]) if rows else None

    def max_notification_id(self) -> int | None:
        """Give the last position."""
        head: int | None = self._select("SELECT max(notification_id) FROM stepbus_events")[0][0]
        return head

    def max_tracking_id(self, application_name: str) -> int | None:
        """Give how far a reader has come."""
        rows = self._select(
            "SELECT notification_id FROM stepbus_tracking WHERE application_name = %s", application_name
        )
        return rows[0][0] if rows else None

    def identify(self) -> LogIdentity:
        """Give the identity that was made with the tables."""
        [(layout, epoch, secret)] = self._select("SELECT layout, epoch, secret FROM stepbus_identity")
        if layout != LAYOUT:
            raise StoreUnavailable(f"expected a log of layout {LAYOUT}, but it is of layout {layout}")
        return LogIdentity(epoch, secret)

    def clock_ms(self) -> int:
        """Give the server's clock: asked for every few seconds, and carried on by this machine's monotonic clock."""
        asked = self._clock
        if asked is None or time.monotonic() - asked[1] > CLOCK_KEPT_S:
            [(now,)] = self._select("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            asked = self._clock = (now, time.monotonic())
        return asked[0] + int((time.monotonic() - asked[1]) * 1000)

    def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew or take leases, and give all that hold."""
        asked = {"owner": owner, "names": list(names), "lasts": timedelta(milliseconds=for_ms)}

        def hold() -> Sequence[Lease]:
            with self.datastore.get_connection() as connection:  # no lock is held while this process may sleep
                connection.execute(_HOLD, asked)
                connection.execute(_FORGET_LEASES)
                rows = connection.cursor(row_factory=tuple_row).execute(_SELECT_LEASES).fetchall()
            return [Lease._make(row) for row in rows]

        return _again_if_lost(hold)

    def release(self, owner: str, names: Sequence[str]) -> None:
        """End leases."""

        def release() -> None:
            with self.datastore.get_connection() as connection:
                connection.execute(_RELEASE, (owner, list(names)))

        _again_if_lost(release)

    def close(self) -> None:
        """Close all connections."""
        self.datastore.close()

    def _select(self, sql: LiteralString, *parameters: str | int | UUID) -> list[TupleRow]:
        def select() -> list[TupleRow]:
            with self.datastore.get_connection() as connection:
                cursor = connection.cursor(binary=True, row_factory=tuple_row)
                return cursor.execute(sql, parameters, prepare=True).fetchall()

        return _again_if_lost(select)


def open_log(settings: PostgresSettings) -> PostgresLog:
    """Give the log in a database; its tables are made if they are not there.

    Raises:
        StoreUnavailable: it is a log of another layout.
    """
    log = PostgresLog(PostgresSessions(settings))
    try:
        log.create_table()
    except BaseException:
        log.close()
        raise
    return log


def _again_if_lost(do: Callable[[*Args], Given], *args: *Args) -> Given:
    try:
        return do(*args)
    except ConnectionLost:
        return do(*args)
