"""The bus: channels, and messages that are sent once and delivered at least once.

A step makes two of `Outgoing` and two of `Delivery`. A frozen dataclass takes three times as long to make, so these are
plain ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(slots=True)
class Outgoing:
    """A message to be sent. Who was given one never changes it.

    Two with one `id` on one channel are the same message; `key` keeps those of a task together.
    """

    channel: str
    id: str
    body: bytes
    key: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker has confirmed that it holds the message."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """The broker did not confirm: the message may be there or not. `permanent` says that trying again will not help."""

    reason: str
    permanent: bool = False


@dataclass(slots=True)
class Delivery:
    """A message in hand. `count` is how often it was delivered, from 1; `receipt` is the adapter's own.

    Who was given one never changes it.
    """

    channel: str
    body: bytes
    headers: Mapping[str, str]
    count: int
    receipt: Any = field(repr=False, default=None)


class Subscription(Protocol):
    """The messages of one channel, shared by all who subscribe under the same group.

    Guarantee: each message is delivered at least once, and again until it is acked; in the order sent, but for
    redelivery.
    """

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the broker is away."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done with. A lost ack means a redelivery, never an error."""
        ...

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, to be delivered again after the delay."""
        ...

    async def extend(self, delivery: Delivery) -> None:
        """Say that it is still being worked on, so that it is not delivered to another yet."""
        ...

    async def close(self) -> None:
        """Stop receiving, and give back at once what was fetched and not handed out."""
        ...


class Bus(Protocol):
    """Channels named in our words: `tasks`, `jobs.<queue>`, `results.<partition>`, `events`, `quarantine`.

    A subscription may name one partition of the results, or all of them as `results.*`; those who read them at one time
    do so in one of these ways. Reconnects for ever: while the broker is away, `publish` answers `NotSent` and `receive`
    gives nothing.
    """

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create what the channels and these job queues need, if it is not there yet. Changes nothing that exists."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order, within `publish_timeout_s`: confirmed or not, never neither.

        A message that is over the broker's limit, or to a channel that cannot exist, is `NotSent` and permanent.
        """
        ...

    def address(self, channel: str) -> str:
        """Give the channel in the broker's own words, for a plain client to send to."""
        ...

    def reply_channel(self, address: str) -> str | None:
        """Give the channel to reach a client's reply address by; None if this is no place that a reply may go to."""
        ...

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> Subscription:
        """Share the channel's messages with the group; at most `in_hand` are out un-acked.

        Nothing sent before is missed.
        """
        ...

    async def listen(self, channel: str, *, from_start: bool) -> Subscription:
        """Hear all that is said on `events` or `quarantine` alone, from what is kept of it or from now on.

        Acks are moot.
        """
        ...

    async def connected(self) -> bool:
        """Say whether the broker can be reached now."""
        ...

    async def close(self) -> None:
        """Let go of the connection; what was published before has been answered for."""
        ...


@runtime_checkable
class Removable(Protocol):
    """A `Bus` that can also take away what it made."""

    async def remove(self) -> None:
        """Delete all that is below the prefix on the broker, whoever made it, messages and all; then it is as new."""
        ...
