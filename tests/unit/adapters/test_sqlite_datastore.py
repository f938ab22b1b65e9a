"""The SQLite datastore: a new file may be opened by several at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from eventsourcing.persistence import OperationalError

from stepbus.adapters.recorders.sqlite import SqliteDatastore

PRAGMAS = {"journal_mode": "WAL"}
AT_ONCE = 4


def test_several_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    def journal_of(path: Path, begin: Barrier) -> str:
        with closing(SqliteDatastore(str(path), PRAGMAS)) as datastore:
            begin.wait()
            ((mode,),) = datastore.select("PRAGMA journal_mode")
            return str(mode)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(100):
            begin = Barrier(AT_ONCE)
            opened = [threads.submit(journal_of, tmp_path / f"{number}.db", begin) for _ in range(AT_ONCE)]
            assert {one.result() for one in opened} == {"wal"}


def test_who_finds_a_new_file_locked_for_longer_than_the_timeout_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "locked.db")
    with (
        closing(SqliteDatastore(path, {})) as holder,
        closing(SqliteDatastore(path, PRAGMAS, busy_timeout_s=0.01)) as late,
        holder.transaction(commit=True) as cursor,
    ):
        cursor.execute("CREATE TABLE things (id TEXT)")
        with pytest.raises(OperationalError, match="locked"):
            late.select("PRAGMA journal_mode")
