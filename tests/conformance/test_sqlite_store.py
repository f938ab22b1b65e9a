"""The log in a SQLite file against the suite of its port, and what can go wrong with a file."""

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from stepbus.adapters.recorders.store import open_store
from stepbus.adapters.sqlite import connect
from stepbus.adapters.sqlite.log import FALLEN_BEHIND, PAGE_BYTES, open_log
from stepbus.orchestrator.ports import EventStore, StoreUnavailable
from stepbus.orchestrator.testing.store_suite import SharedStoreSuite
from stepbus.orchestrator.testing.store_suite.bench import append_one, everything, fill
from stepbus.orchestrator.testing.waiting import wait_until


async def open_url(url: str) -> EventStore:
    store = connect(url).store
    assert store is not None
    return await store()


class TestSqliteStore(SharedStoreSuite):
    @pytest.fixture(autouse=True)
    def fresh_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.url = f"sqlite://{tmp_path}/log.db"

    async def open_store(self) -> EventStore:
        return await open_url(self.url)

    async def open_other_log(self) -> EventStore:
        return await open_url(f"sqlite://{self.folder}/other.db")


async def test_the_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    store = await open_url(f"sqlite://{tmp_path}/log.db")
    await append_one(store, uuid4())

    assert modes_of(tmp_path) == {"log.db": 0o600, "log.db-shm": 0o600, "log.db-wal": 0o600}

    await store.close()


def modes_of(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"expected a folder {tmp_path}/missing"):
        await open_url(f"sqlite://{tmp_path}/missing/log.db")


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("these are not the records you are looking for" * 99)

    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_url(f"sqlite://{tmp_path}/log.db")

    assert (tmp_path / "log.db").read_text().startswith("these are not")


async def test_a_log_of_another_layout_is_refused(tmp_path: Path) -> None:
    await (await open_url(f"sqlite://{tmp_path}/log.db")).close()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE log_identity SET layout = 99")
    connection.close()

    with pytest.raises(StoreUnavailable, match="expected a log of layout 1, but it is of layout 99"):
        await open_url(f"sqlite://{tmp_path}/log.db")


async def test_vacuum_leaves_positions_as_they_were(tmp_path: Path) -> None:
    store = await open_url(f"sqlite://{tmp_path}/log.db")
    await fill(store, uuid4(), 20)
    before = list(await everything(store))
    await store.close()

    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("VACUUM")
    connection.close()

    store = await open_url(f"sqlite://{tmp_path}/log.db")
    assert list(await everything(store)) == before
    await store.close()


async def test_a_log_that_another_keeps_locked_is_unavailable_until_it_lets_go(tmp_path: Path) -> None:
    store = await open_url(f"sqlite://{tmp_path}/log.db?busy_timeout_s=0.05")
    stream = uuid4()
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="locked"):
        await append_one(store, stream)
    assert await store.head() == 0  # readers go on

    other.execute("ROLLBACK")
    other.close()
    assert await append_one(store, stream) == 1
    await store.close()


FULL_DISK = """
import asyncio, resource, sys
from uuid import uuid4
from stepbus.adapters.recorders.store import open_store
from stepbus.adapters.sqlite import connect
from stepbus.adapters.sqlite.log import FALLEN_BEHIND, PAGE_BYTES, open_log
from stepbus.orchestrator.ports import Append, Appended, StoreUnavailable

async def main(url):
    store = await connect(url).store()
    acknowledged, refused = [], 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    while refused < 3:
        try:
            [answer] = await store.append([Append(uuid4(), 0, "task", bytes(5_000))])
            acknowledged.append(answer.position)
        except StoreUnavailable as error:
            refused += 1
            assert "disk" in str(error), error
    assert [stored.position for stored in await store.read(0, 1_000)] == acknowledged
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    [answer] = await store.append([Append(uuid4(), 0, "task", b"room again")])
    acknowledged.append(answer.position)
    await store.close()
    print(*acknowledged)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/log.db"

    ended = subprocess.run(  # noqa: ASYNC221 - nothing else goes on
        [sys.executable, "-c", FULL_DISK, url], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 0, ended.stderr
    store = await open_url(url)
    assert [stored.position for stored in await everything(store)] == [int(word) for word in ended.stdout.split()]
    await store.close()


FEW_PAGES = 8


@pytest.fixture
async def carrying_over(tmp_path: Path) -> AsyncIterator[EventStore]:
    """A store that carries the write-ahead log over after every few pages."""
    store = await open_store(lambda: open_log(tmp_path / "log.db", 5, checkpoint_pages=FEW_PAGES))
    yield store
    await store.close()


async def test_what_is_written_goes_over_into_the_database_file_before_a_commit_has_to_do_it(
    carrying_over: EventStore, tmp_path: Path
) -> None:
    in_file = size_of(tmp_path / "log.db")

    for _ in range(FEW_PAGES):  # far fewer pages than those for which a commit does it itself
        await append_one(carrying_over, uuid4())

    await wait_until(lambda: size_of(tmp_path / "log.db") > in_file)


async def test_the_write_ahead_log_shrinks_again_when_a_long_reader_ends(
    carrying_over: EventStore, tmp_path: Path
) -> None:
    limit = FALLEN_BEHIND * FEW_PAGES * PAGE_BYTES
    reader = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM stored_events").fetchall()

    while size_of(tmp_path / "log.db-wal") < 2 * limit:
        await append_one(carrying_over, uuid4(), data=bytes(PAGE_BYTES))
    reader.execute("ROLLBACK")
    reader.close()

    async def is_small() -> bool:
        await append_one(carrying_over, uuid4(), data=bytes(PAGE_BYTES))
        return size_of(tmp_path / "log.db-wal") <= limit

    await wait_until(is_small)


async def test_no_thread_outlives_the_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = await open_store(lambda: open_log(tmp_path / "log.db", 5, checkpoint_pages=1))
    await append_one(store, uuid4())
    names = {thread.name for thread in set(threading.enumerate()) - before}

    await store.close()

    assert "stepbus-log-checkpointer" in names
    assert {thread.name for thread in set(threading.enumerate()) - before}.isdisjoint(names)


def size_of(file: Path) -> int:
    return file.stat().st_size


async def test_the_librarys_own_recorder_reads_the_log(tmp_path: Path) -> None:
    store = await open_url(f"sqlite://{tmp_path}/log.db")
    stream = uuid4()
    await fill(store, stream, 3)
    await store.close()

    datastore = SQLiteDatastore(str(tmp_path / "log.db"))
    recorder = SQLiteApplicationRecorder(datastore)
    assert [event.id for event in recorder.select_notifications(start=1, limit=10)] == [1, 2, 3]
    assert [event.state for event in recorder.select_events(stream)] == [b"1", b"2", b"3"]
    datastore.close()
