"""The library's PostgreSQL datastore with a connection for each thread, and sessions that never hang.

The library's own pool waits for a lost server with growing pauses, and its connections have no keepalives and no
statement timeout. Here a connection that was lost is thrown away, and the next use opens another or fails at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import OperationalError
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection, IsolationLevel, Pipeline
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier

from stepbus.adapters.postgres.settings import PostgresSettings
from stepbus.adapters.recorders.connections import OwnConnections
from stepbus.adapters.recorders.errors import library_error

LOCK_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 10
CREATION_LOCK = 0x73746570627573  # "stepbus"; any number that others do not use
_NEVER_HANG: Mapping[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A writer that was stopped in mid-transaction would keep the log locked for all others.
_IDLE_IN_TRANSACTION_TIMEOUT_S = 2

_SERVER_ENDS_SESSION = "57P"  # admin shutdown, crash shutdown, cannot connect now, ...

_BEGIN_SESSION = """
SELECT set_config('search_path', %(schema)s, false),
    set_config('idle_in_transaction_session_timeout', %(idle)s, false),
    set_config('lock_timeout', %(lock)s, false),
    set_config('statement_timeout', %(statement)s, false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"""


class ConnectionLost(OperationalError):
    """The connection was lost: what was sent last may have been done or not. Do it again if that does no harm."""


class PostgresSessions(PostgresDatastore):
    """Transactions of as many threads as you like. `schema` is where unqualified names are looked for."""

    def __init__(self, settings: PostgresSettings, *, statement_timeout_s: int = STATEMENT_TIMEOUT_S) -> None:
        super().__init__("", "", "", "", "", schema=settings.schema, lock_timeout=LOCK_TIMEOUT_S)
        named = conninfo_to_dict(settings.conninfo)
        self._conninfo = make_conninfo(settings.conninfo, **{"application_name": "stepbus", **_NEVER_HANG, **named})
        self._session = {
            "schema": Identifier(settings.schema).as_string(None),
            "idle": f"{_IDLE_IN_TRANSACTION_TIMEOUT_S}s",
            "lock": f"{LOCK_TIMEOUT_S}s",
            "statement": f"{statement_timeout_s}s",
        }
        self._own = OwnConnections(self.connect, Connection.close)
        self._pipelines: dict[int, Pipeline] = {}

    @contextmanager
    def get_connection(self) -> Iterator[Connection[DictRow]]:
        """Give the calling thread's connection; one that was lost is thrown away.

        Raises:
            ConnectionLost: it was lost; another can be opened.
            PersistenceError: the library's error for what PostgreSQL says.
        """
        try:
            connection = self._own.get()
        except psycopg.Error as error:
            raise library_error(error) from error
        try:
            yield connection
        except psycopg.Error as error:
            if connection.closed or (error.sqlstate or "").startswith(_SERVER_ENDS_SESSION):
                self._own.drop()
                raise ConnectionLost(str(error)) from error
            raise library_error(error) from error

    @contextmanager
    def pipelined(self) -> Iterator[Connection[DictRow]]:
        """Hold a transaction of writing, whose statements travel together until a result is fetched.

        Each statement needs a cursor of its own: one cursor would take an earlier result for that of its last one.
        BEGIN and COMMIT travel with the others, while psycopg's own transaction would wait for each.
        """
        with self.get_connection() as connection:
            try:
                with connection.pipeline() as pipeline:
                    self._pipelines[id(connection)] = pipeline
                    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                    yield connection
                    ended = connection.execute("COMMIT")
                _demand_commit(ended.statusmessage)
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            finally:
                self._pipelines.pop(id(connection), None)

    def await_answers(self, connection: Connection[DictRow]) -> None:
        """Have the answers to all that was sent so far in a pipelined transaction.

        The server knows by this that it waits for us, and ends the transaction if we do not go on. A result that is
        fetched without it leaves the server at work, as it thinks, for as long as the client sleeps.
        """
        self._pipelines[id(connection)].sync()

    def create_schema(self) -> None:
        """Create the schema if it is not there."""
        if self.schema != "public":
            with self.get_connection() as connection:
                connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(self.schema)))

    def register_type_adapters(self) -> None:
        """Do without the library's composite types: rows are inserted column by column."""

    def close(self) -> None:
        """Close all connections. To be called when no thread uses one."""
        if "_own" in vars(self):  # also called by the library's __del__, after an __init__ that failed
            self._own.close_all()
        super().close()

    def connect(self) -> Connection[DictRow]:
        """Give a new connection, its session set up."""
        connection = Connection[DictRow].connect(self._conninfo, autocommit=True, row_factory=dict_row)
        try:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
            connection.execute(_BEGIN_SESSION, self._session)
        except psycopg.Error:
            connection.close()
            raise
        return connection


def _demand_commit(answer: str | None) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, and no error, when a statement had failed before."""
    if answer != "COMMIT":
        raise OperationalError(f"expected a commit, but the server answered {answer}")
