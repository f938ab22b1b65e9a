"""The worker at work: the path of a job from its queue to the ack.

A job is acked only when the bus has confirmed its answer. Whatever goes wrong before that, the job is delivered again,
to this worker or another: a handler may run more than once for one attempt, and keys its effects by the idempotency
key.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from stepbus.contracts.messages import StepError, StepFailed, StepHeartbeat
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus, Delivery, NotSent, Sent, Subscription
from stepbus.worker import answer
from stepbus.worker.announcement import announce, announcement
from stepbus.worker.answer import Ending
from stepbus.worker.attempt import Attempt
from stepbus.worker.hand import Hand, InHand
from stepbus.worker.handler import Handler, Handlers
from stepbus.worker.job import Job, Reader, quarantined
from stepbus.worker.options import Options
from stepbus.worker.outbox import Outbox
from stepbus.worker.stats import Stats

_LOGGER = logging.getLogger("stepbus.worker")
_RECEIVE_TIMEOUT_S = 1.0
_PAUSE_S = 0.5
_LONGEST_DELAY_S = 30.0


class Service:
    """Receives from every queue that a handler names, and runs up to `concurrency` handlers at once."""

    def __init__(self, bus: Bus, handlers: Handlers, options: Options, stats: Stats, state: Any) -> None:
        self._bus = bus
        self._handlers = handlers
        self._options = options
        self._stats = stats
        self._state = state
        self._source = f"/stepbus/worker/{options.name}"
        self._reader = Reader(bus)
        self._outbox = Outbox(bus, stats)
        self._hand = Hand(options.concurrency, stats)
        self._subscriptions: dict[str, Subscription] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to receive from every queue. That the channels are there is the coordinator's work.

        Raises:
            BusUnavailable: the bus is away, or has no channels yet; nothing was begun: start again.
        """
        for queue in sorted({handler.queue for handler in self._handlers.values()}):
            if queue not in self._subscriptions:
                self._subscriptions[queue] = await self._bus.subscribe(
                    f"jobs.{queue}", group="worker", in_hand=self._options.concurrency
                )
        self._outbox.start()
        self._keeping = asyncio.create_task(self._hand.keep(self._options.extend_every_s), name="stepbus-keep")
        message = announcement(self._options.name, self._source, self._handlers)
        self._announcing = asyncio.create_task(announce(self._bus, message), name="stepbus-announce")
        self._loops = [
            asyncio.create_task(self._receive_all(subscription), name=f"stepbus-{queue}")
            for queue, subscription in self._subscriptions.items()
        ]
        _LOGGER.info("worker %s serves %s", self._options.name, ", ".join(sorted(self._handlers)))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Receive no more, let what runs finish within the grace (or until `hurry`), and give back the rest."""
        if self._announcing is not None:
            self._announcing.cancel()
        await self._hand.close()
        for subscription in self._subscriptions.values():
            await subscription.close()
        await asyncio.gather(*self._loops)
        await self._hand.finish(hurry, self._options.grace_s)
        await self._outbox.close()
        if self._keeping is not None:
            self._keeping.cancel()
        _LOGGER.info("worker %s stopped: %s", self._options.name, self._stats)

    async def _receive_all(self, subscription: Subscription) -> None:
        while room := await self._hand.room():
            try:
                deliveries = await subscription.receive(room, _RECEIVE_TIMEOUT_S)
                for delivery in deliveries:
                    await self._take(subscription, delivery)
                is_away = not deliveries and not await self._bus.connected()
            except Exception:
                _LOGGER.exception("expected to receive jobs; trying again")
                is_away = True
            if is_away:
                await asyncio.sleep(_PAUSE_S)

    async def _take(self, subscription: Subscription, delivery: Delivery) -> None:
        """Give a delivery the only place it can go to: a new job, a running one, back to the queue, or quarantine."""
        self._stats.received += 1
        if not self._hand.is_open:
            await self._hand.give_back(subscription, [delivery])
            return
        message = InHand(subscription, [delivery])
        try:
            job = self._reader.read(delivery)
        except Refused as refused:
            self._hand.begin(object(), message, self._quarantine(message, refused))
            return
        handler = self._handlers.get(job.request.handler)
        running = self._hand.find(job.key)
        if running is not None:
            self._stats.duplicates += 1
            await running.join(delivery)
        elif handler is None and delivery.count < self._options.max_deliveries:
            _LOGGER.warning("no handler %s here; its job goes back to %s", job.request.handler, delivery.channel)
            delay_s = min(2.0 ** (delivery.count - 1), _LONGEST_DELAY_S)
            await self._hand.give_back(subscription, [delivery], delay_s)
        else:
            self._hand.begin(job.key, message, self._work(job, handler, message))

    async def _work(self, job: Job, handler: Handler | None, message: InHand) -> None:
        """Run the handler, answer, and ack when the answer is confirmed."""
        async with self._hand.slots:
            message.is_waiting = False
            ending = await self._ending(job, handler, message)
            message.is_ended = True
            sent = await self._outbox.answer(message, answer.outgoing(job, self._source, ending))
            if isinstance(sent, NotSent):
                _LOGGER.error("the answer to task %s, step %s, attempt %d can't be sent: %s", *job.key, sent.reason)
            self._count(ending)
            if message.attempt is not None:
                await message.attempt.settled()

    async def _ending(self, job: Job, handler: Handler | None, message: InHand) -> Ending:
        first = message.deliveries[0]
        if handler is None:
            text = f"expected a worker that serves {job.request.handler} on {first.channel}"
            return answer.failed(job, self._options.name, StepError(code=answer.HANDLER_UNKNOWN, message=text))
        if first.count > self._options.max_deliveries:
            text = f"expected an answer, but the job was delivered {first.count} times without one"
            return answer.failed(job, self._options.name, StepError(code=answer.REDELIVERED, message=text))

        async def say(beat: StepHeartbeat) -> bool:
            sent = await self._outbox.tell(answer.outgoing(job, self._source, beat))
            self._stats.heartbeats += isinstance(sent, Sent)
            return isinstance(sent, Sent)

        message.attempt = Attempt(handler, job, self._options.name, say, self._state)
        return await message.attempt.run()

    async def _quarantine(self, message: InHand, refused: Refused) -> None:
        message.is_waiting = False
        delivery = message.deliveries[0]
        _LOGGER.error("a message on %s is no job and goes to quarantine: %s", delivery.channel, refused)
        await self._outbox.answer(message, quarantined(self._source, delivery, refused, datetime.now(UTC)))
        self._stats.quarantined += 1

    def _count(self, ending: Ending) -> None:
        if isinstance(ending, StepFailed):
            self._stats.failed += 1
            self._stats.timed_out += ending.error.code == answer.TIMEOUT
        else:
            self._stats.completed += 1
