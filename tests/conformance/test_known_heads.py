"""A writer remembers the heads of the streams that it wrote, and is never wrong about one, whoever else may write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import StoredEvent, Tracking

from stepbus.adapters.postgres.log import open_log as open_postgres
from stepbus.adapters.postgres.settings import parse
from stepbus.adapters.recorders.heads import KnownHeads
from stepbus.adapters.recorders.log import AppendCall, LogRecorder
from stepbus.adapters.sqlite.log import open_log as open_sqlite
from stepbus.orchestrator.ports import Append, Appended, StoreUnavailable, VersionConflict

Log = LogRecorder[Any]
A, B = UUID(int=1), UUID(int=2)


@pytest.fixture(params=["sqlite", "postgres"])
def two_logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Log, Log]]:
    def open_log() -> Log:
        if request.param == "sqlite":
            return open_sqlite(tmp_path / "log.db", busy_timeout_s=5)
        return open_postgres(parse(request.getfixturevalue("postgres_database")))

    with ExitStack() as opened:
        yield opened.enter_context(closing(open_log())), opened.enter_context(closing(open_log()))


@pytest.fixture
def log(two_logs: tuple[Log, Log]) -> Log:
    return two_logs[0]


def append(log: Log, stream: UUID, expected: int) -> Appended | VersionConflict:
    [[answer]] = log.commit([AppendCall([Append(stream, expected, "task", b"data")])])
    return answer


def asked_of(log: Log) -> list[Sequence[UUID]]:
    """Give a list that grows with each question for heads."""
    asked: list[Sequence[UUID]] = []
    heads: Callable[..., tuple[int, Sequence[int]]] = log.heads

    def ask(cursor: object, streams: Sequence[UUID]) -> tuple[int, Sequence[int]]:
        asked.append(streams)
        return heads(cursor, streams)

    log.heads = ask  # type: ignore[method-assign]
    return asked


def test_the_head_of_a_stream_is_asked_for_once(log: Log) -> None:
    asked = asked_of(log)

    assert [append(log, stream, version) for version in range(3) for stream in (A, B)] == [
        Appended(position) for position in range(1, 7)
    ]
    assert asked == [[A], [B], [], [], [], []]


def test_what_another_writer_added_is_seen_at_once(two_logs: tuple[Log, Log]) -> None:
    one, other = two_logs
    append(one, A, 0)
    append(other, A, 1)

    conflict = append(one, A, 1)
    assert conflict == Appended(2)  # the same bytes at the same place
    assert append(one, A, 3) == VersionConflict(A, expected=3, found=2)
    assert append(one, A, 2) == Appended(3)
    assert append(other, A, 3) == Appended(4)


def test_a_group_without_the_stream_that_another_moved_does_not_hide_the_move(two_logs: tuple[Log, Log]) -> None:
    one, other = two_logs
    append(one, A, 0)
    append(other, A, 1)

    assert append(one, B, 0) == Appended(3)

    assert append(one, A, 3) == VersionConflict(A, expected=3, found=2)
    assert append(one, A, 2) == Appended(4)


def test_what_the_librarys_own_way_in_added_is_seen_at_once(two_logs: tuple[Log, Log]) -> None:
    one, other = two_logs
    append(one, A, 0)
    other.insert_events([StoredEvent(A, 2, "task", b"theirs")])
    one.insert_events([StoredEvent(A, 3, "task", b"theirs")])

    assert append(one, A, 1) == VersionConflict(A, expected=1, found=3)
    assert append(one, A, 3) == Appended(4)


def test_nothing_is_remembered_of_a_group_that_was_not_committed(log: Log) -> None:
    append(log, A, 0)
    asked = asked_of(log)

    with pytest.raises(Exception, match=r"(?i)large|range|overflow"):
        log.commit([AppendCall([Append(A, 1, "task", b"data")]), Tracking("reader", 2**70)])

    assert append(log, A, 2) == VersionConflict(A, expected=2, found=1)
    assert append(log, A, 1) == Appended(2)
    assert asked == [[], [A], []]


def lose_an_append(log: Log, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool) -> None:
    """Append to a stream of one record; the database goes away before the commit, or before its answer."""
    writing = log.writing

    @contextmanager
    def lost(*, durably: bool) -> Iterator[Any]:
        with writing(durably=durably) as cursor:
            yield cursor
            if not is_committed:
                raise StoreUnavailable("the database went away")
        raise StoreUnavailable("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(log, "writing", lost)
        with pytest.raises(StoreUnavailable):
            append(log, A, 1)


def test_a_commit_whose_answer_was_lost_is_found_when_it_is_repeated(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, A, 0)

    lose_an_append(log, monkeypatch, is_committed=True)

    assert append(log, A, 1) == Appended(2)
    assert append(log, A, 1) == Appended(2)
    assert append(log, A, 2) == Appended(3)


def test_what_a_lost_commit_left_undone_is_not_remembered(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, A, 0)

    lose_an_append(log, monkeypatch, is_committed=False)

    assert append(log, A, 2) == VersionConflict(A, expected=2, found=1)
    assert append(log, A, 1) == Appended(2)


def test_a_refusal_is_remembered_as_what_was_found(log: Log) -> None:
    stream = uuid4()

    assert append(log, stream, 1) == VersionConflict(stream, expected=1, found=0)
    assert append(log, stream, 0) == Appended(1)
    assert append(log, stream, 5) == VersionConflict(stream, expected=5, found=1)


def test_streams_that_were_not_written_for_long_are_forgotten() -> None:
    known = KnownHeads(kept=2)

    for position, stream in enumerate([1, 2, 1, 3, 4, 1, 5], 1):
        known.keep(position, {stream: position})

    assert known.of(range(1, 6)) == {1: 6, 4: 5, 5: 7}
    assert known.position == 7
