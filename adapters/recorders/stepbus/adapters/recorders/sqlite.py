"""The library's SQLite datastore with a connection for each thread and write locks that are taken at once.

The library's own begins every transaction deferred, so that one that reads and then writes may fail at once with
SQLITE_BUSY_SNAPSHOT, and leaves a transaction open that could not be committed.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any

from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore

from stepbus.adapters.recorders.connections import OwnConnections
from stepbus.adapters.recorders.errors import library_error

BUSY_TIMEOUT_S = 5.0
_BUSY_PAUSE_S = 0.005

_FATAL = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
}
_PRIMARY_CODE = 0xFF


class SqliteDatastore(SQLiteDatastore):
    """Transactions on one SQLite database, of as many threads as you like; `:memory:` is for a single thread.

    `pragmas` are set on every connection. A connection whose file has failed it is closed, and the next one reads the
    file anew: what a failed fsync has left in memory is never trusted.
    """

    def __init__(
        self, database: str, pragmas: Mapping[str, str | int], *, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        super().__init__(db_name=database)
        self._pragmas = dict(pragmas)
        self._busy_timeout_s = busy_timeout_s
        self._own = OwnConnections(self._connect, sqlite3.Connection.close)

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """Hold a transaction: of writing, from the first moment on, or of reading."""
        connection: sqlite3.Connection | None = None
        try:
            connection = self._own.get()
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE" if commit else "BEGIN")
            yield SQLiteCursor(cursor)
            cursor.execute("COMMIT" if commit else "ROLLBACK")
        except BaseException as error:
            if connection is not None:
                self._give_up(connection, error)
            if isinstance(error, sqlite3.Error):
                raise library_error(error) from error
            raise

    def select(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Give the rows of one SELECT as tuples. A statement sees one state of the database, also by itself."""
        connection: sqlite3.Connection | None = None
        try:
            connection = self._own.get()
            cursor = connection.cursor()
            cursor.row_factory = None
            return cursor.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if connection is not None:
                self._give_up(connection, error)
            raise library_error(error) from error

    def set_pragma(self, name: str, value: str | int) -> None:
        """Set a pragma on the calling thread's connection, outside a transaction."""
        self.select(f"PRAGMA {name}={value}")

    def close(self) -> None:
        """Close all connections. To be called when no thread is in a transaction."""
        if "_own" in vars(self):  # also called by the library's __del__, after an __init__ that failed
            self._own.close_all()
        super().close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.pool.db_name, isolation_level=None, check_same_thread=False, timeout=self._busy_timeout_s
        )
        try:
            for name, value in self._pragmas.items():
                self._set(connection, name, value)
        except sqlite3.Error:
            connection.close()
            raise
        connection.row_factory = sqlite3.Row
        return connection

    def _set(self, connection: sqlite3.Connection, name: str, value: str | int) -> None:
        """Set a pragma; SQLite does not wait by itself while another connection makes a new file's journal a WAL."""
        until = monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute(f"PRAGMA {name}={value}")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or monotonic() > until:
                    raise
                sleep(_BUSY_PAUSE_S)
            else:
                return

    def _give_up(self, connection: sqlite3.Connection, error: BaseException) -> None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY_CODE
        try:
            connection.rollback()
        except sqlite3.Error:
            code = sqlite3.SQLITE_IOERR
        if code in _FATAL:
            with suppress(sqlite3.Error):
                self._own.drop()
