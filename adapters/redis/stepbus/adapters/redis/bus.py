"""The bus on Redis Streams: one connection to send by, one for each who waits."""

import asyncio
import logging
from collections.abc import Sequence

from redis.exceptions import RedisError

from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.durability import tell_weaknesses
from stepbus.adapters.redis.listener import START, Listener
from stepbus.adapters.redis.provisioning import create_streams, join_group, last_entry, remove_keys
from stepbus.adapters.redis.publisher import Publisher
from stepbus.adapters.redis.settings import RedisSettings
from stepbus.adapters.redis.subscription import GroupSubscription
from stepbus.adapters.redis.topology import Names, group_of, longest_ack_wait_s
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, NotSent, Outgoing, Sent, end_tasks

_log = logging.getLogger(__name__)


class RedisBus:
    """A `Bus` on the streams of one prefix."""

    def __init__(self, settings: RedisSettings, bus: BusSettings) -> None:
        self._settings = settings
        self._names = Names(channels.to_prefix(bus.prefix), bus.partitions)
        self._connection = Connection(settings)
        self._publisher = Publisher(self._connection, self._names, bus.publish_timeout_s, settings.max_message_bytes)
        self._opened: list[GroupSubscription | Listener] = []
        self._queues: set[str] | None = None
        self._provisioning: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            BusUnavailable: the server did not let us in within the time.
        """
        await self._connection.open()
        self._connection.on_return = self._provision_again
        self._publisher.on_absence = self._provision_soon
        await tell_weaknesses(self._connection, self._settings.host_and_port)

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create the streams of the prefix and of these queues that are not there yet."""
        streams = [self._names.stream(channels.to_send(f"jobs.{queue}")) for queue in queues]
        await create_streams(self._connection, self._names, streams)
        self._queues = (self._queues or set()) | set(queues)

    async def remove(self) -> None:
        """Delete all keys below the prefix."""
        self._queues = None
        await remove_keys(self._connection, self._names)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all at once, and await the confirm of each."""
        return await self._publisher.publish(messages)

    def address(self, channel: str) -> str:
        """Give the key of a channel's stream."""
        return self._names.stream(channels.to_send(channel))

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of a stream below `<prefix>:replies:`."""
        return self._names.reply_channel(address)

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> GroupSubscription:
        """Take part in the work of a group, which is created if it is not there yet; a partition is taken over."""
        shared = channels.to_share(channel, group)
        streams, name = self._names.shared(shared), group_of(shared, group)
        is_work = shared.kind in channels.WORK
        takes_over = shared.kind == "results" and shared.name != "*"

        async def join() -> None:
            await join_group(self._connection, self._names, streams, name, alone=is_work)

        async def join_again() -> None:
            await self._provision_again()
            await join()

        await join()
        ack_wait_s = min(self._settings.ack_wait_s, longest_ack_wait_s(shared))
        subscription = GroupSubscription(
            *(self._connection, streams, name, in_hand, ack_wait_s),
            keeps=not is_work,
            takes_over=takes_over,
            join=join_again,
        )
        self._keep(subscription)
        return subscription

    async def listen(self, channel: str, *, from_start: bool) -> Listener:
        """Hear a stream alone."""
        heard = channels.to_hear(channel)
        stream = self._names.stream(heard)
        last = await last_entry(self._connection, self._names, stream, is_kept=heard.kind in channels.TOLD)
        listener = Listener(self._connection, channel, stream, START if from_start else last)
        self._keep(listener)
        return listener

    async def connected(self) -> bool:
        """Say whether there is a connection now."""
        return self._connection.wire is not None

    async def close(self) -> None:
        """Give back at once what is out un-acked, and let go of the connection."""
        await asyncio.gather(*[opened.abandon() for opened in self._opened])
        self._opened.clear()
        await end_tasks(self._provisioning)
        await self._connection.close()

    def _keep(self, opened: GroupSubscription | Listener) -> None:
        self._opened = [one for one in self._opened if not one.is_over]
        self._opened.append(opened)

    def _provision_soon(self) -> None:
        if self._queues is not None and (self._provisioning is None or self._provisioning.done()):
            self._provisioning = asyncio.create_task(self._provision_again())

    async def _provision_again(self) -> None:
        """Create anew what was there: the server may have come back without its data."""
        if self._queues is None:
            return
        try:
            await self.provision(sorted(self._queues))
        except (BusUnavailable, Refused, RedisError) as error:
            _log.warning("expected to find the channels again, but %s", error)
