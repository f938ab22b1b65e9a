"""A process that dies at a chosen point: a store and a bus that count what is done through them, and end with it.

A point lies before and after each call that leaves a trace outside the process. At the last point of a life, and at
every later one, `Dead` is raised: whatever the process still does leaves no trace. `Fate.LOSE_THE_ANSWER` is milder:
the call is carried out, but the process hears that nothing is known of it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, TypeVar

from stepbus.orchestrator.ports import (
    Append,
    Appended,
    Bus,
    Delivery,
    EventStore,
    NotSent,
    Outgoing,
    Sent,
    Snapshot,
    StoreUnavailable,
    Subscription,
    VersionConflict,
)

Given = TypeVar("Given")


class Dead(BaseException):
    """The process has ended; no handler of exceptions may go on as if it had not."""


class Fate(Enum):
    """What befalls a process at its point."""

    DIE = "die"
    LOSE_THE_ANSWER = "lose the answer"


class Life:
    """Counts the points that one process has passed; its fate meets it at the n-th of one name, else nowhere."""

    def __init__(self, at: str = "", number: int = 0, fate: Fate = Fate.DIE) -> None:
        self.passed: Counter[str] = Counter()
        self.met = asyncio.Event()
        self._at = at
        self._number = number
        self._fate = fate

    async def call(self, name: str, do: Callable[[], Awaitable[Given]], lost: Callable[[], Given]) -> Given:
        """Do it, with a point before and one after. `lost` gives, or raises, what is heard where the answer is lost.

        Whoever only loses answers has no point before.
        """
        if self._fate is Fate.DIE and self._is_met_at(f"before {name}"):
            raise Dead
        done = await do()
        if not self._is_met_at(f"after {name}"):
            return done
        if self._fate is Fate.DIE:
            raise Dead
        return lost()

    def demand(self) -> None:
        """Raise `Dead` once the life is over; this is no point."""
        if self._fate is Fate.DIE and self.met.is_set():
            raise Dead

    def _is_met_at(self, point: str) -> bool:
        self.demand()
        self.passed[point] += 1
        if point != self._at or self.passed[point] != self._number:
            return False
        self.met.set()
        return True


class MortalStore:
    """A log as a process has it for its life."""

    def __init__(self, store: EventStore, life: Life) -> None:
        self._store = store
        self._life = life

    def __getattr__(self, name: str) -> Any:
        self._life.demand()
        return getattr(self._store, name)

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        return await self._life.call("appending", lambda: self._store.append(batches), _nothing_is_known)

    async def save_checkpoint(self, reader: str, position: int) -> None:
        await self._life.call(
            "saving the checkpoint", lambda: self._store.save_checkpoint(reader, position), _nothing_is_known
        )

    async def save_snapshot(self, stream: Any, snapshot: Snapshot) -> None:
        await self._life.call(
            "saving a snapshot", lambda: self._store.save_snapshot(stream, snapshot), _nothing_is_known
        )


class MortalSubscription:
    """A subscription as a process has it for its life."""

    def __init__(self, subscription: Subscription, channel: str, life: Life) -> None:
        self._subscription = subscription
        self._channel = channel
        self._life = life

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        self._life.demand()
        received = await self._subscription.receive(limit, timeout_s)
        if received:
            await self._life.call(f"receiving {self._channel}", _nothing, lambda: None)
        self._life.demand()
        return received

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        await self._life.call(f"acking {self._channel}", lambda: self._subscription.ack(deliveries), lambda: None)

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:  # noqa: ARG002 - at once: no test waits for that
        await self._life.call(f"handing back {self._channel}", lambda: self._subscription.nack(delivery), lambda: None)

    async def extend(self, delivery: Delivery) -> None:
        self._life.demand()
        await self._subscription.extend(delivery)

    async def close(self) -> None:
        await self._subscription.close()


class MortalBus:
    """A connection to a bus as a process has it for its life."""

    def __init__(self, bus: Bus, life: Life) -> None:
        self._bus = bus
        self._life = life

    def __getattr__(self, name: str) -> Any:
        self._life.demand()
        return getattr(self._bus, name)

    async def provision(self, queues: Sequence[str] = ()) -> None:
        await self._life.call("provisioning", lambda: self._bus.provision(queues), lambda: None)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        if not messages:
            return ()
        has_jobs = any(message.channel.startswith("jobs.") for message in messages)
        return await self._life.call(
            "publishing jobs" if has_jobs else "publishing news",
            lambda: self._bus.publish(messages),
            lambda: [NotSent("the answer was lost")] * len(messages),
        )

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> MortalSubscription:
        self._life.demand()
        return MortalSubscription(await self._bus.subscribe(channel, group, in_hand), channel, self._life)

    async def close(self) -> None:
        """Let the broker see that the process is gone: what it had un-acked is delivered to another."""
        await self._bus.close()


async def _nothing() -> None:
    return None


def _nothing_is_known() -> Any:
    raise StoreUnavailable("the answer was lost")
