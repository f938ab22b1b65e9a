"""One consumer for all subscriptions of a bus to one place: it fetches, commits, and outlives rebalances.

What members of a group have is partitions, not messages. So the subscriptions of one bus share one member and what it
holds, and share it out among themselves message by message; between processes it goes by partitions.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from stepbus.adapters.kafka.book import Book, Hand, Held, Memory
from stepbus.adapters.kafka.commits import COMMITTED_S, Commits
from stepbus.adapters.kafka.connection import FAILURES, Connection
from stepbus.adapters.kafka.consumers import consumer_of, end
from stepbus.adapters.kafka.records import in_order
from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.adapters.kafka.topology import Place
from stepbus.orchestrator.ports import BusUnavailable, Delivery, end_tasks

_log = logging.getLogger(__name__)

_COMMIT_S, _COMMIT_AGAIN_S = 0.05, 0.25
_FETCH_S = 0.5
_PAUSE_S = 0.5
_JOIN_S = 20.0


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of a group, or the reader of one partition, while there is a subscription.

    `predecessor` is the name of the bus that read the one partition before and did not give it up.
    """

    def __init__(self, settings: KafkaSettings, connection: Connection, place: Place) -> None:
        self._settings = settings
        self._connection = connection
        self._place = place
        self._commits = Commits(settings, connection, place)
        self._memory: Memory = {}
        self._book = Book(settings.ack_wait_s, self._memory)
        self._hands: set[Hand] = set()
        self._consumer: AIOKafkaConsumer | None = None
        self._running: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._changed = asyncio.Event()
        self._waiting: set[asyncio.Future[None]] = set()
        self._asked_at = 0.0
        self._steps_aside = False
        self.predecessor = ""

    # --- what subscriptions call ---

    async def join(self, hand: Hand) -> None:
        """Read for one more subscription.

        Raises:
            BusUnavailable: the brokers can't be reached, or did not let us in.
        """
        async with self._opening:
            self._asked_at = monotonic()
            if self._running is None:
                self._connection.demand()
                try:
                    await self._begin()
                except BaseException as error:
                    await self._end()  # also where whoever waited for it was cancelled
                    if isinstance(error, FAILURES):
                        raise BusUnavailable(f"expected to read {self._place.topic}, but {error!r}") from error
                    raise
                self._running = asyncio.create_task(self._run())
            self._hands.add(hand)
            self._changed.set()

    async def leave(self, hand: Hand) -> None:
        """Read for one subscription less; with the last one, leave the group, so that others have its partitions."""
        self._hands.discard(hand)
        self.wake()
        async with self._opening:
            if not self._hands:
                await self.stop()

    def take(self, hand: Hand, limit: int) -> Sequence[Delivery]:
        """Give what waits."""
        self._asked_at = now = monotonic()
        if self._steps_aside:
            self._changed.set()
        self._book.to_be_given_again(now)
        return self._book.hand_out(hand, limit, now)

    async def changed(self, timeout_s: float) -> None:
        """Wait until there may be something to take, or until the time is over."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting.add(woken)
        until_due_s = max(0.0, self._book.due - monotonic())
        timer = loop.call_later(min(timeout_s, until_due_s), _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)

    def wake(self) -> None:
        """Let all look who wait."""
        self._changed.set()
        for woken in self._waiting:
            _set(woken)
        self._waiting.clear()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Strike them out, and commit soon; at once if this comes after the end of the reading."""
        earlier: set[Book] = set()
        for delivery in deliveries:
            held: Held = delivery.receipt
            if held.book is self._book:
                self._book.done(held)
            elif held.book is not None:
                held.book.done(held)
                self._memory.pop((held.partition, held.offset), None)
                self._book.done_elsewhere(held.partition, held.offset)
                earlier.add(held.book)
        self.wake()
        if self._consumer is not None:
            self._commit_soon()
        elif earlier:
            await self._commits.commit_alone(earlier)

    def nack(self, delivery: Delivery, delay_s: float) -> None:
        """Let it wait again."""
        held: Held = delivery.receipt
        if held.book is self._book:
            self._book.give_back(held, delivery.count, delay_s, monotonic())
            self.wake()

    def extend(self, delivery: Delivery) -> None:
        """Give it its whole time again."""
        held: Held = delivery.receipt
        if held.book is self._book:
            self._book.extend(held, delivery.count, monotonic())

    async def stop(self) -> None:
        """End the reading: what is done with is committed, all else is another's."""
        running, self._running = self._running, None
        await end_tasks(running)
        await self._end()

    async def begin_again(self) -> None:
        """Read anew from what is committed: the topic is not the one that it was."""
        async with self._opening:
            if self._running is not None:
                self._memory.clear()
                self._book = Book(self._settings.ack_wait_s, self._memory)  # what was done there is not done here
                await self.stop()
                self._running = asyncio.create_task(self._run())

    # --- the reading ---

    async def _run(self) -> None:
        """Read for ever; after an error begin again from what is committed."""
        while True:
            try:
                await self._fetch(self._consumer or await self._begin())
            except Exception as error:  # noqa: BLE001 - whatever it is, the reading goes on
                _log.debug("nothing comes from %s: %r", self._place.topic, error)
                await self._end()
                await asyncio.sleep(_PAUSE_S)

    async def _begin(self) -> AIOKafkaConsumer:
        consumer = self._consumer = consumer_of(self._settings, self._place.group)
        if self._place.partition is None:
            consumer.subscribe([self._place.topic], listener=self)
        else:
            consumer.assign([TopicPartition(self._place.topic, self._place.partition)])
        async with asyncio.timeout(_JOIN_S + self._settings.session_timeout_s):
            await consumer.start()
        if self._place.partition is not None:
            self.predecessor = await self._commits.sign(consumer, self._settings.name)
        return consumer

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        while self._is_current(consumer):
            room = self._book.room(sum(hand.size for hand in self._hands))
            if self._is_stalled():
                await self._step_aside()
                return
            self._changed.clear()
            if room <= 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FETCH_S):
                        await self._changed.wait()
                continue
            fetched = await consumer.getmany(timeout_ms=int(_FETCH_S * 1000), max_records=room)
            if fetched:
                mine = consumer.assignment()
                fetched = {at: found for at, found in fetched.items() if at in mine}
                self._book.take_in(in_order(fetched, self._place), monotonic())
                self.wake()

    def _is_current(self, consumer: AIOKafkaConsumer) -> bool:
        return consumer is self._consumer

    def _is_stalled(self) -> bool:
        """Say that messages wait whose reader lets his time pass: he has nothing out, and does not ask."""
        now = monotonic()
        if not self._connection.is_up:
            self._asked_at = now
        if self._waiting or now - self._asked_at <= self._settings.ack_wait_s:
            return False
        self._book.to_be_given_again(now)
        return self._book.has_waiting and self._book.is_settled

    async def _step_aside(self) -> None:
        """Leave the partitions to others until somebody here asks."""
        await self._end()
        self._steps_aside = True
        try:
            asked_at = self._asked_at
            while self._asked_at == asked_at:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._steps_aside = False

    async def _end(self) -> None:
        await end_tasks(self._committing)
        self._committing = None
        is_committed = await self._commit()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            if self._place.partition is not None and self._connection.is_up:
                await self._commits.sign(consumer, "")
            await end(consumer)
            if not is_committed:
                await self._commits.commit_alone({self._book})
        self._book.stop_waiting()
        self._book = Book(self._settings.ack_wait_s, self._memory)

    # --- commits ---

    def _commit_soon(self) -> None:
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_until_done())

    async def _commit_until_done(self) -> None:
        await asyncio.sleep(_COMMIT_S)
        while self._book.to_commit() and self._consumer is not None:
            is_done = await self._commit()
            await asyncio.sleep(_COMMIT_S if is_done else _COMMIT_AGAIN_S)

    async def _commit(self) -> bool:
        return self._consumer is not None and await self._commits.commit(self._consumer, self._book)

    # --- what the group says ---

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Commit what is done with, before another may have them."""
        del revoked
        await self._commit()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Keep what is held of partitions that stayed, unless others had them meanwhile; forget the rest."""
        consumer, book = self._consumer, self._book
        book.forget(book.partitions() - {at.partition for at in assigned})
        for at in assigned:
            if consumer is None or at.partition not in book.partitions():
                continue
            try:
                async with asyncio.timeout(COMMITTED_S):
                    following = book.goes_on(at.partition, await consumer.committed(at))
            except (KafkaError, TimeoutError):
                following = None
            if following is None:
                book.forget([at.partition])
            else:
                consumer.seek(at, following)
        self.wake()


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
