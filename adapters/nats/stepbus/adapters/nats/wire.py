"""A connection of nats-py with a short way in and out for what goes through it by the thousand.

nats-py hands each message through a queue, a task and an object, and builds each header line by line: 45 µs for a
message confirmed, received and acked. Here whole commands are written at once, and what arrives for our own
subscriptions is given to a plain function where the parser has it: 19 µs. The rest (handshake, TLS, credentials,
parsing, pings, requests) is nats-py's. ADR 0041 has the figures.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nats import errors
from nats.aio.client import Client

_log = logging.getLogger(__name__)

Handler = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Takes subject, reply subject, body and raw headers of a message; must not raise."""

_FIRST_SID = 1 << 30
"""Where the numbers of our own subscriptions begin, far above those of nats-py."""


class Wire(Client):
    """One connection, from its handshake to its end; a lost one is never mended but replaced by a new one."""

    def __init__(self, *, needs_tls: bool) -> None:
        super().__init__()
        self._needs_tls = needs_tls
        self._handlers: dict[int, Handler] = {}
        self._next_sid = _FIRST_SID

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
        self._handlers[sid] = handler
        self.send(b"SUB %b  %d\r\n" % (subject.encode(), sid))
        return sid

    def mute(self, sid: int) -> None:
        """Ask the server for no more; what is under way still comes."""
        self.send(b"UNSUB %d\r\n" % sid)

    def forget(self, sid: int) -> None:
        """Drop what still comes."""
        self.mute(sid)
        self._handlers.pop(sid, None)

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

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if sid < _FIRST_SID:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        handler = self._handlers.get(sid)
        if handler is None:
            return
        try:
            handler(subject, reply, data, headers or None)
        except Exception:  # noqa: BLE001 - it would end the reading of the connection
            _log.exception("a message to %r could not be taken in", subject)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        if initial_connection and self._needs_tls and not info.get("tls_required"):
            raise errors.Error("nats: expected a server that demands TLS, found one that does not")
        await super()._process_info(info, initial_connection)
