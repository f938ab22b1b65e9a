"""Publishing with a confirm for every message: all of a call are sent, then all confirms are awaited."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from pamqp.commands import Basic, Confirm

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import Channel, ChannelClosed
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.topology import Names
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import BusUnavailable, NotSent, Outgoing, Sent

_SENT = Sent()
_LOST = NotSent("expected a confirm, but the connection was lost")
_FULL = NotSent("expected a confirm, but RabbitMQ refused the message: the queue is full, or can't be written to")
_WRITE_BYTES = 64 * 1024
_LONGEST_ID = 255
"""What a message's id may be at most in AMQP, in bytes; of a longer one its digest is sent."""


@dataclass(slots=True)
class Letter:
    """A message on its way to a queue. One that is not mandatory may find no queue, and is sent all the same.

    Shape: without `properties` it has its id and nothing else.
    """

    queue: str
    id: bytes
    body: bytes
    properties: Basic.Properties | None = None
    is_mandatory: bool = True


class _Call:
    """The answers of one call, by their place in it."""

    __slots__ = ("answers", "done", "letters", "missing")

    def __init__(self, letters: Sequence[Letter | NotSent]) -> None:
        self.letters = letters
        self.answers: list[Sent | NotSent | None] = [None] * len(letters)
        self.missing = len(letters)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Sent | NotSent) -> None:
        if self.answers[index] is None:
            self.answers[index] = answer
            self.missing -= 1
            if not self.missing and not self.done.done():
                self.done.set_result(None)


class Publisher:
    """Sends messages and matches the server's confirms to them, which count what is sent from 1."""

    def __init__(self, connection: Connection, names: Names, timeout_s: float, max_message: int) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._names = names
        self._max_message = max_message
        self._channel: Channel | None = None
        self._opening: asyncio.Task[None] | None = None
        self._sent = 0
        self._confirmed = 0
        self._in_flight: dict[int, tuple[_Call, int]] = {}
        self._route = lru_cache(maxsize=4096)(self._find_route)
        self.before_jobs: Callable[[set[str]], Awaitable[None]] | None = None
        self.on_missing: Callable[[str], None] = lambda _: None

    async def open(self) -> None:
        """Begin on the first connection."""
        await self._begin(self._connection.demand())

    def attach(self, wire: Wire) -> None:
        """Begin on a new connection."""
        self._opening = asyncio.get_running_loop().create_task(self._begin_again(wire))

    def detach(self) -> None:
        """Answer for all that is in flight: its confirms can't come any more."""
        self._channel = None
        self._sent = self._confirmed = 0
        in_flight, self._in_flight = self._in_flight, {}
        for call, index in in_flight.values():
            call.answer(index, _LOST)

    @property
    def is_ready(self) -> bool:
        """Say whether messages can be sent now."""
        return self._channel is not None

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order."""
        letters = [self._letter(message) for message in messages]
        queues = {one.queue for one in letters if isinstance(one, Letter) and one.queue.startswith(self._jobs)}
        if queues and self.before_jobs is not None:
            with suppress(TimeoutError, BusUnavailable, Refused):  # what is not there comes back
                async with asyncio.timeout(self._timeout_s):
                    await self.before_jobs(queues)
        return await self.send(letters)

    async def send(self, letters: Sequence[Letter | NotSent]) -> Sequence[Sent | NotSent]:
        """Send letters, and answer for each in order."""
        wire, channel = self._connection.wire, self._channel
        if wire is None or channel is None:
            await asyncio.sleep(0)  # who tries for ever must leave room for those who connect
            lost = NotSent(f"expected a connection to RabbitMQ, but {self._connection.trouble}")
            return [one if isinstance(one, NotSent) else lost for one in letters]
        if not letters:
            return []
        call = _Call(letters)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(wire, channel, call)
                await call.done
        except TimeoutError:
            pass
        late = NotSent(self._lateness(wire))
        return [answer or late for answer in call.answers]

    @property
    def _jobs(self) -> str:
        return f"{self._names.prefix}.jobs."

    def _lateness(self, wire: Wire) -> str:
        if wire.blocked:
            return f"expected a confirm within {self._timeout_s} s, but RabbitMQ takes no messages: {wire.blocked}"
        return f"expected a confirm within {self._timeout_s} s, but none came"

    async def _begin(self, wire: Wire) -> None:
        channel = await wire.open_channel()
        channel.on_confirm = self._confirm
        channel.on_return = self._came_back
        channel.on_end = lambda _: self._ended(channel, wire)
        await channel.call(Confirm.Select())
        self._sent = self._confirmed = 0
        self._channel = channel

    async def _begin_again(self, wire: Wire) -> None:
        with suppress(BusUnavailable, ChannelClosed):  # the connection was lost again, and will be made again
            await self._begin(wire)

    def _ended(self, channel: Channel, wire: Wire) -> None:
        """Go on with another channel where the server ended this one alone."""
        if channel is self._channel:
            self.detach()
            if self._connection.wire is wire:
                self.attach(wire)

    async def _write(self, wire: Wire, channel: Channel, call: _Call) -> None:
        await wire.unblocked()  # what a blocked server is sent nevertheless, it takes in all at once afterwards
        parts: list[bytes] = []
        size = 0
        for index, letter in enumerate(call.letters):
            if isinstance(letter, NotSent):
                call.answer(index, letter)
                continue
            if channel is not self._channel:
                call.answer(index, _LOST)
                continue
            self._sent += 1
            self._in_flight[self._sent] = (call, index)
            parts += self._frames(letter, channel.number, wire.frame_max)
            size += len(letter.body)
            if size > _WRITE_BYTES or len(parts) > _WRITE_BYTES // 64:
                channel.send(b"".join(parts))
                parts, size = [], 0
                await wire.written()
        channel.send(b"".join(parts))
        await wire.written()

    @staticmethod
    def _frames(letter: Letter, number: int, frame_max: int) -> list[bytes]:
        size = len(letter.body)
        header = (
            frames.plain_header(number, letter.id, size)
            if letter.properties is None
            else frames.full_header(number, letter.properties, size)
        )
        head = frames.publish(number, letter.queue, mandatory=letter.is_mandatory)
        return [head, header, *frames.body_frames(number, letter.body, frame_max)]

    def _letter(self, message: Outgoing) -> Letter | NotSent:
        try:
            queue, is_mandatory = self._route(message.channel)
            message_id = channels.to_id(message.id).encode()
            if len(message.body) > self._max_message:
                expected = f"expected at most {self._max_message} bytes"
                raise refuse("message.too_large", f"{expected}, found {len(message.body)}")
        except Refused as refused:
            return NotSent(str(refused), permanent=True)
        if len(message_id) > _LONGEST_ID:
            message_id = b"sha256:" + hashlib.sha256(message_id).hexdigest().encode()
        return Letter(queue, message_id, message.body, is_mandatory=is_mandatory)

    def _find_route(self, channel: str) -> tuple[str, bool]:
        to = channels.to_send(channel)
        return self._names.queue(to), to.kind != "replies"

    def _confirm(self, number: int, *, multiple: bool, is_taken: bool) -> None:
        first = self._confirmed + 1 if multiple else number
        for one in range(first, number + 1):
            found = self._in_flight.pop(one, None)
            if found is not None:
                call, index = found
                call.answer(index, _SENT if is_taken else _FULL)
        if multiple:
            self._confirmed = number

    def _came_back(self, returned: Basic.Return, block: bytes) -> None:
        """Answer for a message that no queue took. Its confirm comes behind it, and finds it answered."""
        this = (returned.routing_key, (frames.properties_of(block).message_id or "").encode())
        for call, index in self._in_flight.values():
            letter = call.letters[index]
            if call.answers[index] is None and isinstance(letter, Letter) and (letter.queue, letter.id) == this:
                self.on_missing(letter.queue)
                call.answer(index, NotSent(f"expected the queue {letter.queue}, but there is none; provision the bus"))
                return
