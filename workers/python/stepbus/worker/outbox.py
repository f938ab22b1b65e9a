"""Sends answers until the bus has confirmed them, as many at once as have come together."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from stepbus.orchestrator.ports import Bus, BusUnavailable, NotSent, Outgoing, Sent
from stepbus.worker.stats import Stats

_LOGGER = logging.getLogger("stepbus.worker")
_BATCH = 500
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0


@dataclass(slots=True)
class _Letter:
    message: Outgoing
    sent: "asyncio.Future[Sent | NotSent]"
    is_tried_once: bool


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
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        for letter in self._letters:
            letter.sent.cancel()

    async def send(self, message: Outgoing, *, is_tried_once: bool = False) -> Sent | NotSent:
        """Send again, under the same id, until it is confirmed or can't ever be; or try once only."""
        letter = _Letter(message, asyncio.get_running_loop().create_future(), is_tried_once)
        self._letters.append(letter)
        self._has_letters.set()
        return await letter.sent

    async def _send_all(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            await self._has_letters.wait()
            batch = [self._letters.popleft() for _ in range(min(_BATCH, len(self._letters)))]
            try:
                answers = await self._publish([letter.message for letter in batch])
            except asyncio.CancelledError:
                self._letters.extendleft(reversed(batch))
                raise
            again = [letter for letter, answer in zip(batch, answers, strict=True) if not _settle(letter, answer)]
            self._letters.extendleft(reversed(again))
            if not self._letters:
                self._has_letters.clear()
            if not again:
                wait_s = _FIRST_WAIT_S
                continue
            _LOGGER.warning("%d of %d messages were not confirmed; sending them again", len(again), len(batch))
            self._stats.retried += len(again)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        try:
            return await self._bus.publish(messages)
        except BusUnavailable as error:
            return [NotSent(str(error))] * len(messages)


def _settle(letter: _Letter, answer: Sent | NotSent) -> bool:
    """Say whether there is an end to it: it is sent, can't be, or nobody waits for it."""
    if letter.sent.done():
        return True
    if isinstance(answer, Sent) or answer.permanent or letter.is_tried_once:
        letter.sent.set_result(answer)
        return True
    return False
