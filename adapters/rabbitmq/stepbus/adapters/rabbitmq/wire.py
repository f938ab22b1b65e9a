"""A connection of aiormq with a short way in and out for what goes through it by the thousand.

aiormq takes a message through three reads of each of its frames, two queues, a task and five objects, and tells which
message came back by its id. Here the frames of all channels are taken out of what was read, and whole commands are
written at once. ADR 0090 has the figures. Handshake, credentials, heartbeats and the goodbye stay aiormq's.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from aiormq import Connection as Session
from aiormq import connection as session
from aiormq import exceptions
from pamqp import frame
from pamqp.commands import Connection
from pamqp.heartbeat import Heartbeat
from yarl import URL

from stepbus.adapters.rabbitmq.channel import Channel
from stepbus.adapters.rabbitmq.frames import AROUND, HEAD, METHOD

_log = logging.getLogger(__name__)

_BUFFERED_BYTES = 64 * 1024
_STILL_ALIVE_S = 1.0
_CLOSE, _BLOCKED, _UNBLOCKED = (10, 50), (10, 60), (10, 61)
_CLOSE_OK = frame.marshal(Connection.CloseOk(), 0)
_HEARTBEAT = Heartbeat().marshal()
_ALERT = b"\x15\x03"
"""What TLS begins to say to whom it does not understand."""


Failure = (OSError, exceptions.AMQPError)
"""What a handshake can end with, beside the passing of time."""


class Wire:
    """One connection, from its handshake to its end; a lost one is never mended but replaced by a new one.

    `heartbeat_s` is asked of aiormq and the server: the one that says nothing for three times as long is left by the
    other. `blocked` says why the server takes no messages now; it is empty while it does.
    """

    def __init__(self, lost: Callable[["Wire", str], None], heartbeat_s: int) -> None:
        self._lost = lost
        self._heartbeat_s = heartbeat_s
        self._session: Session | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._channels: dict[int, Channel] = {}
        self._free = asyncio.Event()
        self._free.set()
        self._refusal = ""
        self.blocked = ""
        self.frame_max = 0

    async def connect(self, address: tuple[str, int], url: URL, tls: ssl.SSLContext | None) -> None:
        """Go through the handshake.

        Raises:
            OSError, AMQPError: there is no server, or it does not let us in.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = _Reader(self, reader, loop)
        host, port = address
        transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=tls)
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        opened = Session(
            url.update_query(heartbeat=str(self._heartbeat_s)), transport_factory=_Opened(reader, self._writer)
        )
        try:
            await opened.connect({"connection_name": "stepbus", "product": "stepbus"})
        except exceptions.InvalidFrameError:
            if protocol.has_heard_tls:
                raise exceptions.IncompatibleProtocolError("it speaks TLS, which amqps:// asks for") from None
            raise ConnectionRefusedError(self._refusal or "it speaks another language than AMQP 0-9-1") from None
        self._session = opened
        self.frame_max = opened.connection_tune.frame_max or 131_072

    def write(self, commands: bytes) -> None:
        """Write whole frames; nothing if the connection has ended."""
        if self._writer is not None and commands and not self._writer.transport.is_closing():
            self._writer.write(commands)

    async def written(self) -> None:
        """Return when what was written has left, but for a bounded rest; at once if the connection has ended."""
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size() > _BUFFERED_BYTES:
            with suppress(OSError):  # the protocol hears of it too, and ends the connection
                await writer.drain()

    async def unblocked(self) -> None:
        """Return when the server takes messages."""
        await self._free.wait()

    async def open_channel(self) -> Channel:
        """Give a new channel.

        Raises:
            BusUnavailable: the connection ended meanwhile.
        """
        number = next(number for number in range(1, 65_536) if number not in self._channels)
        channel = self._channels[number] = Channel(self, number)
        await channel.open()
        return channel

    def forget(self, number: int) -> None:
        """Let a channel that has ended be another one."""
        self._channels.pop(number, None)

    async def end(self, timeout_s: float) -> None:
        """Say goodbye and let go; what has not left within the time is gone."""
        opened, self._session = self._session, None
        if opened is not None:
            with suppress(*Failure, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await opened.close()
        if self._writer is not None:
            self._writer.transport.abort()

    # --- what the protocol calls ---

    def take(self, kind: int, number: int, payload: bytes) -> bool:
        """Take a frame in; say whether it was for us."""
        if number:
            channel = self._channels.get(number)
            if channel is not None:
                try:
                    channel.take(kind, payload)
                except Exception:  # noqa: BLE001 - it would end the reading of the connection
                    _log.exception("a frame of RabbitMQ could not be taken in")
            return True
        if kind != METHOD:
            return False
        method = (int.from_bytes(payload[:2], "big"), payload[3])
        if self._session is None:  # the handshake is aiormq's alone
            self._refusal = str(_unmarshal(payload).reply_text) if method == _CLOSE else ""
            return False
        return self._control(method, payload)

    def ended(self, reason: str) -> None:
        """Learn that there is nothing more to come."""
        self._free.set()
        self._lost(self, reason)  # before its channels end: what reads them is to wait for the next connection
        for channel in tuple(self._channels.values()):
            channel.ended(reason)
        self._channels.clear()

    def _control(self, method: tuple[int, int], payload: bytes) -> bool:
        if method == _CLOSE:
            closed = _unmarshal(payload)
            self.write(_CLOSE_OK)
            if self._writer is not None:
                self._writer.transport.close()
            self.ended(f"RabbitMQ says: {closed.reply_text}")
            return True
        if method == _BLOCKED:
            self.blocked = str(_unmarshal(payload).reason)
            self._free.clear()
        elif method == _UNBLOCKED:
            self.blocked = ""
            self._free.set()
        return False


def _unmarshal(payload: bytes) -> Any:
    return frame.unmarshal(HEAD.pack(METHOD, 0, len(payload)) + payload + b"\xce")[2]


class _Reader(asyncio.StreamReaderProtocol):
    """Takes the frames of channels out of what was read, and leaves the rest to aiormq."""

    def __init__(self, wire: Wire, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._wire = wire
        self._rest_of_it = reader
        self._unread = b""
        self._is_begun = False
        self._told_at = 0.0
        self.has_heard_tls = False

    def data_received(self, data: bytes) -> None:
        """Take all frames that are whole; keep the beginning of what is not."""
        if not self._is_begun and data.startswith(b"AMQP"):
            super().data_received(data)  # no frame: the server speaks another version
            return
        if not self._is_begun:
            self._is_begun, self.has_heard_tls = True, data.startswith(_ALERT)
        if self._unread:
            data = self._unread + data
        at, length, take, is_ours = 0, len(data), self._wire.take, False
        while at + AROUND <= length:
            kind, number, size = HEAD.unpack_from(data, at)
            end = at + AROUND + size
            if end > length:
                break
            if take(kind, number, data[at + HEAD.size : end - 1]):
                is_ours = True
            else:
                self._rest_of_it.feed_data(data[at:end])
            at = end
        self._unread = data[at:]
        if is_ours:
            self._tell_that_it_lives()

    def eof_received(self) -> bool:
        """End the connection at once: of that `connection_lost` tells, and nothing comes after what it tells."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell aiormq in its own words that this was all, and whoever has the connection."""
        self._rest_of_it.feed_data(_CLOSE_OK)
        super().connection_lost(None)
        self._wire.ended(str(exc) if exc else "it was closed")

    def _tell_that_it_lives(self) -> None:
        """Let aiormq have a heartbeat now and then: a server that sends messages sends no other."""
        now = monotonic()
        if now - self._told_at > _STILL_ALIVE_S:
            self._told_at = now
            self._rest_of_it.feed_data(_HEARTBEAT)


class _Opened(session.TransportFactory):
    """Gives aiormq what is connected already."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened = (reader, writer)

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Give it."""
        del url, kwargs
        return self._opened
