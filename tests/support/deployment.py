"""stepbus as its users meet it: a process with every role, its HTTP API, and a bus that workers and clients share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from stepbus.contracts import codec
from stepbus.orchestrator.bootstrap import ROLES, Running, running
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.ports import Bus, Outgoing, Sent
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Worker
from stepbus.worker.buses import open_bus

TERMINAL = {"complete", "error", "cancelled", "resolved_manually"}
PATIENCE_S = 20.0


@dataclass
class Deployment:
    """A process that serves, and what a client needs to reach it by HTTP and by bus."""

    settings: Settings
    process: Running
    http: httpx.AsyncClient
    bus: Bus
    heard: list[dict[str, Any]] = field(default_factory=list)
    """What is said on the events channel."""

    def worker(self, **handlers: Callable[..., Any]) -> Worker:
        """A worker with a connection of its own, that serves each function under `test.<name>`."""
        worker = Worker(self.settings.bus, prefix=self.settings.prefix, name="w-1", grace=1.0)
        for name, handler in handlers.items():
            worker.handler(f"test.{name}")(handler)
        return worker

    async def register(
        self, *steps: Mapping[str, Any], name: str = "example", force: bool = False, **fields: Any
    ) -> None:
        """Register a template of the namespace `test`; a step is tried again soon and at once unless it says other."""
        defaults = {"timeout": "30s", "retry": {"max_attempts": 3, "initial": "10ms", "jitter": 0}}
        document = {"name": name, "namespace": "test", "version": "1.0.0", "defaults": defaults, "steps": list(steps)}
        response = await self.http.post("/v1/templates", params={"force": force}, json={**document, **fields})
        assert response.is_success, response.text

    async def submit(self, template: str = "example", **fields: Any) -> str:
        """Ask for a task by HTTP, and give its id."""
        response = await self.http.post("/v1/tasks", json={"template": template, "namespace": "test", **fields})
        assert response.status_code == httpx.codes.ACCEPTED, response.text
        task_id: str = response.json()["task_id"]
        return task_id

    async def get(self, path: str, **parameters: Any) -> Any:
        """Read a view that shows all that is in the log by now: each view comes along at its own pace."""
        head = await self.process.serving.store.head()
        response = await self.http.get(f"/v1/{path}", params={"min_position": head, **parameters})
        assert response.is_success, response.text
        return response.json()

    async def act(self, path: str, **body: Any) -> Any:
        """Do something to a task as an operator, and wait until the views show it."""
        response = await self.http.post(f"/v1/{path}", json=body)
        assert response.is_success, response.text
        receipt = response.json()
        await self.get("tasks", min_position=receipt["position"])
        return receipt

    async def task(self, task_id: str) -> Any:
        return await self.get(f"tasks/{task_id}")

    async def steps(self, task_id: str) -> dict[str, Any]:
        """The steps of a task by name."""
        return {step["step"]: step for step in (await self.get(f"tasks/{task_id}/steps"))["steps"]}

    async def result(self, task_id: str, step: str) -> Any:
        return (await self.get(f"tasks/{task_id}/steps/{step}"))["result"]

    async def history(self, task_id: str) -> list[tuple[str, str, int]]:
        """What happened to a task: event, step and attempt, in order."""
        events = (await self.get(f"tasks/{task_id}/history", limit=200))["events"]
        return [(event["type"], event["step"] or "", event["attempt"] or 0) for event in events]

    async def attempts(self, task_id: str) -> list[tuple[str, int, str | None, str | None]]:
        """The attempts of a task in the order of their dispatch: step, number, outcome and code."""
        timeline = (await self.get(f"tasks/{task_id}/timeline"))["attempts"]
        return [(each["step"], each["attempt"], each["outcome"], each["error_code"]) for each in timeline]

    async def ended(self, task_id: str) -> Any:
        """The task, once it is at rest."""

        async def is_at_rest() -> bool:
            response = await self.http.get(f"/v1/tasks/{task_id}")
            return response.is_success and response.json()["status"] in TERMINAL

        await wait_until(is_at_rest, within_s=PATIENCE_S)
        return await self.task(task_id)

    async def until_step(self, task_id: str, step: str, *states: str) -> Any:
        """The step, once it is in one of the states."""

        async def is_there() -> bool:
            response = await self.http.get(f"/v1/tasks/{task_id}/steps/{step}")
            return response.is_success and response.json()["state"] in states

        await wait_until(is_there, within_s=PATIENCE_S)
        return (await self.steps(task_id))[step]

    async def until_ignored(self, task_id: str, *codes: str) -> None:
        """Wait until as many answers for a task have changed nothing, and see that it was for these reasons."""

        async def ignored() -> list[str]:
            return sorted([answer["code"] for answer in (await self.get("ignored", task_id=task_id))["answers"]])

        async def is_so() -> bool:
            return len(await ignored()) >= len(codes)

        await wait_until(is_so, within_s=PATIENCE_S)
        assert await ignored() == sorted(codes)

    async def quarantined(self, count: int) -> list[dict[str, Any]]:
        """What is in quarantine, whole, once it holds so many messages; not one more."""

        async def ids() -> list[str]:
            return [message["message_id"] for message in (await self.get("quarantine", limit=200))["messages"]]

        async def is_so() -> bool:
            return len(await ids()) >= count

        await wait_until(is_so, within_s=PATIENCE_S)
        assert len(await ids()) == count
        return [await self.get(f"quarantine/{message_id}") for message_id in await ids()]

    async def demand_life(self) -> None:
        """See that the process is ready and carries a task of `example`, whose one step is `step`, to its end."""
        assert (await self.http.get("/v1/health/ready")).json()["ready"]
        task_id = await self.submit()
        await self.answer(await self.job("step"))
        assert (await self.ended(task_id))["status"] == "complete"

    async def send(self, channel: str, body: bytes) -> None:
        """Put a body on a channel as it is."""
        await send(self.bus, channel, body)

    async def job(self, handler: str) -> dict[str, Any]:
        """Take the next job of a queue as a worker without the library would, and ack it."""
        subscription = await self.bus.subscribe(f"jobs.test.{handler}", "worker")
        try:
            deliveries: Sequence[Any] = ()
            while not deliveries:
                deliveries = await subscription.receive(1, PATIENCE_S)
            await subscription.ack(deliveries)
        finally:
            await subscription.close()
        data: dict[str, Any] = codec.decode(deliveries[0].body)["data"]
        return data

    async def answer(self, job: Mapping[str, Any], message_type: str = "step.completed", **fields: Any) -> None:
        """Answer a job by hand. Two equal answers are two messages of one body."""
        await send(self.bus, *self.answer_to(job, message_type, **fields))

    def answer_to(
        self, job: Mapping[str, Any], message_type: str = "step.completed", **fields: Any
    ) -> tuple[str, bytes]:
        """The answer to a job: the channel that it asks for, and the body."""
        data = {name: job[name] for name in ("task_id", "step", "attempt", "token")} | {"worker": "by-hand"}
        body = cloud_event(message_type, data | fields, f"{job['task_id']}/{job['step']}/{job['attempt']}")
        channels = [f"results.{number}" for number in range(self.settings.partitions)]
        (channel,) = [channel for channel in channels if self.bus.address(channel) == job["replyto"]]
        return channel, body

    async def until_said(self, task_id: str, *types: str) -> None:
        """Wait until exactly this has been said of a task on the events channel, in this order."""

        def said() -> list[str]:
            return [event["type"] for event in self.heard if event["data"].get("task_id") == task_id]

        await wait_until(lambda: len(said()) >= len(types))
        assert said() == list(types)


async def send(bus: Bus, channel: str, body: bytes) -> None:
    (sent,) = await bus.publish([Outgoing(channel, str(uuid4()), body)])
    assert isinstance(sent, Sent), sent


def cloud_event(message_type: str, data: Any, message_id: str | None = None, **attributes: Any) -> bytes:
    event = {
        "specversion": "1.0",
        "id": message_id or str(uuid4()),
        "source": "/test",
        "type": message_type,
        "data": data,
    }
    return orjson.dumps(event | attributes)


@asynccontextmanager
async def deployed(settings: Settings) -> AsyncIterator[Deployment]:
    """Serve with every role for the length of the block."""
    async with running(settings, ROLES) as process:
        http = httpx.AsyncClient(base_url=str(process.api_url), timeout=10)
        async with opened_bus(settings) as bus, http:
            deployment = Deployment(settings, process, http, bus)
            hearing = asyncio.create_task(_hear(deployment))
            try:
                yield deployment
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)


@asynccontextmanager
async def opened_bus(settings: Settings) -> AsyncIterator[Bus]:
    """The bus of a deployment as a client has it, whether the deployment runs or not."""
    bus = await open_bus(settings.bus, settings.prefix)
    try:
        yield bus
    finally:
        await bus.close()


async def _hear(deployment: Deployment) -> None:
    subscription = await deployment.bus.listen("events", from_start=True)
    while True:
        for delivery in await subscription.receive(100, 1.0):
            deployment.heard.append(codec.decode(delivery.body))


def settings_of(data: Path, bus: str, prefix: str, store: str | None = None, **changes: Any) -> Settings:
    """Settings of a process on free ports that nobody else shares."""
    given = {"data": data, "bus": bus, "prefix": prefix, "api_port": 0, "partitions": 2, **changes}
    return Settings(**given if store is None else {**given, "store": store})
