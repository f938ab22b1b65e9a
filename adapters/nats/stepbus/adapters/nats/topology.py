"""What the channels are in NATS's words: streams, subjects and consumers.

| channel | subject | stream | kept |
|---|---|---|---|
| `tasks` | `<prefix>.tasks` | `<PREFIX>_TASKS` | until a coordinator has acked it |
| `jobs.<queue>` | `<prefix>.jobs.<queue>` | `<PREFIX>_JOBS` | until a worker has acked it |
| `results.<n>` | `<prefix>.results.<n>` | `<PREFIX>_RESULTS` | until a coordinator has acked it |
|  | consumers `<group>-<n>` for one partition each, or `<group>` for all of them | | |
| `events` | `<prefix>.events` | `<PREFIX>_EVENTS` | 7 days, up to 256 MiB |
| `quarantine` | `<prefix>.quarantine` | `<PREFIX>_QUARANTINE` | 30 days, up to 128 MiB |
| `replies.<name>` | `<prefix>.replies.<name>`, or `<name>` itself if it begins with `_INBOX.` | none | not at all |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepbus.contracts import channels
from stepbus.contracts.channels import Channel

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_INBOX = "_INBOX."

STREAMS = ("tasks", "jobs", "results", "events", "quarantine")

_KEPT = {"events": (7 * _DAY, 500_000), "quarantine": (30 * _DAY, 20_000)}
"""How long and how many: a limit in messages. One in bytes would be set aside on the server's disk at once."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes: its subject, and the stream that must take it; an empty one if nobody keeps it."""

    subject: bytes
    stream: bytes


_ASKED_FOR_S = 30.0
_COORDINATORS_S = 2.0
"""A coordinator that hangs is given no more after this time, and what it has un-acked goes to another after a little
more than that: it holds up no task of others. Workers may take their time."""


@dataclass(frozen=True, slots=True)
class ConsumerPlace:
    """A consumer: its stream and name, the subject that it is given, and how many may be out for all its readers.

    Units: a reader asks for messages for `asked_for_s` at once; `longest_ack_wait_s` bounds the wait for an ack.
    """

    stream: str
    name: str
    subject: str
    most_out: int
    asked_for_s: float
    longest_ack_wait_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Names:
    """All names below one prefix."""

    prefix: str

    def stream(self, kind: str) -> str:
        """Give the stream that keeps the messages of a kind of channel."""
        return f"{self.prefix.upper()}_{kind.upper()}"

    def subject(self, channel: Channel) -> str:
        """Give the subject of a channel; with a wildcard for one that has it."""
        if channel.kind == "replies" and channel.name.startswith(_INBOX):
            return channel.name
        return f"{self.prefix}.{channel}"

    def route(self, channel: str) -> Route:
        """Give the way of a message.

        Raises:
            Refused: no such channel can exist.
        """
        to = channels.to_send(channel)
        stream = "" if to.kind == "replies" else self.stream(to.kind)
        return Route(self.subject(to).encode(), stream.encode())

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address that replies may go to."""
        if address.startswith(_INBOX):
            channel = f"replies.{address}"
        elif address.startswith(f"{self.prefix}.replies.") and not address.startswith(
            f"{self.prefix}.replies.{_INBOX}"
        ):
            channel = address.removeprefix(f"{self.prefix}.")
        else:
            return None
        return channel if channels.is_reply(channel) else None

    def consumer(self, channel: Channel, group: str) -> ConsumerPlace:
        """Give the consumer that a group shares; a job queue's is named for the queue, whoever asks."""
        stream, subject = self.stream(channel.kind), self.subject(channel)
        if channel.kind == "jobs":
            return ConsumerPlace(stream, channel.name.replace(".", "="), subject, 1_000, _ASKED_FOR_S)
        name = f"{group}-{channel.name}" if is_partition(channel) else group
        if channel.kind in channels.WORK:
            return ConsumerPlace(stream, name, subject, 10_000, _COORDINATORS_S, 1.5 * _COORDINATORS_S)
        return ConsumerPlace(stream, name, subject, 10_000, _ASKED_FOR_S)


def is_partition(channel: Channel) -> bool:
    """Say whether this is one partition of the results."""
    return channel.kind == "results" and channel.name != "*"


def stream_config(names: Names, kind: str, replicas: int) -> Mapping[str, Any]:
    """Give what a stream is created with. Work stays until it is acked, and a full stream refuses the newest of it."""
    wildcard = {"jobs": ".>", "results": ".*"}.get(kind, "")
    max_age, max_msgs = _KEPT.get(kind, (0, -1))
    return {
        "name": names.stream(kind),
        "subjects": [f"{names.prefix}.{kind}{wildcard}"],
        "retention": "limits" if kind in channels.TOLD else "workqueue",
        "discard": "old" if kind in channels.TOLD else "new",
        "storage": "file",
        "num_replicas": replicas,
        "max_age": max_age,
        "max_bytes": -1,
        "max_msgs": max_msgs,
        "max_msg_size": -1,
        "max_consumers": -1,
        "duplicate_window": 120 * _SECOND,
    }


def consumer_config(place: ConsumerPlace, ack_wait_s: float) -> Mapping[str, Any]:
    """Give what a consumer is created with: by us, or by a worker in any language."""
    return {
        "name": place.name,
        "durable_name": place.name,
        "filter_subject": place.subject,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": int(min(ack_wait_s, place.longest_ack_wait_s) * _SECOND),
        "max_deliver": -1,
        "max_ack_pending": place.most_out,
    }


STREAM_MUSTS = ("subjects", "retention", "discard")
"""What of a stream must be as we say; its limits, replicas and storage are its operator's to choose."""

CONSUMER_MUSTS = ("filter_subject", "deliver_policy", "ack_policy", "max_deliver")
"""What of a consumer must be as we say; how many and how long messages may be out is its operator's to choose."""
