"""The bus on Kafka: a confirm for every message, and a log that is read as a queue."""

import asyncio
import logging
from collections.abc import Sequence

from stepbus.adapters.kafka.connection import FAILURES, Connection
from stepbus.adapters.kafka.listener import TopicListener
from stepbus.adapters.kafka.membership import end_membership
from stepbus.adapters.kafka.provisioning import create_topics, groups_below, partitions_of, remove_all
from stepbus.adapters.kafka.publisher import Publisher
from stepbus.adapters.kafka.reader import Reader
from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.adapters.kafka.subscription import SharedSubscription
from stepbus.adapters.kafka.topology import Names, Place, Topic
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, NotSent, Outgoing, Sent

_log = logging.getLogger(__name__)

_GOODBYE_S = 1.0


class KafkaBus:
    """A `Bus` on the topics of one prefix."""

    def __init__(self, settings: KafkaSettings, bus: BusSettings) -> None:
        self._settings = settings
        prefix = channels.to_prefix(bus.prefix)
        self._names = Names(prefix, settings.partitions, bus.partitions, settings.max_message)
        self._connection = Connection(settings)
        self._publisher = Publisher(settings, self._connection, self._names, bus.publish_timeout_s, self._open_queue)
        self._readers: dict[Place, Reader] = {}
        self._subscriptions: list[SharedSubscription] = []
        self._listeners: list[TopicListener] = []
        self._queues: set[str] | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            BusUnavailable: no broker let us in within the time.
        """
        _quieten()
        await self._connection.open()
        try:
            await self._connection.link(self._publisher)
        except FAILURES as error:
            await self._connection.close()
            raise BusUnavailable(f"expected to send to Kafka at {self._settings.hosts}, but {error!r}") from error
        self._connection.on_return = self._provision_again

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create the topics of the prefix and of these queues that are not there yet."""
        topics = [self._names.of_queue(queue) for queue in queues]
        await self._provision(topics)
        self._queues = (self._queues or set()) | set(queues)

    async def remove(self) -> None:
        """Delete the topics of the prefix, and the groups in which nobody is."""
        self._queues = None
        await remove_all(self._connection.demand(), f"{self._names.prefix}.")

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all at once, and await the confirm of each."""
        return await self._publisher.publish(messages)

    def address(self, channel: str) -> str:
        """Give the topic of a channel; for results with the partition behind it, for replies with the key."""
        return self._names.address(channels.to_send(channel))

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address below `<prefix>.replies.`."""
        return self._names.reply_channel(address)

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> SharedSubscription:
        """Take part in the work of a group, or read one partition from where its group has come to."""
        shared = channels.to_share(channel, group)
        place = self._names.place(shared, group)
        if shared.kind == "jobs":
            await self._open_queue(shared.name)
        await self._demand(place.topic, place.partition or 0)
        await self._demand_alone(place)
        reader = self._readers.setdefault(place, Reader(self._settings, self._connection, place))
        subscription = SharedSubscription(reader, in_hand)
        await subscription.open()
        self._subscriptions = [one for one in self._subscriptions if not one.is_over]
        self._subscriptions.append(subscription)
        if reader.predecessor not in {"", self._settings.name}:
            requests = self._names.place(channels.to_share("tasks", group), group)
            await end_membership(self._connection.demand(), requests.group, reader.predecessor)
        return subscription

    async def listen(self, channel: str, *, from_start: bool) -> TopicListener:
        """Hear a topic by a consumer of one's own."""
        heard = channels.to_hear(channel)
        topic = self._names.topic(heard)
        await self._demand(topic, 0)
        key = heard.name.encode() if heard.kind == "replies" else None
        listener = TopicListener(self._settings, self._connection, channel, topic, key)
        await listener.open(from_start=from_start and key is None)
        self._listeners = [one for one in self._listeners if not one.is_over]
        self._listeners.append(listener)
        return listener

    async def connected(self) -> bool:
        """Say whether the brokers answer now."""
        return await self._connection.is_reached()

    async def close(self) -> None:
        """Commit what is done with, give up all partitions, and let go of the brokers."""
        opened: list[SharedSubscription | TopicListener] = [*self._subscriptions, *self._listeners]
        for one in opened:
            await one.close()
        self._subscriptions.clear()
        self._listeners.clear()
        await self._publisher.flush(_GOODBYE_S)
        await self._connection.close()

    async def _provision(self, topics: Sequence[Topic]) -> bool:
        wanted = [*self._names.topics(), *topics] if self._queues is None else list(topics)
        admin = self._connection.demand()
        is_new = await create_topics(admin, wanted, self._settings.replication_factor) if wanted else False
        self._connection.topic = self._names.topics()[0].name
        return is_new

    async def _open_queue(self, queue: str) -> None:
        """Create the topic of a queue if it is not there, in a prefix whose other topics are there.

        Raises:
            BusUnavailable: they are not, or the brokers can't be asked.
        """
        topic = self._names.of_queue(queue)
        admin = self._connection.demand()
        async with self._opening:
            if not await partitions_of(admin, topic.name):
                await self._demand(self._names.topics()[0].name, 0)
                await create_topics(admin, [topic], self._settings.replication_factor)
        if self._queues is not None:
            self._queues.add(queue)

    async def _demand(self, topic: str, partition: int) -> None:
        found = await partitions_of(self._connection.demand(), topic)
        if not found:
            raise BusUnavailable(f"expected the topic {topic}, but there is none; provision the bus")
        if partition >= found:
            raise refuse("channel.name", f"expected a partition below {found} of {topic}, found {partition}")

    async def _demand_alone(self, place: Place) -> None:
        if not place.rivals:
            return
        rivals = {one.group for one in self._readers if one.rivals == place.rivals}
        rivals.update(await groups_below(self._connection.demand(), place.rivals))
        rivals.discard(place.group)
        if rivals:
            expected = f"expected {place.topic} to have one group, {place.group}"
            raise refuse("channel.group", f"{expected}, but it has {', '.join(sorted(rivals))}")

    async def _provision_again(self) -> None:
        """Create anew what was there: the brokers may have come back without their folders."""
        if self._queues is None:
            return
        queues, self._queues = self._queues, None
        try:
            is_new = await self._provision([self._names.of_queue(queue) for queue in sorted(queues)])
        except Refused as error:
            _log.warning("expected to find the channels again, but %s", error)
            is_new = False
        finally:
            self._queues = queues
        if is_new:
            readers: list[Reader | TopicListener] = [*self._readers.values(), *self._listeners]
            for one in readers:
                await one.begin_again()


def _quieten() -> None:
    """Keep aiokafka from telling an error for each of its tries; who sets its level hears them."""
    logger = logging.getLogger("aiokafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    logging.getLogger("aiokafka.conn").addFilter(_holds_no_password)


def _holds_no_password(record: logging.LogRecord) -> bool:
    """Say whether a record may be told: at its lowest level aiokafka tells each request, and one holds the password."""
    return "sasl_auth_bytes" not in record.getMessage()
