"""The views in a SQLite file of their own, so that their writes never wait for the log's.

`synchronous=NORMAL`: with the machine's power the last transactions may go, rows and checkpoint together, and are made
again from the log. The file itself stays whole, which it would not with `OFF`. Busy pages are written many times before
a checkpoint of the WAL copies them, once: the rarer it is, the less is written.
"""

from collections.abc import Mapping
from pathlib import Path

from stepbus.adapters.recorders.sqlite import SqliteDatastore
from stepbus.adapters.recorders.sqlite_views import SqliteViewTables, open_sqlite_tables
from stepbus.orchestrator.ports import StoreUnavailable

PRAGMAS: Mapping[str, str | int] = {"journal_mode": "WAL", "synchronous": "NORMAL", "wal_autocheckpoint": 4_000}


def open_tables(path: Path, busy_timeout_s: float) -> SqliteViewTables:
    """Give the view tables in a file, which is made if it is not there.

    Raises:
        StoreUnavailable: there is no such folder.
    """
    if not path.parent.is_dir():
        raise StoreUnavailable(f"expected a folder {path.parent} to keep the views in, but there is none")
    return open_sqlite_tables(SqliteDatastore(str(path), PRAGMAS, busy_timeout_s=busy_timeout_s))
