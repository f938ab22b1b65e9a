"""The channels of the bus in our words, the same on every broker. Adapters translate them; nobody else parses them.

| channel | who writes | who reads |
|---|---|---|
| `tasks` | clients; workers, when they come up | coordinators |
| `jobs.<queue>` | relay | workers |
| `results.<partition>` | workers | coordinators: a partition, or all at once as `results.*` |
| `events` | relay | anybody |
| `quarantine` | relay | operators |
| `replies.<name>` | relay | the client that asked; nothing is kept of it |
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from stepbus.contracts.problems import refuse

ALL_RESULTS = "results.*"
MAX_NAME_LENGTH = 128
MAX_ID_LENGTH = 512

WORK = frozenset({"tasks", "jobs", "results"})
"""Kinds whose messages are shared out: each goes to one reader, and is kept until that reader is done with it."""

TOLD = frozenset({"events", "quarantine"})
"""Kinds whose messages are told to all: they are kept for a while, whoever reads them."""

_TOKENS = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_PARTITION = re.compile(r"0|[1-9][0-9]{0,4}")
_PREFIX = re.compile(r"[a-z0-9_-]{1,32}")
_RESERVED = frozenset({"amq"})  # RabbitMQ refuses all names that begin with `amq.`
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMES = {"jobs": _TOKENS, "results": _PARTITION, "replies": _TOKENS}


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel taken apart. `name` is the queue, the partition (or `*`) or the reply's name; "" where kind is all."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        """Give the channel as it is written."""
        return f"{self.kind}.{self.name}" if self.name else self.kind


def to_prefix(prefix: str) -> str:
    """Give the prefix of all channels as it is.

    Raises:
        Refused: it is not a token that every broker can carry, or one that a broker keeps for itself.
    """
    if not _PREFIX.fullmatch(prefix) or prefix in _RESERVED:
        raise refuse(
            "channel.prefix", f"expected a prefix of 1 to 32 of a-z 0-9 _ -, and not amq, found {prefix[:200]!r}"
        )
    return prefix


@lru_cache(maxsize=4096)
def to_send(channel: str) -> Channel:
    """Give the channel that a message can be sent to.

    Raises:
        Refused: no such channel can exist, on any broker.
    """
    kind, _, name = channel.partition(".")
    names = _NAMES.get(kind)
    if names is not None:
        if len(name) <= MAX_NAME_LENGTH and names.fullmatch(name):
            return Channel(kind, name)
    elif channel in {"tasks", "events", "quarantine"}:
        return Channel(kind)
    raise refuse(
        "channel.name",
        "expected tasks, jobs.<queue>, results.<partition>, events, quarantine or replies.<name>, with names of "
        f"dot-separated tokens of A-Z a-z 0-9 _ - up to {MAX_NAME_LENGTH} characters, found {channel[:200]!r}",
    )


def to_share(channel: str, group: str) -> Channel:
    """Give the channel whose messages a group can share.

    Raises:
        Refused: the channel can't be shared, or the group's name is not a token.
    """
    if not _GROUP.fullmatch(group):
        raise refuse("channel.group", f"expected a group named with 1 to 64 of A-Z a-z 0-9 _ -, found {group[:200]!r}")
    if channel == ALL_RESULTS:
        return Channel("results", "*")
    found = to_send(channel)
    if found.kind == "replies":
        expected = "expected tasks, jobs.<queue>, results.<partition>, results.*, events or quarantine"
        raise refuse("channel.shared", f"{expected}, found {channel!r}")
    return found


def to_hear(channel: str) -> Channel:
    """Give the channel that anybody can hear alone.

    Raises:
        Refused: its messages are shared out, or no such channel can exist.
    """
    found = to_send(channel)
    if found.kind in WORK:
        raise refuse("channel.heard", f"expected events, quarantine or replies.<name>, found {channel!r}")
    return found


def to_id(message_id: str) -> str:
    """Give the id of a message as it is.

    Raises:
        Refused: it is empty, too long, or holds what could end a header line.
    """
    if not (0 < len(message_id) <= MAX_ID_LENGTH and message_id.isprintable()):
        expected = f"expected an id of 1 to {MAX_ID_LENGTH} printable characters"
        raise refuse("message.id", f"{expected}, found {message_id[:200]!r}")
    return message_id


def is_reply(channel: str) -> bool:
    """Say whether this is a channel that answers to a client may go to."""
    kind, _, name = channel.partition(".")
    return kind == "replies" and len(name) <= MAX_NAME_LENGTH and _TOKENS.fullmatch(name) is not None
