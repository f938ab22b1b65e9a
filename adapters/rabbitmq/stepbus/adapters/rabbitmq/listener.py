"""Hearing a channel alone: a buffer that the server fills as far as it may, and who asks for what is in it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import Channel
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.reader import Reader, consume
from stepbus.adapters.rabbitmq.waiting import Waiters
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.orchestrator.ports import Delivery

BUFFER = 500


class Listener(Reader):
    """One who hears. What was received is done with, and the server is told so that it sends more."""

    def __init__(self, connection: Connection, channel: str, queue: str) -> None:
        super().__init__(connection, queue)
        self._told_on = channel
        self._queue = queue
        self._heard: deque[tuple[int, Delivery]] = deque()
        self._waiters = Waiters()

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the server is away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)
        while not self._is_closed:
            received = self._take(limit)
            remaining_s = deadline - monotonic()
            if received or remaining_s <= 0:
                return received
            await self._waiters.wait(remaining_s)
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing."""

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Do nothing."""

    async def extend(self, delivery: Delivery) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Stop hearing."""
        if not self._is_closed:
            await self.stop()
            self._heard.clear()
            self._waiters.wake()
            await self.leave()

    async def abandon(self) -> None:
        """Stop hearing."""
        await self.close()

    @property
    def is_over(self) -> bool:
        """Say that it is closed."""
        return self._is_closed

    async def begin(self, wire: Wire, channel: Channel) -> None:
        """Hear what comes to a queue that is this connection's alone; it goes when the connection does."""
        provisioner = Provisioner(wire)
        try:
            await provisioner.exclusive(self._queue)
        finally:
            await provisioner.close()
        await consume(channel, [self._queue], BUFFER)

    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Keep it until it is asked for."""
        del tag
        headers, _ = frames.headers_of(properties)
        self.hear(delivery, Delivery(self._told_on, body, headers, 1))

    def hear(self, tag: int, delivery: Delivery) -> None:
        """Keep what was heard until it is asked for."""
        self._heard.append((tag, delivery))
        self._waiters.wake()

    def lost(self) -> None:
        """Keep what was heard: its acks alone are moot."""
        self._heard = deque((0, delivery) for _, delivery in self._heard)

    def _take(self, limit: int) -> Sequence[Delivery]:
        taken: list[Delivery] = []
        last = 0
        while self._heard and len(taken) < limit:
            tag, delivery = self._heard.popleft()
            last = max(last, tag)
            taken.append(delivery)
        if last and self.channel is not None:
            self.channel.send(frames.acks(self.channel.number, last, multiple=True))
        return taken
