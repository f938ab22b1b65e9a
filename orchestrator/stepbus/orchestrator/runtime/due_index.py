"""When to look at which task: one moment a task, before which no timer of it is due.

What a task waits for stands in its state, so the index need not repeat it. It keeps lower bounds: an event that sets a
timer may bring the bound of its task forward, one that clears a timer or puts it off leaves it where it is, and a look
at the state says what is due and when to look again. To look too early costs a look; to look too late never happens.

A task that was touched lately stands in a dictionary, so that its next events know its bound, and in a heap if its
bound is near. One that is left alone for one to two generations goes into the bucket of the second in which its bound
lies (of the minute, if it is more than an hour away), at 16 bytes a task, unless it is due as soon. That it is there is
not known to its next event, which sets a bound of its own beside it. A task that ends quickly leaves no trace.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any

from stepbus.contracts import events as e
from stepbus.orchestrator.runtime.due_snapshot import ID_BYTES, DueSnapshot

_SECOND_MS, _HOUR_MS = 1000, 3_600_000
_MINUTE_S = 60
_STALE_AT_MOST = 1_000
_NEVER = 1 << 63

_deadline_ms: Callable[[Any], int | None] = attrgetter("deadline_at_ms")
_retry_ms: Callable[[Any], int | None] = attrgetter("retry_at_ms")

_SETS: Mapping[type[e.Event], Callable[[Any], int | None]] = {
    e.TaskAccepted: _deadline_ms,
    e.StepDispatched: _deadline_ms,
    e.StepFailed: _retry_ms,
    e.StepTimedOut: _retry_ms,
}
"""When the timer is due that an event sets, if it does. A heartbeat only puts off the one that its step has."""

_ENDS = frozenset({e.TaskCompleted, e.TaskFailed, e.TaskCancelled, e.TaskResolvedManually})
"""After these a task has no timers, unless a later event sets one."""


def due_ms_set_by(event: e.Event) -> int | None:
    """Give when the timer is due that the event sets; None if it sets none."""
    due_ms_of = _SETS.get(type(event))
    return None if due_ms_of is None else due_ms_of(event)


class DueIndex:
    """The bounds of all tasks that may have a timer. A task is the integer of its id; times are the store's, in ms.

    Guarantee: a task with a timer that is due is among those that `take` gives. What was taken is in hand until it is
    settled, and `frozen` has it too. A generation takes a second at least, so what goes into a bucket is never in one
    whose second has begun.
    """

    def __init__(self, generation_ms: int) -> None:
        self._generation_ms = max(_SECOND_MS, generation_ms)
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._near: list[tuple[int, int]] = []
        self._buckets: dict[int, bytearray] = {}
        self._seconds: list[int] = []
        self._in_hand: set[int] = set()
        self._generation = 0
        self._horizon_ms = 2 * self._generation_ms

    def absorb(self, task: int, events: Iterable[e.Event]) -> None:
        """Take in what happened to a task. Mostly its bound is known, and what follows is due later."""
        known_ms = self._young.get(task, _NEVER)
        for event in events:
            kind = type(event)
            due_ms_of = _SETS.get(kind)
            if due_ms_of is not None:
                due_ms = due_ms_of(event)
                if due_ms is not None and due_ms < known_ms:
                    self._bring_forward(task, due_ms)
            elif kind in _ENDS:
                known_ms = _NEVER
                self._young.pop(task, None)
                self._old.pop(task, None)

    def next_ms(self) -> int | None:
        """Give when there may be something to take, or a generation to move on; None if there is nothing at all."""
        moments = [self._seconds[0] * _SECOND_MS] if self._seconds else []
        if self._near:
            moments.append(self._near[0][0])
        if self._young or self._old:
            moments.append((self._generation + 1) * self._generation_ms)
        return min(moments, default=None)

    def is_near(self, before_ms: int) -> bool:
        """Say whether a task that was touched lately may be due before then."""
        return bool(self._near) and self._near[0][0] < before_ms

    def take(self, now_ms: int, limit: int) -> list[int]:
        """Take in hand the tasks whose bounds have come, at most so many."""
        self._move_on(now_ms)
        taken: list[int] = []
        while len(taken) < limit and self._near and self._near[0][0] <= now_ms:
            bound_ms, task = heappop(self._near)
            if self._young.get(task) == bound_ms:
                del self._young[task]
            elif self._old.get(task) == bound_ms:
                del self._old[task]
            else:
                continue  # it ended, or its bound was brought forward
            self._hold(task, taken)
        while len(taken) < limit and self._seconds and self._seconds[0] * _SECOND_MS <= now_ms:
            self._take_from(self._seconds[0], limit - len(taken), taken)
        return taken

    def settle(self, task: int, next_ms: int | None) -> None:
        """Let go of a task that was looked at, and look again then."""
        self._in_hand.discard(task)
        if next_ms is not None:
            self._put(task, next_ms)

    def put_back(self) -> None:
        """Let go of all that is in hand, to be taken again at once."""
        for task in tuple(self._in_hand):
            self.settle(task, 0)

    def frozen(self) -> DueSnapshot:
        """Give all of it as it is now, for another thread to encode."""
        under_way = dict.fromkeys(self._in_hand, 0)
        buckets = {second: bytes(ids) for second, ids in self._buckets.items()}
        return DueSnapshot((under_way, self._young.copy(), self._old.copy()), buckets)

    def restore(self, snapshot: DueSnapshot) -> None:
        """Take in what a decoded snapshot holds."""
        for second, ids in snapshot.buckets.items():
            self._bucket(second).extend(ids)

    def _put(self, task: int, bound_ms: int) -> None:
        """Have the task looked at no later than then; it need not have been touched."""
        if bound_ms < self._horizon_ms:
            self._bring_forward(task, bound_ms)
        else:
            second = bound_ms // _SECOND_MS
            if bound_ms > self._horizon_ms + _HOUR_MS:
                second -= second % _MINUTE_S  # few buckets, at the price of one more look
            self._bucket(second).extend(task.to_bytes(ID_BYTES))

    def _bring_forward(self, task: int, bound_ms: int) -> None:
        """Count the task as touched, and have it looked at no later than then."""
        known_ms = self._young.get(task)
        if known_ms is not None and known_ms <= bound_ms:
            return
        bound_ms = min(bound_ms, self._old.pop(task, bound_ms))
        self._young[task] = bound_ms
        if bound_ms < self._horizon_ms:
            heappush(self._near, (bound_ms, task))
            if len(self._near) > 2 * (len(self._young) + len(self._old)) + _STALE_AT_MOST:
                self._sweep()

    def _sweep(self) -> None:
        """Rid the heap of what is stale."""
        self._near = [
            (bound_ms, task)
            for tasks in (self._young, self._old)
            for task, bound_ms in tasks.items()
            if bound_ms < self._horizon_ms
        ]
        heapify(self._near)

    def _move_on(self, now_ms: int) -> None:
        """Begin a new generation when it is time.

        The horizon lies where this generation will have gone into buckets; only what is due before it needs the heap.
        """
        generation = now_ms // self._generation_ms
        if generation <= self._generation:
            return
        leaving = [self._old]
        self._old, self._young = self._young, {}
        if generation > self._generation + 1:
            leaving.append(self._old)
            self._old = {}
        self._generation, self._horizon_ms = generation, (generation + 2) * self._generation_ms
        for tasks in leaving:
            for task, bound_ms in tasks.items():
                self._put(task, bound_ms)

    def _bucket(self, second: int) -> bytearray:
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = bytearray()
            heappush(self._seconds, second)
        return bucket

    def _take_from(self, second: int, limit: int, taken: list[int]) -> None:
        bucket = self._buckets[second]
        ids = bytes(bucket[-limit * ID_BYTES :])
        del bucket[-limit * ID_BYTES :]
        for place in range(0, len(ids), ID_BYTES):
            self._hold(int.from_bytes(ids[place : place + ID_BYTES]), taken)
        if not bucket:
            heappop(self._seconds)
            del self._buckets[second]

    def _hold(self, task: int, taken: list[int]) -> None:
        if task not in self._in_hand:
            self._in_hand.add(task)
            taken.append(task)
