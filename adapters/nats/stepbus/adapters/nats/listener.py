"""Hearing a channel alone: a bounded buffer between what is heard and who asks for it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.deliveries import headers_of
from stepbus.adapters.nats.wire import Wire
from stepbus.orchestrator.ports import BusUnavailable, Delivery

_BUFFER = 1000
_SUBSCRIBED_S = 5.0
_LOOK_S = 0.5
"""How often somebody who waits looks whether the connection is a new one."""


class Listener:
    """One who hears. What was received is done with."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heard: asyncio.Queue[Delivery | None] = asyncio.Queue(_BUFFER)
        self._is_closed = False

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the server is away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)
        while not self._is_closed:
            await self.mend()
            received = await self._next(min(max(0.0, deadline - monotonic()), _LOOK_S))
            if received is not None:
                return [received, *self._rest(limit - 1)]
            if monotonic() >= deadline:
                break
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing."""

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Do nothing."""

    async def extend(self, delivery: Delivery) -> None:
        """Do nothing."""

    async def mend(self) -> None:
        """Begin anew if need be."""

    async def close(self) -> None:
        """Stop hearing."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.unlink(self)
            while not self._heard.empty():
                self._heard.get_nowait()
            self._heard.put_nowait(None)  # lets go who waits

    async def abandon(self) -> None:
        """Stop hearing."""
        await self.close()

    @property
    def is_over(self) -> bool:
        """Say that it is closed."""
        return self._is_closed

    def attach(self, wire: Wire) -> None:
        """Learn that there is a new connection."""

    def detach(self) -> None:
        """Learn that the connection is lost."""

    async def _next(self, timeout_s: float) -> Delivery | None:
        with suppress(asyncio.QueueEmpty):
            return self._heard.get_nowait()
        if timeout_s <= 0:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._heard.get()
        return None

    def _rest(self, limit: int) -> list[Delivery]:
        rest: list[Delivery] = []
        while len(rest) < limit and not self._heard.empty():
            delivery = self._heard.get_nowait()
            if delivery is not None:
                rest.append(delivery)
        return rest


class ReplyListener(Listener):
    """Hears what is sent to a subject that nobody keeps; of very much at once, the newest is lost."""

    def __init__(self, connection: Connection, channel: str, subject: str) -> None:
        super().__init__(connection)
        self._channel = channel
        self._subject = subject
        self._sid = 0

    def attach(self, wire: Wire) -> None:
        """Subscribe on the new connection."""
        self._sid = wire.hear(self._subject, self._arrived)

    async def open(self) -> None:
        """Begin to hear; on return nothing is missed.

        Raises:
            BusUnavailable: the server can't be asked now.
        """
        wire = self._connection.demand()
        self._connection.link(self)
        try:
            await wire.settle(_SUBSCRIBED_S)
        except TimeoutError:
            await self.close()
            raise BusUnavailable(f"expected to hear {self._subject}, but NATS did not answer") from None

    async def close(self) -> None:
        """Stop hearing."""
        if not self._is_closed and self._connection.wire is not None:
            self._connection.wire.forget(self._sid)
        await super().close()

    def _arrived(self, _subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        with suppress(asyncio.QueueFull):
            self._heard.put_nowait(Delivery(self._channel, body, headers_of(headers), 1))
