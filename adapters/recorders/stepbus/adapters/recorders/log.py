"""A process recorder that judges and commits a group of writes in one transaction, under the log's write lock.

The lock is taken first, then the heads of the streams are read, so what is judged can not change before it is
committed: a batch is accepted or refused by comparing two numbers, a gap in a stream is as impossible as a fork, and no
unique index has to be hit to learn of a conflict. Positions are given under the same lock and become visible in order.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError, ProcessRecorder, StoredEvent, Tracking

from stepbus.orchestrator.ports import Append, Appended, LogIdentity, Snapshot, StoredRecord, VersionConflict

Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True)
class AppendCall:
    """What one call of `append` asks for; `answers` are in the order of `batches`."""

    batches: Sequence[Append]


@dataclass(frozen=True, slots=True)
class KeepSnapshot:
    """A snapshot to be kept in place of an older one."""

    stream: UUID
    snapshot: Snapshot


Write = AppendCall | Tracking | KeepSnapshot
Answer = Sequence[Appended | VersionConflict]
NOTHING_TO_SAY: Answer = ()

LAYOUT = 1
"""The layout of the tables. A log of another layout is refused, not guessed at."""


def size_of(write: Write) -> int:
    """Give the bytes that a write adds to its group."""
    return sum([len(batch.data) for batch in write.batches]) if isinstance(write, AppendCall) else 0


@dataclass(slots=True)
class _Verdict:
    """What becomes of a group: the records to insert, and each batch's answer or its place among these records."""

    records: list[StoredEvent] = field(default_factory=list)
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    answers: list[list[Appended | VersionConflict | int]] = field(default_factory=list)

    def accept(self, batch: Append) -> int:
        place = len(self.records)
        version = batch.expected + 1
        self.places[batch.stream.int, version] = place
        self.records.append(StoredEvent(batch.stream, version, batch.category, batch.data))
        return place

    def with_positions(self, positions: Sequence[int]) -> list[Answer]:
        return [
            [Appended(positions[answer]) if isinstance(answer, int) else answer for answer in answers]
            for answers in self.answers
        ]


class LogRecorder(ProcessRecorder, Generic[Cursor]):
    """What a database must offer to be the log. Every method may block and is called from a thread of its own.

    Raises:
        StoreUnavailable: nothing is known to be stored.
        eventsourcing.persistence.PersistenceError: the database refused; the same transaction would fail again.
    """

    def commit(self, writes: Sequence[Write]) -> list[Answer]:
        """Commit all writes in one transaction and answer in their order; only appends have something to say."""
        calls = [write for write in writes if isinstance(write, AppendCall)]
        with self.writing(durably=bool(calls)) as cursor:
            verdict = self._judge(cursor, calls) if calls else _Verdict()
            positions = self.insert(cursor, verdict.records) if verdict.records else ()
            if len(calls) < len(writes):
                self._keep(cursor, writes)
        answers = iter(verdict.with_positions(positions))
        return [next(answers) if isinstance(write, AppendCall) else NOTHING_TO_SAY for write in writes]

    def _keep(self, cursor: Cursor, writes: Sequence[Write]) -> None:
        for tracking in _furthest(writes):
            with suppress(IntegrityError):  # the library's word for a position that is not past the kept one
                self.track(cursor, tracking)
        for kept in _newest(writes):
            self.upsert_snapshot(cursor, kept)

    def _judge(self, cursor: Cursor, calls: Sequence[AppendCall]) -> _Verdict:
        # The integer in a UUID is hashed far faster than the UUID.
        streams = {batch.stream.int: batch.stream for call in calls for batch in call.batches}
        heads = dict(zip(streams, self.heads(cursor, list(streams.values())), strict=True))
        verdict = _Verdict()
        for call in calls:
            refused: set[int] = set()
            answers: list[Appended | VersionConflict | int] = []
            for batch in call.batches:
                stream, expected = batch.stream.int, batch.expected
                head = heads[stream]
                if expected == head and stream not in refused:
                    heads[stream] = head + 1
                    answers.append(verdict.accept(batch))
                    continue
                repeated = None if stream in refused else self._repeated(cursor, batch, head, verdict)
                if repeated is None:
                    refused.add(stream)
                    repeated = VersionConflict(batch.stream, expected, head)
                answers.append(repeated)
            verdict.answers.append(answers)
        return verdict

    def _repeated(
        self, cursor: Cursor, batch: Append, head: int, verdict: _Verdict
    ) -> Appended | VersionConflict | int | None:
        """Give where the batch is stored already, or its place in this group; None if something else is there."""
        version = batch.expected + 1
        if version > head:
            return None
        place = verdict.places.get((batch.stream.int, version))
        if place is not None:
            record = verdict.records[place]
            return place if (record.topic, record.state) == (batch.category, batch.data) else None
        found = self.find(cursor, batch.stream, version)
        is_same = found is not None and (found.category, found.data) == (batch.category, batch.data)
        return Appended(found.position) if found is not None and is_same else None

    @abstractmethod
    def writing(self, *, durably: bool) -> AbstractContextManager[Cursor]:
        """Hold the log's write lock from entry to commit; not durably if it may go with the machine's power."""

    @abstractmethod
    def heads(self, cursor: Cursor, streams: Sequence[UUID]) -> Sequence[int]:
        """Give the versions that these streams have, in their order; 0 for a stream that is not there."""

    @abstractmethod
    def find(self, cursor: Cursor, stream: UUID, version: int) -> StoredRecord | None:
        """Give one record."""

    @abstractmethod
    def insert(self, cursor: Cursor, records: Sequence[StoredEvent]) -> Sequence[int]:
        """Add the records and give their positions, in order, each above all that are stored."""

    @abstractmethod
    def track(self, cursor: Cursor, tracking: Tracking) -> None:
        """Keep how far a reader has come; IntegrityError, and nothing changed, if it had come as far before."""

    @abstractmethod
    def upsert_snapshot(self, cursor: Cursor, kept: KeepSnapshot) -> None:
        """Keep a snapshot, unless a newer one is kept."""

    @abstractmethod
    def select_stream(self, stream: UUID, after: int) -> Sequence[StoredRecord]:
        """Give the records of a stream above a version, in order."""

    @abstractmethod
    def select_log(self, after: int, limit: int, category: str | None) -> Sequence[StoredRecord]:
        """Give up to `limit` records above a position, in order."""

    @abstractmethod
    def select_snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the kept snapshot of a stream."""

    @abstractmethod
    def identify(self) -> LogIdentity:
        """Give the log's identity, which the first call ever makes."""

    @abstractmethod
    def clock_ms(self) -> int:
        """Give the log's clock, in milliseconds since the Unix epoch."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. No other thread is in a method of this recorder."""


def _furthest(writes: Iterable[Write]) -> list[Tracking]:
    """Give one tracking a reader. In the order of names, so that two processes can not wait for each other."""
    furthest: dict[str, Tracking] = {}
    for write in writes:
        if isinstance(write, Tracking):
            kept = furthest.setdefault(write.application_name, write)
            if kept.notification_id < write.notification_id:
                furthest[write.application_name] = write
    return [furthest[name] for name in sorted(furthest)]


def _newest(writes: Iterable[Write]) -> list[KeepSnapshot]:
    newest: dict[UUID, KeepSnapshot] = {}
    for write in writes:
        if isinstance(write, KeepSnapshot):
            kept = newest.setdefault(write.stream, write)
            if kept.snapshot.version <= write.snapshot.version:
                newest[write.stream] = write
    return [newest[stream] for stream in sorted(newest)]
