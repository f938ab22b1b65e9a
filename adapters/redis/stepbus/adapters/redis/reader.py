"""One who waits for messages, on a connection of his own: a read that waits holds up all that is sent after it.

Nothing is read before somebody asks for messages, and then as many as he asked for: what lies in a reader's buffer is
missing elsewhere. A read lasts a fraction of a second, then it begins anew; what is due again is looked for in between.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from logging import DEBUG, WARNING
from time import monotonic

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from stepbus.adapters.redis.commands import pack
from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.wire import Answer, Wire, text_of
from stepbus.orchestrator.ports import BusUnavailable, Delivery, end_tasks

_log = logging.getLogger(__name__)

READ_S = 0.2
"""How long a read waits for messages."""

MOST_AT_ONCE = 128
_SILENT_S = 5.0
_PAUSE_S = 0.2
_GOODBYE_S = 1.0


class Reader(ABC):
    """What waiting for messages is, wherever they come from."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._wire: Wire | None = None
        self._fetched: deque[Delivery] = deque()
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._is_failing = False
        self._is_closed = False

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the server is away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)  # who finds messages for ever must leave room for others
        while not self._is_closed:
            taken = self._take(limit)
            if taken:
                return taken
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch(limit))
            remaining_s = deadline - monotonic()
            if remaining_s <= 0:
                break
            await self._changed(limit, remaining_s)
        return ()

    async def close(self) -> None:
        """Stop receiving."""
        if self._is_closed:
            return
        self._is_closed = True
        self._wake()
        if self._fetching is not None and not self._fetching.done():
            self._interrupt()
            await asyncio.wait({self._fetching}, timeout=0 if self._connection.wire is None else _GOODBYE_S)
            await end_tasks(self._fetching)
        await self._hang_up()

    # --- what a kind of reader says ---

    @abstractmethod
    async def read(self, wire: Wire, wanted: int) -> Sequence[Delivery]:
        """Wait a little for up to so many messages.

        Raises:
            RedisError, TimeoutError: nothing came, and nothing will over this connection.
        """

    async def mend(self, error: Exception) -> None:
        """Set right what the server says is missing."""
        del error

    def held(self, delivery: Delivery) -> bool:
        """Say whether what was fetched may still be handed out."""
        del delivery
        return True

    # --- the fetching ---

    async def _fetch(self, wanted: int) -> None:
        """Read until nobody waits."""
        while not self._is_closed:
            try:
                self._fetched += await self.read(await self._reach(), wanted)
                self._is_failing = False
            except (RedisError, OSError, BusUnavailable) as error:
                await self._recover(error)
            self._wake()
            await asyncio.sleep(0)  # they take what has come, or wait again
            if not self._waiting:
                break
            wanted = max(self._waiting.values())

    async def _reach(self) -> Wire:
        await self._connection.back()
        if self._wire is None or self._wire.is_over:
            await self._hang_up()
            self._wire = await self._connection.dial()
        return self._wire

    async def _recover(self, error: Exception) -> None:
        if self._is_closed or self._connection.is_closed:
            return
        if isinstance(error, NoScriptError):
            self._connection.renew()
        if isinstance(error, TimeoutError):
            await self._hang_up()
        try:
            await self.mend(error)
        except (RedisError, BusUnavailable, ValueError) as another:
            error = another
        is_told = self._is_failing or isinstance(error, RedisConnectionError | OSError)  # that it is lost is told once
        _log.log(DEBUG if is_told else WARNING, "nothing comes from %s: %s", self._name, text_of(error))
        self._is_failing = True
        await asyncio.sleep(_PAUSE_S)

    def _interrupt(self) -> None:
        """End a read that waits, as if its time were over."""
        if self._connection.wire is not None and self._wire is not None:
            self._connection.wire.tell(pack("CLIENT", "UNBLOCK", self._wire.number))

    async def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.end()

    async def ask(self, wire: Wire, command: bytes, wait_s: float = 0.0) -> Answer:
        """Give the answer to a command that may wait so long."""
        return await wire.call(command, wait_s + _SILENT_S)

    # --- waiting ---

    def _take(self, limit: int) -> Sequence[Delivery]:
        taken: list[Delivery] = []
        while self._fetched and len(taken) < limit:
            delivery = self._fetched.popleft()
            if self.held(delivery):
                taken.append(delivery)
        return taken

    async def _changed(self, limit: int, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting[woken] = limit
        timer = loop.call_later(timeout_s, _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.pop(woken, None)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for woken in waiting:
            _set(woken)


def _set(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
