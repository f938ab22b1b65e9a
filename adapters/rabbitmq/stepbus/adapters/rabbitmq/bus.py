"""The bus on RabbitMQ: two connections, a confirm for every message, queues that are read by consumers."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from stepbus.adapters.rabbitmq.channel import ChannelClosed
from stepbus.adapters.rabbitmq.connection import Connection
from stepbus.adapters.rabbitmq.delays import Delays
from stepbus.adapters.rabbitmq.listener import Listener
from stepbus.adapters.rabbitmq.provisioning import Provisioner
from stepbus.adapters.rabbitmq.publisher import Publisher
from stepbus.adapters.rabbitmq.settings import RabbitSettings
from stepbus.adapters.rabbitmq.shared_stream import StreamSubscription
from stepbus.adapters.rabbitmq.stream_listener import StreamListener
from stepbus.adapters.rabbitmq.subscription import QueueSubscription
from stepbus.adapters.rabbitmq.topology import WORK, Names
from stepbus.contracts import channels
from stepbus.contracts.channels import Channel
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings, BusUnavailable, NotSent, Outgoing, Sent, end_tasks

_log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_TOLD_AFTER = 5
_LOOK_S = 0.01


class RabbitBus:
    """A `Bus` on the queues of one prefix.

    A server that is short of memory or disk stops reading from who publishes, and takes in no acks of it either. So
    what is sent and what is received have a connection each.
    """

    def __init__(self, settings: RabbitSettings, bus: BusSettings) -> None:
        self._settings = settings
        self._names = Names(channels.to_prefix(bus.prefix), bus.partitions)
        heartbeat_s = settings.heartbeat_s(bus.session_timeout_s)
        self._sending = Connection(settings, heartbeat_s)
        self._reading = Connection(settings, heartbeat_s)
        self._publisher = Publisher(self._sending, self._names, bus.publish_timeout_s, settings.max_message)
        self._publisher.before_jobs = self._make_job_queues
        self._publisher.on_missing = self._forget
        self._delays = Delays(self._reading, self._publisher, self._names)
        self._opened: list[QueueSubscription | Listener] = []
        self._queues: set[str] | None = None
        self._provisioning = asyncio.Lock()
        self._trying: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            BusUnavailable: no server let us in within the time.
        """
        try:
            await self._reading.open()
            await self._sending.open()
            self._sending.link(self._publisher)
            await self._publisher.open()
        except BaseException:
            await self.close()
            raise
        self._reading.on_return = self._provision_again

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create the queues of the prefix and those of these handlers that are not there yet."""
        wanted = {self._names.queue(channels.to_send(f"jobs.{queue}")) for queue in queues}
        async with self._provisioning:
            provisioner = Provisioner(self._reading.demand())
            try:
                if self._queues is None:
                    for name, arguments in self._names.fixed().items():
                        await provisioner.declare(name, arguments)
                    self._queues = set()
                for name in sorted(wanted - self._queues):
                    await provisioner.declare(name, WORK)
                    self._queues.add(name)
            finally:
                await provisioner.close()

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all at once, and await the confirm of each. A job queue that is missing is created first."""
        return await self._publisher.publish(messages)

    def address(self, channel: str) -> str:
        """Give the queue of a channel, to send to by the default exchange."""
        return self._names.queue(channels.to_send(channel))

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of a queue that the server has named, or of one below `<prefix>.replies.`."""
        return self._names.reply_channel(address)

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> QueueSubscription:
        """Take part in the work of a queue; a job queue is created if it is not there yet."""
        shared = channels.to_share(channel, group)
        sources = self._names.sources(shared, group)
        wait_s = self._settings.ack_wait_s
        subscription: QueueSubscription
        if shared.kind in channels.TOLD:
            stream = self._names.queue(shared)
            subscription = StreamSubscription(
                self._reading, self._publisher, stream, sources, self._delays, in_hand, wait_s
            )
        else:
            claim = partial(self._claim, shared, [source.queue for source in sources])
            subscription = QueueSubscription(self._reading, sources, claim, self._delays, in_hand, wait_s)
        await self._begin(subscription)
        self._keep(subscription)
        return subscription

    async def listen(self, channel: str, *, from_start: bool) -> Listener:
        """Hear a stream, or a queue of one's own for replies."""
        heard = channels.to_hear(channel)
        queue = self._names.queue(heard)
        listener = (
            Listener(self._reading, channel, queue)
            if heard.kind == "replies"
            else StreamListener(self._reading, channel, queue, from_start=from_start)
        )
        await listener.open()
        self._keep(listener)
        return listener

    async def connected(self) -> bool:
        """Say whether there are connections now."""
        return self._publisher.is_ready and self._reading.wire is not None

    async def close(self) -> None:
        """Give back at once what is out un-acked, and let go of the connections."""
        await end_tasks(self._trying)
        opened, self._opened = self._opened, []
        await asyncio.gather(*[one.abandon() for one in opened])
        await self._sending.close()
        await self._reading.close()

    async def _begin(self, subscription: QueueSubscription) -> None:
        """Begin to read, and once more if that has cost the connection.

        Two who declare a quorum queue at one moment are both told that it is there; the server ends the connection of
        who then reads from it before it runs (RabbitMQ 3: INTERNAL_ERROR).
        """
        wire = self._reading.demand()
        try:
            await subscription.open()
        except BusUnavailable:
            if self._reading.wire is wire:
                raise
        else:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                while self._reading.wire is None:  # noqa: ASYNC110 - once in a queue's life
                    await asyncio.sleep(_LOOK_S)
        await subscription.open()

    def _keep(self, opened: QueueSubscription | Listener) -> None:
        self._opened = [one for one in self._opened if not one.is_over]
        self._opened.append(opened)

    async def _claim(self, channel: Channel, queues: Sequence[str]) -> None:
        """See that the queues are there; the one of a handler is created where the bus is provisioned."""
        provisioner = Provisioner(self._reading.demand())
        try:
            if channel.kind == "jobs":
                await provisioner.demand(self._names.queue(Channel("tasks")))
                await provisioner.declare(queues[0], WORK)
            else:
                for queue in queues:
                    await provisioner.demand(queue)
        finally:
            await provisioner.close()

    async def _make_job_queues(self, queues: set[str]) -> None:
        """Create the queues that this bus has not seen, if it has provisioned the others."""
        if self._queues is not None and queues - self._queues:
            prefix = f"{self._names.prefix}.jobs."
            await self.provision([queue.removeprefix(prefix) for queue in sorted(queues - self._queues)])

    def _forget(self, queue: str) -> None:
        """Make a job queue anew for a later message: somebody has deleted it.

        Not at once: RabbitMQ 3.10 does not tell the readers of a deleted queue if there is one of its name again.
        """
        if self._queues is not None:
            asyncio.get_running_loop().call_later(_PAUSE_S, self._queues.discard, queue)

    async def _provision_again(self) -> None:
        """Create anew what was there: the server may have come back without its folder, and may not have it all yet."""
        if not await self._is_provisioned_again(logging.DEBUG):
            self._trying = asyncio.get_running_loop().create_task(self._try_on())

    async def _try_on(self) -> None:
        """Try on, and say once that it takes longer than a server needs that has just been started."""
        wire, tries = self._reading.wire, 1
        while wire is not None and self._reading.wire is wire:
            await asyncio.sleep(_PAUSE_S)
            tries += 1
            if await self._is_provisioned_again(logging.WARNING if tries == _TOLD_AFTER else logging.DEBUG):
                return

    async def _is_provisioned_again(self, level: int) -> bool:
        if self._queues is None:
            return True
        prefix = f"{self._names.prefix}.jobs."
        queues, self._queues = self._queues, None
        try:
            await self.provision([queue.removeprefix(prefix) for queue in sorted(queues)])
        except (BusUnavailable, ChannelClosed, Refused) as error:
            self._queues = queues
            _log.log(level, "expected to find the channels again, but %s", error)
            return False
        return True
