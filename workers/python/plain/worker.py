"""A stepbus worker in Python without a library of stepbus: it knows the contract and a plain NATS client.

A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered
again, here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotency key.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.errors import TimeoutError as NothingCame
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import BadRequestError
from plain.contract import Failed, Job, Message, Poison, announcement, answer, quarantined, read_job

ACK_WAIT_S = 30.0
CONFIRM_S = 5.0
MAX_DELIVERIES = 10  # a job that came back more often may be what kills its workers
_EXISTS = 10148

log = logging.getLogger("worker")


@dataclass
class Attempt:
    """A job in hand. `heartbeat` says that it is alive, and starts its time anew."""

    job: Job
    heartbeat: Callable[..., Awaitable[None]]


Handler = Callable[[Attempt], Awaitable[Any]]


@dataclass
class Worker:
    """Serves each handler on the queue of the same name, `concurrency` jobs of each at once."""

    url: str
    prefix: str
    name: str
    handlers: Mapping[str, Handler]
    concurrency: int = 4
    drain_s: float = 30.0
    is_announced: bool = True
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[tuple[str, str, int], list[Msg]] = field(default_factory=dict)

    async def run(self) -> None:
        """Serve until `stopping` is set; then what runs may finish within the drain time; the rest is given back."""
        connection = await self._connected()
        if connection is None:
            return
        self._stream: JetStreamContext = connection.jetstream(timeout=CONFIRM_S)
        lanes = [asyncio.create_task(self._lane(queue)) for queue in self.handlers for _ in range(self.concurrency)]
        beside = asyncio.create_task(self._announce())
        log.info("worker %s serves %s", self.name, ", ".join(self.handlers))
        await self.stopping.wait()
        beside.cancel()
        await asyncio.wait(lanes, timeout=self.drain_s)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, beside, return_exceptions=True)
        with suppress(Error, TimeoutError):
            await connection.flush(int(CONFIRM_S))
        await connection.close()
        log.info("worker %s stopped", self.name)

    async def _connected(self) -> Client | None:
        while not self.stopping.is_set():
            try:
                return await nats.connect(self.url, name=self.name, max_reconnect_attempts=-1, error_cb=_told)
            except (OSError, Error, TimeoutError) as error:
                log.warning("no broker: %s; trying again", error)
                await self._pause(1.0)
        return None

    async def _announce(self) -> None:
        if self.is_announced:
            await self._confirmed(announcement(self.prefix, self.name, sorted(self.handlers)))

    async def _lane(self, queue: str) -> None:
        """Take one job of a queue after another."""
        while not self.stopping.is_set():
            try:
                name = await self._consumer(queue)
                pulled = await self._stream.pull_subscribe_bind(name, f"{self.prefix.upper()}_JOBS")
                every_s = ((await pulled.consumer_info()).config.ack_wait or ACK_WAIT_S) / 3
                while not self.stopping.is_set():
                    with suppress(NothingCame):
                        for message in await pulled.fetch(1, timeout=1):
                            await self._take(queue, message, every_s)
                await pulled.unsubscribe()
            except (Error, TimeoutError, OSError) as error:
                log.warning("queue %s: %r; trying again", queue, error)
                await self._pause(1.0)

    async def _consumer(self, queue: str) -> str:
        """Create the queue's consumer as every worker, in any language, does; one that is there is taken as it is."""
        name = queue.replace(".", "=")
        config = ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=f"{self.prefix}.jobs.{queue}",
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=1000,
        )
        try:
            await self._stream.add_consumer(f"{self.prefix.upper()}_JOBS", config)
        except BadRequestError as error:
            if error.err_code != _EXISTS:
                raise
        return name

    async def _take(self, queue: str, message: Msg, every_s: float) -> None:
        if self.stopping.is_set():
            await message.nak()
            return
        try:
            job = read_job(message.data, f"{self.prefix}.results.")
        except Poison as poison:
            log.warning("queue %s: a message is no job: %s at %r: %s", queue, poison.code, poison.pointer, poison)
            await self._confirmed(quarantined(self.prefix, queue, message.data, poison))
            await message.ack()
            return
        handler, count = self.handlers.get(job.data["handler"]), message.metadata.num_delivered
        if handler is None and count < MAX_DELIVERIES:
            await message.nak(delay=min(2 ** (count - 1), 30))
        elif job.key in self._running:
            self._running[job.key].append(message)  # it is in hand already, and this is acked with the other
        else:
            await self._answer(job, handler, self._running.setdefault(job.key, [message]), every_s)

    async def _answer(self, job: Job, handler: Handler | None, messages: list[Msg], every_s: float) -> None:
        keeping = asyncio.create_task(_keep(messages, every_s))
        is_answered = False
        try:
            await self._confirmed(await self.ending(job, handler, messages[0].metadata.num_delivered))
            is_answered = True
        finally:
            keeping.cancel()
            del self._running[job.key]
            for each in messages:
                await (each.ack() if is_answered else each.nak())

    async def ending(self, job: Job, handler: Handler | None, count: int) -> Message:
        """Run a handler for as long as the attempt may take, and give the answer."""
        failure: dict[str, Any]
        try:
            result = await self._attempt(job, _to_be_run(handler, count))
            return answer(job, self.name, "step.completed", result=result)
        except Failed as failed:
            failure = failed.error
        except TimeoutError:
            failure = Failed("worker.timeout", f"expected an end within {job.timeout_s} s", retryable=True).error
        except Exception as error:  # a handler may raise anything
            log.exception("handler %s", job.data["handler"])
            failure = Failed(type(error).__name__, str(error), retryable=True).error
        return answer(job, self.name, "step.failed", error=failure)

    async def _attempt(self, job: Job, handler: Handler) -> Any:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(job.timeout_s) as limit:

            async def heartbeat(progress: Any = None) -> None:
                try:
                    await self._publish(answer(job, self.name, "step.heartbeat", progress=progress))
                except (Error, TimeoutError) as error:
                    log.warning("no heartbeat: %r", error)
                else:
                    limit.reschedule(loop.time() + job.timeout_s)

            return await handler(Attempt(job, heartbeat))

    async def _confirmed(self, message: Message) -> None:
        """Publish until the broker has confirmed."""
        pause_s = 0.1
        while True:
            try:
                return await self._publish(message)
            except (Error, TimeoutError) as error:
                log.warning("no confirm from %s: %r; sending again", message.address, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 2.0)

    async def _publish(self, message: Message) -> None:
        headers = {"Nats-Msg-Id": message.id, "content-type": "application/cloudevents+json"}
        await self._stream.publish(message.address, message.body, headers=headers)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


def _to_be_run(handler: Handler | None, count: int) -> Handler:
    if handler is None:
        raise Failed("worker.handler_unknown", "expected a worker that serves it", retryable=True)
    if count > MAX_DELIVERIES:
        raise Failed("worker.redelivered", f"delivered {count} times and never answered", retryable=True)
    return handler


async def _keep(messages: list[Msg], every_s: float) -> None:
    """Let nobody else have a job that is in hand. It ends with the attempt's time, so none is held for ever."""
    while True:
        await asyncio.sleep(every_s)
        for message in messages:
            await message.in_progress()


async def _told(error: Exception) -> None:
    log.warning("the broker: %r", error)
