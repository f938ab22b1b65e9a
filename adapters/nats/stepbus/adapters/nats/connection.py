"""The connection to the servers: made at once or refused, then made anew for ever when it is lost."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from nats import errors

from stepbus.adapters.nats.settings import NatsSettings
from stepbus.adapters.nats.wire import Wire
from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_WATCH_S, _ECHO_S = 5.0, 5.0
_HANDSHAKE_S = 2
_GOODBYE_S = 1.0


class Linked(Protocol):
    """What lives longer than one connection: it begins anew on each."""

    def attach(self, wire: Wire) -> None:
        """Begin on a new connection."""
        ...

    def detach(self) -> None:
        """Learn that the connection is lost."""
        ...


class Connection:
    """The one connection of a bus. `wire` is None while there is none."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._linked: list[Linked] = []
        self._redialling: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
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
                self._take(await self._dial())
            except (OSError, errors.Error) as error:
                if monotonic() > deadline or _is_for_good(error):
                    raise BusUnavailable(
                        f"expected a NATS server at {self._settings.hosts}, but {_text(error)}"
                    ) from None
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                break
        self._watching = asyncio.create_task(self._watch())

    def link(self, linked: Linked) -> None:
        """Attach something now, and again to each new connection."""
        self._linked.append(linked)
        if self.wire is not None:
            linked.attach(self.wire)

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
            raise BusUnavailable(f"expected a connection to NATS at {self._settings.hosts}, but {self.trouble}")
        return self.wire

    @property
    def trouble(self) -> str:
        """Say why there is no connection."""
        return "the bus was closed" if self._is_closed else "it is lost"

    async def close(self) -> None:
        """Let go; what was written leaves first."""
        self._is_closed = True
        await end_tasks(self._watching, self._redialling)
        wire, self.wire = self.wire, None
        if wire is not None:
            with suppress(TimeoutError):
                await wire.settle(_GOODBYE_S)
            await wire.end(_GOODBYE_S)
            self._detach()

    async def _dial(self) -> Wire:
        settings = self._settings
        tls = settings.tls_context()
        wire = Wire(needs_tls=settings.is_tls)

        async def closed() -> None:
            self._lose(wire)

        try:
            await wire.connect(
                list(settings.servers),
                name="stepbus",
                tls=tls,
                user=settings.user,
                password=settings.password,
                allow_reconnect=False,  # what nats-py wrote into a lost connection it would send into the next one
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_HANDSHAKE_S,
                error_cb=_tell,
                closed_cb=closed,
            )
        except BaseException:
            await wire.end(_GOODBYE_S)
            raise
        return wire

    async def _watch(self) -> None:
        """Cut a connection that has fallen silent: a dead machine or a cut cable closes none."""
        while True:
            await asyncio.sleep(_WATCH_S)
            wire = self.wire
            if wire is not None:
                try:
                    await wire.settle(_ECHO_S)
                except TimeoutError:
                    _log.warning("NATS at %s has not answered for %s s", self._settings.hosts, _ECHO_S)
                    self._lose(wire)
                    await wire.end(_GOODBYE_S)

    def _take(self, wire: Wire) -> None:
        self.wire = wire
        for linked in tuple(self._linked):
            linked.attach(wire)

    def _lose(self, wire: Wire) -> None:
        if wire is not self.wire:
            return
        self.wire = None
        self._detach()
        if not self._is_closed:
            _log.warning("the connection to NATS at %s is lost; connecting again", self._settings.hosts)
            self._redialling = asyncio.get_running_loop().create_task(self._redial())

    def _detach(self) -> None:
        for linked in tuple(self._linked):
            linked.detach()

    async def _redial(self) -> None:
        pause = _FIRST_PAUSE_S
        while self.wire is None:
            try:
                self._take(await self._dial())
            except (OSError, errors.Error) as error:
                _log.debug("NATS at %s is not back yet: %s", self._settings.hosts, _text(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        _log.warning("connected to NATS at %s again", self._settings.hosts)
        if self.on_return is not None:
            await self.on_return()


def _is_for_good(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError) or "authorization" in str(error).lower()


async def _tell(error: Exception) -> None:
    _log.debug("NATS: %s", _text(error))


def _text(error: Exception) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
