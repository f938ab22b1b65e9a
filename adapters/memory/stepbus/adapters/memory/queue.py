"""A queue inside the process: messages that are worked off by those who share it.

Nothing runs in the background. What is due (a delayed message, one whose holder said nothing for too long) is found
when somebody asks for messages, and whoever waits for messages wakes when the next one is due. All calls must come from
one thread; none blocks.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

_NEVER = float("inf")


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
    """A message in one queue, and who has it in hand."""

    __slots__ = ("body", "channel", "count", "headers", "holder", "is_done")

    def __init__(self, channel: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.channel = channel
        self.body = body
        self.headers = headers
        self.count = 0
        self.holder: Hand | None = None
        self.is_done = False


class Hand:
    """What one reader has out un-acked: at most `in_hand` messages, each with its due time, those due first first.

    None of them is due before `due`. The first would say when exactly, but to find it takes longer the more was acked
    in front of it. `served` rises with each time that something is handed out. With a `channel`, messages of others
    are not for this reader.
    """

    __slots__ = ("channel", "due", "in_hand", "out", "served")

    def __init__(self, in_hand: int, channel: str = "") -> None:
        self.in_hand = in_hand
        self.channel = channel
        self.out: dict[Message, float] = {}
        self.due = _NEVER
        self.served = 0


class Queue:
    """Messages in the order sent, each handed to one reader at a time until it is done with.

    A full queue either refuses the newest message or, if it `keeps_newest`, lets go of the oldest.
    """

    def __init__(self, limits: Limits, *, keeps_newest: bool, clock: Callable[[], float]) -> None:
        self._ack_wait_s = limits.ack_wait_s
        self._most_messages = limits.topic_messages if keeps_newest else limits.queue_messages
        self._most_bytes = limits.topic_bytes if keeps_newest else limits.queue_bytes
        self._keeps_newest = keeps_newest
        self._clock = clock
        self._ready: deque[Message] = deque()
        self._delayed: list[tuple[float, int, Message]] = []
        self._delays = count()
        self._hands: list[Hand] = []
        self._waiting: dict[asyncio.Future[None], Hand] = {}
        self._served = 0
        self._messages = 0
        self._bytes = 0
        self.group = ""

    def put(self, message: Message) -> bool:
        """Add a message at the end; say whether there was room for it."""
        size = len(message.body)
        if self._messages >= self._most_messages or self._bytes + size > self._most_bytes:
            if not self._keeps_newest:
                return False
            self._make_room(size)
        self._messages += 1
        self._bytes += size
        self._ready.append(message)
        if self._waiting:
            self.wake()
        return True

    def join(self, hand: Hand) -> None:
        """Let a reader take part."""
        self._hands.append(hand)

    def leave(self, hand: Hand) -> None:
        """Let a reader go, and what it holds be redelivered at once."""
        if hand in self._hands:
            self._hands.remove(hand)
            self._redeliver(list(hand.out))

    def retire(self, hand: Hand) -> None:
        """Hand out no more to a reader, who may still be at work on what he has."""
        hand.in_hand = 0
        self.wake()

    def take(self, hand: Hand, limit: int) -> list[Message]:
        """Hand out what is ready, as far as the reader's bound lets it."""
        now = self._clock()
        self._collect_due(now)
        due = now + self._ack_wait_s
        hand.due = min(hand.due, due)
        out = hand.out
        room = min(limit, hand.in_hand - len(out))
        ready = self._picked(hand.channel, room) if hand.channel else self._ready
        taken: list[Message] = []
        while ready and len(taken) < room:
            message = ready.popleft()
            if not message.is_done:
                message.count += 1
                message.holder = hand
                out[message] = due
                taken.append(message)
        if taken:
            self._served = hand.served = self._served + 1
        return taken

    def _picked(self, channel: str, most: int) -> deque[Message]:
        """Take what is ready of one channel out of what is ready, as far as there is room for it."""
        picked: deque[Message] = deque()
        rest: deque[Message] = deque()
        for message in self._ready:
            (picked if message.channel == channel and len(picked) < most else rest).append(message)
        self._ready = rest
        return picked

    def finish(self, messages: Sequence[Message]) -> None:
        """Forget messages, wherever they are by now."""
        for message in messages:
            if not message.is_done:
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
        heapq.heappush(self._delayed, (self._clock() + delay_s, next(self._delays), message))
        self.wake()

    def extend(self, message: Message) -> None:
        """Start the wait for the ack anew."""
        if message.holder is not None:
            out = message.holder.out
            del out[message]  # so that it stands last again
            out[message] = self._clock() + self._ack_wait_s

    async def changed(self, hand: Hand, timeout_s: float) -> None:
        """Return when there may be something new to take, at the latest when the time has passed."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting[woken] = hand
        due_s = max(0.0, min(self._dues()) - self._clock())
        timer = loop.call_later(due_s, self.wake) if due_s < timeout_s else loop.call_later(timeout_s, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.pop(woken, None)

    def wake(self) -> None:
        """Let all who wait look again, first him who was given nothing for the longest time."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for woken in sorted(waiting, key=lambda one: waiting[one].served):
                _wake(woken)

    def _collect_due(self, now: float) -> None:
        for hand in tuple(self._hands):
            if hand.due <= now:
                self._redeliver(_until(hand.out, now))
                hand.due = next(iter(hand.out.values()), _NEVER)
            if hand.in_hand == 0 and not hand.out:
                self._hands.remove(hand)
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.append(heapq.heappop(self._delayed)[2])

    def _dues(self) -> Iterator[float]:
        yield self._clock() + self._ack_wait_s
        for hand in self._hands:
            yield hand.due
        if self._delayed:
            yield self._delayed[0][0]

    def _redeliver(self, messages: list[Message]) -> None:
        for message in messages:
            _release(message)
        # in front of what was never delivered, so that the order is kept as far as it can be
        self._ready.extendleft(reversed(messages))
        self.wake()

    def _make_room(self, size: int) -> None:
        while self._ready and (self._messages >= self._most_messages or self._bytes + size > self._most_bytes):
            self.finish([self._ready.popleft()])


def _until(out: Mapping[Message, float], now: float) -> list[Message]:
    late = []
    for message, due in out.items():
        if due > now:
            break
        late.append(message)
    return late


def _release(message: Message) -> None:
    if message.holder is not None:
        del message.holder.out[message]
        message.holder = None


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
