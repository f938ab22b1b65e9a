"""The client of a measurement: asks for tasks through the bus, and hears on the events channel what became of them.

It does little, so that it does not take from what is measured the machine that it runs on.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from uuid import uuid4

import orjson

from stepbus.contracts import messages
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import NAMESPACE, PAYLOAD
from stepbus.orchestrator.ports import Bus, Delivery, NotSent, Outgoing, Subscription, end_tasks

_BATCH = 500
_RECEIVE_S = 1.0
_ENDS = frozenset(message.TYPE for message in (messages.TaskCompleted, messages.TaskFailed, messages.TaskRejected))


@dataclass(slots=True)
class Lap:
    """A task as the client saw it, by the clock of this process. Units: seconds; 0 is not yet."""

    requested: float
    accepted: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Client:
    """Asks for tasks of one template. `on_ends` is told how many have ended, as it hears of them."""

    bus: Bus
    template: str
    laps: dict[str, Lap] = field(default_factory=dict)
    open_tasks: int = 0
    accepted: int = 0
    on_ends: Callable[[int], None] | None = None
    trouble: Unfinished | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _request: bytes = b""

    def __post_init__(self) -> None:
        """Make the request ready, but for its ids."""
        data = {"template": self.template, "namespace": NAMESPACE, "context": PAYLOAD}
        self._request = b"".join(
            (
                b'{"specversion":"1.0","id":"%b","source":"/stepbus/bench","type":"',
                messages.TaskRequested.TYPE.encode(),
                b'","datacontenttype":"application/json","data":{"task_id":"%b",',
                orjson.dumps(data)[1:],
                b"}",
            )
        )

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[None]:
        """Hear of the tasks for the length of the block."""
        events = await self.bus.subscribe("events", group=f"bench{os.getpid()}", in_hand=4 * _BATCH)
        hearing = asyncio.create_task(self._hear(events))
        try:
            yield
        finally:
            await end_tasks(hearing)
            await events.close()

    async def submit(self, count: int) -> None:
        """Ask for so many tasks.

        Raises:
            Unfinished: the bus did not take one.
        """
        for start in range(0, count, _BATCH):
            outgoing = [self._new() for _ in range(min(_BATCH, count - start))]
            self.open_tasks += len(outgoing)
            for answer in await self.bus.publish(outgoing):
                if isinstance(answer, NotSent):
                    raise Unfinished(f"expected the bus to take a request, but {answer.reason}")

    async def until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Return when it holds; it is looked at whenever something was heard.

        Raises:
            Unfinished: it did not hold in time, or a task failed.
        """
        deadline = perf_counter() + within_s
        while not holds():
            left_s = deadline - perf_counter()
            if left_s <= 0:
                found = f"{self.open_tasks} of {len(self.laps)} tasks are still open"
                raise Unfinished(f"expected {what} within {within_s:.0f} s, but {found}")
            await self.heard(left_s)

    async def heard(self, within_s: float) -> None:
        """Return when something was heard, at the latest when the time has passed.

        Raises:
            Unfinished: a task failed.
        """
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        if self.trouble is not None:
            raise self.trouble

    def forget(self) -> None:
        """Forget the tasks so far, which have all ended."""
        self.laps.clear()
        self.accepted = 0

    async def until_accepted(self, within_s: float) -> None:
        """Return when every task that was asked for is in the log.

        Raises:
            Unfinished: see `until`.
        """
        await self.until(lambda: self.accepted == len(self.laps), within_s, "every task to be accepted")

    async def until_idle(self, within_s: float) -> None:
        """Return when every task has ended.

        Raises:
            Unfinished: see `until`.
        """
        await self.until(lambda: self.open_tasks == 0, within_s, "every task to end")

    def _new(self) -> Outgoing:
        task_id = str(uuid4())
        self.laps[task_id] = Lap(perf_counter())
        encoded = task_id.encode()
        return Outgoing("tasks", task_id, self._request % (encoded, encoded), task_id)

    async def _hear(self, events: Subscription) -> None:
        while True:
            deliveries = await events.receive(_BATCH, _RECEIVE_S)
            if deliveries:
                ended = self._take(deliveries)
                self._changed.set()
                if ended and self.on_ends is not None:
                    self.on_ends(ended)
                await events.ack(deliveries)

    def _take(self, deliveries: Sequence[Delivery]) -> int:
        now = perf_counter()
        ended = 0
        for delivery in deliveries:
            event = orjson.loads(delivery.body)
            kind, data = event["type"], event["data"]
            lap = self.laps.get(data.get("task_id", ""))
            if kind == messages.TaskAccepted.TYPE and lap is not None and not lap.accepted:
                lap.accepted = now
                self.accepted += 1
            elif kind in _ENDS:
                if kind != messages.TaskCompleted.TYPE:
                    self.trouble = Unfinished(f"expected every task to be completed, found {kind}: {data}")
                elif lap is not None and not lap.ended:
                    lap.ended = now
                    ended += 1
        self.open_tasks -= ended
        return ended
