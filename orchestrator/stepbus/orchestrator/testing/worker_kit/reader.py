"""A reader of the queue beside the worker: what that one gives back, or never acks, comes here at last."""

import asyncio
from collections.abc import Callable
from time import monotonic

from stepbus.orchestrator.ports import Delivery, Subscription

_RECEIVE_S = 0.2


class Reader:
    """Reads a queue beside the worker."""

    def __init__(self, queue: Subscription) -> None:
        self._queue = queue

    async def read(self, for_s: float, until: Callable[[list[Delivery]], object] = lambda _: False) -> list[Delivery]:
        """Give what comes within the time, or until it is enough; all of it is acked."""
        deadline = monotonic() + for_s
        came: list[Delivery] = []
        while monotonic() < deadline and not until(came):
            deliveries = list(await self._queue.receive(100, _RECEIVE_S))
            await self._queue.ack(deliveries)
            came += deliveries
        return came

    async def back(self, body: bytes, within_s: float, until: Callable[[], object] = lambda: False) -> Delivery | None:
        """Give a message that was delivered to another before; what was not is left for that one.

        None if it has not come within the time, or `until` holds before.
        """
        deadline = monotonic() + within_s
        while monotonic() < deadline and not until():
            for delivery in list(await self._queue.receive(100, _RECEIVE_S)):
                if delivery.body == body and delivery.count > 1:
                    await self._queue.ack([delivery])
                    return delivery
                await self._queue.nack(delivery)
                await asyncio.sleep(0.05)
        return None
