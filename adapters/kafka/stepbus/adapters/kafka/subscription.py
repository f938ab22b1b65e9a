"""A subscription: a hand of its own in what the readers of its place hold together."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from stepbus.adapters.kafka.book import Hand
from stepbus.adapters.kafka.reader import Reader
from stepbus.orchestrator.ports import Delivery


class SharedSubscription:
    """One of those who share what a reader fetches."""

    def __init__(self, reader: Reader, in_hand: int) -> None:
        self._reader = reader
        self._hand = Hand(in_hand)
        self._is_closed = False

    async def open(self) -> None:
        """Begin to read.

        Raises:
            BusUnavailable: the brokers can't be reached, or did not let us in.
        """
        await self._reader.join(self._hand)

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the brokers are away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)  # who finds messages for ever must leave room for others
        while not self._is_closed:
            taken = self._reader.take(self._hand, limit)
            remaining_s = deadline - monotonic()
            if taken or remaining_s <= 0:
                return taken
            await self._reader.changed(remaining_s)
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done with; committed within 50 ms, all acks of that time together."""
        await self._reader.ack(deliveries)

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, unless somebody else has it by now."""
        self._reader.nack(delivery, delay_s)

    async def extend(self, delivery: Delivery) -> None:
        """Start the wait for its ack anew, unless somebody else has it by now."""
        self._reader.extend(delivery)

    async def close(self) -> None:
        """Stop receiving. The last one of a place leaves the group, and what was not handed out is another's."""
        if not self._is_closed:
            self._is_closed = True
            await self._reader.leave(self._hand)

    @property
    def is_over(self) -> bool:
        """Say that it is closed."""
        return self._is_closed
