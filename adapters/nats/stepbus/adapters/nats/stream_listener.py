"""Hearing what is kept, in its order, by FastStream's ordered consumer.

The rates here are low, so FastStream's 70 µs a message buy what it is good at: flow control, and an ordered consumer
that begins again by itself where a message was lost. But it takes half a minute to notice that a server came back, and
never notices that one came back without its folder. So a lost connection ends it, and the listener begins again behind
the last message that it heard. ADR 0040 has what was tried. Importing FastStream takes 0.3 s: only who listens does.
"""

import asyncio
import logging
from logging import DEBUG, WARNING
from typing import Any

from faststream import AckPolicy
from faststream.nats import DeliverPolicy, JStream, NatsBroker
from faststream.security import BaseSecurity, SASLPlaintext
from nats import errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from stepbus.adapters.nats.api import ApiError, JetStreamApi
from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.deliveries import metadata_of
from stepbus.adapters.nats.listener import Listener
from stepbus.adapters.nats.settings import NatsSettings
from stepbus.adapters.nats.wire import abort
from stepbus.orchestrator.ports import BusUnavailable, Delivery

_GOODBYE_S = 3.0

_log = logging.getLogger(__name__)


class StreamListener(Listener):
    """Hears a stream in its order, each message once."""

    def __init__(
        self, settings: NatsSettings, connection: Connection, api: JetStreamApi, channel: str, subject: str, stream: str
    ) -> None:
        super().__init__(connection)
        self._settings = settings
        self._api = api
        self._channel = channel
        self._subject = subject
        self._stream = stream
        self._created = ""
        self._last = 0
        self._is_stale = True
        self._is_failing = False
        self._broker: NatsBroker | None = None

    async def open(self, *, from_start: bool) -> None:
        """Begin to hear; on return nothing is missed.

        Raises:
            BusUnavailable: the stream can't be read now.
        """
        state = await self._look()
        if not from_start:
            self._last = state["last_seq"]
        self._is_stale = False
        await self._begin()
        self._connection.link(self)

    def detach(self) -> None:
        """Learn that the next connection may be to a server that knows nothing of us."""
        self._is_stale = True

    async def mend(self) -> None:
        """Begin again after the last message that was heard, if the connection is a new one."""
        if not self._is_stale or self._connection.wire is None:
            return
        self._is_stale = False
        try:
            await self._end()
            await self._look()
            await self._begin()
        except BusUnavailable as error:
            _log.log(WARNING if not self._is_failing else DEBUG, "nothing is heard of %s: %s", self._subject, error)
            self._is_stale = self._is_failing = True
        else:
            self._is_failing = False

    async def close(self) -> None:
        """Stop hearing."""
        await super().close()
        await self._end()

    async def _look(self) -> dict[str, Any]:
        """Give the state of the stream. If it is not the one that was heard so far, hear it from its start."""
        try:
            info = await self._api.ask(f"STREAM.INFO.{self._stream}")
        except ApiError as error:
            raise BusUnavailable(f"expected the stream {self._stream}, but {error}; provision the bus") from error
        if info["created"] != self._created:
            self._created = info["created"]
            self._last = 0
        return dict(info["state"])

    async def _begin(self) -> None:
        self._broker = NatsBroker(
            self._settings.servers,
            security=_security(self._settings),
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            decoder=_untouched,
            logger=None,
            error_cb=_tell,
            closed_cb=self._closed,
            allow_reconnect=False,  # to begin again is quicker, and knows a server that has lost its memory
            drain_timeout=1,
        )
        subscriber = self._broker.subscriber(
            self._subject,
            stream=JStream(self._stream, declare=False),
            ordered_consumer=True,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            config=ConsumerConfig(opt_start_seq=self._last + 1),
        )
        subscriber(self._arrived)
        try:
            await self._broker.start()
        except (OSError, errors.Error) as error:
            await self._end()
            raise BusUnavailable(f"expected to hear {self._subject}, but {error!r}") from error

    async def _end(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await broker.stop()
            except (OSError, errors.Error, ExceptionGroup) as error:
                _log.debug("a connection that was lost could not be closed in good order: %r", error)
                if broker._connection is not None:  # noqa: SLF001
                    abort(broker._connection)  # noqa: SLF001

    async def _closed(self) -> None:
        self._is_stale = True

    async def _arrived(self, message: Msg) -> None:
        _, sequence = metadata_of(message.reply.encode())
        if int(sequence) > self._last:
            self._last = int(sequence)
            headers = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")}
            await self._heard.put(Delivery(self._channel, message.data, headers, 1))


def _security(settings: NatsSettings) -> BaseSecurity | None:
    tls = settings.tls_context()
    if settings.user is not None and settings.password is not None:
        return SASLPlaintext(settings.user, settings.password, ssl_context=tls, use_ssl=settings.is_tls)
    return None if tls is None else BaseSecurity(ssl_context=tls, use_ssl=True)


async def _untouched(message: Any) -> Any:
    """Give what arrived, whatever it is: FastStream would refuse a body that it can't decode."""
    return message.raw_message


async def _tell(error: Exception) -> None:
    _log.debug("NATS: %r", error)
