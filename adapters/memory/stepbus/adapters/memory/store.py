"""The log in the memory of this process: the reference, and gone with the object that holds it."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.popo import POPOProcessRecorder

from stepbus.adapters.recorders.log import KeepSnapshot, LogRecorder
from stepbus.orchestrator.ports import Append, Lease, LogIdentity, Snapshot, StoredRecord


def system_clock_ms() -> int:
    """Give this machine's clock."""
    return time.time_ns() // 1_000_000


class MemoryLog(POPOProcessRecorder, LogRecorder[None]):
    """The library's process recorder of plain objects, under one lock."""

    def __init__(self, clock_ms: Callable[[], int] = system_clock_ms) -> None:
        super().__init__()
        self._clock_ms = clock_ms
        self._identity = LogIdentity(secrets.token_hex(8), secrets.token_bytes(32))
        self._snapshots: dict[UUID, Snapshot] = {}
        self._leases: dict[str, tuple[str, int, int]] = {}

    @contextmanager
    def writing(self, *, durably: bool) -> Iterator[None]:  # noqa: ARG002 - nothing here outlives the process
        """Hold the one lock of the recorder."""
        with self._database_lock:
            yield

    def heads(self, cursor: None, streams: Sequence[UUID]) -> tuple[int, Sequence[int]]:  # noqa: ARG002
        """Count the records: of the log, and of each stream."""
        return len(self._stored_events), [len(self._stored_events_index.get(str(stream), ())) for stream in streams]

    def find(self, cursor: None, stream: UUID, version: int) -> StoredRecord | None:  # noqa: ARG002
        """Give one record."""
        place = self._stored_events_index.get(str(stream), {}).get(version)
        return None if place is None else self._record(place)

    def insert(self, cursor: None, first: int, accepted: Sequence[Append]) -> None:  # noqa: ARG002
        """Add the records behind the last one."""
        self._update_table(
            [StoredEvent(stream, expected + 1, category, data) for stream, expected, category, data in accepted]
        )

    def track(self, cursor: None, tracking: Tracking) -> None:  # noqa: ARG002
        """Keep how far a reader has come."""
        self.insert_tracking(tracking)

    def upsert_snapshot(self, cursor: None, kept: KeepSnapshot) -> None:  # noqa: ARG002
        """Keep a snapshot, unless a newer one is kept."""
        older = self._snapshots.get(kept.stream)
        if older is None or older.version <= kept.snapshot.version:
            self._snapshots[kept.stream] = kept.snapshot

    def select_stream(self, stream: UUID, after: int) -> Sequence[StoredRecord]:
        """Give the records of a stream above a version."""
        with self._database_lock:
            versions = self._stored_events_index.get(str(stream), {})
            return [self._record(versions[version]) for version in range(after + 1, len(versions) + 1)]

    def select_log(self, after: int, limit: int, category: str | None) -> Sequence[StoredRecord]:
        """Give records above a position."""
        with self._database_lock:
            records = map(self._record, range(max(after, 0), len(self._stored_events)))
            wanted = (record for record in records if category is None or record.category == category)
            return [record for _, record in zip(range(limit), wanted, strict=False)]

    def select_snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the kept snapshot of a stream."""
        with self._database_lock:
            return self._snapshots.get(stream)

    def identify(self) -> LogIdentity:
        """Give the identity that this object was made with."""
        return self._identity

    def clock_ms(self) -> int:
        """Give the clock that this object was made with."""
        return self._clock_ms()

    def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
        """Renew or take leases, and give all that hold."""
        with self._database_lock:
            now_ms = self._clock_ms()
            for name in names:
                held_by, number, ends_ms = self._leases.get(name, ("", 0, 0))
                is_over = ends_ms <= now_ms
                if is_over or held_by == owner:
                    self._leases[name] = (owner, number + is_over, now_ms + for_ms)
            return [
                Lease(name, held_by, number, ends_ms - now_ms)
                for name, (held_by, number, ends_ms) in sorted(self._leases.items())
                if ends_ms > now_ms
            ]

    def release(self, owner: str, names: Sequence[str]) -> None:
        """End leases."""
        with self._database_lock:
            for name in names:
                held_by, number, _ = self._leases.get(name, ("", 0, 0))
                if held_by == owner:
                    self._leases[name] = (owner, number, 0)

    def close(self) -> None:
        """Keep the records: whoever has the object may open a store on it again."""

    def _record(self, place: int) -> StoredRecord:
        event = self._stored_events[place]
        return StoredRecord(
            place + 1, UUID(str(event.originator_id)), event.originator_version, event.topic, event.state
        )
