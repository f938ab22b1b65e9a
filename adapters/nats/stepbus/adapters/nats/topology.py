"""What the channels are in NATS's words: streams, subjects and consumers.

| channel | subject | stream | kept |
|---|---|---|---|
| `tasks` | `<prefix>.tasks` | `<PREFIX>_TASKS` | until a coordinator has acked it |
| `jobs.<queue>` | `<prefix>.jobs.<queue>` | `<PREFIX>_JOBS` | until a worker has acked it |
| `results.<n>` | `<prefix>.results.<n>` | `<PREFIX>_RESULTS` | until a coordinator has acked it |
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


@dataclass(frozen=True, slots=True)
class ConsumerPlace:
    """A consumer: its stream and name, the subject that it is given, and how many may be out for all its readers."""

    stream: str
    name: str
    subject: str
    most_out: int


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
        is_queue = channel.kind == "jobs"
        name = channel.name.replace(".", "=") if is_queue else group
        return ConsumerPlace(self.stream(channel.kind), name, self.subject(channel), 1_000 if is_queue else 10_000)


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
        "ack_wait": int(ack_wait_s * _SECOND),
        "max_deliver": -1,
        "max_ack_pending": place.most_out,
    }


STREAM_MUSTS = ("subjects", "retention", "discard")
"""What of a stream must be as we say; its limits, replicas and storage are its operator's to choose."""

CONSUMER_MUSTS = ("filter_subject", "deliver_policy", "ack_policy", "max_deliver")
"""What of a consumer must be as we say; how many and how long messages may be out is its operator's to choose."""
