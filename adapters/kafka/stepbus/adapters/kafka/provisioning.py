"""Making topics: once, by whoever comes first; what exists is looked at and never changed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, for_code  # type: ignore[import-untyped]
from aiokafka.protocol.admin import DeleteGroupsRequest  # type: ignore[import-untyped]

from stepbus.adapters.kafka.topology import CONFIG_MUSTS, Topic
from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.ports import BusUnavailable

_NONE, _UNKNOWN, _INVALID, _EXISTS = 0, 3, 17, 36
"""Error codes of Kafka's protocol: none, no such topic, a name that can't be, a topic that is there."""

_CREATE_MS = 10_000
_LEADERS_S = 10.0
_LOOK_S = 0.02


class BusMismatch(Refused):
    """What exists on the brokers is not what stepbus needs; mend it there, or take another prefix."""


async def create_topics(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication_factor: int) -> bool:
    """Create the topics that are not there yet, and say whether there was one.

    Raises:
        BusMismatch: one of another make is there.
        BusUnavailable: the brokers can't be asked, or can't create them.
    """
    try:
        found = await _describe(admin, topics)
        missing = [topic for topic in topics if topic.name not in found]
        created: set[str] = set()
        if missing:
            created = await _create(admin, missing, replication_factor)
            found = await _with_leaders(admin, topics)
        await _compare(admin, [topic for topic in topics if topic.name not in created], found)
    except (OSError, KafkaError, TimeoutError) as error:
        raise BusUnavailable(f"expected the topics to be created, but {error!r}") from error
    return bool(created)


async def remove_all(admin: AIOKafkaAdminClient, beginning: str) -> None:
    """Delete the topics whose names begin so, wait until none is told of any more, and delete the groups of nobody.

    Raises:
        BusUnavailable: the brokers can't be asked, or keep topics.
    """
    try:
        async with asyncio.timeout(_LEADERS_S):
            while topics := [topic for topic in await admin.list_topics() if topic.startswith(beginning)]:
                await admin.delete_topics(topics)
                await asyncio.sleep(_LOOK_S)
            for group in await groups_below(admin, beginning):
                node = await admin.find_coordinator(group)
                await admin._client.send(node, DeleteGroupsRequest([group]))  # noqa: SLF001 - it has no word for it
    except (OSError, KafkaError, TimeoutError) as error:
        raise BusUnavailable(f"expected the topics below {beginning} to go, but {error!r}") from error


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> int:
    """Give how many partitions a topic has; 0 if it is not there.

    Raises:
        BusUnavailable: the brokers can't be asked.
    """
    try:
        [described] = await admin.describe_topics([topic])
    except (OSError, KafkaError, TimeoutError) as error:
        raise BusUnavailable(f"expected to find the topic {topic}, but {error!r}") from error
    return len(described["partitions"]) if described["error_code"] == _NONE else 0


async def groups_below(admin: AIOKafkaAdminClient, beginning: str) -> Sequence[str]:
    """Give the names of consumer groups that begin so.

    Raises:
        BusUnavailable: the brokers can't be asked.
    """
    try:
        return sorted(name for name, *_ in await admin.list_consumer_groups() if name.startswith(beginning))
    except (OSError, KafkaError, TimeoutError) as error:
        raise BusUnavailable(f"expected to hear of the consumer groups, but {error!r}") from error


async def _describe(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> Mapping[str, Any]:
    described = await admin.describe_topics([topic.name for topic in topics])
    for topic in described:
        if topic["error_code"] not in {_NONE, _UNKNOWN}:
            raise for_code(topic["error_code"])(topic["topic"])
    return {topic["topic"]: topic for topic in described if topic["error_code"] == _NONE}


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication_factor: int) -> set[str]:
    """Create these, and give the names of those that nobody else created meanwhile."""
    asked = [
        NewTopic(topic.name, topic.partitions, replication_factor, topic_configs=dict(topic.config)) for topic in topics
    ]
    response = await admin.create_topics(asked, timeout_ms=_CREATE_MS)
    for name, code, message in response.topic_errors:
        if code == _INVALID:
            said = f"expected to create the topic {name}, but Kafka says: {message}"
            raise BusMismatch([Problem(code="bus.mismatch", message=said, pointer=f"/{name}")])
        if code not in {_NONE, _EXISTS}:
            raise BusUnavailable(f"expected the topic {name} to be created, but {for_code(code).__name__}: {message}")
    return {name for name, code, _ in response.topic_errors if code == _NONE}


async def _with_leaders(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> Mapping[str, Any]:
    """Wait until the brokers that were asked know of all topics, and who leads them."""
    async with asyncio.timeout(_LEADERS_S):
        while True:
            described = {topic["topic"]: topic for topic in await admin.describe_topics([one.name for one in topics])}
            if all(_is_led(described.get(topic.name)) for topic in topics):
                return described
            await asyncio.sleep(_LOOK_S)


def _is_led(described: Mapping[str, Any] | None) -> bool:
    if described is None or described["error_code"] != _NONE or not described["partitions"]:
        return False
    return all(partition["leader"] >= 0 for partition in described["partitions"])


async def _compare(admin: AIOKafkaAdminClient, topics: Sequence[Topic], found: Mapping[str, Any]) -> None:
    problems: list[Problem] = []
    configs = await _configs(admin, topics)
    for topic in topics:
        partitions = len(found[topic.name]["partitions"])
        if partitions != topic.partitions:
            problems.append(_problem(topic.name, "partitions", topic.partitions, partitions))
        for must in CONFIG_MUSTS:
            expected, has = topic.config[must], configs[topic.name].get(must, "")
            is_kept = int(has or 0) >= int(expected) if expected.isdecimal() else has == expected
            if not is_kept:
                problems.append(_problem(topic.name, must, expected, has))
    if problems:
        raise BusMismatch(problems)


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> Mapping[str, Mapping[str, str]]:
    if not topics:
        return {}
    musts = dict.fromkeys(CONFIG_MUSTS)
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict(musts)) for topic in topics]
    configs: dict[str, Mapping[str, str]] = {}
    for response in await admin.describe_configs(asked):
        for code, message, _, name, entries in response.resources:
            if code != _NONE:
                raise for_code(code)(message)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _problem(topic: str, what: str, expected: object, found: object) -> Problem:
    said = f"expected topic {topic} to have {what} {expected!r}, but it has {found!r}"
    return Problem(code="bus.mismatch", message=said, pointer=f"/{topic}/{what}")
