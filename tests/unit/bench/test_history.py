"""What the end of a log says of a run."""

from itertools import count
from uuid import UUID, uuid4

from stepbus.contracts import events as e
from stepbus.orchestrator.bench.floor import renamed
from stepbus.orchestrator.bench.history import History, history_of, read_history
from stepbus.orchestrator.ports import Append, StoredRecord
from stepbus.orchestrator.testing.store_suite.child import open_by_url

ACCEPTED = e.TaskAccepted(
    namespace="bench", name="W2", version="1.0.0", template_hash="0" * 64, context={}, request_id="r"
)
DONE = e.TaskCompleted()


def dispatched(step: str) -> e.StepDispatched:
    return e.StepDispatched(step=step, attempt=1, deadline_at_ms=10**6)


def completed(step: str) -> e.StepCompleted:
    return e.StepCompleted(step=step, attempt=1, result=None)


def data(at_ms: int, *events: e.Event) -> bytes:
    return e.encode_record(e.Record(1, e.Metadata(at_ms=at_ms), events))


class Log:
    """Records as they are written, some of which are looked at."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self._positions = count(1)

    def add(self, stream: UUID, version: int, at_ms: int, *events: e.Event, category: str = e.TASK) -> None:
        self.records.append(StoredRecord(next(self._positions), stream, version, category, data(at_ms, *events)))

    def task(self, stream: UUID, at_ms: int) -> None:
        """A task of two steps that take 3 and 5 ms."""
        self.add(stream, 1, at_ms, ACCEPTED, dispatched("s0"))
        self.add(stream, 2, at_ms + 3, completed("s0"), dispatched("s1"))
        self.add(stream, 3, at_ms + 8, completed("s1"), DONE)


def two_tasks() -> tuple[Log, UUID, UUID]:
    log, first, second = Log(), uuid4(), uuid4()
    log.task(first, 100)
    log.task(second, 200)
    return log, first, second


def test_a_step_takes_from_its_dispatch_to_its_completion() -> None:
    log, _, _ = two_tasks()

    history = history_of(log.records)

    assert history.step_ms == [3, 5, 3, 5]
    assert (len(history.whole), history.whole_steps, history.others) == (6, 4, 0)


def test_a_task_whose_beginning_or_end_is_not_there_is_not_whole() -> None:
    log, first, second = two_tasks()

    without_begin, without_end = history_of(log.records[1:]), history_of(log.records[:-1])

    assert {stored.stream for stored in without_begin.whole} == {second}
    assert {stored.stream for stored in without_end.whole} == {first}
    assert (without_begin.step_ms, without_begin.whole_steps) == ([5, 3, 5], 2)


def test_what_was_ignored_is_counted_apart() -> None:
    log, first, _ = two_tasks()
    ignored = e.AnswerIgnored(
        task_id=first, step="s0", attempt=1, code="result.duplicate", reason="", answer_type="step.completed"
    )
    log.add(uuid4(), 1, 300, ignored, category=e.IGNORED)

    assert history_of(log.records).others == 1


async def test_only_the_end_of_a_long_log_is_read() -> None:
    log, _, second = two_tasks()
    store = await open_by_url("memory:")
    await store.append([Append(each.stream, each.version - 1, each.category, each.data) for each in log.records])

    history = await read_history(store, after=0, limit=3)
    later = await read_history(store, after=5)
    await store.close()

    assert {stored.stream for stored in history.whole} == {second}
    assert later.step_ms == []


async def test_a_history_can_be_written_once_more_under_other_names() -> None:
    log, first, second = two_tasks()
    history = history_of(log.records)

    again = renamed(history)

    assert [append.data for append in again] == [stored.data for stored in log.records]
    assert [append.expected for append in again] == [0, 1, 2, 0, 1, 2]
    assert len({append.stream for append in again}) == 2
    assert not {append.stream for append in again} & {first, second}


def test_of_no_records_nothing_is_known() -> None:
    assert history_of([]) == History([], [], 0, 0)
