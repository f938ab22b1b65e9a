"""A message broker inside the process: queues that are worked off, topics that are told to all."""

from collections import deque
from collections.abc import Callable
from time import monotonic

from stepbus.adapters.memory.queue import Limits, Message, Queue


class Topic:
    """Messages told to every group, and the newest of them kept for a group that comes later."""

    def __init__(self, limits: Limits, *, keeps: bool, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._keeps = keeps
        self._clock = clock
        self._kept: deque[Message] = deque()
        self._bytes = 0
        self._groups: dict[str, Queue] = {}
        self._alone: set[Queue] = set()

    def put(self, message: Message) -> bool:
        """Tell a message to all; the newest always finds room."""
        for queue in (*self._groups.values(), *self._alone):
            queue.put(Message(message.channel, message.body, message.headers))
        if self._keeps:
            self._kept.append(message)
            self._bytes += len(message.body)
            while len(self._kept) > self._limits.topic_messages or self._bytes > self._limits.topic_bytes:
                self._bytes -= len(self._kept.popleft().body)
        return True

    def group(self, name: str) -> Queue:
        """Give the queue of a group; a new one starts with all that is kept."""
        if name not in self._groups:
            self._groups[name] = self._queue(from_start=True)
        return self._groups[name]

    def listen(self, *, from_start: bool) -> Queue:
        """Give a queue of one's own, until `leave`."""
        queue = self._queue(from_start=from_start)
        self._alone.add(queue)
        return queue

    def leave(self, queue: Queue) -> None:
        """Stop filling a queue that `listen` gave."""
        self._alone.discard(queue)

    @property
    def is_idle(self) -> bool:
        """Say that it keeps nothing and nobody hears it."""
        return not self._keeps and not self._alone and not self._groups

    def _queue(self, *, from_start: bool) -> Queue:
        queue = Queue(self._limits, keeps_newest=True, clock=self._clock)
        for message in self._kept if from_start else ():
            queue.put(Message(message.channel, message.body, message.headers))
        return queue


class Duplicates:
    """The messages that were sent lately: each is known for one window of time at least, and for two at most.

    When many are sent within one window, only the last `duplicates` of them are sure to be known.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._newer: dict[str, set[str]] = {}
        self._older: dict[str, set[str]] = {}
        self._newer_count = 0
        self._turn = clock() + limits.duplicate_window_s

    def knows(self, address: str, message_id: str) -> bool:
        """Say whether a message was sent there under this id lately."""
        return message_id in self._newer.get(address, ()) or message_id in self._older.get(address, ())

    def add(self, address: str, message_id: str) -> None:
        """Remember a message."""
        ids = self._newer.get(address)
        if ids is None:
            ids = self._newer[address] = set()
        ids.add(message_id)
        self._newer_count += 1

    def forget_old(self) -> None:
        """Let go of what was sent before the last window."""
        now = self._clock()
        if now >= self._turn + self._limits.duplicate_window_s:
            self._newer = {}
        if now >= self._turn or self._newer_count >= self._limits.duplicates:
            self._older, self._newer = self._newer, {}
            self._newer_count = 0
            self._turn = now + self._limits.duplicate_window_s


class Broker:
    """The queues and topics of this process that are known under one name, by address."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits or Limits()
        self.duplicates = Duplicates(self.limits, clock)
        self.provisioned: set[str] = set()
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._topics: dict[str, Topic] = {}

    def queue(self, address: str) -> Queue:
        """Give the queue of this address, made if it is not there yet."""
        if address not in self._queues:
            self._queues[address] = Queue(self.limits, keeps_newest=False, clock=self._clock)
        return self._queues[address]

    def topic(self, address: str, *, keeps: bool) -> Topic:
        """Give the topic of this address, made if it is not there yet."""
        if address not in self._topics:
            self._topics[address] = Topic(self.limits, keeps=keeps, clock=self._clock)
        return self._topics[address]

    def heard(self, address: str) -> Topic | None:
        """Give the topic of this address if it is there."""
        return self._topics.get(address)

    def leave(self, address: str, queue: Queue) -> None:
        """Stop filling a listener's queue, and forget a topic that keeps nothing and that nobody hears."""
        topic = self._topics[address]
        topic.leave(queue)
        if topic.is_idle:
            del self._topics[address]
