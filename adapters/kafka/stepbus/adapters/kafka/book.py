"""What a reader has in hand of each partition, and how much of it may be committed.

A partition can only be committed up to an offset. So all that was fetched of it stands in its book until it is done
with, and what is committed is what comes before the first that is not. What was handed out and not acked in time, or
was given back, is handed out again from here.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from heapq import heappop, heappush
from itertools import count

from stepbus.orchestrator.ports import Delivery

_NEVER = float("inf")
_MOST_DELAYED = 10_000
"""How many may wait for their delay beside those in hand, before nothing more is fetched."""


Memory = dict[tuple[int, int], tuple[int, float]]
"""What is known of messages that an earlier book held, by partition and offset: how often they were delivered, and
until when they are still with somebody or wait for their delay."""


class Standing(Enum):
    """Where a message is."""

    WAITS = auto()
    OUT = auto()
    DELAYED = auto()
    DONE = auto()


class Hand:
    """How many messages one subscription has out, and how many it may have."""

    __slots__ = ("out", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.out = 0


class Held:
    """A message in the book; the receipt of its deliveries."""

    __slots__ = ("body", "book", "channel", "count", "due", "hand", "headers", "offset", "partition", "standing")

    def __init__(self, partition: int, offset: int, channel: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.partition = partition
        self.offset = offset
        self.channel = channel
        self.body = body
        self.headers = headers
        self.count = 0
        self.due = _NEVER
        self.book: Book | None = None
        self.hand: Hand | None = None
        self.standing = Standing.WAITS


class _Page:
    """A partition: what of it is not done with, in the order of offsets, and the offset of the next to be fetched."""

    __slots__ = ("committed", "is_committed", "next", "undone")

    def __init__(self, first: int) -> None:
        self.undone: dict[int, Held] = {}
        self.next = first
        self.committed = first
        self.is_committed = False

    def is_of_another_log(self, held: Held) -> bool:
        """Say whether a message can't have followed on what stands here: its topic was deleted and made again."""
        if held.offset < self.committed:
            return True
        known = self.undone.get(held.offset)
        return known is not None and known.body != held.body

    def done_to(self) -> int:
        return next(iter(self.undone), self.next)


class Book:
    """The messages that one reader holds. `memory` outlives the book: the next one goes by it."""

    def __init__(self, ack_wait_s: float, memory: Memory) -> None:
        self._ack_wait_s = ack_wait_s
        self._memory = memory
        self._pages: dict[int, _Page] = {}
        self._waiting: deque[Held] = deque()
        self._waiting_count = 0
        self._out: dict[Held, None] = {}
        self._delayed: list[tuple[float, int, Held]] = []
        self._delayed_count = 0
        self._numbers = count()
        self._due = _NEVER

    # --- what is fetched ---

    def room(self, in_hand: int) -> int:
        """Give how many more may be fetched for subscriptions that may have so many out."""
        too_many_delayed = max(0, self._delayed_count - _MOST_DELAYED)
        return in_hand - self._waiting_count - len(self._out) - too_many_delayed

    def take_in(self, messages: Iterable[Held], now: float) -> None:
        """Add what was fetched, in the order in which it is to be handed out."""
        for held in messages:
            page = self._pages.get(held.partition)
            if page is not None and page.is_of_another_log(held):
                self.forget([held.partition])
                page = None
            if page is None:
                page = self._pages[held.partition] = _Page(held.offset)
            if held.offset < page.next:
                continue
            held.book = self
            page.undone[held.offset] = held
            page.next = held.offset + 1
            if self._memory and self._is_still_out(held, now):
                continue
            self._wait(held)

    # --- what a subscription does ---

    def hand_out(self, hand: Hand, limit: int, now: float) -> Sequence[Delivery]:
        """Give up to `limit` messages that wait, as far as the hand has room."""
        taken: list[Delivery] = []
        due = now + self._ack_wait_s
        waiting = self._waiting
        for _ in range(min(limit, hand.size - hand.out)):
            held = None
            while waiting and (held := waiting.popleft()).standing is not Standing.WAITS:
                held = None
            if held is None:
                break
            self._waiting_count -= 1
            held.standing, held.due, held.hand = Standing.OUT, due, hand
            held.count += 1
            hand.out += 1
            self._out[held] = None
            taken.append(Delivery(held.channel, held.body, held.headers, held.count, held))
        if taken:
            self._due = min(self._due, due)
        return taken

    def done(self, held: Held) -> None:
        """Strike a message out, wherever it is."""
        if held.standing is not Standing.DONE:
            self._leave(held)
            held.standing = Standing.DONE
            page = self._pages.get(held.partition)
            if page is not None and page.undone.get(held.offset) is held:
                del page.undone[held.offset]

    def done_elsewhere(self, partition: int, offset: int) -> None:
        """Strike out a message that an earlier book handed out."""
        page = self._pages.get(partition)
        held = page.undone.get(offset) if page is not None else None
        if held is not None:
            self.done(held)

    def give_back(self, held: Held, delivery_count: int, delay_s: float, now: float) -> None:
        """Let a message that is out wait again, or wait for its time, unless it was handed out again since."""
        if held.standing is not Standing.OUT or held.count != delivery_count:
            return
        self._leave(held)
        if delay_s <= 0:
            self._wait(held)
            return
        held.standing = Standing.DELAYED
        held.due = now + delay_s
        self._delayed_count += 1
        heappush(self._delayed, (held.due, next(self._numbers), held))
        self._due = min(self._due, now + delay_s)

    def extend(self, held: Held, delivery_count: int, now: float) -> None:
        """Give a message that is out its whole time again."""
        if held.standing is Standing.OUT and held.count == delivery_count:
            held.due = now + self._ack_wait_s

    def to_be_given_again(self, now: float) -> bool:
        """Let all wait whose time is over, and say whether any does now."""
        if now < self._due:
            return False
        late = [held for held in self._out if held.due <= now]
        for held in late:
            self._leave(held)
            self._wait(held)
        while self._delayed and self._delayed[0][0] <= now:
            held = heappop(self._delayed)[2]
            if held.standing is Standing.DELAYED:
                self._leave(held)
                self._wait(held)
                late.append(held)
        first_delayed = self._delayed[0][0] if self._delayed else _NEVER
        self._due = min(min((held.due for held in self._out), default=_NEVER), first_delayed)
        return bool(late)

    @property
    def due(self) -> float:
        """Give when the next message may have to be handed out again, of the monotonic clock."""
        return self._due

    @property
    def has_waiting(self) -> bool:
        """Say whether a message waits to be handed out."""
        return self._waiting_count > 0

    @property
    def is_settled(self) -> bool:
        """Say that nothing is out."""
        return not self._out

    # --- what is committed ---

    def to_commit(self) -> Mapping[int, int]:
        """Give for each partition the offset up to which all is done with, where it is not committed yet."""
        found = {number: page.done_to() for number, page in self._pages.items()}
        return {number: offset for number, offset in found.items() if offset > self._pages[number].committed}

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Note what was committed."""
        for number, offset in offsets.items():
            page = self._pages.get(number)
            if page is not None:
                page.committed = max(page.committed, offset)
                page.is_committed = True

    def goes_on(self, partition: int, committed: int | None) -> int | None:
        """Give the offset of the next to be fetched, if what the brokers say was committed is what this book says."""
        page = self._pages.get(partition)
        if page is None or (committed is None and page.is_committed):
            return None
        return page.next if committed in {None, page.committed} else None

    def partitions(self) -> set[int]:
        """Give the partitions that have a page."""
        return set(self._pages)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop all of these partitions; what is done to their messages from now on is moot."""
        for number in partitions:
            page = self._pages.pop(number, None)
            for held in page.undone.values() if page is not None else ():
                self._leave(held)
                held.standing = Standing.DONE

    def stop_waiting(self) -> None:
        """Drop what is not out. It stays undone, so that nothing behind it is committed; it is remembered."""
        for page in self._pages.values():
            for held in page.undone.values():
                if held.count and len(self._memory) < _MOST_DELAYED:
                    due = 0.0 if held.standing is Standing.WAITS else held.due
                    self._memory[held.partition, held.offset] = (held.count, due)
        self._waiting.clear()
        self._waiting_count = 0
        self._delayed.clear()
        self._delayed_count = 0

    # --- moving ---

    def _is_still_out(self, held: Held, now: float) -> bool:
        held.count, due = self._memory.pop((held.partition, held.offset), (0, 0.0))
        if due <= now:
            return False
        held.standing, held.due = Standing.OUT, due
        self._out[held] = None
        self._due = min(self._due, due)
        return True

    def _wait(self, held: Held) -> None:
        held.standing = Standing.WAITS
        self._waiting_count += 1
        self._waiting.append(held)

    def _leave(self, held: Held) -> None:
        if held.standing is Standing.OUT:
            self._out.pop(held, None)
            if held.hand is not None:
                held.hand.out -= 1
                held.hand = None
        elif held.standing is Standing.WAITS:
            self._waiting_count -= 1
        elif held.standing is Standing.DELAYED:
            self._delayed_count -= 1
