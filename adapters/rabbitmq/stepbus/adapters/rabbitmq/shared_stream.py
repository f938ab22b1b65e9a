"""A group's part in what is told to all: its own queue, and the feeder that fills it from the stream."""

from collections.abc import Sequence

from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.delays import Delays
from stepbus.adapters.rabbitmq.feeder import Feeder
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.publisher import Publisher
from stepbus.adapters.rabbitmq.subscription import QueueSubscription
from stepbus.adapters.rabbitmq.topology import WORK, Source


class StreamSubscription(QueueSubscription):
    """A reader of a group's queue, who keeps it fed for as long as it is read."""

    def __init__(
        self,
        connection: Connection,
        publisher: Publisher,
        stream: str,
        sources: Sequence[Source],
        delays: Delays,
        in_hand: int,
        ack_wait_s: float,
    ) -> None:
        super().__init__(connection, sources, self._make_queue, delays, in_hand, ack_wait_s)
        self._stream = stream
        self._queue = sources[0].queue
        self._feeder = Feeder(connection, publisher, stream, self._queue)

    async def open(self) -> None:
        """Begin to read, and to feed."""
        await super().open()
        try:
            await self._feeder.open()
        except BaseException:
            await self.give_up()
            raise

    async def close(self) -> None:
        """Stop both."""
        await self._feeder.close()
        await super().close()

    async def _make_queue(self) -> None:
        provisioner = Provisioner(self._connection.demand())
        try:
            await provisioner.demand(self._stream)
            await provisioner.declare(self._queue, WORK)
        finally:
            await provisioner.close()
