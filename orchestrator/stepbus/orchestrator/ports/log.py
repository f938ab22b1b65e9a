"""The log: streams of records in one total order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID


class Append(NamedTuple):
    """One record to be added to one stream. `expected` is the version the stream has now: 0 for a new one."""

    stream: UUID
    expected: int
    category: str
    data: bytes


class Appended(NamedTuple):
    """The record is in the log, durably, at this position."""

    position: int


class VersionConflict(NamedTuple):
    """The stream has moved on: it holds `found` records where `expected` were expected."""

    stream: UUID
    expected: int
    found: int

    def __str__(self) -> str:
        """Say what was expected and what was found."""
        return f"expected stream {self.stream} to hold {self.expected} records, but it holds {self.found}"


class StoredRecord(NamedTuple):
    """One record of the log. `version` counts the records of its stream from 1; `position` orders the whole log."""

    position: int
    stream: UUID
    version: int
    category: str
    data: bytes


class Lease(NamedTuple):
    """A name that one owner has for a while. `number` is higher each time that somebody begins to have it anew.

    Units: the lease ends in `left_ms`, by the store's clock, unless it is renewed.
    """

    name: str
    owner: str
    number: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fold of a stream's first `version` records. Never the truth: it may be absent, or old."""

    version: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Made with the log, and different for every log. `secret` (32 bytes) signs the tokens of jobs."""

    epoch: str
    secret: bytes = field(repr=False)


class EventStore(Protocol):
    """The log: streams of records in one total order.

    Guarantee: what `append` returned as `Appended` is durable; positions rise in commit order, and whoever reads up
    to a position has seen every record that will ever stand before it (no gap is filled later). Safe to call from many
    asyncio tasks at once; calls that meet are committed together. No method blocks the event loop.
    """

    async def identity(self) -> LogIdentity:
        """Give what this log is known by; the same after every restart."""
        ...

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        """Commit all batches in one transaction, answer in their order; one whose stream moved on is refused alone.

        Guarantee: a batch that is already stored at its place with the same bytes is `Appended` where it stands, so an
        append whose answer was lost can be repeated. Two batches of one call may follow each other in one stream.

        Raises:
            StoreUnavailable: nothing is known to be stored; reload the streams and decide again.
        """
        ...

    async def read_stream(self, stream: UUID, after: int = 0) -> Sequence[StoredRecord]:
        """Give the records of one stream with a version above `after`, in order; none for an unknown stream."""
        ...

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        """Give up to `limit` records with a position above `after`, in order, of one category or of all."""
        ...

    async def head(self) -> int:
        """Give the position of the last record, 0 for an empty log."""
        ...

    async def wait(self, after: int, timeout_s: float) -> int:
        """Give the head as soon as it is above `after`, or when the time has passed.

        A commit by any process is seen.
        """
        ...

    async def now_ms(self) -> int:
        """Give the store's clock, in milliseconds since the Unix epoch. All coordinators of one log share it."""
        ...

    async def checkpoint(self, reader: str) -> int:
        """Give how far a reader has come, 0 if it never said."""
        ...

    async def save_checkpoint(self, reader: str, position: int) -> None:
        """Keep how far a reader has come. A lower position than the kept one changes nothing."""
        ...

    async def snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the newest snapshot of a stream."""
        ...

    async def save_snapshot(self, stream: UUID, snapshot: Snapshot) -> None:
        """Keep this snapshot in place of an older one."""
        ...

    async def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew those of these leases that the owner has, take those that nobody has; give all that hold now, by name.

        Guarantee: by the store's clock, which no other clock can mislead, a lease has one owner at a time. Who lets
        one end and has it again has it under a higher number. A lease saves work; what is appended is judged by the
        versions of streams alone.
        """
        ...

    async def release(self, owner: str, names: Sequence[str]) -> None:
        """End at once those of these leases that the owner has."""
        ...

    async def close(self) -> None:
        """Finish the appends that were begun, and let go of files and connections."""
        ...
