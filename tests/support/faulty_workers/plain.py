"""A worker over `ports.Bus` that serves the probe handler, in small methods: a faulty one overrides one of them."""

import asyncio
from base64 import b64encode
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from stepbus.contracts import codec, envelope
from stepbus.contracts.codec import MAX_CARRIED_DEPTH, MAX_MESSAGE_BYTES
from stepbus.contracts.messages import StepRequested
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, Delivery, Outgoing, Sent, Subscription

QUEUE = "conform.probe"
Fields = dict[str, Any]


class Failed(Exception):
    """The handler fails, with this error."""

    def __init__(self, code: str, message: str = "", *, retryable: bool = False, retry_after: Any = None) -> None:
        super().__init__(code)
        self.error = {"code": code, "message": message, "retryable": retryable}
        if retry_after is not None:
            self.error["retry_after"] = retry_after


class PlainWorker:
    """Serves the probe's queue, many jobs at once."""

    extend_s = 0.4

    def __init__(self, bus: Bus, effects: dict[str, int]) -> None:
        self.bus = bus
        self.effects = effects
        self.stopping = asyncio.Event()
        self.running: dict[asyncio.Task[None], Delivery] = {}
        self.queue: Subscription

    async def serve(self) -> None:
        """Take jobs until told to stop; then end what is in hand."""
        self.queue = await self.bus.subscribe(f"jobs.{QUEUE}", group="worker", in_hand=50)
        keeping = asyncio.create_task(self.keep())
        try:
            while not self.stopping.is_set():
                for delivery in await self.queue.receive(50, 0.5):
                    task = asyncio.create_task(self.take(delivery))
                    self.running[task] = delivery
                    task.add_done_callback(self.done)
            await self.stopped()
        finally:
            keeping.cancel()
            for task in list(self.running):
                task.cancel()
            await self.queue.close()

    def done(self, task: "asyncio.Task[None]") -> None:
        del self.running[task]
        if not task.cancelled():
            task.exception()  # a job that broke the worker is left unanswered

    async def stopped(self) -> None:
        """End what is in hand."""
        if self.running:
            await asyncio.wait(list(self.running))

    async def keep(self) -> None:
        """Say now and then that what is in hand is worked on."""
        while True:
            await asyncio.sleep(self.extend_s)
            for delivery in list(self.running.values()):
                await self.queue.extend(delivery)

    # --- one message ---

    async def take(self, delivery: Delivery) -> None:
        try:
            event, job = self.read(delivery)
        except Refused as refused:
            await self.poisoned(delivery, refused)
            return
        if job.handler == QUEUE:
            await self.work(delivery, event, job.model_dump(mode="json"))
        else:
            await self.not_ours(delivery, event, job.model_dump(mode="json"))

    def read(self, delivery: Delivery) -> tuple[Fields, StepRequested]:
        event = envelope.read(delivery.body, None, len(delivery.body), MAX_CARRIED_DEPTH)
        refusal = Refused([])
        if event.type != StepRequested.TYPE:
            raise refusal
        try:
            job = StepRequested.model_validate(event.data)
        except ValidationError as error:
            raise refusal from error
        if self.channel_of(job.replyto) is None:
            raise refusal
        return codec.decode(delivery.body, len(delivery.body), MAX_CARRIED_DEPTH), job

    def channel_of(self, address: str) -> str | None:
        """Give the channel of results behind an address."""
        channels = (f"results.{partition}" for partition in range(8))
        return next((channel for channel in channels if self.bus.address(channel) == address), None)

    async def work(self, delivery: Delivery, event: Fields, job: Fields) -> None:
        """Run the handler, answer, ack."""
        ending, fields = await self.attempt(event, job)
        await self.finish(delivery, event, job, ending, fields)

    async def finish(self, delivery: Delivery, event: Fields, job: Fields, ending: str, fields: Fields) -> None:
        await self.say(event, job, ending, fields)
        await self.queue.ack([delivery])

    async def poisoned(self, delivery: Delivery, _refused: Refused) -> None:
        await self.hand_over(delivery)
        await self.queue.ack([delivery])

    async def not_ours(self, delivery: Delivery, _event: Fields, _job: Fields) -> None:
        await self.queue.nack(delivery, 0.2)

    # --- the handler ---

    async def attempt(self, event: Fields, job: Fields) -> tuple[str, Fields]:
        """Give the type of the answer, and what it says beside the echo."""
        try:
            async with asyncio.timeout(job["timeout_ms"] / 1000) as deadline:
                result = await self.handler(event, job, deadline)
        except TimeoutError:
            return "step.failed", {"error": self.too_late()}
        except Failed as failed:
            return "step.failed", {"error": failed.error}
        if len(codec.encode(result)) > MAX_MESSAGE_BYTES:
            return self.too_large(result)
        return "step.completed", {"result": result}

    def too_late(self) -> Fields:
        return {"code": "plain.timeout", "message": "too late", "retryable": True}

    def too_large(self, _result: Fields) -> tuple[str, Fields]:
        error = {"code": "result.too_large", "message": "too large", "retryable": False}
        return "step.failed", {"error": error}

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        context = job["inputs"]["context"]
        match context.get("do"):
            case "echo":
                return {"echo": context.get("value")}
            case "sleep":
                await self.sleep(event, job, deadline)
                return {"slept": context["seconds"]}
            case "big":
                return {"blob": "x" * context["size"]}
            case "effect":
                return {"effects": self.effect(job)}
            case "fail":
                raise self.failure(context)
            case unknown:
                raise Failed("probe.unknown", f"{unknown!r}")

    async def sleep(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> None:
        timeout_s = job["timeout_ms"] / 1000
        beat_s = min(timeout_s / 3, 1.0)
        left_s = job["inputs"]["context"]["seconds"]
        while left_s > 0:
            await asyncio.sleep(min(beat_s, left_s))
            left_s -= beat_s
            if not job["inputs"]["context"].get("silent"):
                await self.beat(event, job)
                deadline.reschedule(asyncio.get_running_loop().time() + timeout_s)

    async def beat(self, event: Fields, job: Fields) -> None:
        await self.say(event, job, "step.heartbeat", {})

    def effect(self, job: Fields) -> int:
        return self.effects.setdefault(job["idempotency_key"], 1)

    def failure(self, context: Fields) -> Failed:
        return Failed(
            context["code"], context["message"], retryable=context["retryable"], retry_after=context.get("retry_after")
        )

    # --- what it says ---

    async def say(self, event: Fields, job: Fields, kind: str, fields: Fields) -> None:
        """Send an answer or a heartbeat."""
        data = {**self.echo(job), "worker": "plain", **fields}
        await self.send(self.answers_to(job), self.body(self.envelope(event, job, kind, data)))

    def echo(self, job: Fields) -> Fields:
        return {name: job[name] for name in ("task_id", "step", "attempt", "token")}

    def envelope(self, event: Fields, job: Fields, kind: str, data: Fields) -> Fields:
        said = {
            "specversion": "1.0",
            "id": self.new_id(),
            "source": "/plain",
            "type": kind,
            "time": "2026-01-01T12:00:00Z",
            "dataschema": f"https://stepbus.dev/schemas/{kind}/1",
            "partitionkey": job["task_id"],
            "causationid": event["id"],
            "data": data,
        }
        return said | {name: event[name] for name in ("correlationid", "tenant", "traceparent") if event.get(name)}

    def new_id(self) -> str:
        return uuid4().hex

    def body(self, said: Fields) -> bytes:
        return codec.encode(said)

    def answers_to(self, job: Fields) -> str:
        return self.channel_of(job["replyto"]) or "results.0"

    async def hand_over(self, delivery: Delivery) -> None:
        """Say what was no job."""
        data = {
            "message_id": str(uuid4()),
            "channel": delivery.channel,
            "code": "plain.no_job",
            "pointer": "",
            "reason": "expected a job",
            "body": b64encode(delivery.body).decode(),
        }
        said = {"specversion": "1.0", "id": uuid4().hex, "source": "/plain", "type": "message.quarantined"}
        await self.send("results.0", codec.encode({**said, "data": data}))

    async def send(self, channel: str, body: bytes) -> None:
        message_id = uuid4().hex
        while not isinstance((await self.bus.publish([Outgoing(channel, message_id, body)]))[0], Sent):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # until the broker takes it


class InTask:
    """Runs a worker as a task of this process: killed, it acks nothing more; told to stop, it ends as it means to."""

    def __init__(self, make: type[PlainWorker], bus: Bus) -> None:
        self._make = make
        self._bus = bus
        self._effects: dict[str, int] = {}  # as a database would keep them
        self._worker: PlainWorker | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        return "the worker runs" if self._task is not None and not self._task.done() else "the worker has ended"

    async def start(self) -> None:
        if self._task is None or self._task.done():
            self._worker = self._make(self._bus, self._effects)
            self._task = asyncio.create_task(self._worker.serve())

    async def kill(self) -> None:
        while self._task is not None and not self._task.done():
            self._task.cancel()  # more than once: Python 3.11 loses one that comes with the answer waited for
            await asyncio.wait({self._task}, timeout=0.2)

    def tell_to_stop(self) -> None:
        assert self._worker is not None
        self._worker.stopping.set()

    async def ended(self, within_s: float) -> bool:
        assert self._task is not None
        done, _ = await asyncio.wait({self._task}, timeout=within_s)
        return bool(done)
