"""Commits: up to where each partition is done with, for whoever reads it next."""

import asyncio
import logging
from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from stepbus.adapters.kafka.book import Book
from stepbus.adapters.kafka.connection import FAILURES, Connection
from stepbus.adapters.kafka.consumers import consumer_of, end
from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.adapters.kafka.topology import Place

_log = logging.getLogger(__name__)

COMMITTED_S = 3.0
"""How long the brokers may take for a commit, or to tell one."""


class Commits:
    """The commits of one place."""

    def __init__(self, settings: KafkaSettings, connection: Connection, place: Place) -> None:
        self._settings = settings
        self._connection = connection
        self._place = place

    async def commit(self, consumer: AIOKafkaConsumer, book: Book) -> bool:
        """Commit what is done with of the partitions that the consumer has, and say whether that was done."""
        if not self._connection.is_up:
            return False
        mine = {at.partition for at in consumer.assignment()}
        offsets = {number: offset for number, offset in book.to_commit().items() if number in mine}
        if not offsets:
            return True
        try:
            async with asyncio.timeout(COMMITTED_S):
                await consumer.commit(self._of_topic(offsets))
        except (*FAILURES, RuntimeError) as error:
            _log.debug("%s is not committed yet: %r", self._place.topic, error)
            return False
        book.committed(offsets)
        return True

    async def commit_alone(self, books: Collection[Book]) -> None:
        """Commit after the reading has ended; in vain if others read by now, and then it comes again."""
        offsets: dict[int, int] = {}
        for book in books:
            offsets |= book.to_commit()
            book.committed(offsets)
        if not offsets or not self._connection.is_up:
            return
        consumer = consumer_of(self._settings, self._place.group)
        consumer.assign([TopicPartition(self._place.topic, number) for number in offsets])
        try:
            async with asyncio.timeout(COMMITTED_S):
                await consumer.start()
                await consumer.commit(self._of_topic(offsets))
        except (*FAILURES, RuntimeError) as error:
            _log.debug("acks came too late for %s: %r", self._place.topic, error)
        finally:
            await end(consumer)

    async def sign(self, consumer: AIOKafkaConsumer, name: str) -> str:
        """Sign where the one partition is read from, if that is committed, and give the name that was there before."""
        at = TopicPartition(self._place.topic, self._place.partition)
        try:
            async with asyncio.timeout(COMMITTED_S):
                before = (await consumer._coordinator.fetch_committed_offsets([at])).get(at)  # noqa: SLF001
                if before is not None and before.offset >= 0:
                    await consumer.commit({at: (before.offset, name)})
                    return str(before.metadata)
        except (*FAILURES, RuntimeError) as error:
            _log.debug("%s is not signed: %r", self._place.topic, error)
        return ""

    def _of_topic(self, offsets: Mapping[int, int]) -> dict[TopicPartition, tuple[int, str]]:
        signature = "" if self._place.partition is None else self._settings.name
        return {TopicPartition(self._place.topic, number): (offset, signature) for number, offset in offsets.items()}
