"""Hearing a topic of one partition alone: a consumer without a group, which commits nothing."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import ConsumerStoppedError  # type: ignore[import-untyped]

from stepbus.adapters.kafka.connection import FAILURES, Connection
from stepbus.adapters.kafka.consumers import consumer_of, end
from stepbus.adapters.kafka.records import headers_of
from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.orchestrator.ports import BusUnavailable, Delivery

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_OPEN_S = 10.0


class TopicListener:
    """One who hears what is said under a key, or all. What was received is done with."""

    def __init__(
        self, settings: KafkaSettings, connection: Connection, channel: str, topic: str, key: bytes | None
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._channel = channel
        self._at = TopicPartition(topic, 0)
        self._key = key
        self._next: int | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._mending = asyncio.Lock()
        self._is_closed = False

    async def open(self, *, from_start: bool) -> None:
        """Begin to hear; on return nothing is missed.

        Raises:
            BusUnavailable: the topic can't be read now.
        """
        try:
            await self._begin(from_end=not from_start)
        except FAILURES as error:
            await self._end()
            raise BusUnavailable(f"expected to hear {self._at.topic}, but {error!r}") from error

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the brokers are away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)
        while not self._is_closed:
            remaining_s = deadline - monotonic()
            heard = await self._hear(limit, min(max(0.0, remaining_s), _LOOK_S))
            if heard or remaining_s <= 0:
                return heard
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing."""

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Do nothing."""

    async def extend(self, delivery: Delivery) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Stop hearing."""
        if not self._is_closed:
            self._is_closed = True
            await self._end()

    async def begin_again(self) -> None:
        """Hear from the start: the topic is not the one that it was."""
        self._next = None
        await self._end()

    @property
    def is_over(self) -> bool:
        """Say that it is closed."""
        return self._is_closed

    async def _hear(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        try:
            async with self._mending:
                if self._consumer is None and not self._is_closed:
                    await self._begin(from_end=False)
            consumer = self._consumer
            if consumer is None:
                return ()
            fetched = await consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=limit)
        except ConsumerStoppedError:
            return ()
        except FAILURES as error:
            _log.debug("nothing is heard of %s: %r", self._at.topic, error)
            await self._end()
            await asyncio.sleep(min(timeout_s, _LOOK_S))
            return ()
        heard: list[Delivery] = []
        for record in fetched.get(self._at, ()):
            self._next = record.offset + 1
            if self._key is None or record.key == self._key:
                heard.append(Delivery(self._channel, record.value or b"", headers_of(record), 1))
        return heard

    async def _begin(self, *, from_end: bool) -> None:
        consumer = self._consumer = consumer_of(self._settings, None)
        consumer.assign([self._at])
        async with asyncio.timeout(_OPEN_S):
            await consumer.start()
            if from_end:
                self._next = (await consumer.end_offsets([self._at]))[self._at]
            if self._next is not None:
                consumer.seek(self._at, self._next)
            else:
                await consumer.seek_to_beginning(self._at)

    async def _end(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(*FAILURES):
                await end(consumer)
