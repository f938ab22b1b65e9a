"""The bus of a single process: what is not acked when the process ends is gone, and comes back from the log."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import NamedTuple, TypeVar

from stepbus.adapters.memory.broker import Broker, Topic
from stepbus.adapters.memory.queue import Hand, Message, Queue
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, Delivery, NotSent, Outgoing, Sent

_SENT = Sent()
_NO_HEADERS: Mapping[str, str] = {}
_BROKERS: dict[str, Broker] = {}


def shared_broker(name: str) -> Broker:
    """Give the broker that this process knows under a name; it lives as long as the process."""
    return _BROKERS.setdefault(name, Broker())


class MemorySubscription:
    """The place of one reader at a queue."""

    def __init__(self, queue: Queue, in_hand: int, channel: str = "") -> None:
        self._queue = queue
        self._hand = Hand(in_hand, channel)
        self._is_closed = False
        queue.join(self._hand)

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)  # who finds a full queue for ever must leave room for others
        while not self._is_closed:
            taken = self._queue.take(self._hand, limit)
            remaining_s = deadline - monotonic()
            if taken or remaining_s <= 0:
                return [Delivery(one.channel, one.body, one.headers, one.count, one) for one in taken]
            await self._queue.changed(self._hand, remaining_s)
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Forget these."""
        self._queue.finish([delivery.receipt for delivery in deliveries])

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, unless somebody else has it by now."""
        if self._holds(delivery):
            self._queue.give_back(delivery.receipt, delay_s)

    async def extend(self, delivery: Delivery) -> None:
        """Start the wait for its ack anew, unless somebody else has it by now."""
        if self._holds(delivery):
            self._queue.extend(delivery.receipt)

    async def close(self) -> None:
        """Stop receiving; what was handed out can still be acked until the wait for its ack is over."""
        self._is_closed = True
        self._queue.retire(self._hand)

    @property
    def is_over(self) -> bool:
        """Say that it is closed, and that the queue has all that it held."""
        return self._is_closed and not self._hand.out

    def abandon(self) -> None:
        """Stop receiving, and let what was handed out be redelivered at once."""
        self._is_closed = True
        self._queue.leave(self._hand)

    def _holds(self, delivery: Delivery) -> bool:
        message: Message = delivery.receipt
        return message.holder is self._hand and message.count == delivery.count


class MemoryListener(MemorySubscription):
    """The place of one who hears a topic alone: what is received is done with."""

    def __init__(self, queue: Queue, broker: Broker, address: str) -> None:
        super().__init__(queue, in_hand=1_000_000)
        self._broker = broker
        self._address = address

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed."""
        received = await super().receive(limit, timeout_s)
        await self.ack(received)
        return received

    async def close(self) -> None:
        """Stop hearing."""
        self.abandon()

    def abandon(self) -> None:
        """Stop hearing. Done twice, it is as good as once."""
        if not self._is_closed:
            super().abandon()
            self._broker.leave(self._address, self._queue)


class _Way(NamedTuple):
    """Where the messages of a channel go. `place` is None for replies: their topic comes and goes with who hears it."""

    address: str
    place: Queue | Topic | None


_Kept = TypeVar("_Kept", bound=MemorySubscription)


class MemoryBus:
    """A `Bus` of one process. Those who open it under the same name reach each other."""

    def __init__(self, settings: BusSettings, broker: Broker) -> None:
        self._prefix = channels.to_prefix(settings.prefix)
        self._broker = broker
        self._subscriptions: list[MemorySubscription] = []
        self._is_closed = False
        self._way = lru_cache(maxsize=4096)(self._find_way)

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Open the channels of this prefix. A queue needs nothing, but its name is checked."""
        for queue in queues:
            channels.to_send(f"jobs.{queue}")
        self._broker.provisioned.add(self._prefix)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Put all in their queues, as far as there is room."""
        missing = self._missing()
        if missing:
            return [NotSent(missing)] * len(messages)
        self._broker.duplicates.forget_old()
        return [self._publish(message) for message in messages]

    def send_plainly(self, address: str, body: bytes, headers: Mapping[str, str]) -> Sent | NotSent:
        """Put a message in its queue as a client would that knows an address only and gives its messages no id."""
        prefix, _, channel = address.partition(".")
        if prefix != self._prefix:
            return NotSent(f"expected an address below {self._prefix}., found {address!r}", permanent=True)
        missing = self._missing()
        if missing:
            return NotSent(missing)
        try:
            return self._put(self._way(channel), Message(channel, body, headers))
        except Refused as refused:
            return NotSent(str(refused), permanent=True)

    def address(self, channel: str) -> str:
        """Give prefix and channel, joined by a dot."""
        return f"{self._prefix}.{channels.to_send(channel)}"

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address below `<prefix>.replies.`."""
        prefix, _, channel = address.partition(".")
        return channel if prefix == self._prefix and channels.is_reply(channel) else None

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> MemorySubscription:
        """Take part in the queue of a channel; `tasks` and the results have one group, and a job queue is its own."""
        self._demand_open()
        shared = channels.to_share(channel, group)
        address = f"{self._prefix}.{shared}"
        if shared.kind == "results":
            queue = self._broker.queue(f"{self._prefix}.{channels.ALL_RESULTS}")
            _demand_group(queue, channel, group)
            return self._keep(MemorySubscription(queue, in_hand, "" if shared.name == "*" else channel))
        if shared.kind in channels.TOLD:
            queue = self._broker.topic(address, keeps=True).group(group)
        else:
            queue = self._broker.queue(address)
            if shared.kind != "jobs":
                _demand_group(queue, channel, group)
        return self._keep(MemorySubscription(queue, in_hand))

    async def listen(self, channel: str, *, from_start: bool) -> MemorySubscription:
        """Hear a topic alone."""
        self._demand_open()
        heard = channels.to_hear(channel)
        address = f"{self._prefix}.{heard}"
        queue = self._broker.topic(address, keeps=heard.kind in channels.TOLD).listen(from_start=from_start)
        return self._keep(MemoryListener(queue, self._broker, address))

    async def connected(self) -> bool:
        """Say whether the bus is open."""
        return not self._is_closed

    async def close(self) -> None:
        """Give back at once what is out un-acked."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.abandon()
        self._subscriptions.clear()

    def _missing(self) -> str:
        if self._is_closed:
            return "expected an open bus, but it was closed"
        if self._prefix not in self._broker.provisioned:
            return f"expected the channels of {self._prefix!r} to be provisioned, but they are not"
        return ""

    def _demand_open(self) -> None:
        missing = self._missing()
        if missing:
            raise BusUnavailable(missing)

    def _keep(self, subscription: _Kept) -> _Kept:
        self._subscriptions = [one for one in self._subscriptions if not one.is_over]
        self._subscriptions.append(subscription)
        return subscription

    def _publish(self, message: Outgoing) -> Sent | NotSent:
        try:
            way = self._way(message.channel)
            channels.to_id(message.id)
        except Refused as refused:
            return NotSent(str(refused), permanent=True)
        if self._broker.duplicates.knows(way.address, message.id):
            return _SENT
        answer = self._put(way, Message(message.channel, message.body, _NO_HEADERS))
        if answer is _SENT:
            self._broker.duplicates.add(way.address, message.id)
        return answer

    def _put(self, way: _Way, message: Message) -> Sent | NotSent:
        limit = self._broker.limits.message_bytes
        if len(message.body) > limit:
            return NotSent(f"expected at most {limit} bytes, found {len(message.body)}", permanent=True)
        place = way.place or self._broker.heard(way.address)
        if place is not None and not place.put(message):
            return NotSent(f"expected room in {message.channel}, but it is full")
        return _SENT

    def _find_way(self, channel: str) -> _Way:
        to = channels.to_send(channel)
        address = f"{self._prefix}.{channel}"
        if to.kind in channels.WORK:
            return _Way(
                address,
                self._broker.queue(f"{self._prefix}.{channels.ALL_RESULTS}" if to.kind == "results" else address),
            )
        return _Way(address, self._broker.topic(address, keeps=True) if to.kind in channels.TOLD else None)


def _demand_group(queue: Queue, channel: str, group: str) -> None:
    if queue.group not in {"", group}:
        raise refuse("channel.group", f"expected {channel} to be shared by group {queue.group!r}, found {group!r}")
    queue.group = group
