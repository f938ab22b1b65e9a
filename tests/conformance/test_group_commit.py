"""Calls that meet are committed together, on every database; no commit holds up the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stepbus.adapters.memory.store import MemoryLog
from stepbus.adapters.postgres.log import open_log as open_postgres
from stepbus.adapters.postgres.settings import parse
from stepbus.adapters.recorders.groups import GROUP_BYTES_LIMIT, GROUP_LIMIT
from stepbus.adapters.recorders.log import Answer, LogRecorder, Write
from stepbus.adapters.recorders.store import RecorderStore, open_store
from stepbus.adapters.sqlite.log import open_log as open_sqlite
from stepbus.orchestrator.ports import Appended, StoreUnavailable
from stepbus.orchestrator.testing.store_suite.bench import append_one, everything, new_streams, record
from stepbus.orchestrator.testing.waiting import wait_until


class Gate:
    """Stands before the commits of a log: counts the groups, and holds them up until it is opened."""

    def __init__(self, log: LogRecorder[Any]) -> None:
        self.groups: list[int] = []
        self.opened = threading.Event()
        self._commit = log.commit
        log.commit = self.commit  # type: ignore[method-assign]

    def commit(self, writes: Sequence[Write]) -> list[Answer]:
        self.groups.append(len(writes))
        assert self.opened.wait(30)
        return self._commit(writes)

    async def hold(self) -> None:
        """Wait until the writer stands before the gate."""
        await wait_until(lambda: self.groups)


Open = Callable[[], LogRecorder[Any]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "memory":
        return MemoryLog
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "log.db", busy_timeout_s=5)
    settings = parse(request.getfixturevalue("postgres_database"))
    return lambda: open_postgres(settings)


@pytest.fixture
async def gated(open_log: Open) -> AsyncIterator[tuple[RecorderStore, Gate]]:
    gates: list[Gate] = []

    def open_gated() -> LogRecorder[Any]:
        log = open_log()
        gates.append(Gate(log))
        return log

    store = await open_store(open_gated)
    [gate] = gates
    yield store, gate
    gate.opened.set()
    await store.close()


async def test_appends_that_gather_during_a_commit_are_one_group(gated: tuple[RecorderStore, Gate]) -> None:
    store, gate = gated
    first = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()

    others = [asyncio.ensure_future(append_one(store, stream)) for stream in new_streams(500)]
    await asyncio.sleep(0)  # let every call begin
    gate.opened.set()
    positions = await asyncio.gather(first, *others)

    assert gate.groups == [1, 500]
    assert positions == sorted(set(positions))


async def test_checkpoints_travel_with_the_appends(gated: tuple[RecorderStore, Gate]) -> None:
    store, gate = gated
    first = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()

    appended = asyncio.ensure_future(append_one(store, uuid4()))
    saved = asyncio.ensure_future(store.save_checkpoint("relay", 7))
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, appended, saved)

    assert gate.groups == [1, 2]
    assert await store.checkpoint("relay") == 7


async def test_a_group_is_limited_in_number(gated: tuple[RecorderStore, Gate]) -> None:
    store, gate = gated
    first = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()

    others = [asyncio.ensure_future(append_one(store, stream)) for stream in new_streams(GROUP_LIMIT + 10)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *others)

    assert gate.groups == [1, GROUP_LIMIT, 10]


async def test_a_group_is_limited_in_bytes(gated: tuple[RecorderStore, Gate]) -> None:
    store, gate = gated
    first = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()

    half = bytes(GROUP_BYTES_LIMIT // 2)
    others = [asyncio.ensure_future(append_one(store, stream, data=half)) for stream in new_streams(3)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *others)

    assert gate.groups == [1, 2, 1]


async def test_the_event_loop_and_the_readers_go_on_during_a_commit(gated: tuple[RecorderStore, Gate]) -> None:
    store, gate = gated
    held_up = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()

    assert await store.head() == 0
    assert list(await everything(store)) == []
    assert not held_up.done()

    gate.opened.set()
    assert await held_up == await store.head()


async def test_a_database_that_fails_fails_every_call_of_the_group_and_no_later_one(
    gated: tuple[RecorderStore, Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, gate = gated
    first = asyncio.ensure_future(append_one(store, uuid4()))
    await gate.hold()
    calls = [asyncio.ensure_future(store.append([record(stream)])) for stream in new_streams(3)]
    await asyncio.sleep(0)

    commit = gate._commit  # noqa: SLF001
    commits = iter([commit, fail])

    def commit_fail_commit(writes: Sequence[Write]) -> list[Answer]:
        return next(commits, commit)(writes)

    monkeypatch.setattr(gate, "_commit", commit_fail_commit)
    gate.opened.set()
    failures = await asyncio.gather(*calls, return_exceptions=True)

    assert await first > 0
    assert [type(failure) for failure in failures] == [StoreUnavailable] * 3
    assert len({id(failure) for failure in failures}) == 3  # one each, as each carries the traceback of its caller
    assert len(await everything(store)) == 1
    assert isinstance((await store.append([record(uuid4())]))[0], Appended)


def fail(writes: Sequence[Write]) -> list[Answer]:
    raise StoreUnavailable(f"expected to commit {len(writes)}, but the database is away")
