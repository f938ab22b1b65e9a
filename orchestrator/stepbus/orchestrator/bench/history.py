"""What the log says of a run, read when the run is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore, StoredRecord

_SAMPLE = 30_000
_READ = 1000


@dataclass(frozen=True, slots=True)
class History:
    """The end of a log: records in order, and what they say.

    Shape: `step_ms` has, for each step that completed, the time from its dispatch; `whole` are the records of the
    tasks that are there from their first to their last, with `whole_steps` steps in all; `others` are the records that
    are no task's: what was ignored, or quarantined.
    """

    step_ms: Sequence[int]
    whole: Sequence[StoredRecord]
    whole_steps: int
    others: int


async def read_history(store: EventStore, after: int, limit: int = _SAMPLE) -> History:
    """Give what the log says behind a position, of its last `limit` records if there are more."""
    head = await store.head()
    position = max(after, head - limit)
    records: list[StoredRecord] = []
    while position < head:
        records += await store.read(position, _READ)
        position = records[-1].position
    return history_of(records)


def history_of(records: Sequence[StoredRecord]) -> History:
    """Give what these records say."""
    dispatched: dict[tuple[UUID, str], int] = {}
    step_ms: list[int] = []
    steps: dict[UUID, int] = {}
    completed: set[UUID] = set()
    others = 0
    for stored in records:
        if stored.category != e.TASK:
            others += 1
            continue
        record = e.decode_record(stored.data)
        if stored.version == 1:
            steps[stored.stream] = 0
        for event in record.events:
            match event:
                case e.StepDispatched():
                    dispatched[stored.stream, event.step] = record.meta.at_ms
                case e.StepCompleted():
                    at_ms = dispatched.pop((stored.stream, event.step), None)
                    if at_ms is not None:
                        step_ms.append(record.meta.at_ms - at_ms)
                    if stored.stream in steps:
                        steps[stored.stream] += 1
                case e.TaskCompleted():
                    completed.add(stored.stream)
    whole = completed & steps.keys()
    kept = [stored for stored in records if stored.stream in whole]
    return History(step_ms, kept, sum(steps[stream] for stream in whole), others)
