"""A process recorder that judges and commits a group of writes in one transaction, under the log's write lock.

The lock is taken first, then the heads of the streams are learned, so what is judged can not change before it is
committed: a batch is accepted or refused by comparing two numbers, a gap in a stream is as impossible as a fork, and no
unique index has to be hit to learn of a conflict. Positions are counted on from the log's last one under the same lock
and become visible in order.

What runs for each record is kept short: it holds up every other thread of the process.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError, ProcessRecorder, StoredEvent, Tracking

from stepbus.adapters.recorders.heads import KnownHeads
from stepbus.orchestrator.ports import Append, Appended, Lease, LogIdentity, Snapshot, StoredRecord, VersionConflict

Cursor = TypeVar("Cursor")


class AppendCall(NamedTuple):
    """What one call of `append` asks for; its answers are in the order of `batches`."""

    batches: Sequence[Append]


class KeepSnapshot(NamedTuple):
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


class _Group:
    """The appends of one transaction: what is accepted, from position `first` on, and what is answered.

    `heads` are those of the streams, with what is accepted, by the integer in the stream's UUID, which is hashed far
    faster than the UUID.
    """

    __slots__ = ("_expected", "accepted", "answers", "first", "heads")

    def __init__(self, position: int, heads: dict[int, int]) -> None:
        self.first = position + 1
        self.heads = heads
        self.accepted: list[Append] = []
        self.answers: list[Answer] = []
        self._expected: dict[tuple[int, int], int] = {}

    @property
    def position(self) -> int:
        """Give where the log ends after this group."""
        return self.first + len(self.accepted) - 1

    def find(self, stream: UUID, version: int) -> StoredRecord | None:
        """Give a record that this group adds. Few groups are ever asked."""
        for place in range(len(self._expected), len(self.accepted)):
            batch = self.accepted[place]
            self._expected[batch.stream.int, batch.expected] = place
        found = self._expected.get((stream.int, version - 1))
        if found is None:
            return None
        _, _, category, data = self.accepted[found]
        return StoredRecord(self.first + found, stream, version, category, data)


class LogRecorder(ProcessRecorder, Generic[Cursor]):
    """What a database must offer to be the log. Every method may block and is called from a thread of its own.

    Raises:
        StoreUnavailable: nothing is known to be stored.
        eventsourcing.persistence.PersistenceError: the database refused; the same transaction would fail again.
    """

    @cached_property
    def _known(self) -> KnownHeads:
        return KnownHeads()

    @property
    def position(self) -> int:
        """Give where the log ended when this recorder last appended to it, 0 if it never did."""
        return self._known.position

    def commit(self, writes: Sequence[Write]) -> list[Answer]:
        """Commit all writes in one transaction and answer in their order; only appends have something to say."""
        calls = [write for write in writes if isinstance(write, AppendCall)]
        try:
            with self.writing(durably=bool(calls)) as cursor:
                group = self._append(cursor, calls)
                if len(calls) < len(writes):
                    self._keep(cursor, writes)
        except BaseException:
            self._known.forget()  # it may be committed or not, by this server or by the one that takes its place
            raise
        if calls:
            self._known.keep(group.position, group.heads)
        answers = iter(group.answers)
        return [next(answers) if isinstance(write, AppendCall) else NOTHING_TO_SAY for write in writes]

    def _append(self, cursor: Cursor, calls: Sequence[AppendCall]) -> _Group:
        if not calls:
            return _Group(0, {})
        group = _Group(*self._heads(cursor, {batch[0].int: batch[0] for call in calls for batch in call.batches}))
        for call in calls:
            group.answers.append(self._judge(cursor, call, group))
        if group.accepted:
            self.insert(cursor, group.first, group.accepted)
        return group

    def _heads(self, cursor: Cursor, streams: dict[int, UUID]) -> tuple[int, dict[int, int]]:
        """Give where the log ends, and the versions of the streams: the database is asked for those not known."""
        heads = self._known.of(streams)
        asked = [stream for number, stream in streams.items() if number not in heads]
        position, found = self.heads(cursor, asked)
        if position != self._known.position:  # somebody else has written
            self._known.forget()
            if heads:
                return self._heads(cursor, streams)
        heads.update(zip([stream.int for stream in asked], found, strict=True))
        return position, heads

    def _judge(self, cursor: Cursor, call: AppendCall, group: _Group) -> Answer:
        heads, accepted, first = group.heads, group.accepted, group.first
        refused: set[int] = set()
        answers: list[Appended | VersionConflict] = []
        for batch in call.batches:
            stream, expected, _, _ = batch
            number = stream.int
            head = heads[number]
            if expected == head and number not in refused:
                heads[number] = head + 1
                answers.append(Appended(first + len(accepted)))
                accepted.append(batch)
                continue
            repeated = None if number in refused else self._repeated(cursor, batch, group)
            if repeated is None:
                refused.add(number)
            answers.append(repeated or VersionConflict(stream, expected, head))
        return answers

    def _repeated(self, cursor: Cursor, batch: Append, group: _Group) -> Appended | None:
        """Give where the batch is already, in the log or in this group; None if it is not."""
        stream, version = batch.stream, batch.expected + 1
        if version > group.heads[stream.int]:
            return None
        found = group.find(stream, version) or self.find(cursor, stream, version)
        is_same = found is not None and (found.category, found.data) == (batch.category, batch.data)
        return Appended(found.position) if found is not None and is_same else None

    def _keep(self, cursor: Cursor, writes: Sequence[Write]) -> None:
        for tracking in _furthest(writes):
            with suppress(IntegrityError):  # the library's word for a position that is not past the kept one
                self.track(cursor, tracking)
        for kept in _newest(writes):
            self.upsert_snapshot(cursor, kept)

    @abstractmethod
    def writing(self, *, durably: bool) -> AbstractContextManager[Cursor]:
        """Hold the log's write lock from entry to commit; not durably if it may go with the machine's power."""

    @abstractmethod
    def heads(self, cursor: Cursor, streams: Sequence[UUID]) -> tuple[int, Sequence[int]]:
        """Give the log's last position, and the versions that these streams have, in their order; 0 for none."""

    @abstractmethod
    def find(self, cursor: Cursor, stream: UUID, version: int) -> StoredRecord | None:
        """Give one record."""

    @abstractmethod
    def insert(self, cursor: Cursor, first: int, accepted: Sequence[Append]) -> None:
        """Add records behind the last one: the first at this position, the others at those that follow."""

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
    def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew or take these leases, as far as nobody else has them; give all that hold then, by name."""

    @abstractmethod
    def release(self, owner: str, names: Sequence[str]) -> None:
        """End those of these leases that the owner has."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. No other thread is in a method of this recorder."""


def appends_of(events: Iterable[StoredEvent]) -> list[Append]:
    """Give what the library calls stored events in the words of the port."""
    return [
        Append(UUID(str(event.originator_id)), event.originator_version - 1, event.topic, event.state)
        for event in events
    ]


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
