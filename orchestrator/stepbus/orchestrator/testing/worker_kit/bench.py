"""The bench that a worker is tried on: it sends jobs as a coordinator does, and keeps all that comes back."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from stepbus.contracts import codec
from stepbus.contracts.messages import QuarantineEntry, StepRequested
from stepbus.orchestrator.ports import Bus, BusUnavailable, NotSent, Outgoing, Subscription
from stepbus.orchestrator.testing.worker_kit.contract import Contract, Scenario
from stepbus.orchestrator.testing.worker_kit.heard import ENDINGS, HEARTBEAT, Heard, Job
from stepbus.orchestrator.testing.worker_kit.reader import Reader
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, NotTried

TRACE = "0af7651916cd43dd8448eb211c80319c"
_ANSWERS = "results.3"
_LEEWAY_S = 0.5
_RECEIVE_S = 2.0

T = TypeVar("T")
Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is waited for what a worker does.

    Shape: `patience_s` for an answer; `start_s` for the first one, while the worker starts, and for the broker to miss
    one that was killed; `redelivery_s` is what the broker waits for an ack before it delivers again; `grace_s` is what
    the worker has to end once it is told to.
    """

    patience_s: float = 10.0
    start_s: float = 30.0
    redelivery_s: float = 30.0
    grace_s: float = 40.0

    @property
    def settled_s(self) -> float:
        """Give how long it takes until what was not acked has come back."""
        return self.redelivery_s * 1.25 + _LEEWAY_S


class Control(Protocol):
    """What starts, kills and stops the worker."""

    @property
    def state(self) -> str:
        """Say for a person how it is: that it runs, or how it ended."""
        ...

    async def start(self) -> None:
        """Start it."""
        ...

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        ...

    def tell_to_stop(self) -> None:
        """Ask it to end gracefully."""
        ...

    async def ended(self, within_s: float) -> bool:
        """Wait for its end; false if it has not come within the time."""
        ...


class Bench:
    """Sends jobs to one queue and hears what workers say."""

    def __init__(self, bus: Bus, contract: Contract, pace: Pace, control: Control | None) -> None:
        self.bus = bus
        self.contract = contract
        self.pace = pace
        self.control = control
        self.jobs: list[Job] = []
        self.heard: list[Heard] = []
        self.poison: list[bytes] = []
        self._seen: dict[Callable[..., Any], asyncio.Task[Any]] = {}
        self._news = asyncio.Event()

    async def listen(self, results: Subscription) -> None:
        """Hear the results of all partitions, for ever."""
        while True:
            deliveries = await results.receive(100, _RECEIVE_S)
            now = monotonic()
            self.heard += [Heard.of(delivery, now) for delivery in deliveries]
            await results.ack(deliveries)
            if deliveries:
                self._news.set()

    # --- sending ---

    def scenario(self, name: str) -> Scenario:
        """Give a scenario of the contract.

        Raises:
            NotTried: the contract does not offer it.
        """
        scenario = self.contract.scenario(name)
        if scenario is None:
            raise NotTried(f"the contract offers no scenario {name}")
        return scenario

    async def send(self, name: str, value: Any = "value", change: Change | None = None, **fields: Any) -> Job:
        """Send a job of a scenario; `fields` are those of its data that differ, `change` does anything to its event."""
        scenario = self.scenario(name)
        task_id, step = str(uuid4()), fields.get("step", "probe")
        event = self._event(task_id)
        event["data"] |= {
            "step": step,
            "inputs": {
                "context": scenario.filled(scenario.context, value),
                "results": scenario.filled(scenario.results, value),
            },
            "timeout_ms": round(scenario.timeout_s * 1000),
            "idempotency_key": f"{task_id}/{step}",
            **fields,
        }
        if change is not None:
            change(event)
        job = Job(name, event, _ANSWERS, value, monotonic())
        self.jobs.append(job)
        await self.deliver(job)
        return job

    async def deliver(self, job: Job) -> None:
        """Send a job, once more if it was sent before: as a relay does that has lost its checkpoint."""
        job.times += 1
        await self.send_body(self.body(job), job.task_id)

    def body(self, job: Job) -> bytes:
        """Give a job as it stands on the queue."""
        return codec.encode(job.event)

    async def send_body(self, body: bytes, key: str = "") -> None:
        """Send anything to the queue.

        Raises:
            BusUnavailable: the broker did not take it.
        """
        (sent,) = await self.bus.publish([Outgoing(self.contract.jobs, str(uuid4()), body, key)])
        if isinstance(sent, NotSent):
            raise BusUnavailable(f"expected the broker to take a message on {self.contract.jobs}, but {sent.reason}")

    def _event(self, task_id: str) -> dict[str, Any]:
        data = {
            "task_id": task_id,
            "attempt": 1,
            "handler": self.contract.handler,
            "replyto": self.bus.address(_ANSWERS),
            "token": uuid4().hex,
        }
        return {
            "specversion": "1.0",
            "id": f"conform:{uuid4().hex}",
            "source": "/stepbus/conform",
            "type": StepRequested.TYPE,
            "time": "2026-01-01T12:00:00Z",
            "datacontenttype": "application/json",
            "dataschema": StepRequested.dataschema(),
            "partitionkey": task_id,
            "correlationid": f"order {task_id[:8]}",
            "causationid": f"/clients/{task_id[:8]}",
            "tenant": "acme",
            "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
            "data": data,
        }

    # --- hearing ---

    def answers(self, job: Job, *types: str) -> list[Heard]:
        """Give what was heard about a job, of these types if any are named."""
        return [heard for heard in self.heard if (not types or heard.type in types) and heard.concerns(job)]

    async def ending(self, job: Job, within_s: float | None = None) -> Heard:
        """Give the first answer that ends a job.

        Raises:
            Broken: none came.
        """
        patience_s = self.pace.patience_s if within_s is None else within_s
        if not await self.came(lambda: self.answers(job, *ENDINGS), patience_s):
            raise Broken(f"step.completed or step.failed within {patience_s:g} s", self._instead(job))
        return self.answers(job, *ENDINGS)[0]

    async def success(self, job: Job) -> Heard:
        """Give the answer that a job succeeded.

        Raises:
            Broken: none came, or it failed.
        """
        ending = await self.ending(job)
        if ending.type != "step.completed":
            raise Broken("step.completed", f"step.failed: {ending.error.get('code')}: {ending.error.get('message')}")
        return ending

    def entries(self, body: bytes | None = None) -> list[Heard]:
        """Give the messages by which workers hand over what is no job; of one that was sent, if it is given."""
        entries = [heard for heard in self.heard if heard.type == QuarantineEntry.TYPE]
        return entries if body is None else [entry for entry in entries if is_entry_of(entry, body)]

    async def came(self, holds: Callable[[], object], within_s: float) -> bool:
        """Wait until something heard makes it hold; false if the time is over before."""
        deadline = monotonic() + within_s
        while not holds():
            self._news.clear()
            left_s = deadline - monotonic()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._news.wait()
        return True

    async def begun(self, job: Job) -> None:
        """Wait until a job is surely in hand: it beats, or could be half done."""
        half_s = (self.scenario(job.scenario).takes_s or 0) / 2
        await self.came(lambda: self.answers(job, HEARTBEAT, *ENDINGS), min(half_s, self.pace.patience_s))

    async def seen(self, observe: Callable[["Bench"], Awaitable[T]]) -> T:
        """Give what an observation finds, which is made once for all rules that ask for it."""
        if observe not in self._seen:
            self._seen[observe] = asyncio.ensure_future(observe(self))
        found: T = await self._seen[observe]
        return found

    # --- the queue ---

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Reader]:
        """Read the queue beside the worker: what it gives back, or never acks, comes here at last."""
        subscription = await self.bus.subscribe(self.contract.jobs, group="worker", in_hand=100)
        try:
            yield Reader(subscription)
        finally:
            await subscription.close()

    async def is_served(self, within_s: float) -> bool:
        """Say whether the worker answers an ordinary job, in whatever way."""
        job = await self.send("echo")
        return await self.came(lambda: self.answers(job), within_s)

    async def start_afresh(self) -> bool:
        """Kill the worker, empty its queue, start it again; false where this can't be done, or it is mute."""
        if self.control is None:
            return False
        await self.control.kill()
        async with self.beside() as reader:
            await reader.read(self.pace.settled_s)
        await self.control.start()
        return await self.is_served(self.pace.start_s)

    @property
    def silence(self) -> str:
        """Say that nothing was heard, and of what worker."""
        return "nothing" if self.control is None else f"nothing; {self.control.state}"

    def _instead(self, job: Job) -> str:
        return ", ".join(sorted({str(heard.type) for heard in self.answers(job)})) or self.silence


def is_entry_of(entry: Heard, body: bytes) -> bool:
    """Say whether an entry keeps this message."""
    return entry.data.get("body") == b64encode(body).decode()
