"""Consumers of aiokafka as all readers here make and end them."""

import asyncio
from time import time_ns
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.coordinator.assignors.range import RangePartitionAssignor  # type: ignore[import-untyped]

from stepbus.adapters.kafka.settings import KafkaSettings
from stepbus.orchestrator.ports import end_tasks

_FETCH_BYTES = 4 * 1024 * 1024
"""How much a broker sends at once; as much again may have been read ahead."""

_HEARTBEAT_S = 0.3
"""How soon a member learns that another one came: all must come together before anybody goes on."""

_GOODBYE_S = 3.0
_FOR_EVER_MS = 2**31 - 1
"""A reader whose hand is full does not ask for more; its membership is kept by heartbeats all the same."""


def consumer_of(settings: KafkaSettings, group: str | None) -> AIOKafkaConsumer:
    """Give a consumer that is not started.

    The assignor goes by the order of the members' names, so these begin with the time: who came first keeps what it
    has, as far as that can be.
    """
    told: dict[str, Any] = {} if group is None else {"partition_assignment_strategy": (RangePartitionAssignor,)}
    return AIOKafkaConsumer(
        **settings.to_connect(),
        **told,
        client_id=f"stepbus-{time_ns():020d}-{settings.name}",
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=max(_FETCH_BYTES // 4, settings.max_message),
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=int(_HEARTBEAT_S * 1000),
        max_poll_interval_ms=_FOR_EVER_MS,
        metadata_max_age_ms=30_000,
    )


async def end(consumer: AIOKafkaConsumer) -> None:
    """End a consumer, in good order if the brokers answer and anyhow if they do not."""
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=_GOODBYE_S)
    if not stopping.done():
        await consumer._client.close()  # noqa: SLF001 - stop() waits for the brokers before it closes it
        await asyncio.wait({stopping}, timeout=_GOODBYE_S)
    await end_tasks(stopping)
