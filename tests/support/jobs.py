"""The coordinator's side of a job, made by hand: sends jobs to workers and hears their answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from stepbus.contracts import codec
from stepbus.orchestrator.ports import Bus, Outgoing, Sent, Subscription
from stepbus.orchestrator.testing.waiting import wait_until


def job_event(replyto: str, handler: str, **fields: Any) -> dict[str, Any]:
    """A job as the relay sends it; `fields` say what differs from an ordinary one."""
    task_id = fields.pop("task_id", None) or str(uuid4())
    step = fields.get("step", "step")
    data = {
        "task_id": task_id,
        "step": step,
        "attempt": 1,
        "handler": handler,
        "inputs": {"context": fields.pop("context", {}), "results": fields.pop("results", {})},
        "timeout_ms": 30_000,
        "idempotency_key": f"{task_id}/{step}",
        "replyto": replyto,
        "token": f"token-of-{task_id}",
        **fields,
    }
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/stepbus/test",
        "type": "step.requested",
        "datacontenttype": "application/json",
        "partitionkey": task_id,
        "correlationid": "correlation",
        "tenant": "acme",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": data,
    }


class Coordinator:
    """Sends jobs, keeps all answers that it hears, and acks them."""

    def __init__(self, bus: Bus, results: Subscription) -> None:
        self.bus = bus
        self.heard: list[dict[str, Any]] = []
        self._results = results

    @property
    def quarantined(self) -> list[dict[str, Any]]:
        """What workers could not read."""
        return [event for event in self.heard if event["type"] == "message.quarantined"]

    async def send(self, handler: str, queue: str | None = None, **fields: Any) -> str:
        """Send a job, and give its task's id."""
        replyto = fields.pop("replyto", self.bus.address("results.3"))
        event = job_event(replyto, handler, **fields)
        await self.send_body(queue or handler, codec.encode(event))
        return str(event["data"]["task_id"])

    async def send_body(self, queue: str, body: bytes) -> None:
        (sent,) = await self.bus.publish([Outgoing(f"jobs.{queue}", str(uuid4()), body)])
        assert isinstance(sent, Sent), sent

    async def answer(self, task_id: str, *kinds: str, within_s: float = 20.0) -> dict[str, Any]:
        """The first answer for a task, of one of these kinds (an ending, unless said), with its envelope."""

        def found() -> list[dict[str, Any]]:
            return self.answers(task_id, *(kinds or ("step.completed", "step.failed")))

        await wait_until(found, within_s=within_s)
        return found()[0]

    def answers(self, task_id: str, *kinds: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self.heard
            if event["data"].get("task_id") == task_id and (not kinds or event["type"] in kinds)
        ]

    async def error(self, task_id: str) -> dict[str, Any]:
        answer = await self.answer(task_id)
        assert answer["type"] == "step.failed", answer
        error: dict[str, Any] = answer["data"]["error"]
        return error

    async def result(self, task_id: str, within_s: float = 20.0) -> Any:
        answer = await self.answer(task_id, within_s=within_s)
        assert answer["type"] == "step.completed", answer
        return answer["data"]["result"]

    async def left_over(self, queue: str) -> int:
        """How many jobs a queue would still hand out."""
        subscription = await self.bus.subscribe(f"jobs.{queue}", group="worker")
        deliveries = await subscription.receive(100, 0.3)
        for delivery in deliveries:
            await subscription.nack(delivery)
        await subscription.close()
        return len(deliveries)

    async def listen(self) -> None:
        while True:
            deliveries = await self._results.receive(100, 0.2)
            self.heard += [codec.decode(delivery.body) for delivery in deliveries]
            await self._results.ack(deliveries)


@asynccontextmanager
async def coordinator_on(bus: Bus) -> AsyncIterator[Coordinator]:
    """A coordinator that listens on an open bus."""
    await bus.provision()
    results = await bus.subscribe("results.*")
    coordinator = Coordinator(bus, results)
    listening = asyncio.create_task(coordinator.listen())
    try:
        yield coordinator
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await results.close()
