"""The connection to the server: made at once or refused, then made anew for ever when it is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from stepbus.adapters.redis import scripts
from stepbus.adapters.redis.settings import RedisSettings
from stepbus.adapters.redis.wire import PING, Answer, Wire, speaks_tls, text_of
from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_WATCH_S, _ECHO_S = 5.0, 5.0
_LOADING_S = 2.0
_ASKED_S = 5.0


class Connection:
    """What all parts of a bus send by; `wire` is None while it is lost. Who waits for messages has his own."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._is_back = asyncio.Event()
        self.is_closed = False
        self.wire: Wire | None = None
        self.on_return: Callable[[], Awaitable[None]] | None = None

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            BusUnavailable: the server did not let us in within the time.
        """
        deadline = monotonic() + self._settings.connect_timeout_s
        while True:
            try:
                self._take(await self._dial_first())
            except (RedisError, OSError) as error:
                reason, is_for_good = text_of(error), _is_for_good(error)
                if not is_for_good and not self._settings.is_tls and await speaks_tls(self._settings):
                    reason, is_for_good = "it speaks TLS, which rediss:// asks for", True
                if is_for_good or monotonic() > deadline:
                    place = self._settings.host_and_port
                    raise BusUnavailable(f"expected a Redis server at {place}, but {reason}") from None
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                break
        self._tasks.append(asyncio.create_task(self._watch()))

    async def dial(self) -> Wire:
        """Give one more connection, for one who waits for messages.

        Raises:
            RedisError, TimeoutError: the server does not let us in now.
        """
        wire = Wire(self._settings)
        await wire.open()
        return wire

    async def back(self) -> None:
        """Return when there is a connection, or the bus was closed."""
        await self._is_back.wait()

    async def ask(self, command: bytes) -> Answer:
        """Give the answer to a command.

        Raises:
            BusUnavailable: there is no connection, or no answer in time.
            RedisError: the server answers with an error.
        """
        if self.wire is None:
            raise BusUnavailable(
                f"expected a connection to Redis at {self._settings.host_and_port}, but {self.trouble}"
            )
        try:
            return await self.wire.call(command, _ASKED_S)
        except TimeoutError:
            raise BusUnavailable(f"expected Redis to answer within {_ASKED_S} s, but it did not") from None

    def renew(self) -> None:
        """Dial anew: the server has forgotten our scripts."""
        if self.wire is not None:
            self._lose(self.wire)

    @property
    def trouble(self) -> str:
        """Say why there is no connection."""
        return "the bus was closed" if self.is_closed else "it is lost"

    async def close(self) -> None:
        """Let go; what was given to be sent leaves first."""
        self.is_closed = True
        self._is_back.set()
        await end_tasks(*self._tasks)
        wire, self.wire = self.wire, None
        if wire is not None:
            with suppress(RedisError, TimeoutError):
                await wire.call(PING, 1.0)
            await wire.end()
        await asyncio.gather(*self._ending)

    async def _dial_first(self) -> Wire:
        wire = await self.dial()
        try:
            for script in scripts.ALL:
                await wire.call(script.loading, _LOADING_S)
        except BaseException:
            await wire.end()
            raise
        return wire

    async def _watch(self) -> None:
        """Cut a connection that has fallen silent: a dead machine or a cut cable closes none."""
        while True:
            await asyncio.sleep(_WATCH_S)
            wire = self.wire
            if wire is not None:
                try:
                    await wire.call(PING, _ECHO_S)
                except TimeoutError:
                    _log.warning("Redis at %s has not answered for %s s", self._settings.host_and_port, _ECHO_S)
                    self._lose(wire)
                except RedisError as error:
                    _log.debug("Redis at %s: %s", self._settings.host_and_port, text_of(error))

    def _take(self, wire: Wire) -> None:
        self.wire = wire
        wire.on_loss = lambda: self._lose(wire)
        self._is_back.set()

    def _lose(self, wire: Wire) -> None:
        if wire is not self.wire:
            return
        self.wire = None
        self._is_back.clear()
        ending = asyncio.get_running_loop().create_task(wire.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        if not self.is_closed:
            _log.warning("the connection to Redis at %s is lost; connecting again", self._settings.host_and_port)
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(asyncio.get_running_loop().create_task(self._redial()))

    async def _redial(self) -> None:
        pause = _FIRST_PAUSE_S
        while self.wire is None:
            try:
                self._take(await self._dial_first())
            except (RedisError, OSError) as error:
                _log.debug("Redis at %s is not back yet: %s", self._settings.host_and_port, text_of(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        _log.warning("connected to Redis at %s again", self._settings.host_and_port)
        if self.on_return is not None:
            await self.on_return()


def _is_for_good(error: Exception) -> bool:
    text = str(error)
    is_refused = isinstance(error, AuthenticationError | NoPermissionError)
    return is_refused or "certificate verify failed" in text or "DB index is out of range" in text
