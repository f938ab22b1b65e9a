"""Sends answers until the bus has confirmed them, and then acks their jobs: as many at once as have come together."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from stepbus.orchestrator.ports import Bus, BusUnavailable, Delivery, NotSent, Outgoing, Sent, Subscription, end_tasks
from stepbus.worker.hand import InHand
from stepbus.worker.stats import Stats

_LOGGER = logging.getLogger("stepbus.worker")
_BATCH = 500
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0


@dataclass(slots=True, eq=False)
class _Letter:
    """A message to be sent. `job` is what it answers; one that answers none is tried once."""

    message: Outgoing
    job: InHand | None
    sent: "asyncio.Future[Sent | NotSent]"


class Outbox:
    """Takes messages from many handlers and gives each its confirm."""

    def __init__(self, bus: Bus, stats: Stats) -> None:
        self._bus = bus
        self._stats = stats
        self._letters: deque[_Letter] = deque()
        self._has_letters = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._sending = asyncio.create_task(self._send_all(), name="stepbus-outbox")

    async def close(self) -> None:
        """Stop sending. Who still waits for a confirm is cancelled."""
        await end_tasks(self._sending)
        for letter in self._letters:
            letter.sent.cancel()

    async def answer(self, job: InHand, message: Outgoing) -> Sent | NotSent:
        """Send again, under the same id, until it is confirmed or can't ever be; then ack the job."""
        return await self._post(message, job)

    async def tell(self, message: Outgoing) -> Sent | NotSent:
        """Send once."""
        return await self._post(message, None)

    async def _post(self, message: Outgoing, job: InHand | None) -> Sent | NotSent:
        letter = _Letter(message, job, asyncio.get_running_loop().create_future())
        self._letters.append(letter)
        self._has_letters.set()
        return await letter.sent

    async def _send_all(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            await self._has_letters.wait()
            batch = [self._letters.popleft() for _ in range(min(_BATCH, len(self._letters)))]
            batch = [letter for letter in batch if not letter.sent.done()]  # some were given back meanwhile
            try:
                again = await self._send(batch)
            except asyncio.CancelledError:
                self._letters.extendleft(reversed(batch))
                raise
            self._letters.extendleft(reversed(again))
            if not self._letters:
                self._has_letters.clear()
            if not again:
                wait_s = _FIRST_WAIT_S
                continue
            self._stats.retried += len(again)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _send(self, letters: Sequence[_Letter]) -> Sequence[_Letter]:
        """Publish, ack what is answered, tell who waits, and give what is to be sent again."""
        if not letters:
            return ()
        try:
            answers = await self._bus.publish([letter.message for letter in letters])
        except BusUnavailable as error:
            answers = [NotSent(str(error))] * len(letters)
        again: list[_Letter] = []
        done: list[tuple[_Letter, Sent | NotSent]] = []
        for letter, answer in zip(letters, answers, strict=True):
            is_over = isinstance(answer, Sent) or answer.permanent or letter.job is None
            if is_over:
                done.append((letter, answer))
            elif not letter.sent.done():
                again.append(letter)
        if again:
            reasons = "; ".join(sorted({answer.reason for answer in answers if isinstance(answer, NotSent)}))
            _LOGGER.warning("%d messages were not confirmed and are sent again: %s", len(again), reasons)
        await _ack([letter.job for letter, _ in done if letter.job is not None])
        for letter, answer in done:
            if not letter.sent.done():
                letter.sent.set_result(answer)
        return again


async def _ack(jobs: Sequence[InHand]) -> None:
    by_subscription: defaultdict[Subscription, list[Delivery]] = defaultdict(list)
    for job in jobs:
        job.is_answered = True
        by_subscription[job.subscription] += job.deliveries
    for subscription, deliveries in by_subscription.items():
        await subscription.ack(deliveries)
