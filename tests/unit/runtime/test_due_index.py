"""The index of bounds: which tasks it has looked at when, and how little room it takes."""

from itertools import chain

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.runtime.due_index import DueIndex, due_ms_set_by
from stepbus.orchestrator.runtime.due_snapshot import DueSnapshot
from tests.unit.core.examples import accepted, completed, dispatched, failed, stories, task_failed, timed_out

GENERATION_MS, HOUR_MS = 30_000, 3_600_000
START = 1_000 * GENERATION_MS
"""When a generation begins."""

FAR = START + 5 * GENERATION_MS
ONE, TWO, THREE = 1, 2, 2**128 - 1
GIVEN = stories("a", "b")


def at(due_ms: int, name: str = "a") -> e.StepDispatched:
    return dispatched(name, at=due_ms, timeout=0)


def begun() -> DueIndex:
    index = DueIndex(GENERATION_MS)
    assert index.take(START, 1) == []
    return index


def of(*events: e.Event) -> DueIndex:
    """An index that has taken in what happened to task one."""
    index = begun()
    index.absorb(ONE, events)
    return index


def restored(index: DueIndex) -> DueIndex:
    return thawed(index.frozen())


def thawed(frozen: DueSnapshot) -> DueIndex:
    index = DueIndex(GENERATION_MS)
    index.restore(DueSnapshot.decode(frozen.encode()))
    return index


def looked_at(index: DueIndex, until_ms: int) -> list[tuple[int, int]]:
    """What is taken, and when, if the index is asked whenever it says and each look finds that nothing is due."""
    found = []
    while (next_ms := index.next_ms()) is not None and next_ms <= until_ms:
        for task in index.take(next_ms, 100):
            found.append((next_ms, task))
            index.settle(task, None)
    return found


def test_an_empty_index_waits_for_nothing() -> None:
    assert begun().next_ms() is None
    assert begun().take(10**15, 100) == []


@pytest.mark.parametrize(
    "event",
    [
        accepted(GIVEN, deadline_at_ms=START + 50),
        at(START + 50),
        failed("a", 1, START + 50),
        timed_out("a", 1, START + 50),
    ],
    ids=lambda event: event.TYPE,
)
def test_a_task_is_looked_at_when_the_timer_is_due_that_an_event_sets(event: e.Event) -> None:
    assert due_ms_set_by(event) == START + 50
    assert looked_at(of(event), FAR) == [(START + 50, ONE)]


@pytest.mark.parametrize(
    "event",
    [
        accepted(GIVEN),
        completed("a"),
        failed("a"),
        timed_out("a"),
        e.TaskReopened(),
        e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=START + 50),
    ],
    ids=lambda event: event.TYPE,
)
def test_an_event_that_brings_no_timer_forward_takes_no_room(event: e.Event) -> None:
    assert due_ms_set_by(event) is None
    assert of(event).next_ms() is None


def test_nothing_is_taken_before_its_time() -> None:
    assert of(at(START + 50)).take(START + 49, 100) == []


def test_what_is_taken_is_not_taken_again_before_it_is_settled() -> None:
    index = of(at(START + 50))

    assert index.take(START + 50, 100) == [ONE]
    assert index.take(START + 50, 100) == []

    index.settle(ONE, START + 70)

    assert index.next_ms() == START + 70
    assert index.take(START + 70, 100) == [ONE]


def test_only_the_earliest_of_a_tasks_timers_counts() -> None:
    index = of(at(START + 90), at(START + 50, "b"), at(START + 70))

    assert looked_at(index, FAR) == [(START + 50, ONE)]


def test_a_timer_set_while_its_task_is_in_hand_is_kept() -> None:
    index = of(at(START + 50))
    index.take(START + 50, 100)

    index.absorb(ONE, [at(START + 60)])
    index.settle(ONE, None)

    assert looked_at(index, FAR) == [(START + 60, ONE)]


@pytest.mark.parametrize("due_ms", [START + 50, FAR], ids=["near", "far"])
@pytest.mark.parametrize(
    "ended",
    [e.TaskCompleted(), task_failed("a"), e.TaskCancelled(), e.TaskResolvedManually()],
    ids=lambda event: event.TYPE,
)
def test_a_task_that_ends_soon_is_never_looked_at(ended: e.Event, due_ms: int) -> None:
    index = of(at(due_ms), ended)

    assert looked_at(index, 2 * FAR) == []
    assert index.next_ms() is None


def test_a_timer_set_after_the_end_in_the_same_record_counts() -> None:
    assert looked_at(of(at(START + 50), task_failed("a"), e.TaskReopened(), at(START + 60)), FAR) == [(START + 60, ONE)]


def test_tasks_are_looked_at_in_the_order_of_their_bounds_no_more_than_asked_for() -> None:
    index = of(at(START + 30))
    index.absorb(TWO, [at(START + 10)])
    index.absorb(THREE, [at(START + 20)])

    assert index.take(START + 100, 2) == [TWO, THREE]
    assert index.take(START + 100, 2) == [ONE]


@pytest.mark.parametrize("due_ms", [FAR, FAR + 1, FAR + 999])
def test_what_is_far_is_looked_at_in_the_second_of_its_bound(due_ms: int) -> None:
    assert looked_at(of(at(due_ms)), 2 * FAR) == [(FAR, ONE)]


def test_what_is_more_than_an_hour_away_is_looked_at_in_its_minute_and_then_in_its_second() -> None:
    due_ms = START + 2 * HOUR_MS + 59_007
    index = of(at(due_ms))

    assert index.take(START + 2 * GENERATION_MS, 100) == []
    assert index.next_ms() == START + 2 * HOUR_MS
    assert index.take(START + 2 * HOUR_MS, 100) == [ONE]

    index.settle(ONE, due_ms)

    assert looked_at(index, due_ms) == [(due_ms, ONE)]


def test_tasks_that_wait_for_days_share_few_buckets() -> None:
    index = begun()
    for task in range(1_000):
        index.settle(task, START + 2 * HOUR_MS + task * 7_200)

    assert len(index.frozen().buckets) <= 121


@pytest.mark.parametrize("due_ms", [START + 2 * GENERATION_MS, START + 3 * GENERATION_MS - 1])
def test_what_was_far_and_is_near_when_its_generation_ends_keeps_its_time(due_ms: int) -> None:
    assert looked_at(of(at(due_ms)), FAR) == [(due_ms, ONE)]


def test_a_task_touched_in_each_generation_is_not_looked_at_before_its_bound() -> None:
    index = of(at(FAR + 7))
    for generation in range(1, 5):
        assert index.take(START + generation * GENERATION_MS, 100) == []
        index.absorb(ONE, [completed("a"), at(FAR + generation * GENERATION_MS)])

    assert looked_at(index, FAR + 7) == [(FAR + 7, ONE)]


def test_a_task_that_comes_back_from_its_bucket_can_be_due_sooner() -> None:
    index = of(at(FAR))
    index.take(START + 2 * GENERATION_MS, 1)

    index.absorb(ONE, [failed("a", 1, START + 2 * GENERATION_MS + 5)])

    assert looked_at(index, 2 * FAR) == [(START + 2 * GENERATION_MS + 5, ONE), (FAR, ONE)]


@pytest.mark.parametrize("later_ms", [1, 10 * GENERATION_MS], ids=["at the end of a generation", "long after"])
def test_a_process_that_stood_still_takes_at_once_what_became_due(later_ms: int) -> None:
    index = of(at(FAR))
    index.absorb(TWO, [at(START + 2 * GENERATION_MS)])
    index.take(START + GENERATION_MS, 1)
    index.absorb(THREE, [at(FAR)])

    assert sorted(index.take(FAR + later_ms, 100)) == [ONE, TWO, THREE]


def test_a_clock_that_goes_back_loses_nothing() -> None:
    index = of(at(FAR), completed("a"))
    index.take(START - FAR, 1)
    index.absorb(TWO, [at(START + 5)])

    assert looked_at(index, FAR) == [(START + 5, TWO), (FAR, ONE)]


def test_a_second_with_many_tasks_is_taken_part_by_part() -> None:
    index = begun()
    for task in range(10):
        index.settle(task, FAR + task)

    taken = [index.take(FAR, 4) for _ in range(4)]

    assert [len(part) for part in taken] == [4, 4, 2, 0]
    assert sorted(chain(*taken)) == list(range(10))


def test_a_task_in_two_buckets_is_looked_at_once_at_a_time() -> None:
    index = begun()
    for due_ms in (FAR, FAR, FAR + 1000):
        index.settle(ONE, due_ms)

    assert index.take(FAR + 1000, 100) == [ONE]


def test_what_was_in_hand_can_be_put_back() -> None:
    index = of(at(START + 50))
    index.take(START + 50, 100)

    index.put_back()

    assert index.take(START + 50, 100) == [ONE]


def test_whether_something_is_near_is_asked_of_what_was_touched_lately() -> None:
    index = of(at(START + 50), at(FAR, "b"))

    assert index.is_near(START + 51)
    assert not index.is_near(START + 50)
    assert not begun().is_near(10**15)


def test_what_was_dumped_is_looked_at_no_later_than_before() -> None:
    index = of(at(START + 50))
    index.absorb(TWO, [at(FAR)])
    index.settle(THREE, FAR)
    index.take(START + GENERATION_MS, 0)

    assert sorted(looked_at(restored(index), 2 * FAR)) == [(START, ONE), (FAR, TWO), (FAR, THREE)]


def test_what_was_in_hand_when_it_was_dumped_is_looked_at_at_once() -> None:
    index = of(at(START + 50))
    index.take(START + 50, 100)

    assert restored(index).take(START + 50, 100) == [ONE]


def test_a_dump_is_what_the_index_was_when_it_was_frozen() -> None:
    index = of(at(FAR))
    frozen = index.frozen()
    index.absorb(ONE, [e.TaskCompleted()])

    assert looked_at(thawed(frozen), FAR) == [(FAR, ONE)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "expected a snapshot of format 1"),
        (b"[[]]", "expected a snapshot of format 1"),
        (b"\x02\0\0\0\0", "expected a snapshot of format 1"),
        (b"\x01\0\0\0\1", "expected bytes with the sum 0x1"),
    ],
    ids=["nothing", "another format", "a newer format", "not whole"],
)
def test_a_snapshot_that_is_not_whole_or_of_another_format_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        DueSnapshot.decode(data)


def test_a_snapshot_takes_16_bytes_a_task() -> None:
    index = begun()
    for task in range(10_000):
        index.absorb(task, [at(FAR)])

    assert len(index.frozen().encode()) < 16 * 10_000 + 100


@pytest.mark.parametrize("timeout_ms", [1_000, 300_000], ids=["near", "far"])
def test_the_room_of_an_index_is_bounded_by_its_open_tasks(timeout_ms: int) -> None:
    """100,000 dispatches of 100 tasks at a time, 10 steps each, a millisecond apart."""
    index, open_tasks = begun(), 100
    most = 0
    for count in range(100_000):
        task = count // (10 * open_tasks) * open_tasks + count % open_tasks
        is_last = count // open_tasks % 10 == 9
        index.absorb(task, [e.TaskCompleted()] if is_last else [completed("a"), at(START + count + timeout_ms)])
        most = max(most, room(index))

    assert most <= 4 * open_tasks + 1_000


def room(index: DueIndex) -> int:
    """How many entries an index has in its dictionaries, its heap and its buckets."""
    frozen = index.frozen()
    entries = len(vars(index)["_near"]) + sum(map(len, frozen.bounds))
    return entries + sum(len(ids) for ids in frozen.buckets.values()) // 16
