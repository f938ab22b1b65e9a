"""A connection to the servers: made at once or refused, then made anew for ever when it is lost."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from aiormq import exceptions
from yarl import URL

from stepbus.adapters.rabbitmq.settings import RabbitSettings
from stepbus.adapters.rabbitmq.wire import Failure, Wire
from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_HANDSHAKE_S = 5.0
_GOODBYE_S = 3.0
_FOR_GOOD = (
    ssl.SSLError,
    exceptions.ProbableAuthenticationError,
    exceptions.AuthenticationError,
    exceptions.IncompatibleProtocolError,
)


class Linked(Protocol):
    """What lives longer than one connection: it begins anew on each."""

    def attach(self, wire: Wire) -> None:
        """Begin on a new connection."""
        ...

    def detach(self) -> None:
        """Learn that the connection is lost."""
        ...


class Connection:
    """One of the connections of a bus. `wire` is None while there is none."""

    def __init__(self, settings: RabbitSettings, heartbeat_s: int) -> None:
        self._settings = settings
        self._heartbeat_s = heartbeat_s
        self._linked: list[Linked] = []
        self._redialling: asyncio.Task[None] | None = None
        self._is_closed = False
        self.wire: Wire | None = None
        self.on_return: Callable[[], Awaitable[None]] | None = None

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            BusUnavailable: no server let us in within the time.
        """
        deadline = monotonic() + self._settings.connect_timeout_s
        while True:
            try:
                self.wire = await self._dial()
            except (*Failure, TimeoutError) as error:
                if monotonic() > deadline or isinstance(error, _FOR_GOOD):
                    raise BusUnavailable(
                        f"expected a RabbitMQ server at {self._settings.hosts}, but {_text(error)}"
                    ) from None
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                return

    def link(self, linked: Linked) -> None:
        """Attach something to each new connection from now on."""
        self._linked.append(linked)

    def unlink(self, linked: Linked) -> None:
        """Attach it no more."""
        with suppress(ValueError):
            self._linked.remove(linked)

    def demand(self) -> Wire:
        """Give the connection.

        Raises:
            BusUnavailable: there is none now.
        """
        if self.wire is None:
            raise BusUnavailable(f"expected a connection to RabbitMQ at {self._settings.hosts}, but {self.trouble}")
        return self.wire

    @property
    def trouble(self) -> str:
        """Say why there is no connection."""
        return "the bus was closed" if self._is_closed else "it is lost"

    async def close(self) -> None:
        """Let go; what was written leaves first."""
        self._is_closed = True
        await end_tasks(self._redialling)
        wire, self.wire = self.wire, None
        if wire is not None:
            self._detach()
            await wire.end(_GOODBYE_S)

    async def _dial(self) -> Wire:
        """Try all addresses in turn, and give the first that lets us in."""
        failure: Exception = OSError("there is no address")
        for address in self._settings.addresses:
            wire = Wire(self._lose, self._heartbeat_s)
            try:
                async with asyncio.timeout(_HANDSHAKE_S):
                    await wire.connect(address, self._url(address), self._settings.tls_context())
            except (*Failure, TimeoutError) as error:
                await wire.end(_GOODBYE_S)
                failure = error
            except BaseException:
                await wire.end(_GOODBYE_S)
                raise
            else:
                return wire
        raise failure

    def _url(self, address: tuple[str, int]) -> URL:
        host, port = address
        settings = self._settings
        built = URL.build(scheme="amqp", user=settings.user, password=settings.password, host=host, port=port, path="/")
        return built if settings.vhost == "/" else built / settings.vhost

    def _lose(self, wire: Wire, reason: str) -> None:
        if wire is not self.wire:
            return
        self.wire = None
        self._detach()
        if not self._is_closed:
            hosts = self._settings.hosts
            _log.warning("the connection to RabbitMQ at %s is lost; connecting again: %s", hosts, reason)
            self._redialling = asyncio.get_running_loop().create_task(self._redial())

    def _detach(self) -> None:
        for linked in tuple(self._linked):
            linked.detach()

    async def _redial(self) -> None:
        pause = _FIRST_PAUSE_S
        while self.wire is None:
            try:
                self.wire = await self._dial()
            except (*Failure, TimeoutError) as error:
                _log.debug("RabbitMQ at %s is not back yet: %s", self._settings.hosts, _text(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        wire, waiting = self.wire, tuple(self._linked)  # who links from here on begins on this wire by itself
        _log.warning("connected to RabbitMQ at %s again", self._settings.hosts)
        if self.on_return is not None:
            await self.on_return()
        if self.wire is wire:
            for linked in waiting:
                if linked in self._linked:
                    linked.attach(wire)


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return str(error) or type(error).__name__
