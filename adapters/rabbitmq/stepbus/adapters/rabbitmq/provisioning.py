"""Making queues: once, by whoever comes first; what exists is looked at and never changed."""

import re

from pamqp.commands import Queue

from stepbus.adapters.rabbitmq.channel import Channel, ChannelClosed
from stepbus.adapters.rabbitmq.topology import Arguments
from stepbus.adapters.rabbitmq.wire import Wire
from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.ports import BusUnavailable

_NOT_FOUND, _LOCKED, _OTHER = 404, 405, 406
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<arg>[^']*)' for queue .*: received (?P<expected>.*?) but current is (?P<found>.*)",
    re.DOTALL,
)


class BusMismatch(Refused):
    """What exists on the server is not what stepbus needs; mend it there, or take another prefix."""


class Provisioner:
    """Declares queues on a channel of its own, which every refusal of the server ends."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._channel: Channel | None = None

    async def declare(self, queue: str, arguments: Arguments) -> Queue.DeclareOk:
        """Create a durable queue if it is not there yet. The server compares what is there, and changes nothing of it.

        Raises:
            BusMismatch: one of another make is there.
            BusUnavailable: the server can't create it.
        """
        return await self._ask(Queue.Declare(queue=queue, durable=True, arguments=dict(arguments)))

    async def demand(self, queue: str) -> Queue.DeclareOk:
        """See that a queue is there, whatever its make, and give how much it holds.

        Raises:
            BusUnavailable: it is not.
        """
        return await self._ask(Queue.Declare(queue=queue, passive=True))

    async def exclusive(self, queue: str) -> None:
        """Create a queue for this connection alone, which goes with it.

        Raises:
            BusMismatch: one of another make is there.
            BusUnavailable: another connection has it.
        """
        await self._ask(Queue.Declare(queue=queue, exclusive=True, auto_delete=True))

    async def close(self) -> None:
        """Let go of the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _ask(self, method: Queue.Declare) -> Queue.DeclareOk:
        if self._channel is None or not self._channel.is_open:
            self._channel = await self._wire.open_channel()
        try:
            answer: Queue.DeclareOk = await self._channel.call(method)
        except ChannelClosed as error:
            raise _refusal(method.queue or "", error) from None
        return answer


def _refusal(queue: str, error: ChannelClosed) -> Exception:
    if error.code == _NOT_FOUND and f"no queue '{queue}'" in str(error):
        return BusUnavailable(f"expected the queue {queue}, but there is none; provision the bus")
    if error.code == _LOCKED:
        return BusUnavailable(f"expected the queue {queue} to be free, but another connection has it")
    found = _INEQUIVALENT.search(str(error))
    if error.code == _OTHER and found is not None:
        expected, other = (_value(found[name]) for name in ("expected", "found"))
        problem = f"expected queue {queue} to have {found['arg']} {expected}, but it has {other}"
        return BusMismatch([Problem(code="bus.mismatch", message=problem, pointer=f"/{queue}/{found['arg']}")])
    return BusUnavailable(f"expected the queue {queue}, but RabbitMQ says: {error}")


def _value(text: str) -> str:
    """Give a value as it is, without the server's words around it."""
    return re.sub(r"^the value | of type '[a-z]*'$", "", text.strip())
