"""A connection of redis-py that many use at once: commands leave in the order given, answers come in the same order.

redis-py's own client takes a connection out of a pool for each command that waits, and does all its work on one before
the next may use it. Here whatever was given meanwhile leaves in one write, and nobody waits for the answers of others.
Dialling, TLS, credentials and the reading of answers stay redis-py's.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

from redis.asyncio import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from stepbus.adapters.redis.commands import pack
from stepbus.adapters.redis.settings import RedisSettings
from stepbus.orchestrator.ports import end_tasks

_HANDSHAKE_S = 2.0
_SOON_S = 0.005
_BACKLOG_BYTES = 64 * 1024
"""How much may wait to be written before who asks for it waits too."""

PING = pack("PING")

Answer = Any
"""What the server answered, as redis-py gives it: bytes, numbers, lists; or the error that it answered with."""


class Wire:
    """One connection, from its handshake to its end; a lost one is never mended but replaced by a new one.

    Shape: `number` is what the server knows it by.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._connection = _connection(settings)
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._has_unsent = asyncio.Event()
        self._has_sent = asyncio.Event()
        self._waiting: deque[asyncio.Future[Answer] | None] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._loss: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.number = 0
        self.on_loss: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Connect, and see that the server answers.

        Raises:
            RedisError: it does not let us in.
            TimeoutError: it does not answer.
        """
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await self._connection.connect()  # type: ignore[no-untyped-call]
            self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]
            self.number = await self.call(pack("CLIENT", "ID"), _HANDSHAKE_S)
        except BaseException:
            await self.end()
            raise

    @property
    def is_over(self) -> bool:
        """Say that nothing comes of it any more."""
        return self._loss is not None

    def ask(self, command: bytes) -> "asyncio.Future[Answer]":
        """Send a command, and give what its answer will be: errors are answers too."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if self._loss is not None:
            answer.set_result(self._loss)
        else:
            self._put(command, answer)
            self._has_unsent.set()
        return answer

    def tell(self, command: bytes) -> None:
        """Send a command whose answer nobody wants."""
        if self._loss is None:
            self._put(command, None)
            self._has_unsent.set()

    def tell_soon(self, *commands: bytes) -> None:
        """Send commands whose answers nobody wants with whatever is sent next, or in a moment if nothing is.

        A server that syncs its disk before it answers does so once for all that came together.
        """
        if self._loss is None:
            for command in commands:
                self._put(command, None)
            if self._timer is None or self._timer.when() <= self._loop.time():
                self._timer = self._loop.call_later(_SOON_S, self._has_unsent.set)

    async def call(self, command: bytes, timeout_s: float) -> Answer:
        """Send a command and give its answer.

        Raises:
            RedisError: the server answers with an error, or the connection is lost.
            TimeoutError: it does not answer in time.
        """
        async with asyncio.timeout(timeout_s):
            answer = await self.ask(command)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sent(self) -> None:
        """Return when what was given has left, but for a bounded rest; at once if the connection has ended."""
        while self._unsent_bytes > _BACKLOG_BYTES and self._loss is None:
            self._has_sent.clear()
            self._has_unsent.set()
            await self._has_sent.wait()

    async def end(self) -> None:
        """Let go of the connection. What has not left is gone."""
        self._lose(RedisConnectionError("the connection was closed"), is_told=False)
        if self._timer is not None:
            self._timer.cancel()
        writer = self._connection._writer  # noqa: SLF001 - to close it in good order takes for ever if the server is frozen
        if writer is not None:
            writer.transport.abort()  # first: redis-py forgets it when the reading ends, while TLS says goodbye
        await end_tasks(*self._tasks)
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    def _put(self, command: bytes, answer: "asyncio.Future[Answer] | None") -> None:
        self._unsent.append(command)
        self._unsent_bytes += len(command)
        self._waiting.append(answer)

    async def _write(self) -> None:
        try:
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                unsent, self._unsent = self._unsent, []
                if not self._connection.is_connected:  # redis-py would dial again, and send what was meant for this one
                    raise RedisConnectionError("the connection was closed by the server")
                await self._connection.send_packed_command(unsent, check_health=False)
                self._unsent_bytes = sum(map(len, self._unsent))
                self._has_sent.set()
        except (RedisError, OSError) as error:
            self._lose(error)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    answer = await self._connection.read_response(timeout=inf)
                except ResponseError as error:
                    answer = error
                if not self._waiting:
                    raise RedisConnectionError("the server answered what nobody asked")
                waiting = self._waiting.popleft()
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (RedisError, OSError) as error:
            self._lose(error)

    def _lose(self, error: Exception, *, is_told: bool = True) -> None:
        if self._loss is not None:
            return
        self._loss = error
        self._has_sent.set()
        for waiting in self._waiting:
            if waiting is not None and not waiting.done():
                waiting.set_result(error)
        self._waiting.clear()
        if is_told:
            self.on_loss()


def _connection(settings: RedisSettings) -> Connection:
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "db": settings.database,
        "username": settings.user,
        "password": settings.password,
        "socket_timeout": None,
        "socket_connect_timeout": _HANDSHAKE_S,
        "protocol": 2,
        "client_name": "stepbus",
        "driver_info": None,
    }
    if settings.is_tls:
        return SSLConnection(**options, ssl_ca_certs=None if settings.tls_ca is None else str(settings.tls_ca))
    return Connection(**options)


async def speaks_tls(settings: RedisSettings) -> bool:
    """Say whether TLS is spoken there, whoever it is: one that is spoken to plainly hangs up without a word."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            _, writer = await asyncio.open_connection(settings.host, settings.port, ssl=anybody)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


def text_of(error: Exception) -> str:
    """Give what the server or redis-py says, in the server's own words."""
    code = getattr(error, "status_code", None)
    text = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return f"{code} {text}" if code and not text.startswith(code) else text
