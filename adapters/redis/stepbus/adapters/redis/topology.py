"""What the channels are in Redis's words: streams and consumer groups.

| channel | stream | kept |
|---|---|---|
| `tasks` | `<prefix>:tasks` | until a coordinator has acked it |
| `jobs.<queue>` | `<prefix>:jobs:<queue>` | until a worker has acked it |
| `results.<n>` | `<prefix>:results:<n>` | until a coordinator has acked it |
| `events` | `<prefix>:events` | 7 days, up to about 500,000 |
| `quarantine` | `<prefix>:quarantine` | 30 days, up to about 20,000 |
| `replies.<name>` | `<prefix>:replies:<name>` | a minute |

Beside a stream of work or of what is told stand two sets of the ids that were sent to it lately, `<stream>:ids` and
`<stream>:ids:old`, and for each group the ids of the entries that are to come again, with their time:
`<stream>:again:<group>`. That `<prefix>:tasks` is there means that the channels are provisioned.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stepbus.contracts import channels
from stepbus.contracts.channels import Channel

_DAY_MS = 86_400_000

WORKERS = "workers"
"""The group of every job queue, whoever subscribes to it."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a stream keeps.

    Shape: up to about `most` entries, those of the last `age_ms`, and all of them until for `rest_ms` none was added;
    0 is no limit. It knows at least the last `ids` ids of those sent within two minutes.
    """

    most: int = 0
    age_ms: int = 0
    rest_ms: int = 0
    ids: int = 100_000


_KEPT = {
    "events": Keeping(most=500_000, age_ms=7 * _DAY_MS),
    "quarantine": Keeping(most=20_000, age_ms=30 * _DAY_MS),
    "replies": Keeping(most=1_000, rest_ms=60_000, ids=0),
}
_WORK = Keeping()

_COORDINATORS_S = 4.0


def keeping(channel: Channel) -> Keeping:
    """Give what the stream of a channel keeps."""
    return _KEPT.get(channel.kind, _WORK)


def group_of(channel: Channel, group: str) -> str:
    """Give the consumer group that shares a channel; a job queue has one, whoever asks."""
    return WORKERS if channel.kind == "jobs" else group


def longest_ack_wait_s(channel: Channel) -> float:
    """Give what bounds the wait for an ack: a coordinator that hangs must hold up no task for long."""
    return _COORDINATORS_S if channel.kind in {"tasks", "results"} else float("inf")


@dataclass(frozen=True, slots=True)
class Names:
    """All names below one prefix. The results are in so many `partitions`."""

    prefix: str
    partitions: int

    def stream(self, channel: Channel) -> str:
        """Give the key of a channel's stream."""
        key = f"{self.prefix}:{channel.kind}"
        return f"{key}:{channel.name}" if channel.name else key

    @property
    def mark(self) -> str:
        """Give the key whose being there says that the channels are provisioned."""
        return f"{self.prefix}:tasks"

    def always(self) -> list[str]:
        """Give the streams that are there whatever the job queues are."""
        results = [f"{self.prefix}:results:{number}" for number in range(self.partitions)]
        return [self.mark, *results, f"{self.prefix}:events", f"{self.prefix}:quarantine"]

    def shared(self, channel: Channel) -> Mapping[str, str]:
        """Give the streams that a subscription to a channel reads, each with its own channel."""
        if channel.kind == "results" and channel.name == "*":
            return {f"{self.prefix}:results:{number}": f"results.{number}" for number in range(self.partitions)}
        return {self.stream(channel): str(channel)}

    def reply_channel(self, address: str) -> str | None:
        """Give the channel of an address that replies may go to."""
        head = f"{self.prefix}:replies:"
        channel = f"replies.{address.removeprefix(head)}"
        return channel if address.startswith(head) and channels.is_reply(channel) else None


def again(stream: str, group: str) -> str:
    """Give the key of the sorted set of what is to come again to a group, by its time."""
    return f"{stream}:again:{group}"
