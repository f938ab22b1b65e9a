"""Hearing a channel alone: a reader of a stream who knows himself how far he has come."""

from collections.abc import Sequence

from stepbus.adapters.redis.commands import pack
from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.entries import Receipt, delivery
from stepbus.adapters.redis.reader import MOST_AT_ONCE, READ_S, Reader
from stepbus.adapters.redis.wire import Wire
from stepbus.orchestrator.ports import Delivery

START = b"0-0"


class Listener(Reader):
    """One who hears what came after an entry. What was received is done with."""

    def __init__(self, connection: Connection, channel: str, stream: str, after: bytes) -> None:
        super().__init__(connection, stream)
        self._channel = channel
        self._stream = stream
        self._last = after

    async def read(self, wire: Wire, wanted: int) -> Sequence[Delivery]:
        """Give what came after the last entry that was heard."""
        count = max(1, min(wanted, MOST_AT_ONCE))
        wait_ms = round(READ_S * 1000)
        command = pack("XREAD", "COUNT", count, "BLOCK", wait_ms, "STREAMS", self._stream, self._last)
        found = await self.ask(wire, command, READ_S)
        if not found:
            return ()
        [(_, entries)] = found
        self._last = entries[-1][0]
        return [delivery(self._channel, fields, Receipt(self._stream, entry, 1)) for entry, fields in entries]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing."""

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Do nothing."""

    async def extend(self, delivery: Delivery) -> None:
        """Do nothing."""

    async def abandon(self) -> None:
        """Stop hearing."""
        await self.close()

    @property
    def is_over(self) -> bool:
        """Say that it is closed."""
        return self._is_closed
