"""The names on a RabbitMQ server, and what is created there.

| channel | queue | kept |
|---|---|---|
| `tasks` | `<prefix>.tasks`, a quorum queue | until a coordinator has acked it |
| `jobs.<queue>` | `<prefix>.jobs.<queue>`, a quorum queue | until a worker has acked it |
| `results.<n>` | `<prefix>.results.<n>`, a quorum queue | until a coordinator has acked it |
| `events` | `<prefix>.events`, a stream | 7 days, about 512 MiB |
| `quarantine` | `<prefix>.quarantine`, a stream | 30 days, about 256 MiB |
| `replies.<name>` | `<prefix>.replies.<name>`, exclusive, or `amq.gen-…` as it is | not at all |

All is sent by the default exchange, so the name of the queue is the address.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepbus.contracts import channels
from stepbus.contracts.channels import Channel
from stepbus.contracts.problems import refuse

Arguments = Mapping[str, Any]

COORDINATORS = "coordinator"
"""The one group that shares tasks and results: a queue of RabbitMQ knows no groups."""

_OF_SERVER = "amq.gen-"
_NAMED_BY_SERVER = re.compile(r"amq\.gen-[A-Za-z0-9_-]{1,120}")
_MIB = 1024 * 1024
_STREAMS = {"events": ("7D", 512 * _MIB, 64 * _MIB), "quarantine": ("30D", 256 * _MIB, 32 * _MIB)}

WORK: Arguments = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 2**31 - 1}
"""A full queue refuses the newest, and nothing is dropped for having been delivered often: version 3 has no word for
"unlimited", and version 4 begins with 20."""


@dataclass(frozen=True, slots=True)
class Source:
    """A queue to be read, and the channel that its messages are of."""

    queue: str
    channel: str


@dataclass(frozen=True, slots=True)
class Names:
    """All names below one prefix."""

    prefix: str
    partitions: int

    def queue(self, channel: Channel) -> str:
        """Give the queue of a channel."""
        if channel.kind == "replies" and channel.name.startswith(_OF_SERVER):
            return channel.name
        return f"{self.prefix}.{channel}"

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address that replies may go to."""
        if _NAMED_BY_SERVER.fullmatch(address):
            channel = f"replies.{address}"
        elif address.startswith(f"{self.prefix}.replies.") and not address.startswith(
            f"{self.prefix}.replies.{_OF_SERVER}"
        ):
            channel = address.removeprefix(f"{self.prefix}.")
        else:
            return None
        return channel if channels.is_reply(channel) else None

    def sources(self, channel: Channel, group: str) -> Sequence[Source]:
        """Give the queues that a group reads for a channel.

        Raises:
            Refused: the work of coordinators was asked for by another group.
        """
        if channel.kind in {"tasks", "results"} and group != COORDINATORS:
            expected = f"expected {channel} to be shared by the group {COORDINATORS!r}"
            raise refuse("channel.group", f"{expected}, found {group!r}")
        if channel.kind in channels.TOLD:
            return [Source(self.of_group(channel.kind, group), channel.kind)]
        if channel.kind == "results" and channel.name == "*":
            parts = [Channel("results", str(number)) for number in range(self.partitions)]
            return [Source(self.queue(part), str(part)) for part in parts]
        return [Source(self.queue(channel), str(channel))]

    def of_group(self, kind: str, group: str) -> str:
        """Give the queue in which a group has its own copy of what is told to all."""
        return f"{self.prefix}.{kind}.{group}"

    def fixed(self) -> Mapping[str, Arguments]:
        """Give all queues that are there whatever handlers there are, with what they are created with."""
        work = ["tasks", *(f"results.{number}" for number in range(self.partitions))]
        streams = {f"{self.prefix}.{kind}": stream(kind) for kind in _STREAMS}
        return {f"{self.prefix}.{name}": WORK for name in work} | streams


def stream(kind: str) -> Arguments:
    """Give what a stream is created with. A segment is dropped as a whole, when all of it is too old or too much."""
    max_age, max_bytes, segment_bytes = _STREAMS[kind]
    return {
        "x-queue-type": "stream",
        "x-max-age": max_age,
        "x-max-length-bytes": max_bytes,
        "x-stream-max-segment-size-bytes": segment_bytes,
    }


def waiting_room(queue: str, delay_ms: int) -> Arguments:
    """Give what a queue is created with in which messages wait before they go to another; it goes when it is unused."""
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-message-ttl": delay_ms,
        "x-expires": delay_ms + 60_000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
    }


PLACE: Arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-single-active-consumer": True}
"""A queue that holds how far a group has got; who has that message out is the one who brings the group on."""
