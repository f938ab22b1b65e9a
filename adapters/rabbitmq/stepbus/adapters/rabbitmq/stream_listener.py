"""Hearing what is kept, in its order, from a stream of the server.

A stream is read from a place that the reader names, and forgets nothing when it was read. So on a new connection the
last message is asked for again: if it is another one now, or does not come, the stream is not the one that it was, and
is heard from its start.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stepbus.adapters.rabbitmq import frames
from stepbus.adapters.rabbitmq.channel import Channel
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.listener import BUFFER, Listener
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.reader import consume
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.orchestrator.ports import Delivery

_MISSED_AFTER_S = 2.0
"""How long the last message that was heard may take to come again."""


class StreamListener(Listener):
    """Hears a stream in its order, each message once."""

    def __init__(self, connection: Connection, channel: str, queue: str, *, from_start: bool) -> None:
        super().__init__(connection, channel, queue)
        self._first: Any = "first" if from_start else "next"
        self._last = -1
        self._last_heard: tuple[str | None, bytes] = (None, b"")
        self._is_proving = False
        self._wire: Wire | None = None
        self._proof: asyncio.TimerHandle | None = None

    async def begin(self, wire: Wire, channel: Channel) -> None:
        """Hear on from the last message that was heard, or from the place to begin at."""
        self._wire = wire
        await see(wire, self._queue)
        self._is_proving = self._last >= 0
        self._forget_proof()
        start = self._last if self._is_proving else self._first
        await consume(channel, [self._queue], BUFFER, {"x-stream-offset": start})
        if self._first == "next":  # what is said while the connection is lost must be heard after it
            self._first = datetime.now(UTC) - timedelta(seconds=1)
        if self._is_proving:
            self._proof = asyncio.get_running_loop().call_later(_MISSED_AFTER_S, self._from_the_start)

    def arrived(self, tag: bytes, delivery: int, properties: bytes, body: bytes) -> None:
        """Keep it, unless it was heard."""
        del tag
        read = frames.properties_of(properties)
        offset = place_of(read.headers)
        this = (read.message_id, body)
        if self._is_proving:
            if offset == self._last and this != self._last_heard:
                self._from_the_start()
                return
            self._is_proving = False
            self._forget_proof()
        if offset <= self._last:
            return
        self._last, self._last_heard = offset, this
        headers, _ = frames.headers_of(properties)
        self.hear(delivery, Delivery(self._told_on, body, headers, 1))

    async def stop(self) -> None:
        """Read no more on later connections."""
        self._forget_proof()
        await super().stop()

    def _forget_proof(self) -> None:
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None

    def _from_the_start(self) -> None:
        self._forget_proof()
        self._last, self._first = -1, "first"
        if self.channel is not None and self._wire is not None:
            self._dismissed(self.channel, self._wire)


async def see(wire: Wire, stream: str) -> None:
    """See that a stream is there.

    Raises:
        BusUnavailable: it is not.
    """
    provisioner = Provisioner(wire)
    try:
        await provisioner.demand(stream)
    finally:
        await provisioner.close()


def place_of(headers: Mapping[str, Any] | None) -> int:
    """Give a message's place in its stream."""
    place = (headers or {}).get("x-stream-offset", 0)
    return place if isinstance(place, int) else 0
