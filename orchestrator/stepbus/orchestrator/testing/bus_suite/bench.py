"""What an adapter tells the suite of itself, and short words for what a case does."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import ClassVar

from stepbus.orchestrator.ports import Bus, BusSettings, Delivery, NotSent, Outgoing, Sent, Subscription
from stepbus.orchestrator.testing.bus_suite.demands import Broken, demand, demand_same

QUEUE = "orders.check"
JOBS = f"jobs.{QUEUE}"
PATIENCE_S = 20.0
"""How long a case waits for what must happen, before it says that it did not."""

OpenBus = Callable[[], Awaitable[Bus]]


class Bench(ABC):
    """What an adapter tells the suite of itself."""

    redelivery_s: float
    """How long a message may be out un-acked, as `open_bus` sets it, before it is delivered again."""

    largest_body: ClassVar[int] = 512 * 1024
    """A body of this size is sent whole; one of four times this size is over the broker's limit."""

    knows_duplicates: bool = True
    """A message that is sent twice under one id is delivered once."""

    is_in_process: ClassVar[bool] = False
    """No other process can reach the broker, so none can die."""

    url: str = ""
    """Where another process finds the broker, unless it is in this one."""

    @abstractmethod
    async def open_bus(self, settings: BusSettings) -> Bus:
        """Give a new bus on the one broker of this test run."""

    async def send_plainly(self, bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send to an address as a client would that has nothing of ours.

        Raises:
            Broken: there is no such client here.
        """
        raise Broken(f"expected a plain client to send {len(body)} bytes to {address} of {bus} beside {headers}")


def message(number: int = 1, channel: str = JOBS, body: bytes | None = None) -> Outgoing:
    """Give a message whose id is its number."""
    return Outgoing(channel, f"epoch:{number}.0", b"body %d" % number if body is None else body)


def messages(count: int, channel: str = JOBS) -> Sequence[Outgoing]:
    """Give messages numbered from 1."""
    return [message(number, channel) for number in range(1, count + 1)]


async def publish(bus: Bus, *outgoing: Outgoing) -> None:
    """Send all, and see that all were sent."""
    demand_same(list(await bus.publish(outgoing)), [Sent()] * len(outgoing))


async def refusal(bus: Bus, outgoing: Outgoing) -> NotSent:
    """Send one, and see that it was not sent."""
    [answer] = await bus.publish([outgoing])
    if isinstance(answer, NotSent):
        return answer
    raise Broken(f"expected a message to {outgoing.channel[:100]!r} to be refused, found that it was sent")


async def receive(subscription: Subscription, count: int = 1) -> list[Delivery]:
    """Receive exactly `count` messages, however many calls it takes."""
    received: list[Delivery] = []
    deadline = monotonic() + PATIENCE_S
    while len(received) < count:
        demand(monotonic() < deadline, f"{count} messages within {PATIENCE_S:g} s", len(received))
        received += await subscription.receive(count - len(received), 1.0)
    return received


async def receive_one(subscription: Subscription) -> Delivery:
    """Receive one message."""
    [delivery] = await receive(subscription)
    return delivery


async def demand_silence(subscription: Subscription, for_s: float) -> None:
    """See that nothing comes for a while."""
    received = await subscription.receive(100, for_s)
    demand(not received, f"nothing to come for {for_s:g} s", bodies(received))


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Give the bodies in the order received."""
    return [delivery.body for delivery in deliveries]


def numbered(count: int) -> list[bytes]:
    """Give the bodies of `messages(count)`."""
    return [outgoing.body for outgoing in messages(count)]


async def waiting(subscription: Subscription, limit: int = 10) -> "asyncio.Task[Sequence[Delivery]]":
    """Begin to receive, and give the call once it waits."""
    call = asyncio.create_task(subscription.receive(limit, PATIENCE_S))
    done, _ = await asyncio.wait({call}, timeout=0.05)
    demand(not done, "nothing to receive yet", done)
    return call
