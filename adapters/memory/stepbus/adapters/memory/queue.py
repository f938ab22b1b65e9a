"""A queue inside the process: messages that are worked off by those who share it.

Nothing runs in the background. What is due (a delayed message, one whose holder said nothing for too long) is found
when somebody asks for messages, and whoever waits for messages wakes when the next one is due. All calls must come from
one thread; none blocks.
"""

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much a broker keeps. Of ids it knows the last `duplicates`, each for `duplicate_window_s`."""

    ack_wait_s: float = 30.0
    duplicate_window_s: float = 120.0
    duplicates: int = 100_000
    message_bytes: int = 1024 * 1024
    queue_messages: int = 100_000
    queue_bytes: int = 256 * 1024 * 1024
    topic_messages: int = 10_000
    topic_bytes: int = 64 * 1024 * 1024


class Message:
    """A message in one queue, and who has it in hand until when."""

    __slots__ = ("address", "body", "count", "due", "headers", "holder", "is_done", "sequence")

    def __init__(self, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.address = address
        self.body = body
        self.headers = headers
        self.count = 0
        self.sequence = 0
        self.due = 0.0
        self.holder: Hand | None = None
        self.is_done = False


class Hand:
    """What one reader has out un-acked: at most `in_hand` messages, those due first standing first."""

    __slots__ = ("in_hand", "out")

    def __init__(self, in_hand: int) -> None:
        self.in_hand = in_hand
        self.out: OrderedDict[int, Message] = OrderedDict()


class Queue:
    """Messages in the order sent, each handed to one reader at a time until it is done with.

    A full queue either refuses the newest message or, if it `keeps_newest`, lets go of the oldest.
    """

    def __init__(self, limits: Limits, *, keeps_newest: bool, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._keeps_newest = keeps_newest
        self._clock = clock
        self._ready: deque[Message] = deque()
        self._delayed: list[tuple[float, int, Message]] = []
        self._hands: list[Hand] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._sequence = 0
        self._messages = 0
        self._bytes = 0
        self.group = ""

    def put(self, message: Message) -> bool:
        """Add a message at the end; say whether there was room for it."""
        if self._is_full(len(message.body)):
            if not self._keeps_newest:
                return False
            self._drop_oldest(len(message.body))
        self._sequence = message.sequence = self._sequence + 1
        self._messages += 1
        self._bytes += len(message.body)
        self._ready.append(message)
        self.wake()
        return True

    def join(self, hand: Hand) -> None:
        """Let a reader take part."""
        self._hands.append(hand)

    def leave(self, hand: Hand) -> None:
        """Let a reader go, and what it holds be redelivered at once."""
        if hand in self._hands:
            self._hands.remove(hand)
            self._redeliver(list(hand.out.values()))

    def retire(self, hand: Hand) -> None:
        """Hand out no more to a reader, who may still be at work on what he has."""
        hand.in_hand = 0
        self.wake()

    def take(self, hand: Hand, limit: int) -> list[Message]:
        """Hand out what is ready, as far as the reader's bound lets it."""
        now = self._clock()
        self._collect_due(now)
        taken: list[Message] = []
        room = min(limit, hand.in_hand - len(hand.out))
        due = now + self._limits.ack_wait_s
        while self._ready and len(taken) < room:
            message = self._ready.popleft()
            if message.is_done:
                continue
            message.count += 1
            message.holder = hand
            message.due = due
            hand.out[message.sequence] = message
            taken.append(message)
        return taken

    def finish(self, message: Message) -> None:
        """Forget a message, wherever it is by now."""
        if message.is_done:
            return
        message.is_done = True
        self._messages -= 1
        self._bytes -= len(message.body)
        _release(message)
        self.wake()

    def give_back(self, message: Message, delay_s: float) -> None:
        """Take a message out of its holder's hand, to be delivered again after the delay."""
        if delay_s <= 0:
            self._redeliver([message])
            return
        _release(message)
        heapq.heappush(self._delayed, (self._clock() + delay_s, message.sequence, message))
        self.wake()

    def extend(self, message: Message) -> None:
        """Start the wait for the ack anew."""
        if message.holder is not None:
            message.due = self._clock() + self._limits.ack_wait_s
            message.holder.out.move_to_end(message.sequence)

    async def changed(self, timeout_s: float) -> None:
        """Return when there may be something new to take, at the latest when the time has passed."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting.add(woken)
        due_s = min(self._dues(), default=float("inf")) - self._clock()
        timer = loop.call_later(max(0.0, min(timeout_s, due_s, self._limits.ack_wait_s)), _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)

    def wake(self) -> None:
        """Let all who wait look again."""
        if self._waiting:
            for woken in self._waiting:
                _wake(woken)
            self._waiting.clear()

    def _collect_due(self, now: float) -> None:
        for hand in tuple(self._hands):
            late = _until(hand.out, now)
            if late:
                self._redeliver(late)
            if hand.in_hand == 0 and not hand.out:
                self._hands.remove(hand)
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.append(heapq.heappop(self._delayed)[2])

    def _dues(self) -> Iterator[float]:
        for hand in self._hands:
            for message in hand.out.values():
                yield message.due
                break
        if self._delayed:
            yield self._delayed[0][0]

    def _redeliver(self, messages: list[Message]) -> None:
        for message in messages:
            _release(message)
        # in front of what was never delivered, so that the order is kept as far as it can be
        self._ready.extendleft(reversed(messages))
        self.wake()

    def _is_full(self, size: int) -> bool:
        if self._keeps_newest:
            return self._messages >= self._limits.topic_messages or self._bytes + size > self._limits.topic_bytes
        return self._messages >= self._limits.queue_messages or self._bytes + size > self._limits.queue_bytes

    def _drop_oldest(self, size: int) -> None:
        while self._ready and self._is_full(size):
            self.finish(self._ready.popleft())


def _until(out: OrderedDict[int, Message], now: float) -> list[Message]:
    late = []
    for message in out.values():
        if message.due > now:
            break
        late.append(message)
    return late


def _release(message: Message) -> None:
    if message.holder is not None:
        del message.holder.out[message.sequence]
        message.holder = None


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
