"""Letting a message wait before it comes again: in a queue of the server whose messages go back when their time is up.

RabbitMQ knows no delay. A queue with a time to live has its messages dead-lettered in order, so there is one for each
queue and delay; it goes by itself when nobody has used it for a minute longer than its delay.
"""

from math import ceil
from time import monotonic

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import ChannelClosed
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.publisher import Letter, Publisher
from stepbus.adapters.rabbitmq.topology import Names, waiting_room
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusUnavailable, Delivery, Sent

_RENEWED_S = 20.0
"""How long a queue is taken to be there, of the minute that it has."""

_LONGEST_MS = 30 * 86_400_000


class Delays:
    """Sends messages to where they wait."""

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self._there: dict[str, float] = {}

    async def put_off(self, queue: str, delivery: Delivery, properties: bytes, delay_s: float) -> bool:
        """Send a copy that comes to its queue after the delay, and counts as delivered so often; say whether it will.

        Guarantee: where it says so, the server holds the copy on file.
        """
        delay_ms = _rounded(delay_s)
        room = f"{self._names.prefix}.delayed.{queue.removeprefix(f'{self._names.prefix}.')}.{delay_ms}"
        try:
            await self._renew(room, queue, delay_ms)
        except (BusUnavailable, Refused, ChannelClosed):
            return False
        copied = frames.properties_of(properties)
        kept = {name: value for name, value in (copied.headers or {}).items() if not frames.is_of_the_server(name)}
        copied.headers = kept | {frames.GIVEN_BACK: delivery.count}
        copied.delivery_mode = 2
        message_id = (copied.message_id or "").encode()
        [answer] = await self._publisher.send([Letter(room, message_id, delivery.body, copied)])
        if isinstance(answer, Sent):
            return True
        self._there.pop(room, None)
        return False

    async def _renew(self, room: str, queue: str, delay_ms: int) -> None:
        now = monotonic()
        if now - self._there.get(room, -_RENEWED_S) < _RENEWED_S:
            return
        provisioner = Provisioner(self._connection.demand())
        try:
            await provisioner.declare(room, waiting_room(queue, delay_ms))
        finally:
            await provisioner.close()
        self._there = {name: at for name, at in self._there.items() if now - at < _RENEWED_S}
        self._there[room] = now


def _rounded(delay_s: float) -> int:
    """Give the delay in milliseconds, with two digits that count and never less: so there are few such queues."""
    delay_ms = min(max(1, ceil(delay_s * 1000)), _LONGEST_MS)
    unit = int(10 ** max(0, len(str(delay_ms)) - 2))
    return ceil(delay_ms / unit) * unit
