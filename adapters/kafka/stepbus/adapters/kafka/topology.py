"""What the channels are in Kafka's words: topics, partitions and consumer groups.

| channel | topic | partitions | consumer group | kept |
|---|---|---|---|---|
| `tasks` | `<prefix>.tasks` | `partitions` | `<prefix>.tasks.<group>` | 7 days |
| `jobs.<queue>` | `<prefix>.jobs.<queue>` | `partitions` | `<prefix>.jobs.<queue>` | 7 days |
| `results.<n>` | `<prefix>.results`, its partition n | as many as the bus has | `<prefix>.results.<group>` | 7 days |
| `events` | `<prefix>.events` | 1 | `<prefix>.events.<group>` | 7 days |
| `quarantine` | `<prefix>.quarantine` | 1 | `<prefix>.quarantine.<group>` | 30 days |
| `replies.<name>` | `<prefix>.replies`, under the key `<name>` | 1 | none | an hour |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from stepbus.contracts import channels
from stepbus.contracts.channels import Channel

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_KEPT_MS = {"quarantine": 30 * _DAY_MS, "replies": _HOUR_MS}

KINDS = ("tasks", "results", "events", "quarantine", "replies")
"""Kinds of channels that have one topic for all; a job queue has a topic of its own."""

CONFIG_MUSTS = ("cleanup.policy", "max.message.bytes")
"""What of a topic must be as we say: the policy, and at least this size; all else is its operator's to choose."""

_SHARED_ALONE = frozenset({"tasks", "results"})
"""Kinds of which one group only may have the messages, by whatever name."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group reads: the topic, and the one partition that it takes, or None for those that it is given.

    Shape: `channel` is how its messages are called, with the partition's number behind it if `is_numbered`.
    `rivals` begins the names of other groups that must not be there, and is empty if they may.
    """

    topic: str
    group: str
    partition: int | None
    channel: str
    is_numbered: bool
    rivals: str

    def channel_of(self, partition: int) -> str:
        """Give the channel of a partition's messages."""
        return f"{self.channel}.{partition}" if self.is_numbered else self.channel


@dataclass(frozen=True, slots=True)
class Names:
    """All names below one prefix, and how many partitions each topic has."""

    prefix: str
    partitions: int
    results: int
    max_message: int

    def topics(self) -> Sequence[Topic]:
        """Give all topics but those of job queues."""
        return [self._topic(f"{self.prefix}.{kind}", kind) for kind in KINDS]

    def of_queue(self, queue: str) -> Topic:
        """Give the topic of a job queue.

        Raises:
            Refused: no such queue can exist.
        """
        return self._topic(f"{self.prefix}.{channels.to_send(f'jobs.{queue}')}", "jobs")

    def topic(self, channel: Channel) -> str:
        """Give the topic that holds a channel's messages."""
        return f"{self.prefix}.{channel}" if channel.kind == "jobs" else f"{self.prefix}.{channel.kind}"

    def address(self, channel: Channel) -> str:
        """Give the channel for a plain client: a topic, or `<topic>.<partition>`, or `<topic>.<key>`."""
        return f"{self.prefix}.{channel}"

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address that replies may go to."""
        channel = address.removeprefix(f"{self.prefix}.")
        return channel if channel != address and channels.is_reply(channel) else None

    def place(self, channel: Channel, group: str) -> Place:
        """Give where a group reads; a job queue has one group, whoever asks."""
        topic = self.topic(channel)
        name = topic if channel.kind == "jobs" else f"{topic}.{group}"
        is_results = channel.kind == "results"
        partition = int(channel.name) if is_results and channel.name != "*" else None
        rivals = f"{topic}." if channel.kind in _SHARED_ALONE else ""
        return Place(topic, name, partition, "results" if is_results else str(channel), is_results, rivals)

    def _topic(self, name: str, kind: str) -> Topic:
        partitions = {"tasks": self.partitions, "jobs": self.partitions, "results": self.results}.get(kind, 1)
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(_KEPT_MS.get(kind, 7 * _DAY_MS)),
            "max.message.bytes": str(self.max_message),
        }
        return Topic(name, partitions, config)


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key, as Kafka's own clients do; messages without a key are those of the empty one."""
    return int((murmur2(key) & 0x7FFF_FFFF) % partitions)
