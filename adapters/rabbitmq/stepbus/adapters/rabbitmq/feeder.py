"""A group's own copy of what is told to all: from the stream into a queue that the group shares.

A stream gives everything to everybody, and does not know how far a group has got. So one of the group's readers copies
what is new into a quorum queue. How far it got is a message in a queue that holds one message, which it has out while
it copies: the server hands that message to the next reader when this one is gone.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from pamqp.commands import Basic

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import Channel, ChannelClosed
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.listener import BUFFER
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.publisher import Letter, Publisher
from stepbus.adapters.rabbitmq.reader import GOODBYE_S, Reader, consume
from stepbus.adapters.rabbitmq.stream_listener import place_of
from stepbus.adapters.rabbitmq.topology import PLACE, WORK
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.orchestrator.ports import BusUnavailable, Sent, end_tasks

_PAUSE_S = 0.5


class Feeder(Reader):
    """Brings a group on while it is this one's turn. Its readers may hear a message twice where one of them died."""

    def __init__(self, connection: Connection, publisher: Publisher, stream: str, queue: str) -> None:
        super().__init__(connection, f"{queue}.place")
        self._publisher = publisher
        self._stream = stream
        self._queue = queue
        self._place_queue = f"{queue}.place"
        self._turns: list[int] = []
        self._copying: asyncio.Task[None] | None = None
        self._lot = asyncio.Lock()

    async def begin(self, wire: Wire, channel: Channel) -> None:
        """Create what the group needs, and queue up for its turn."""
        provisioner = Provisioner(wire)
        try:
            await provisioner.demand(self._stream)
            await provisioner.declare(self._queue, WORK)
            found = await provisioner.declare(self._place_queue, PLACE)
        finally:
            await provisioner.close()
        if not found.message_count and not found.consumer_count:
            await self._note(0)
        await consume(channel, [self._place_queue], 1)

    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Take the turn: go on from the place that the message names. While it lasts, the message changes."""
        del tag, properties
        self._turns.append(delivery)
        if (self._copying is None or self._copying.done()) and self._connection.wire is not None:
            copying = self._copy(self._connection.wire, int(body))
            self._copying = asyncio.get_running_loop().create_task(copying)

    def lost(self) -> None:
        """Copy no more: it is another one's turn."""
        self._turns.clear()
        if self._copying is not None:
            self._copying.cancel()

    async def close(self) -> None:
        """Let another one have the turn. A lot that is begun is noted first, or the next one would copy it again."""
        await self.stop()
        if self._connection.wire is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S), self._lot:
                    self.lost()
        self.lost()
        await end_tasks(self._copying)
        await self.leave()

    async def _copy(self, wire: Wire, place: int) -> None:
        """Copy all that comes, and after each lot say how far the group has got."""
        reading = await wire.open_channel()
        lots = _Lots()
        reading.on_message = lots.arrived
        reading.on_end = lambda _: self._pass_on()
        try:
            await consume(reading, [self._stream], BUFFER, {"x-stream-offset": place})
            while True:
                lot = await lots.next()
                async with self._lot:
                    await self._send([_letter(self._queue, one) for one in lot if one.place >= place])
                    place = max(place, lot[-1].place + 1)
                    await self._note(place)
                    self._settle()
                reading.send(frames.acks(reading.number, lot[-1].tag, multiple=True))
        except (BusUnavailable, ChannelClosed):
            self._pass_on()
        finally:
            reading.on_end = None
            with suppress(BusUnavailable, ChannelClosed):
                await reading.close()

    async def _note(self, place: int) -> None:
        await self._send([Letter(self._place_queue, b"%d" % place, b"%d" % place)])

    def _settle(self) -> None:
        """Be done with the message that named the place before: the next one is there, and comes to this one."""
        if self.channel is not None:
            number = self.channel.number
            self.channel.send(b"".join([frames.acks(number, turn, multiple=False) for turn in self._turns]))
            self._turns.clear()

    def _pass_on(self) -> None:
        """Begin anew, behind those who wait for their turn."""
        if self.channel is not None and self._connection.wire is not None:
            self._dismissed(self.channel, self._connection.wire)

    async def _send(self, letters: Sequence[Letter]) -> None:
        """Send all until all are sent."""
        while letters:
            answers = await self._publisher.send(letters)
            letters = [letter for letter, answer in zip(letters, answers, strict=True) if answer != Sent()]
            if letters:
                await asyncio.sleep(_PAUSE_S)


class _Told(NamedTuple):
    """A message of the stream: its place there, its tag on the channel, its properties and body."""

    place: int
    tag: int
    properties: Basic.Properties
    body: bytes


class _Lots:
    """What has come of the stream, lot by lot."""

    def __init__(self) -> None:
        self._told: list[_Told] = []
        self._is_more = asyncio.Event()

    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Add a message."""
        del tag
        read = frames.properties_of(properties)
        self._told.append(_Told(place_of(read.headers), delivery, read, body))
        self._is_more.set()

    async def next(self) -> Sequence[_Told]:
        """Give all that has come, at least one."""
        await self._is_more.wait()
        self._is_more.clear()
        told, self._told = self._told, []
        return told


def _letter(queue: str, told: _Told) -> Letter:
    """Give a copy for the group, as it was sent but for what the server added."""
    kept = {name: value for name, value in (told.properties.headers or {}).items() if not frames.is_of_the_server(name)}
    properties = told.properties
    properties.headers = kept or None
    properties.delivery_mode = 2
    return Letter(queue, (properties.message_id or "").encode(), told.body, properties)
