"""The log in one SQLite file.

Durable: WAL with `synchronous=FULL`, one fsync a group. Ordered: SQLite has one writer, and the positions are an
explicit INTEGER PRIMARY KEY, which nothing renumbers (an implicit rowid may be, by VACUUM).
"""

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder

from stepbus.adapters.recorders.log import LAYOUT, KeepSnapshot, LogRecorder, appends_of
from stepbus.adapters.recorders.sqlite import SqliteDatastore
from stepbus.adapters.sqlite.checkpoints import PAGES, Checkpointer
from stepbus.orchestrator.ports import Append, Lease, LogIdentity, Snapshot, StoredRecord, StoreUnavailable

PAGE_BYTES = 4_096
# A commit carries the write-ahead log over only where the checkpointer has fallen this many times behind.
FALLEN_BEHIND = 4

# The library reads a column of this name; declared, it is the position for good.
_EVENTS = """
CREATE TABLE IF NOT EXISTS stored_events (
    rowid INTEGER PRIMARY KEY,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version)
)"""
_IDENTITY = """
CREATE TABLE IF NOT EXISTS log_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    layout INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    secret BLOB NOT NULL
)"""
_SNAPSHOTS = """
CREATE TABLE IF NOT EXISTS snapshots (
    originator_id TEXT PRIMARY KEY,
    originator_version INTEGER NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID"""
_LEASES = """
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    number INTEGER NOT NULL,
    ends_ms INTEGER NOT NULL
) WITHOUT ROWID"""

_OF_STREAM = "SELECT rowid, originator_version, topic, state FROM stored_events WHERE originator_id = ? "
_SELECT_RECORD = _OF_STREAM + "AND originator_version = ?"
_SELECT_STREAM = _OF_STREAM + "AND originator_version > ? ORDER BY originator_version"
_OF_LOG = "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events WHERE rowid > ? "
_SELECT_LOG = _OF_LOG + "ORDER BY rowid LIMIT ?"
_SELECT_CATEGORY = _OF_LOG + "AND topic = ? ORDER BY rowid LIMIT ?"
_SELECT_HEADS = """
SELECT value, (SELECT MAX(originator_version) FROM stored_events WHERE originator_id = value) FROM json_each(?)
UNION ALL SELECT NULL, MAX(rowid) FROM stored_events"""
_SELECT_POSITION = "SELECT NULL, MAX(rowid) FROM stored_events"
_SELECT_SNAPSHOT = "SELECT originator_version, state FROM snapshots WHERE originator_id = ?"
_INSERT = "INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state) VALUES "
_COLUMNS = 5
# Each statement costs the thread its turn twice, when others have work: a group is inserted by as few as can be.
_INSERTS = [(size, _INSERT + ", ".join(size * ["(?, ?, ?, ?, ?)"])) for size in (256, 128, 64, 32, 16, 8, 4, 2, 1)]
_UPSERT_SNAPSHOT = """
INSERT INTO snapshots (originator_id, originator_version, state) VALUES (?, ?, ?)
ON CONFLICT (originator_id) DO UPDATE SET originator_version = excluded.originator_version, state = excluded.state
WHERE snapshots.originator_version <= excluded.originator_version"""
_HOLD = """
INSERT INTO leases (name, owner, number, ends_ms) SELECT value, :owner, :now, :now + :for FROM json_each(:names)
WHERE true ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, ends_ms = excluded.ends_ms,
    number = CASE WHEN leases.ends_ms > :now THEN leases.number ELSE max(leases.number + 1, :now) END
WHERE leases.owner = excluded.owner OR leases.ends_ms <= :now"""
_FORGET_LEASES = "DELETE FROM leases WHERE ends_ms <= :now - 86400000"
_SELECT_LEASES = "SELECT name, owner, number, ends_ms - :now FROM leases WHERE ends_ms > :now ORDER BY name"
_RELEASE = "UPDATE leases SET ends_ms = 0 WHERE owner = ? AND name IN (SELECT value FROM json_each(?))"


class SqliteLog(SQLiteProcessRecorder, LogRecorder[SQLiteCursor]):
    """The library's process recorder for SQLite, with positions that last and groups that are judged under the lock."""

    datastore: SqliteDatastore

    def __init__(self, datastore: SqliteDatastore, checkpoint_pages: int = PAGES) -> None:
        super().__init__(datastore)
        self._checkpointer = Checkpointer(self._checkpoint, checkpoint_pages)
        self._is_durable = True

    def construct_create_table_statements(self) -> list[str]:
        """Give the library's tracking table, and our own tables."""
        (*_, tracking) = super().construct_create_table_statements()
        return [_EVENTS, tracking, _IDENTITY, _SNAPSHOTS, _LEASES]

    def create_table(self) -> None:
        """Create what is not there, in one transaction, so that several processes may do so at once."""
        with self.datastore.transaction(commit=True) as cursor:
            for statement in self.create_table_statements:
                cursor.execute(statement)
            with suppress(IntegrityError):  # the mark by which the library knows a tracking table of today
                self._insert_tracking(cursor, Tracking(self.table_migration_identifier, 1))
            cursor.execute(
                "INSERT OR IGNORE INTO log_identity (id, layout, epoch, secret) VALUES (1, ?, ?, ?)",
                (LAYOUT, secrets.token_hex(8), secrets.token_bytes(32)),
            )

    @contextmanager
    def writing(self, *, durably: bool) -> Iterator[SQLiteCursor]:
        """Hold SQLite's one write lock; without fsync for what may be lost."""
        if durably != self._is_durable:
            self.datastore.set_pragma("synchronous", "FULL" if durably else "NORMAL")
            self._is_durable = durably
        with self.datastore.transaction(commit=True) as cursor:
            yield cursor

    def heads(self, cursor: SQLiteCursor, streams: Sequence[UUID]) -> tuple[int, Sequence[int]]:
        """Seek the last position, and the last version of each stream."""
        asked = [stream.hex for stream in streams]
        if asked:
            cursor.execute(_SELECT_HEADS, (json.dumps(asked),))
        else:
            cursor.execute(_SELECT_POSITION)
        found = dict(cursor.fetchall())
        return found[None] or 0, [found[stream] or 0 for stream in asked]

    def find(self, cursor: SQLiteCursor, stream: UUID, version: int) -> StoredRecord | None:
        """Give one record."""
        cursor.execute(_SELECT_RECORD, (stream.hex, version))
        row = cursor.fetchone()
        return None if row is None else StoredRecord(row[0], stream, *row[1:])

    def insert(self, cursor: SQLiteCursor, first: int, accepted: Sequence[Append]) -> None:
        """Add the records behind the last one."""
        values: list[Any] = []
        for position, (stream, expected, category, data) in enumerate(accepted, first):
            values += (position, "%032x" % stream.int, expected + 1, category, data)  # noqa: UP031 - the fastest way
        self._checkpointer.grew(1 + len(accepted) + sum([len(batch.data) for batch in accepted]) // PAGE_BYTES)
        begin = 0
        for size, statement in _INSERTS:
            while begin + size * _COLUMNS <= len(values):
                cursor.execute(statement, values[begin : begin + size * _COLUMNS])
                begin += size * _COLUMNS

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], *, tracking: Tracking | None = None, **_: Any
    ) -> Sequence[int]:
        first = self.heads(c, ())[0] + 1
        self.insert(c, first, appends_of(stored_events))
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return range(first, first + len(stored_events))

    def track(self, cursor: SQLiteCursor, tracking: Tracking) -> None:
        """Keep how far a reader has come."""
        self._insert_tracking(cursor, tracking)

    def upsert_snapshot(self, cursor: SQLiteCursor, kept: KeepSnapshot) -> None:
        """Keep a snapshot, unless a newer one is kept."""
        cursor.execute(_UPSERT_SNAPSHOT, (kept.stream.hex, kept.snapshot.version, kept.snapshot.data))

    def select_stream(self, stream: UUID, after: int) -> Sequence[StoredRecord]:
        """Give the records of a stream above a version."""
        rows = self.datastore.select(_SELECT_STREAM, (stream.hex, after))
        return [StoredRecord(position, stream, version, topic, state) for position, version, topic, state in rows]

    def select_log(self, after: int, limit: int, category: str | None) -> Sequence[StoredRecord]:
        """Give records above a position."""
        if category is None:
            rows = self.datastore.select(_SELECT_LOG, (after, limit))
        else:
            rows = self.datastore.select(_SELECT_CATEGORY, (after, category, limit))
        streams = {text: UUID(text) for text in {row[1] for row in rows}}  # made once each: that is dear
        return [
            StoredRecord(position, streams[stream], version, topic, state)
            for position, stream, version, topic, state in rows
        ]

    def select_snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the kept snapshot of a stream."""
        rows = self.datastore.select(_SELECT_SNAPSHOT, (stream.hex,))
        return Snapshot(*rows[0]) if rows else None

    def max_notification_id(self) -> int:
        """Give the last position."""
        [[_, position]] = self.datastore.select(_SELECT_POSITION)
        return position or 0

    def identify(self) -> LogIdentity:
        """Give the identity that was made with the tables."""
        [[layout, epoch, secret]] = self.datastore.select("SELECT layout, epoch, secret FROM log_identity")
        if layout != LAYOUT:
            raise StoreUnavailable(f"expected a log of layout {LAYOUT}, but it is of layout {layout}")
        return LogIdentity(epoch, secret)

    def clock_ms(self) -> int:
        """Give the machine's clock: whoever opens the file is on this machine."""
        return time.time_ns() // 1_000_000

    def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew or take leases, and give all that hold."""
        with self.datastore.transaction(commit=True) as cursor:
            now = {"now": self.clock_ms()}
            cursor.execute(_HOLD, {"owner": owner, "names": json.dumps(names), "for": for_ms, **now})
            cursor.execute(_FORGET_LEASES, now)
            cursor.execute(_SELECT_LEASES, now)
            return [Lease(*row) for row in cursor.fetchall()]

    def release(self, owner: str, names: Sequence[str]) -> None:
        """End leases."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_RELEASE, (owner, json.dumps(names)))

    def close(self) -> None:
        """Close all connections."""
        self._checkpointer.close()
        self.datastore.close()

    def _checkpoint(self) -> None:
        self.datastore.select("PRAGMA wal_checkpoint(PASSIVE)")


def open_log(path: Path, busy_timeout_s: float, *, checkpoint_pages: int = PAGES) -> SqliteLog:
    """Give the log in a file, which is made, readable to its owner only, if it is not there: it holds the log's secret.

    Raises:
        StoreUnavailable: there is no such folder, or the file is not a log of this layout.
    """
    if not path.parent.is_dir():
        raise StoreUnavailable(f"expected a folder {path.parent} to keep the log in, but there is none")
    with suppress(OSError):  # SQLite says better what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    pragmas: dict[str, str | int] = {
        "journal_mode": "WAL",
        "synchronous": "FULL",
        "wal_autocheckpoint": FALLEN_BEHIND * checkpoint_pages,
        "journal_size_limit": FALLEN_BEHIND * checkpoint_pages * PAGE_BYTES,
    }
    log = SqliteLog(SqliteDatastore(str(path), pragmas, busy_timeout_s=busy_timeout_s), checkpoint_pages)
    try:
        log.create_table()
    except BaseException:
        log.close()
        raise
    return log
