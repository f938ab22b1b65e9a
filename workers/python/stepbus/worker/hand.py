"""What a worker has in hand: messages that wait for a slot, run, or wait for the confirm of their answer."""

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from stepbus.orchestrator.ports import Delivery, Subscription
from stepbus.worker.attempt import Attempt
from stepbus.worker.stats import Stats

_LOGGER = logging.getLogger("stepbus.worker")
_CANCEL_TIMEOUT_S = 1.0


@dataclass(slots=True, eq=False)
class InHand:
    """A message, and all deliveries of it that are out: waiting for a slot, running, ended, and last answered."""

    subscription: Subscription
    deliveries: list[Delivery]
    attempt: Attempt | None = None
    is_waiting: bool = True
    is_ended: bool = False
    is_answered: bool = False

    @property
    def is_to_be_kept(self) -> bool:
        """Say whether nobody else is to have it: not so when a handler runs on though its time is over."""
        is_late = self.attempt is not None and not self.is_ended and self.attempt.context.time_left_s <= 0
        return not self.is_answered and not is_late

    async def join(self, delivery: Delivery) -> None:
        """Let a second delivery of the attempt share the fate of the first: it is not run beside it."""
        if self.is_answered:
            await self.subscription.ack([delivery])
        else:
            self.deliveries.append(delivery)


class Hand:
    """Messages in hand by key, at most `size` of them at work."""

    def __init__(self, size: int, stats: Stats) -> None:
        self.slots = asyncio.Semaphore(size)
        self._size = size
        self._stats = stats
        self._held: dict[Hashable, tuple[InHand, asyncio.Task[None]]] = {}
        self._has_room = asyncio.Event()
        self.is_open = True

    def find(self, key: Hashable) -> InHand | None:
        held = self._held.get(key)
        return None if held is None else held[0]

    def begin(self, key: Hashable, message: InHand, work: Coroutine[Any, Any, None]) -> None:
        """Do the work on a message, and hold the message until it ends."""
        task = asyncio.create_task(work)
        self._held[key] = message, task
        self._stats.running = len(self._held)

        def end(task: "asyncio.Task[None]") -> None:
            del self._held[key]
            self._stats.running = len(self._held)
            self._has_room.set()
            if not task.cancelled() and task.exception() is not None:
                _LOGGER.error("a job was left unanswered, and will be delivered again", exc_info=task.exception())

        task.add_done_callback(end)

    async def room(self) -> int:
        """Wait until another message can be taken, and give how many can; none when no more is to be taken."""
        while self.is_open and len(self._held) >= self._size:
            self._has_room.clear()
            await self._has_room.wait()
        return self._size - len(self._held) if self.is_open else 0

    async def close(self) -> None:
        """Take no more, and give back what has not begun."""
        self.is_open = False
        self._has_room.set()
        await self._withdraw({task: message for message, task in self._held.values() if message.is_waiting})

    async def finish(self, hurry: asyncio.Event, grace_s: float) -> None:
        """Wait for the work on what is held; what is not done within the grace, or when hurried, is given back."""
        if self._held:
            hurried: asyncio.Future[Any] = asyncio.create_task(hurry.wait())
            done: asyncio.Future[Any] = asyncio.gather(
                *(task for _, task in self._held.values()), return_exceptions=True
            )
            await asyncio.wait({hurried, done}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            await self._withdraw({task: message for message, task in self._held.values()})

    async def give_back(self, subscription: Subscription, deliveries: Iterable[Delivery], delay_s: float = 0) -> None:
        """Let it be delivered again."""
        self._stats.given_back += 1
        for delivery in deliveries:
            await subscription.nack(delivery, delay_s)

    async def keep(self, every_s: float) -> None:
        """Keep what is held from being delivered to others, for ever."""
        while True:
            await asyncio.sleep(every_s)
            for message, _ in list(self._held.values()):
                if message.is_to_be_kept:
                    for delivery in message.deliveries:
                        await message.subscription.extend(delivery)

    async def _withdraw(self, held: "dict[asyncio.Task[None], InHand]") -> None:
        for task in held:
            task.cancel()
        if held:
            await asyncio.wait(held, timeout=_CANCEL_TIMEOUT_S)
        for message in held.values():
            if not message.is_answered:
                await self.give_back(message.subscription, message.deliveries)
