"""Publishing with a confirm for every message, in bounded time.

An idempotent producer of aiokafka tries for ever to send what it has taken, and its order can only be kept by letting
it. So when the brokers are lost, or do not confirm in time, the producer is dropped with all that it holds, and another
one begins; the relay sends again what was not confirmed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from time import time_ns
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    UnknownTopicOrPartitionError,
)

from stepbus.adapters.kafka.connection import Connection
from stepbus.adapters.kafka.records import ID, SENT
from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.adapters.kafka.topology import Names, partition_of
from stepbus.contracts import channels
from stepbus.contracts.channels import Channel
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import BusUnavailable, NotSent, Outgoing, Sent, end_tasks

_SENT = Sent()
_LOST = NotSent("expected a confirm, but the connection was lost")
_FOR_GOOD = (InvalidTopicError, MessageSizeTooLargeError, RecordTooLargeError)
_START_S = 10.0
_LOOK_S = 0.25
"""How long a confirm may take before the brokers are asked whether they are there."""

_BATCH_BYTES = 256 * 1024
_ENVELOPE_BYTES = 256
"""What a batch and a record may add to key, body and id."""

_Answer = asyncio.Future[Any] | NotSent


class Publisher:
    """Sends messages and answers for each."""

    def __init__(
        self,
        settings: KafkaSettings,
        connection: Connection,
        names: Names,
        timeout_s: float,
        open_queue: Callable[[str], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._names = names
        self._timeout_s = timeout_s
        self._open_queue = open_queue
        self._producer: AIOKafkaProducer | None = None
        self._calls: set[asyncio.Future[None]] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._last_sent = 0
        self._way = lru_cache(maxsize=4096)(self._find_way)

    async def begin(self) -> None:
        """Begin with a fresh producer."""
        producer = AIOKafkaProducer(
            **self._settings.to_connect(),
            acks="all",
            enable_idempotence=True,
            max_request_size=self._settings.max_message,
            max_batch_size=min(_BATCH_BYTES, self._settings.max_message),
            request_timeout_ms=int(self._timeout_s * 1000),
            retry_backoff_ms=50,
            metadata_max_age_ms=30_000,
        )
        try:
            async with asyncio.timeout(_START_S):
                await producer.start()
        except BaseException:
            await _drop(producer)
            raise
        self._producer = producer

    async def end(self) -> None:
        """Answer for all that is in flight: it is not confirmed any more."""
        await end_tasks(self._renewing)
        await self._drop_producer()

    async def flush(self, timeout_s: float) -> None:
        """Return when what was taken is confirmed, or the time is over."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout_s)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order."""
        producer = self._producer
        if producer is None:
            return [NotSent(f"expected a connection to Kafka, but {self._connection.trouble}")] * len(messages)
        if not messages:
            return []
        call = asyncio.get_running_loop().create_future()
        self._calls.add(call)
        answers: list[_Answer] = []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                for message in messages:
                    answers.append(await self._send(producer, message))  # noqa: PERF401 - what was sent before a timeout counts
                await self._confirmed(producer, [one for one in answers if isinstance(one, asyncio.Future)])
        except TimeoutError:
            self._renew(producer)
        finally:
            self._calls.discard(call)
            if not call.done():
                call.set_result(None)
        late = NotSent(f"expected a confirm within {self._timeout_s} s, but none came")
        answers += [late] * (len(messages) - len(answers))
        return [self._answer(one, producer, late) for one in answers]

    async def _send(self, producer: AIOKafkaProducer, message: Outgoing) -> _Answer:
        try:
            topic, partition, fixed_key = self._way(message.channel)
            message_id = channels.to_id(message.id).encode()
            key = message.key.encode() if fixed_key is None else fixed_key
            self._demand_size(len(message.body) + len(key) + len(message_id))
        except Refused as refused:
            return NotSent(str(refused), permanent=True)
        if not self._is_current(producer):
            return _LOST
        self._last_sent = now = max(time_ns() // 1000, self._last_sent + 1)
        try:
            count = await self._partitions(producer, topic, message.channel)
            at = partition_of(key, count) if partition is None else partition
            if at >= count:
                return NotSent(f"expected the topic {topic} to have more than {at} partitions, but it has {count}")
            headers = [(ID, message_id), (SENT, b"%d" % now)]
            future: asyncio.Future[Any] = await producer.send(
                topic, message.body, key, partition=at, timestamp_ms=now // 1000, headers=headers
            )
        except Refused as refused:
            return NotSent(str(refused), permanent=True)
        except (UnknownTopicOrPartitionError, BusUnavailable):
            return NotSent(f"expected the topic {topic}, but there is none; provision the bus")
        except KafkaError as error:
            return NotSent(f"expected Kafka to take the message, but {error!r}", permanent=isinstance(error, _FOR_GOOD))
        future.add_done_callback(_look_at)
        return future

    async def _partitions(self, producer: AIOKafkaProducer, topic: str, channel: str) -> int:
        """Give how many partitions there are; a queue that nobody has used yet gets its topic."""
        client = producer.client
        found = client.cluster.partitions_for_topic(topic)
        if not found:
            await client.add_topic(topic)
            await client.force_metadata_update()
            found = client.cluster.partitions_for_topic(topic)
        if not found and channel.startswith("jobs."):
            await self._open_queue(channel.removeprefix("jobs."))
            await client.force_metadata_update()
            found = client.cluster.partitions_for_topic(topic)
        if not found:
            raise UnknownTopicOrPartitionError
        return len(found)

    async def _confirmed(self, producer: AIOKafkaProducer, futures: Sequence[asyncio.Future[Any]]) -> None:
        waiting = {one for one in futures if not one.done()}
        while waiting and self._is_current(producer):
            _, waiting = await asyncio.wait(waiting, timeout=_LOOK_S)
            if waiting:
                await self._connection.is_reached()

    def _answer(self, answer: _Answer, producer: AIOKafkaProducer, late: NotSent) -> Sent | NotSent:
        if isinstance(answer, NotSent):
            return answer
        if not answer.done():
            return late if self._is_current(producer) else _LOST
        if answer.cancelled():
            return _LOST
        error = answer.exception()
        if error is None:
            return _SENT
        return NotSent(f"expected a confirm, but Kafka says: {error!r}", permanent=isinstance(error, _FOR_GOOD))

    def _is_current(self, producer: AIOKafkaProducer) -> bool:
        return producer is self._producer

    def _find_way(self, channel: str) -> tuple[str, int | None, bytes | None]:
        """Give the topic, the partition and the key; None for what is the message's own."""
        to: Channel = channels.to_send(channel)
        topic = self._names.topic(to)
        if to.kind == "results":
            return topic, int(to.name), None
        return topic, None, to.name.encode() if to.kind == "replies" else None

    def _demand_size(self, size: int) -> None:
        if size + _ENVELOPE_BYTES > self._settings.max_message:
            raise refuse(
                "message.too_large",
                f"expected at most {self._settings.max_message} bytes with {_ENVELOPE_BYTES} around it, found {size}",
            )

    def _renew(self, producer: AIOKafkaProducer) -> None:
        """Take another producer in place of one that does not get on."""
        if producer is self._producer and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._begin_again())

    async def _begin_again(self) -> None:
        await self._drop_producer()
        while self._producer is None and self._connection.is_up:
            try:
                await self.begin()
            except (OSError, KafkaError, TimeoutError, BusUnavailable):
                await asyncio.sleep(_LOOK_S)

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _drop(producer)


async def _drop(producer: AIOKafkaProducer) -> None:
    """End a producer with all that it holds: its own `stop` waits until all is sent."""
    sender, accumulator = producer._sender, producer._message_accumulator  # noqa: SLF001
    producer._closed = True  # noqa: SLF001
    if sender.sender_task is not None:
        sender.sender_task.cancel()
    await producer.client.close()
    if sender.sender_task is not None:
        await asyncio.wait({sender.sender_task}, timeout=1.0)
        sender.sender_task.cancel()  # once more: what it waits for by now can outlast its connection
    batches = [batch for queue in accumulator._batches.values() for batch in queue]  # noqa: SLF001
    accumulator._pending_batches.update(batches)  # noqa: SLF001 - one that was to be sent again takes itself off there
    for batch in tuple(accumulator._pending_batches):  # noqa: SLF001
        for future, _ in batch._msg_futures:  # noqa: SLF001
            future.cancel()
        batch.future.cancel()
        if not batch._drain_waiter.done():  # noqa: SLF001
            batch._drain_waiter.set_exception(KafkaError("the connection was lost"))  # noqa: SLF001
            batch._drain_waiter.exception()  # noqa: SLF001


def _look_at(future: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
