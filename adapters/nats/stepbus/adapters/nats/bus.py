"""The bus on NATS JetStream: one connection, a confirm for every message, continuous pulls."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from stepbus.adapters.nats.api import JetStreamApi
from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.listener import Listener, ReplyListener
from stepbus.adapters.nats.provisioning import (
    create_consumer,
    create_streams,
    delete_streams,
    take_all_partitions,
    take_partition,
)
from stepbus.adapters.nats.publisher import Publisher
from stepbus.adapters.nats.settings import NatsSettings
from stepbus.adapters.nats.subscription import PullSubscription
from stepbus.adapters.nats.topology import ConsumerPlace, Names, is_partition
from stepbus.contracts import channels
from stepbus.contracts.channels import Channel
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, NotSent, Outgoing, Sent

_log = logging.getLogger(__name__)


class NatsBus:
    """A `Bus` on the streams of one prefix."""

    def __init__(self, settings: NatsSettings, bus: BusSettings) -> None:
        self._settings = settings
        self._names = Names(channels.to_prefix(bus.prefix))
        self._connection = Connection(settings)
        self._api = JetStreamApi(self._connection)
        self._publisher = Publisher(self._connection, self._names, bus.publish_timeout_s)
        self._opened: list[PullSubscription | Listener] = []
        self._queues: set[str] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            BusUnavailable: no server let us in within the time.
        """
        await self._connection.open()
        self._connection.link(self._publisher)
        self._connection.on_return = self._provision_again

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create the streams of the prefix and the consumers of these queues that are not there yet."""
        places = [self._names.consumer(channels.to_send(f"jobs.{queue}"), "") for queue in queues]
        if self._queues is None:
            await create_streams(self._api, self._names, self._settings.replicas)
            self._queues = set()
        for queue, place in zip(queues, places, strict=True):
            await create_consumer(self._api, place, self._settings.ack_wait_s)
            self._queues.add(queue)

    async def remove(self) -> None:
        """Delete the streams of the prefix."""
        self._queues = None
        await delete_streams(self._api, self._names)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all at once, and await the confirm of each."""
        return await self._publisher.publish(messages)

    def address(self, channel: str) -> str:
        """Give the subject of a channel."""
        return self._names.subject(channels.to_send(channel))

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an inbox, or of a subject below `<prefix>.replies.`."""
        return self._names.reply_channel(address)

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> PullSubscription:
        """Take part in the work of a consumer, which is created if it is not there yet; a partition is taken over."""
        shared = channels.to_share(channel, group)
        place = self._names.consumer(shared, group)
        config = await self._consumer(shared, place, group)
        ack_wait_s = config["ack_wait"] / 1e9
        subscription = PullSubscription(self._connection, self._api, place, self._names.prefix, in_hand, ack_wait_s)
        self._connection.link(subscription)
        self._keep(subscription)
        return subscription

    async def listen(self, channel: str, *, from_start: bool) -> Listener:
        """Hear a stream by a connection of one's own, or a reply channel."""
        heard = channels.to_hear(channel)
        subject = self._names.subject(heard)
        if heard.kind == "replies":
            replies = ReplyListener(self._connection, channel, subject)
            self._keep(replies)
            await replies.open()
            return replies
        from stepbus.adapters.nats.stream_listener import StreamListener  # noqa: PLC0415 - it imports FastStream

        stream = self._names.stream(heard.kind)
        listener = StreamListener(self._settings, self._connection, self._api, channel, subject, stream)
        self._keep(listener)
        await listener.open(from_start=from_start)
        return listener

    async def connected(self) -> bool:
        """Say whether there is a connection now."""
        return self._connection.wire is not None

    async def close(self) -> None:
        """Give back at once what is out un-acked, and let go of the connection."""
        for opened in self._opened:
            await opened.abandon()
        self._opened.clear()
        await self._connection.close()

    async def _consumer(self, shared: Channel, place: ConsumerPlace, group: str) -> Mapping[str, Any]:
        if shared.kind != "results":
            return await create_consumer(self._api, place, self._settings.ack_wait_s)
        take = take_partition if is_partition(shared) else take_all_partitions
        return await take(self._api, place, group, self._settings.ack_wait_s)

    def _keep(self, opened: PullSubscription | Listener) -> None:
        self._opened = [one for one in self._opened if not one.is_over]
        self._opened.append(opened)

    async def _provision_again(self) -> None:
        """Create anew what was there: the server may have come back without its folder."""
        if self._queues is None:
            return
        queues, self._queues = self._queues, None
        try:
            await self.provision(sorted(queues))
        except (BusUnavailable, Refused) as error:
            self._queues = queues
            _log.warning("expected to find the channels again, but %s", error)
