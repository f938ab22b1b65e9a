"""Work that is shared: what came and is not acked yet, and for how long it may be.

RabbitMQ lets a message be out for half an hour. How long it may be is kept here: what is out for longer than the wait
for an ack goes back to the queue, and then its ack is moot. Of a process that is dead or frozen the server takes back
everything by itself, when the connection ends or its heartbeats do.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

from pamqp import frame
from pamqp.base import Frame
from pamqp.commands import Basic

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import Channel
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.delays import Delays
from stepbus.adapters.rabbitmq.reader import GOODBYE_S, Reader, consume
from stepbus.adapters.rabbitmq.topology import Source
from stepbus.adapters.rabbitmq.waiting import Waiters
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.orchestrator.ports import Delivery

_NEVER = float("inf")
_MOST_AT_ONCE = 65_535
"""What a prefetch can be in AMQP."""

_LOOK_S = 10.0
"""How long nothing has come before somebody who waits looks whether there is something."""

Claim = Callable[[], Awaitable[None]]
"""Sees that the queues are there. Raises BusUnavailable or Refused."""


class _Held:
    """A delivery that is not settled: its tag on the channel, its queue, when it goes back, whether it is in hand."""

    __slots__ = ("due", "is_out", "properties", "queue", "tag")

    def __init__(self, tag: int, queue: str, due: float, properties: bytes) -> None:
        self.tag = tag
        self.queue = queue
        self.due = due
        self.properties = properties
        self.is_out = False


class QueueSubscription(Reader):
    """A reader of one or more queues. A delivery's receipt is what is held of it; it is moot when that is not held."""

    def __init__(
        self,
        connection: Connection,
        sources: Sequence[Source],
        claim: Claim,
        delays: Delays,
        in_hand: int,
        ack_wait_s: float,
    ) -> None:
        super().__init__(connection, sources[0].queue)
        self._sources = {b"%d" % place: source for place, source in enumerate(sources)}
        self._claim = claim
        self._delays = delays
        self._in_hand = in_hand
        self._ack_wait_s = ack_wait_s
        self._fetched: deque[Delivery] = deque()
        self._held: dict[int, _Held] = {}
        self._out = 0
        self._asked_at = monotonic()
        self._is_resting = False
        self._quiet_since = monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._waiters = Waiters()

    # --- what a reader calls ---

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the server is away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)  # who finds messages for ever must leave room for others
        while not self._is_closed:
            self._asked_at = monotonic()
            if self._is_resting:
                self._go_on()
            taken = self._take(limit)
            remaining_s = deadline - self._asked_at
            if taken or remaining_s <= 0:
                return taken
            if not self._held and self._asked_at - self._quiet_since > _LOOK_S and not self._is_resting:
                self._quiet_since = monotonic()
                await self.look([source.queue for source in self._sources.values()])
            await self._waiters.wait(min(remaining_s, _LOOK_S))
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the server that it can forget these, all in one write."""
        settled = [held.tag for held in (self._settle(delivery.receipt) for delivery in deliveries) if held is not None]
        if settled and self.channel is not None:
            self.channel.send(self._acks(self.channel.number, settled))
            await self._done()

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, unless somebody else has it by now."""
        held: _Held = delivery.receipt
        if self._held.get(held.tag) is not held:
            return
        if delay_s > 0:
            await self._put_off(delivery, held, delay_s)
        elif self._settle(held) is not None:
            self._give_back([held.tag])
            await self._done()

    async def extend(self, delivery: Delivery) -> None:
        """Start the wait for its ack anew, unless somebody else has it by now."""
        held: _Held = delivery.receipt
        if self._held.get(held.tag) is held:
            held.due = monotonic() + self._ack_wait_s

    async def close(self) -> None:
        """Stop receiving and give back at once what was fetched and not handed out."""
        if self._is_closed:
            return
        await self.stop()
        self._waiters.wake()
        channel = self.channel
        if channel is not None:
            await self._cancel(channel)
        self._fetched.clear()
        self._give_back([held.tag for held in self._held.values() if not held.is_out])
        self._held = {tag: held for tag, held in self._held.items() if held.is_out}
        await self._done()

    async def abandon(self) -> None:
        """Close, and give back at once what was handed out, too."""
        await self.close()
        self.lost()
        await self.leave()

    @property
    def is_over(self) -> bool:
        """Say that it is closed, and that the server has all that it held."""
        return self._is_closed and not self._held

    # --- what comes ---

    async def begin(self, wire: Wire, channel: Channel) -> None:
        """Let the messages of all queues come; together about as many as the hand holds."""
        del wire
        await self._claim()
        self._is_resting = False
        at_once = min(-(-self._in_hand // len(self._sources)), _MOST_AT_ONCE)
        await consume(channel, [source.queue for source in self._sources.values()], at_once)

    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Keep it until it is asked for."""
        if self._is_resting:
            self._give_back([delivery])
            return
        self._quiet_since = now = monotonic()
        source = self._sources[tag]
        held = _Held(delivery, source.queue, now + self._ack_wait_s, properties)
        self._held[delivery] = held
        headers, before = frames.headers_of(properties)
        self._fetched.append(Delivery(source.channel, body, headers, before + 1, held))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._ack_wait_s, self._give_back_late)
        self._waiters.wake()

    def lost(self) -> None:
        """Hold nothing: all of it is delivered again, to whoever is there."""
        self._held = {}
        self._fetched.clear()
        self._out = 0
        self._waiters.wake()

    def _take(self, limit: int) -> Sequence[Delivery]:
        fetched, held = self._fetched, self._held
        room = min(limit, self._in_hand - self._out)
        taken: list[Delivery] = []
        while fetched and len(taken) < room:
            delivery = fetched.popleft()
            receipt: _Held = delivery.receipt
            if held.get(receipt.tag) is receipt:
                receipt.is_out = True
                taken.append(delivery)
        self._out += len(taken)
        return taken

    # --- what goes back ---

    def _settle(self, held: _Held) -> _Held | None:
        """Hold it no more; None if it is not held."""
        if self._held.get(held.tag) is not held:
            return None
        del self._held[held.tag]
        if held.is_out:
            self._out -= 1
        return held

    def _acks(self, channel: int, tags: list[int]) -> bytes:
        """Give the acks of these; one for all that stand before the first that is held."""
        first_held = next(iter(self._held), _NEVER)
        before = [tag for tag in tags if tag < first_held]
        commands = [frames.acks(channel, tag, multiple=False) for tag in tags if tag > first_held]
        if before:
            commands.append(frames.acks(channel, max(before), multiple=True))
        return b"".join(commands)

    def _give_back(self, tags: Sequence[int]) -> None:
        if self.channel is not None and tags:
            number = self.channel.number
            self.channel.send(b"".join([frames.requeue(number, tag) for tag in tags]))

    def _give_back_late(self) -> None:
        now = monotonic()
        late = [held for held in self._held.values() if held.due <= now]
        if late and not self._waiters.are_there and now - self._asked_at >= self._ack_wait_s:
            self._rest()
            late = [held for held in self._held.values() if held.due <= now or not held.is_out]
        for held in late:
            self._settle(held)
        self._give_back([held.tag for held in late])
        next_due = min((held.due for held in self._held.values()), default=_NEVER)
        self._timer = None
        if next_due < _NEVER:
            self._timer = asyncio.get_running_loop().call_later(next_due - now, self._give_back_late)
        if late:
            self._waiters.wake()

    def _rest(self) -> None:
        """Let others have what is to come, as long as nobody asks here: what goes back would come here again."""
        self._is_resting = True
        self._fetched.clear()
        self._send([Basic.Cancel(consumer_tag=tag.decode(), nowait=True) for tag in self._sources])

    def _go_on(self) -> None:
        self._is_resting = False
        self._send(
            [
                Basic.Consume(queue=source.queue, consumer_tag=tag.decode(), nowait=True)
                for tag, source in self._sources.items()
            ]
        )

    def _send(self, methods: Sequence[Frame]) -> None:
        if self.channel is not None:
            number = self.channel.number
            self.channel.send(b"".join([frame.marshal(method, number) for method in methods]))

    async def _put_off(self, delivery: Delivery, held: _Held, delay_s: float) -> None:
        """Let it wait on the server; if it can't, here."""
        held.due = _NEVER
        is_waiting = await self._delays.put_off(held.queue, delivery, held.properties, delay_s)
        if self._held.get(held.tag) is not held:
            return
        if is_waiting:
            await self.ack([delivery])
        else:
            held.due = monotonic() + delay_s
            self._give_back_late()

    async def _cancel(self, channel: Channel) -> None:
        """Let no more come; on return what was under way has come, unless the server says nothing."""
        calls = [channel.call(Basic.Cancel(consumer_tag=tag.decode())) for tag in self._sources]
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await asyncio.gather(*calls, return_exceptions=True)

    async def _done(self) -> None:
        """Let what was written leave, and the channel go when nothing needs it any more."""
        if self.is_over:
            await self.leave()
        elif self._connection.wire is not None:
            await self._connection.wire.written()
