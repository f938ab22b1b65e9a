"""One channel of a connection: calls that are answered in order, messages as they come, and its end."""

import asyncio
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any, Protocol

from pamqp import frame
from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.commands import Channel as Of

from stepbus.adapters.rabbitmq.frames import FRAME_END, HEAD, HEADER, METHOD
from stepbus.orchestrator.ports import BusUnavailable

_ANSWER_S = 10.0
_DELIVER, _RETURN, _ACK, _NACK, _CANCEL = (0x003C0000 | method for method in (60, 50, 80, 120, 30))
_CLOSED, _CLOSE_OK = 0x00140028, 0x00140029
_METHOD_ID, _TAG, _SIZE = Struct(">I"), Struct(">QB"), Struct(">Q")
_END = bytes([FRAME_END])


class Writer(Protocol):
    """What a channel writes to."""

    def write(self, commands: bytes) -> None:
        """Write whole frames."""
        ...

    def forget(self, number: int) -> None:
        """Let a channel that has ended be another one."""
        ...


class OnConfirm(Protocol):
    """Is told of confirms."""

    def __call__(self, number: int, *, multiple: bool, is_taken: bool) -> None:
        """Learn of the message of this number, or of all up to it."""
        ...


class ChannelClosed(Exception):
    """The server has ended the channel, for the reason that it gives: 404 is not there, 406 is of another make."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Channel:
    """A channel. Whoever opened it sets what is to be told; nothing of that may raise.

    Shape: `on_message` gets the consumer's tag (or nothing, of a message that came back), the delivery's tag, the
    properties as they were read, and the body. `on_end` gets the reason, once.
    """

    def __init__(self, wire: Writer, number: int) -> None:
        self._wire = wire
        self.number = number
        self.is_open = True
        self._calls: deque[asyncio.Future[Any]] = deque()
        self._method = b""
        self._properties = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self.on_message: Callable[[bytes, int, bytes, bytes], None] | None = None
        self.on_return: Callable[[Basic.Return, bytes], None] | None = None
        self.on_confirm: OnConfirm | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.on_end: Callable[[str], None] | None = None

    async def open(self) -> None:
        """Open it."""
        await self.call(Of.Open())

    async def call(self, method: Frame) -> Any:
        """Send a method and give the server's answer.

        Raises:
            ChannelClosed: the server refused it, and ended the channel.
            BusUnavailable: it did not answer, or the connection is lost.
        """
        if not self.is_open:
            raise BusUnavailable("expected an answer of RabbitMQ, but the connection was lost")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(answer)
        self.send(frame.marshal(method, self.number))
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            raise BusUnavailable(f"expected an answer of RabbitMQ within {_ANSWER_S} s, but none came") from None

    def send(self, commands: bytes) -> None:
        """Write whole frames of this channel; nothing if it has ended."""
        if self.is_open:
            self._wire.write(commands)

    async def close(self) -> None:
        """End it in good order: what was delivered and not settled goes back."""
        if self.is_open:
            await self.call(Of.Close(reply_code=200, reply_text="done", class_id=0, method_id=0))
            self.ended("it was closed")

    # --- what the connection calls ---

    def take(self, kind: int, payload: bytes) -> None:
        """Take a frame in."""
        if kind == METHOD:
            self._take_method(payload)
        elif kind == HEADER:
            (self._missing,) = _SIZE.unpack_from(payload, 4)
            self._properties = payload[12:]
            self._parts = []
            if not self._missing:
                self._take_message(b"")
        else:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing <= 0:
                self._take_message(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))

    def ended(self, reason: str) -> None:
        """Learn that the channel or its connection is lost."""
        self._end(BusUnavailable(f"expected an answer of RabbitMQ, but the connection was lost: {reason}"), reason)

    def _take_method(self, payload: bytes) -> None:
        (method,) = _METHOD_ID.unpack_from(payload)
        if method in (_DELIVER, _RETURN):
            self._method = payload
        elif method in (_ACK, _NACK):
            if self.on_confirm is not None:
                number, bits = _TAG.unpack_from(payload, 4)
                self.on_confirm(number, multiple=bool(bits & 1), is_taken=method == _ACK)
        elif method == _CANCEL:
            if self.on_cancel is not None:
                self.on_cancel()
        elif method == _CLOSED:
            closed = _unmarshal(payload)
            self.send(frame.marshal(Of.CloseOk(), self.number))
            self._end(ChannelClosed(closed.reply_code, closed.reply_text), closed.reply_text)
        else:
            self._answer(_unmarshal(payload))

    def _answer(self, answer: Frame) -> None:
        if self._calls:
            call = self._calls.popleft()
            if not call.done():
                call.set_result(answer)

    def _take_message(self, body: bytes) -> None:
        method, self._method, self._parts = self._method, b"", []
        if method.startswith(_METHOD_ID.pack(_RETURN)):
            if self.on_return is not None:
                self.on_return(_unmarshal(method), self._properties)
        elif self.on_message is not None and method:
            tag_end = 5 + method[4]
            delivery, _ = _TAG.unpack_from(method, tag_end)
            self.on_message(method[5:tag_end], delivery, self._properties, body)

    def _end(self, error: Exception, reason: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._wire.forget(self.number)
        while self._calls:
            call = self._calls.popleft()
            if not call.done():
                call.set_exception(error)
        if self.on_end is not None:
            self.on_end(reason)


def _unmarshal(payload: bytes) -> Any:
    return frame.unmarshal(HEAD.pack(METHOD, 0, len(payload)) + payload + _END)[2]
