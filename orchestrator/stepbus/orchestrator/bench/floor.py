"""The limits that this machine sets: the same bus without a log, and the same log without a bus.

A step crosses the bus as a job and as an answer, each with one confirm and one ack; and it is one record in the log.
Whoever does no more than one of these has the most steps a second that can be had of it here.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, cycle
from time import perf_counter
from uuid import UUID, uuid4

import orjson
from pydantic import BaseModel

from stepbus.contracts import messages
from stepbus.orchestrator.bench.history import History
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.processes import ROLE, child
from stepbus.orchestrator.bench.stage import READY, Ground, fresh_settings, workers_of
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import PAYLOAD, QUEUE
from stepbus.orchestrator.bootstrap import opened_bus, opened_store
from stepbus.orchestrator.ports import Append, Appended, Bus, EventStore, NotSent, Outgoing, Subscription, end_tasks

_LOOPS = 4
_BATCH = 512
_RECEIVE_S = 1.0
_WINDOW_S = 0.7
_JOBS = 64
_PATIENCE_S = 20.0


class Order(BaseModel):
    """What the stand-in for the coordinator is told."""

    settings: dict[str, str]
    in_flight: int
    runs: int
    window_s: float


@dataclass(slots=True)
class StandIn:
    """Takes the coordinator's place at the bus: for each answer it sends another job, and thinks nothing of it."""

    bus: Bus
    answers: int = 0
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: "count[int]" = field(default_factory=count)
    _name: str = field(default_factory=lambda: uuid4().hex)

    async def run(self, in_flight: int, runs: int, window_s: float) -> list[float]:
        """Keep so many jobs in flight, and give the steps a second of each run.

        Raises:
            Unfinished: nothing came back.
        """
        bodies = cycle([job(self.bus.address("results.0")) for _ in range(_JOBS)])
        answers = await self.bus.subscribe("results.*")
        bouncing = [asyncio.create_task(self._bounce(answers, bodies)) for _ in range(_LOOPS)]
        try:
            for start in range(0, in_flight, _BATCH):
                await self._send(bodies, min(_BATCH, in_flight - start))
            await self._first_answer()
            await asyncio.sleep(window_s)
            return [await self._window(window_s) for _ in range(runs)]
        finally:
            await end_tasks(*bouncing)
            await answers.close()

    async def _first_answer(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._answered.wait()
        except TimeoutError:
            raise Unfinished(f"expected an answer on the bus within {_PATIENCE_S:.0f} s, but none came") from None

    async def _window(self, window_s: float) -> float:
        begun, before = perf_counter(), self.answers
        await asyncio.sleep(window_s)
        return (self.answers - before) / (perf_counter() - begun)

    async def _bounce(self, answers: Subscription, bodies: "cycle[bytes]") -> None:
        while True:
            deliveries = await answers.receive(_BATCH, _RECEIVE_S)
            if deliveries:
                await self._send(bodies, len(deliveries))
                await answers.ack(deliveries)
                self.answers += len(deliveries)
                self._answered.set()

    async def _send(self, bodies: "cycle[bytes]", amount: int) -> None:
        jobs = [Outgoing(f"jobs.{QUEUE}", f"{self._name}.{next(self._numbers)}", next(bodies)) for _ in range(amount)]
        while jobs:
            sent = await self.bus.publish(jobs)
            jobs = [one for one, answer in zip(jobs, sent, strict=True) if isinstance(answer, NotSent)]


def job(replyto: str) -> bytes:
    """Give a job as a coordinator sends it for a step in the middle of a task."""
    task_id = str(uuid4())
    data = {
        "task_id": task_id,
        "step": "s5",
        "attempt": 1,
        "handler": QUEUE,
        "inputs": {"context": PAYLOAD, "results": {"s4": PAYLOAD}},
        "timeout_ms": 300_000,
        "idempotency_key": f"{task_id}/s5",
        "replyto": replyto,
        "token": "0" * 32,
    }
    event = {
        "specversion": "1.0",
        "id": f"{uuid4().hex[:16]}:123456.1",
        "source": "/stepbus/bench",
        "type": messages.StepRequested.TYPE,
        "time": "2026-01-01T00:00:00.000Z",
        "datacontenttype": "application/json",
        "dataschema": messages.StepRequested.dataschema(),
        "partitionkey": task_id,
        "correlationid": task_id,
        "causationid": task_id,
        "tenant": "default",
        "data": data,
    }
    return orjson.dumps(event)


async def bus_floor(plan: Plan, on: Ground, in_flight: int, runs: int) -> list[float]:
    """Give the steps a second that the bus alone carries, with as many in flight as the workload has at most.

    Raises:
        Unfinished: nothing came back.
    """
    settings = fresh_settings(plan, on, "bus-floor")
    window_s = _WINDOW_S * plan.time_scale
    if plan.is_embedded:
        async with opened_bus(settings, on.bus_url) as bus:
            await bus.provision((QUEUE,))
            async with workers_of(plan, "bare", settings, on, []):
                return await StandIn(bus).run(in_flight, runs, window_s)
    where = {"bus": on.bus_url, "prefix": settings.prefix}
    told = Order(settings=where, in_flight=in_flight, runs=runs, window_s=window_s)
    async with AsyncExitStack() as stack:
        command = (*ROLE, "stand-in", told.model_dump_json())
        process = await stack.enter_async_context(child(command, settings.data, "stand-in", says=READY))
        await stack.enter_async_context(workers_of(plan, "bare", settings, on, []))
        said = b"" if process.stdout is None else await process.stdout.readline()
        if not said.startswith(b"["):
            raise Unfinished(f"expected the rates of the bus, found {said.decode() or 'nothing'}")
        rates: list[float] = orjson.loads(said)
        return rates


async def store_floor(plan: Plan, on: Ground, history: History, group: int, runs: int) -> list[float]:
    """Give the steps a second that the log alone takes: the records of whole tasks once more, so many at a time.

    Raises:
        Unfinished: there are no records to be had, or the log does not take one.
    """
    if not history.whole_steps:
        raise Unfinished("expected whole tasks in the log, found none")
    async with opened_store(fresh_settings(plan, on, "store-floor")) as store:
        return [await _filled(store, history, group, _WINDOW_S * plan.time_scale) for _ in range(runs)]


async def _filled(store: EventStore, history: History, group: int, window_s: float) -> float:
    appended, taken_s = 0, 0.0
    while taken_s < window_s:
        batches = renamed(history)
        for start in range(0, len(batches), group):
            together = batches[start : start + group]
            begun = perf_counter()
            answers = await store.append(together)
            taken_s += perf_counter() - begun
            if not all(isinstance(answer, Appended) for answer in answers):
                raise Unfinished(f"expected the log to take every record, but {answers}")
            appended += len(together)
            if taken_s >= window_s:
                break
    return appended / taken_s * history.whole_steps / len(history.whole)


def renamed(history: History) -> list[Append]:
    """Give the records as appends to streams that are not there yet."""
    streams: dict[UUID, UUID] = {}
    return [
        Append(streams.setdefault(stored.stream, uuid4()), stored.version - 1, stored.category, stored.data)
        for stored in history.whole
    ]
