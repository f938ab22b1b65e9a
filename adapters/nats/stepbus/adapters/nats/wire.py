"""A connection of nats-py with a short way in and out for what goes through it by the thousand.

nats-py hands each message through a regular expression, a queue, a task and an object, and builds its headers line by
line. Here whole commands are written at once, and what arrives for our own subscriptions goes from the bytes read
straight to a plain function. ADR 0041 and 0085 have the figures. Handshake, TLS, credentials, pings and requests stay
nats-py's.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

_log = logging.getLogger(__name__)

Handler = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Takes subject, reply subject, body and raw headers of a message; must not raise."""

_MSG_WORDS, _HMSG_WORDS = (4, 5), (5, 6)
"""How many words the line of a message has: without a reply subject, with it."""

_FIRST_SID = 1 << 30
"""Where the numbers of our own subscriptions begin, far above those of nats-py."""


class Wire(Client):
    """One connection, from its handshake to its end; a lost one is never mended but replaced by a new one."""

    def __init__(self, *, needs_tls: bool) -> None:
        super().__init__()
        self._needs_tls = needs_tls
        self._next_sid = _FIRST_SID
        self._ps: _Reader = _Reader(self)

    def send(self, commands: bytes) -> None:
        """Write whole commands of the protocol; nothing if the connection has ended."""
        if self.is_connected and self._transport is not None:
            self._transport.write(commands)

    async def sent(self) -> None:
        """Return when what was written has left, but for a bounded rest; at once if the connection has ended."""
        if self.is_connected and self._transport is not None:
            with suppress(OSError):  # the read loop finds it too, and ends the connection
                await self._transport.drain()  # type: ignore[no-untyped-call]

    def hear(self, subject: str, handler: Handler) -> int:
        """Give all messages to this subject to the handler; gives the number to `mute` and `forget` it by."""
        sid = self._next_sid
        self._next_sid += 1
        self._ps.handlers[b"%d" % sid] = handler
        self.send(b"SUB %b  %d\r\n" % (subject.encode(), sid))
        return sid

    def mute(self, sid: int) -> None:
        """Ask the server for no more; what is under way still comes."""
        self.send(b"UNSUB %d\r\n" % sid)

    def forget(self, sid: int) -> None:
        """Drop what still comes."""
        self.mute(sid)
        self._ps.handlers.pop(b"%d" % sid, None)

    async def settle(self, timeout_s: float) -> None:
        """Return when the server has taken all that was written, and what it sent before that has arrived.

        Raises:
            TimeoutError: it did not answer within the time.
        """
        echo = self.new_inbox()
        heard = asyncio.get_running_loop().create_future()
        sid = self.hear(echo, lambda *_: None if heard.done() else heard.set_result(None))
        self.send(b"PUB %b 0\r\n\r\n" % echo.encode())
        try:
            async with asyncio.timeout(timeout_s):
                await heard
        finally:
            self.forget(sid)

    async def end(self, timeout_s: float) -> None:
        """Let go of the connection; what has not left within the time is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.close()
                return
        abort(self)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        if initial_connection and self._needs_tls and not info.get("tls_required"):
            raise errors.Error("nats: expected a server that demands TLS, found one that does not")
        await super()._process_info(info, initial_connection)


def abort(client: Client) -> None:
    """Drop a connection: nats-py waits for ever to close one that is dead, or whose TLS failed."""
    transport = client._transport  # noqa: SLF001
    writer = transport._io_writer if isinstance(transport, TcpTransport) else None  # noqa: SLF001
    if writer is not None:
        with suppress(AttributeError):  # Python's TLS has nothing left to drop of what was closed twice
            writer.transport.abort()


class _Reader(Parser):
    """Takes the messages of our own subscriptions out of what was read, and leaves the rest to nats-py.

    Source: the client protocol of NATS. `MSG subject sid [reply] size`, `HMSG subject sid [reply] header-size size`.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.handlers: dict[bytes, Handler] = {}
        self._rest = b""

    async def parse(self, data: bytes = b"") -> None:
        """Take all that is whole; keep the beginning of what is not."""
        if self._rest:
            data = self._rest + data
        at, length = 0, len(data)
        while (line_end := data.find(b"\r\n", at)) >= 0:
            words = data[at:line_end].split(b" ")
            kind, count = words[0], len(words)
            body_at = headers_end = line_end + 2
            if kind == b"HMSG" and count in _HMSG_WORDS:
                headers_end += int(words[-2])
                reply = words[3] if count == _HMSG_WORDS[1] else b""
            elif kind == b"MSG" and count in _MSG_WORDS:
                reply = words[3] if count == _MSG_WORDS[1] else b""
            else:
                await super().parse(data[at:body_at])
                at = body_at
                continue
            end = body_at + int(words[-1])
            if end + 2 > length:
                break
            handler = self.handlers.get(words[2])
            if handler is None:
                await super().parse(data[at : end + 2])
            else:
                headers = data[body_at:headers_end] if headers_end > body_at else None
                try:
                    handler(words[1], reply, data[headers_end:end], headers)
                except Exception:  # noqa: BLE001 - it would end the reading of the connection
                    _log.exception("a message to %r could not be taken in", words[1])
            at = end + 2
        self._rest = data[at:]
