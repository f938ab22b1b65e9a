"""Reading queues on a channel of one's own, on this connection and on every later one, until it is closed."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from logging import DEBUG, WARNING
from typing import Any

from pamqp.commands import Basic

from stepbus.adapters.rabbitmq.channel import Channel, ChannelClosed
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_TOLD_AFTER = 5

GOODBYE_S = 2.0
"""How long a server may take to answer when a reader leaves. What it held goes back in any case."""


class Reader(ABC):
    """One who reads. `channel` is None while nothing can come."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._mending: asyncio.Task[None] | None = None
        self._is_closed = False
        self.channel: Channel | None = None

    async def open(self) -> None:
        """Begin; on return nothing is missed. What could not be opened may be opened once more.

        Raises:
            BusUnavailable, Refused: what is to be read can't be read now, or never.
        """
        wire = self._connection.demand()
        self._connection.link(self)
        try:
            await self._begin(wire)
        except BaseException as error:
            await self.give_up()
            if isinstance(error, ChannelClosed):
                raise BusUnavailable(f"expected to read {self._name}, but RabbitMQ says: {error}") from error
            raise

    def attach(self, wire: Wire) -> None:
        """Begin on a new connection."""
        if self._mending is not None:
            self._mending.cancel()
        self._mending = asyncio.get_running_loop().create_task(self._mend(wire))

    def detach(self) -> None:
        """Learn that the connection is lost, and all that was out with it."""
        self.channel = None
        self.lost()

    @abstractmethod
    async def begin(self, wire: Wire, channel: Channel) -> None:
        """Begin to read on a new channel.

        Raises:
            BusUnavailable, Refused, ChannelClosed: it can't be read now.
        """

    @abstractmethod
    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Take in what was delivered to a consumer."""

    @abstractmethod
    def lost(self) -> None:
        """Forget what came by the channel: the server delivers it again."""

    async def stop(self) -> None:
        """Read no more on later connections."""
        self._is_closed = True
        self._connection.unlink(self)
        await end_tasks(self._mending)

    async def give_up(self) -> None:
        """Be as one who was never opened."""
        self._connection.unlink(self)
        await end_tasks(self._mending)
        await self.leave()
        self.lost()

    async def leave(self) -> None:
        """Let go of the channel: what is out goes back."""
        channel, self.channel = self.channel, None
        if channel is not None:
            with suppress(BusUnavailable, ChannelClosed, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await channel.close()

    async def look(self, queues: Sequence[str]) -> None:
        """Begin anew if a queue has messages, which is to be asked when nothing is out and nothing has come for long.

        RabbitMQ 3.10 does not tell a reader that its queue was deleted if there is one of its name again at once.
        """
        wire, channel = self._connection.wire, self.channel
        if wire is None or channel is None:
            return
        provisioner = Provisioner(wire)
        try:
            counts = [(await provisioner.demand(queue)).message_count for queue in queues]
            await provisioner.close()
        except (BusUnavailable, ChannelClosed) as error:
            _log.debug("could not look at %s: %s", self._name, error)
            return
        if any(counts):
            _log.warning("messages wait in %s, but none come; beginning to read anew", self._name)
            self._dismissed(channel, wire)

    async def _begin(self, wire: Wire) -> None:
        channel = await wire.open_channel()
        channel.on_message = self.arrived
        channel.on_cancel = lambda: self._dismissed(channel, wire)
        channel.on_end = lambda reason: self._ended(channel, wire, reason)
        self.channel = channel
        try:
            await self.begin(wire, channel)
        except BaseException:
            if self.channel is channel:
                self.channel = None
            channel.on_end = None
            with suppress(BusUnavailable, ChannelClosed):
                await channel.close()
            raise

    async def _mend(self, wire: Wire) -> None:
        pause = _FIRST_PAUSE_S
        tries = 0
        while not self._is_closed and self._connection.wire is wire:
            try:
                await self._begin(wire)
            except (BusUnavailable, ChannelClosed, Refused) as error:
                if self._connection.wire is wire:
                    tries += 1  # a server that has just been started may need a moment for each queue
                    level = WARNING if tries == _TOLD_AFTER else DEBUG
                    _log.log(level, "nothing comes from %s: %s", self._name, error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                return

    def _dismissed(self, channel: Channel, wire: Wire) -> None:
        """Begin anew: the queue was deleted, or moved to another server."""
        if channel is self.channel:
            self.detach()
            channel.on_end = None
            asyncio.get_running_loop().create_task(_close(channel)).add_done_callback(lambda _: self._again(wire))

    def _ended(self, channel: Channel, wire: Wire, reason: str) -> None:
        if channel is self.channel:
            self.detach()
            if self._connection.wire is wire:
                _log.warning("RabbitMQ ended the reading of %s: %s", self._name, reason)
                self._again(wire)

    def _again(self, wire: Wire) -> None:
        if self._connection.wire is wire and not self._is_closed:
            self.attach(wire)


async def consume(
    channel: Channel, queues: Sequence[str], at_once: int, arguments: Mapping[str, Any] | None = None
) -> None:
    """Let the messages of queues come, at most so many un-acked of each; a consumer's tag is its queue's place here."""
    await channel.call(Basic.Qos(prefetch_count=at_once))
    for place, queue in enumerate(queues):
        await channel.call(Basic.Consume(queue=queue, consumer_tag=str(place), arguments=dict(arguments or {})))


async def _close(channel: Channel) -> None:
    with suppress(BusUnavailable, ChannelClosed):
        await channel.close()
