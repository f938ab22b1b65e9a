"""Whether the brokers can be reached: asked for again and again, since aiokafka's clients keep it to themselves.

A client of aiokafka tries for ever and says so in its log only, an error for every try. So one client asks the brokers
every second; when they do not answer, what depends on them is ended, and begun anew when they answer again.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.conn import AIOKafkaConnection, create_conn  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

FAILURES = (OSError, KafkaError, TimeoutError)
"""What an attempt to reach a broker may end with."""

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_WATCH_S, _ANSWER_S = 1.0, 5.0
_NOW_S = 1.0
_DIAL_S = 5.0
_FOR_GOOD = ("Authentication", "certificate", "SSL", "SASL", "MechanismError", "speaks TLS")


class Linked(Protocol):
    """What is begun anew on each return of the brokers."""

    async def begin(self) -> None:
        """Begin; the brokers answer."""
        ...

    async def end(self) -> None:
        """End at once; the brokers do not answer any more."""
        ...


class Connection:
    """What is known of the brokers. `topic` is one to look for: without leaders of it, they are not there yet."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._linked: list[Linked] = []
        self._admin: AIOKafkaAdminClient | None = None
        self._watching: asyncio.Task[None] | None = None
        self._failed = asyncio.Event()
        self._is_up = False
        self._is_closed = False
        self.topic = ""
        self.on_return: Callable[[], Awaitable[None]] | None = None

    async def open(self) -> None:
        """Reach the brokers for the first time.

        Raises:
            BusUnavailable: none let us in within the time.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.connect_timeout_s
        while True:
            try:
                await self._dial()
                break
            except FAILURES:
                reason = await self._reason()
                is_over = asyncio.get_running_loop().time() > deadline
                if is_over or any(word in reason for word in _FOR_GOOD):
                    raise BusUnavailable(f"expected Kafka at {self._settings.hosts}, but {reason}") from None
                await asyncio.sleep(_PAUSE_S)
        self._is_up = True
        self._watching = asyncio.create_task(self._watch())

    async def link(self, linked: Linked) -> None:
        """Begin something now, and again after each outage."""
        self._linked.append(linked)
        await linked.begin()

    def demand(self) -> AIOKafkaAdminClient:
        """Give the client to ask the brokers with.

        Raises:
            BusUnavailable: they can't be reached now.
        """
        if self._admin is None:
            raise BusUnavailable(f"expected a connection to Kafka at {self._settings.hosts}, but {self.trouble}")
        return self._admin

    @property
    def is_up(self) -> bool:
        """Say whether the brokers answered when they were last asked, and all is begun that depends on them."""
        return self._is_up

    @property
    def trouble(self) -> str:
        """Say why there is no connection."""
        return "the bus was closed" if self._is_closed else "it is lost"

    async def is_reached(self) -> bool:
        """Ask the brokers now."""
        if self._admin is None or not self._is_up:
            return False
        try:
            async with asyncio.timeout(_NOW_S):
                await self._look(self._admin)
        except FAILURES as error:
            if not isinstance(error, TimeoutError):
                self._failed.set()
            return False
        return True

    async def close(self) -> None:
        """Let go."""
        self._is_closed = True
        await end_tasks(self._watching)
        await self._hang_up()
        for linked in self._linked:
            await linked.end()

    async def _dial(self) -> None:
        admin = AIOKafkaAdminClient(**self._settings.to_connect(), request_timeout_ms=int(_ANSWER_S * 1000))
        try:
            async with asyncio.timeout(_DIAL_S):
                await admin.start()
                await self._look(admin)
        except BaseException:
            await admin._client.close()  # noqa: SLF001 - close() does nothing for a client that did not start
            raise
        self._admin = admin

    async def _look(self, admin: AIOKafkaAdminClient) -> None:
        for topic in await admin.describe_topics([self.topic] if self.topic else []):
            if any(partition["leader"] < 0 for partition in topic["partitions"]):
                raise KafkaError(f"{topic['topic']} has no leader yet")

    async def _hang_up(self) -> None:
        self._is_up = False
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin._client.close()  # noqa: SLF001

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await self._failed.wait()
            self._failed.clear()
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._look(self.demand())
            except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on
                _log.warning("the connection to Kafka at %s is lost; connecting again", self._settings.hosts)
                _log.debug("Kafka: %r", error)
                await self._hang_up()
                await self._return()

    async def _return(self) -> None:
        for linked in self._linked:
            await linked.end()
        pause = _PAUSE_S
        while self._admin is None:
            try:
                await self._dial()
                for linked in self._linked:
                    await linked.begin()
                if self.on_return is not None:
                    await self.on_return()
            except Exception as error:  # noqa: BLE001
                _log.debug("Kafka at %s is not back yet: %r", self._settings.hosts, error)
                await self._hang_up()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        _log.warning("connected to Kafka at %s again", self._settings.hosts)
        self._is_up = True

    async def _reason(self) -> str:
        """Say what one of the brokers answers: aiokafka's own error names none."""
        host, _, port = self._settings.addresses[0].rpartition(":")
        host = host.strip("[]")
        told = {name: value for name, value in self._settings.to_connect().items() if name != "bootstrap_servers"}
        ended: list[AIOKafkaConnection] = []
        try:
            async with asyncio.timeout(_DIAL_S):
                (await create_conn(host, int(port), on_close=lambda one, _: ended.append(one), **told)).close()
        except FAILURES as error:
            if not self._settings.is_tls and await _speaks_tls(host, int(port)):
                return "it speaks TLS, which tls=true asks for"
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        finally:
            if ended:  # TLS is closed when the broker says goodbye too
                await asyncio.wait([one.close() for one in ended], timeout=_NOW_S)
        return "it does not answer"


async def _speaks_tls(host: str, port: int) -> bool:
    """Say whether TLS is spoken there, whoever it is: one that is spoken to plainly hangs up without a word."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_NOW_S):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
