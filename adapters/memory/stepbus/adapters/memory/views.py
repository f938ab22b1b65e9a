"""The views in the memory of this process: SQLite without a file, in the one thread that its connection belongs to."""

from stepbus.adapters.recorders.sqlite import SqliteDatastore
from stepbus.adapters.recorders.sqlite_views import SqliteViewTables, open_sqlite_tables


def open_tables() -> SqliteViewTables:
    """Give empty view tables."""
    return open_sqlite_tables(SqliteDatastore(":memory:", {}))
