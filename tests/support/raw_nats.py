"""The coordinator's side of the contract in plain NATS: what a worker in any language meets, with nothing of ours."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.jobs import job_event


class RawCoordinator:
    """Sends jobs to one queue, and keeps what is published on results."""

    def __init__(self, client: Client, prefix: str, queue: str) -> None:
        self.stream: JetStreamContext = client.jetstream()
        self.prefix = prefix
        self.queue = queue
        self.heard: list[dict[str, Any]] = []

    @property
    def quarantined(self) -> list[dict[str, Any]]:
        """What workers could not read."""
        return [event for event in self.heard if event["type"] == "message.quarantined"]

    @property
    def jobs_stream(self) -> str:
        return f"{self.prefix.upper()}_JOBS"

    @property
    def consumer(self) -> str:
        return self.queue.replace(".", "=")

    async def provision(self, ack_wait_s: float | None = None) -> None:
        """Make the streams as the contract has them; and the queue's consumer, where a test can't wait for 30 s."""
        for name, subject in (("JOBS", "jobs.>"), ("RESULTS", "results.*")):
            await self.stream.add_stream(
                StreamConfig(
                    name=f"{self.prefix.upper()}_{name}",
                    subjects=[f"{self.prefix}.{subject}"],
                    retention=RetentionPolicy.WORK_QUEUE,
                    discard=DiscardPolicy.NEW,
                )
            )
        if ack_wait_s is not None:
            await self.stream.add_consumer(
                self.jobs_stream,
                ConsumerConfig(
                    durable_name=self.consumer,
                    filter_subject=f"{self.prefix}.jobs.{self.queue}",
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ack_wait_s,
                ),
            )

    async def send(self, handler: str, **fields: Any) -> str:
        """Send a job, and give its task's id."""
        replyto = fields.pop("replyto", f"{self.prefix}.results.3")
        event = job_event(replyto, handler, **fields)
        await self.send_body(json.dumps(event).encode())
        return str(event["data"]["task_id"])

    async def send_body(self, body: bytes) -> None:
        await self.stream.publish(f"{self.prefix}.jobs.{self.queue}", body, headers={"Nats-Msg-Id": str(uuid4())})

    def answers(self, task_id: str, *kinds: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self.heard
            if event["data"].get("task_id") == task_id and (not kinds or event["type"] in kinds)
        ]

    async def answer(self, task_id: str, within_s: float = 20.0) -> dict[str, Any]:
        """The first ending of a task's step, with its envelope."""
        await wait_until(lambda: self.answers(task_id, "step.completed", "step.failed"), within_s=within_s)
        return self.answers(task_id, "step.completed", "step.failed")[0]

    async def result(self, task_id: str) -> Any:
        data = (await self.answer(task_id))["data"]
        assert "result" in data, data
        return data["result"]

    async def error(self, task_id: str) -> dict[str, Any]:
        data = (await self.answer(task_id))["data"]
        assert "error" in data, data
        error: dict[str, Any] = data["error"]
        return error

    async def is_served(self) -> bool:
        """Whether the queue's consumer is there and somebody pulls from it."""
        try:
            info = await self.stream.consumer_info(self.jobs_stream, self.consumer)
        except NotFoundError:
            return False
        return bool(info.num_waiting)

    async def out(self) -> int:
        """How many jobs are out un-acked."""
        info = await self.stream.consumer_info(self.jobs_stream, self.consumer)
        return info.num_ack_pending or 0

    async def left(self) -> int:
        """How many jobs are in the stream: none that is acked."""
        return (await self.stream.stream_info(self.jobs_stream)).state.messages

    async def is_empty(self) -> bool:
        return await self.left() == 0


@asynccontextmanager
async def raw_connection(url: str, prefix: str, queue: str) -> AsyncIterator[RawCoordinator]:
    """A coordinator that only looks."""
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    try:
        yield RawCoordinator(client, prefix, queue)
    finally:
        await client.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def raw_coordinator(
    url: str, prefix: str, queue: str, ack_wait_s: float | None = None
) -> AsyncIterator[RawCoordinator]:
    """A coordinator that listens."""
    async with raw_connection(url, prefix, queue) as coordinator:
        await coordinator.provision(ack_wait_s)

        async def hear(message: Msg) -> None:
            coordinator.heard.append(json.loads(message.data))
            await message.ack()

        await coordinator.stream.subscribe(f"{prefix}.results.*", durable="coordinator", cb=hear, manual_ack=True)
        yield coordinator
