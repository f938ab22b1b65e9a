"""The log in PostgreSQL against the suite of its port, and what can go wrong with a server."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import OperationalError
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from stepbus.adapters.postgres import connect
from stepbus.adapters.postgres.datastore import ConnectionLost, PostgresSessions
from stepbus.adapters.postgres.log import open_log
from stepbus.adapters.postgres.settings import parse
from stepbus.orchestrator.ports import Append, Appended, EventStore, StoreUnavailable, VersionConflict
from stepbus.orchestrator.testing.store_suite import SharedStoreSuite
from stepbus.orchestrator.testing.store_suite.bench import (
    PATIENCE_S,
    append_one,
    everything,
    fill,
    new_streams,
    position_of,
    record,
)
from stepbus.orchestrator.testing.waiting import wait_until
from tools.servers import Server


async def open_url(url: str) -> EventStore:
    store = connect(url).store
    assert store is not None
    return await store()


class TestPostgresStore(SharedStoreSuite):
    @pytest.fixture(autouse=True)
    def fresh_database(self, postgres_database: str) -> None:
        self.url = postgres_database

    async def open_store(self) -> EventStore:
        return await open_url(self.url)

    async def open_other_log(self) -> EventStore:
        return await open_url(f"{self.url}?schema=other")


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[EventStore]:
    store = await open_url(postgres_database)
    yield store
    await store.close()


async def test_logs_in_two_schemas_of_a_database_hold_their_own(store: EventStore, postgres_database: str) -> None:
    other = await open_url(f"{postgres_database}?schema=Other%20one")
    stream = uuid4()

    await append_one(other, stream)
    await other.save_checkpoint("relay", 5)

    assert list(await store.read_stream(stream)) == []
    assert await store.checkpoint("relay") == 0
    await other.close()


async def test_a_writer_that_sleeps_in_its_transaction_holds_up_the_others_for_two_seconds_at_most(
    store: EventStore, postgres_database: str
) -> None:
    sleeper, stream = open_log(parse(postgres_database)), uuid4()
    awake = threading.Event()

    def sleep_with_the_lock() -> None:
        with suppress(OperationalError), sleeper.writing(durably=True) as connection:
            sleeper.heads(connection, (stream,))
            locked.set()
            awake.wait(PATIENCE_S)
            sleeper.insert(connection, 1, [Append(stream, 0, "task", b"of the sleeper")])

    locked = threading.Event()
    sleeping = threading.Thread(target=sleep_with_the_lock)
    sleeping.start()
    await asyncio.to_thread(locked.wait, PATIENCE_S)

    assert await append_one(store, stream) == 1

    awake.set()
    await asyncio.to_thread(sleeping.join)
    sleeper.close()
    assert [stored.data for stored in await store.read_stream(stream)] == [b"data"]


async def test_a_client_whose_clock_is_years_ahead_takes_no_lease(
    store: EventStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = await store.hold("a", ["one"], 60_000)
    ahead_s = 10 * 365 * 86_400
    for name in ("time", "monotonic"):
        real = getattr(time, name)
        monkeypatch.setattr(time, name, lambda real=real: real() + ahead_s)
    nanoseconds = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + ahead_s * 1_000_000_000)
    other = await open_url(postgres_database)

    [found] = await other.hold("b", ["one"], 60_000)

    assert (found.owner, found.number) == ("a", first.number)
    await other.close()


async def test_a_value_that_the_database_cannot_hold_fails_its_own_call_alone(store: EventStore) -> None:
    bad = [Append(uuid4(), 0, "a\0b", b"data")]
    calls = [bad, *([record(stream)] for stream in new_streams(5))]

    failed, *answers = await asyncio.gather(*(store.append(call) for call in calls), return_exceptions=True)

    assert isinstance(failed, ValueError)
    assert all(isinstance(answer, list | tuple) and isinstance(answer[0], Appended) for answer in answers)


async def test_a_store_has_a_session_for_writing_and_three_for_reading(
    store: EventStore, postgres_database: str
) -> None:
    await asyncio.gather(append_one(store, uuid4()), *(store.head() for _ in range(50)))

    with psycopg.connect(postgres_database, autocommit=True) as connection:
        [[sessions]] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stepbus'"
        ).fetchall()
    assert 0 < sessions <= 4


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("idle_in_transaction_session_timeout", "2s"),
        ("lock_timeout", "5s"),
        ("statement_timeout", "10s"),
        ("synchronous_commit", "on"),
    ],
)
def test_sessions_never_hang_and_commit_durably_whatever_the_database_says(
    postgres_database: str, setting: str, expected: str
) -> None:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(
            SQL("ALTER DATABASE {} SET synchronous_commit = off").format(Identifier(connection.info.dbname))
        )
        connection.execute(SQL("ALTER DATABASE {} SET lock_timeout = 0").format(Identifier(connection.info.dbname)))

    sessions = PostgresSessions(parse(postgres_database))
    with sessions.get_connection() as own:
        [row] = own.execute(SQL("SHOW {}").format(Identifier(setting))).fetchall()
    sessions.close()

    assert row[setting] == expected


async def test_a_log_that_another_keeps_locked_is_unavailable_until_it_lets_go(
    store: EventStore, postgres_database: str
) -> None:
    stream = uuid4()
    with psycopg.connect(postgres_database) as other:
        other.execute("LOCK TABLE stepbus_events IN EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await append_one(store, stream)
        assert await store.head() == 0  # readers go on
        await store.save_checkpoint("relay", 1)  # and so do checkpoints

    assert await append_one(store, stream)


async def test_connections_that_the_server_ended_are_opened_again_unnoticed(
    store: EventStore, postgres_database: str
) -> None:
    stream = uuid4()
    for version in range(3):
        await append_one(store, stream, version)
        await asyncio.gather(*(store.head() for _ in range(9)))
        end_sessions(postgres_database)

    assert len(await store.read_stream(stream)) == 3
    await store.save_checkpoint("relay", 3)
    assert await store.checkpoint("relay") == 3


def overhear_an_error(connection: psycopg.Connection[DictRow]) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT 1 / 0").fetchone()


def overhear_an_error_and_go_on(connection: psycopg.Connection[DictRow]) -> None:
    with suppress(psycopg.Error), connection.pipeline():
        connection.execute("SELECT 1 / 0")


def fail_otherwise(_: psycopg.Connection[DictRow]) -> None:
    raise OperationalError("of another kind")


@pytest.mark.parametrize("err", [overhear_an_error, overhear_an_error_and_go_on, fail_otherwise])
def test_a_transaction_in_which_an_error_was_is_undone_and_not_taken_for_committed(
    postgres_database: str, err: Callable[[psycopg.Connection[DictRow]], None]
) -> None:
    sessions = PostgresSessions(parse(postgres_database))

    def create_a_table() -> None:
        with sessions.pipelined() as connection:
            connection.execute("CREATE TABLE half (done int)")
            err(connection)

    with pytest.raises(OperationalError):
        create_a_table()

    with sessions.get_connection() as connection:
        assert connection.execute("SELECT to_regclass('half') AS found").fetchall() == [{"found": None}]
    sessions.close()


async def test_a_commit_whose_answer_is_lost_stores_each_record_once(store: EventStore, postgres_database: str) -> None:
    streams = new_streams(400)
    told: list[int] = []

    async def disturb() -> None:
        for told_by_then in range(20, 700, 20):
            await wait_until(partial(has_grown, told, told_by_then), within_s=60)
            await asyncio.to_thread(end_sessions, postgres_database)

    disturbing = asyncio.ensure_future(disturb())
    for batch in (Append(stream, version, "task", stream.bytes) for stream in streams for version in range(2)):
        told.append(await append_until_told(store, batch))  # noqa: PERF401 - read while it grows
    await disturbing

    records = await everything(store)
    assert [stored.position for stored in records] == told
    assert len(records) == 800


def has_grown(told: list[int], size: int) -> bool:
    return len(told) >= size


async def test_a_commit_that_was_done_before_its_answer_was_lost_is_told_as_done(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, fresh = new_streams(2)
    await fill(store, moved, 2)
    pipelined = PostgresSessions.pipelined

    @contextmanager
    def answer_is_lost_once(sessions: PostgresSessions) -> Iterator[psycopg.Connection[DictRow]]:
        monkeypatch.undo()
        with pipelined(sessions) as connection:
            yield connection
        raise ConnectionLost("server closed the connection unexpectedly")

    monkeypatch.setattr(PostgresSessions, "pipelined", answer_is_lost_once)
    answers = await store.append([record(fresh, data=b"new"), record(moved, 1, b"late")])

    assert answers == [Appended(3), VersionConflict(moved, 1, 2)]
    assert [stored.stream for stored in await everything(store)] == [moved, moved, fresh]


async def append_until_told(store: EventStore, batch: Append) -> int:
    """Append as the port says: when nothing is known, ask again."""
    while True:
        try:
            [answer] = await store.append([batch])
        except StoreUnavailable:
            continue
        assert isinstance(answer, Appended)
        return answer.position


async def test_a_server_that_was_killed_and_started_again_has_all_that_was_acknowledged(own_postgres: Server) -> None:
    store = await open_url(own_postgres.url)
    streams = new_streams(50)
    before = await fill(store, streams[0], 20)
    calls = [asyncio.ensure_future(store.append([record(stream)])) for stream in streams[1:]]
    await asyncio.sleep(0)

    await asyncio.to_thread(own_postgres.kill)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(StoreUnavailable):
        await append_one(store, uuid4())
    with pytest.raises(StoreUnavailable):
        await store.head()
    await asyncio.to_thread(own_postgres.start)

    acknowledged = {position_of(answer[0]) for answer in answers if not isinstance(answer, BaseException)}
    assert all(isinstance(answer, StoreUnavailable) for answer in answers if isinstance(answer, BaseException))
    records = await everything(store)
    assert {*before, *acknowledged} <= {stored.position for stored in records}
    assert await append_one(store, uuid4()) > max(stored.position for stored in records)
    await store.close()


async def test_a_reader_that_waited_through_a_restart_goes_on(own_postgres: Server) -> None:
    store = await open_url(own_postgres.url)
    await append_one(store, uuid4())
    await asyncio.to_thread(own_postgres.stop)
    await asyncio.to_thread(own_postgres.start)

    assert await store.wait(0, 30) == 1

    await store.close()


async def test_the_librarys_own_recorder_reads_the_log(store: EventStore, postgres_database: str) -> None:
    stream = uuid4()
    await fill(store, stream, 3)
    named = conninfo_to_dict(postgres_database)

    with PostgresDatastore(
        str(named["dbname"]), str(named["host"]), str(named["port"]), str(named["user"]), ""
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore, events_table_name="stepbus_events")
        assert [event.id for event in recorder.select_notifications(start=1, limit=10)] == [1, 2, 3]
        assert [event.state for event in recorder.select_events(stream)] == [b"1", b"2", b"3"]


async def test_a_log_of_another_layout_is_refused(postgres_database: str) -> None:
    await (await open_url(postgres_database)).close()
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE stepbus_identity SET layout = 99")

    with pytest.raises(StoreUnavailable, match="expected a log of layout 1, but it is of layout 99"):
        await open_url(postgres_database)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="connection"):
        await open_url("postgres://nobody@127.0.0.1:1/nothing")


def end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
