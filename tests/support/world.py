"""A log and a bus in memory, and the runtime's parts over them, for tests that look at one part."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import time
from typing import Any
from uuid import UUID, uuid4

import orjson

from stepbus.adapters.memory import connect
from stepbus.contracts import events as e
from stepbus.contracts import messages
from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.core.commands import CompleteStep, RequestTask
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.ports import Append, Appended, Bus, BusSettings, Delivery, EventStore, VersionConflict
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.intents import Cause, TaskIntent
from stepbus.orchestrator.runtime.serve import Limits, Serving

CAUSE = Cause("client/test", "a-test")

FORK_AND_JOIN = from_mapping(
    {
        "name": "fork_and_join",
        "version": "1.0.0",
        "steps": [
            {"name": "begin"},
            {"name": "left", "depends_on": ["begin"], "retry": {"max_attempts": 2, "initial": "1ms", "jitter": 0}},
            {"name": "right", "depends_on": ["begin"], "result_schema": {"type": "object"}},
            {"name": "end", "depends_on": ["left", "right"]},
        ],
    }
)
PLAN = Plan.of(FORK_AND_JOIN)


def now_ms() -> int:
    """Give the time, as the store's clock has it: what is dispatched now is due later."""
    return int(time() * 1000)


def request(task_id: UUID | None = None, **fields: Any) -> TaskIntent:
    """Give the intent that begins a task of the fork and join."""
    command = RequestTask(task_id or uuid4(), PLAN, fields.pop("context", {}), "request-1", now_ms(), **fields)
    return TaskIntent(command, CAUSE)


def completion(task_id: UUID, step: str, attempt: int = 1, result: Any = None) -> TaskIntent:
    """Give the intent that completes a step."""
    return TaskIntent(CompleteStep(task_id, step, attempt, {} if result is None else result, now_ms()), CAUSE)


async def memory_store() -> EventStore:
    """Give an empty log in memory."""
    factory = connect("memory:").store
    assert factory is not None
    return await factory()


async def memory_bus(name: str = "") -> Bus:
    """Give a bus in memory; one name is one broker."""
    factory = connect(f"memory:{name or uuid4().hex}").bus
    assert factory is not None
    return await factory(BusSettings(partitions=2))


@asynccontextmanager
async def serving(
    store: EventStore, bus: Bus, *, coordinate: bool = True, shared: bool = False, limits: Limits | None = None
) -> AsyncIterator[Serving]:
    """Run the parts of a coordinator over this log and bus, with the fork and join registered."""
    limits = limits or Limits(RoundLimits(count=100), drain_timeout_s=5)
    parts = await Serving.open(store, bus, 2, None, limits)
    if shared:
        parts.share(2)
    if coordinate:
        await parts.coordinate()
    parts.begin()
    try:
        await parts.desk.register(document(FORK_AND_JOIN), "operator/test")
        yield parts
    finally:
        await parts.drain()


def document(template: TaskTemplate) -> Mapping[str, Any]:
    """Give the template as a document that can be registered."""
    return template.canonical()


async def events_of(store: EventStore, stream: UUID) -> list[e.Event]:
    """Give what the log says happened in one stream."""
    return [event for stored in await store.read_stream(stream) for event in e.decode_record(stored.data).events]


async def types_of(store: EventStore, stream: UUID) -> list[str]:
    """Give the types of what the log says happened in one stream."""
    return [event.TYPE for event in await events_of(store, stream)]


def cloud_event(message_type: str, data: Mapping[str, Any], message_id: str = "m-1", **attributes: Any) -> bytes:
    """Give a message as a client or a worker would write it."""
    event = {"specversion": "1.0", "id": message_id, "source": "/test", "type": message_type, "data": data}
    return orjson.dumps(event | attributes)


def delivery(channel: str, body: bytes, headers: Mapping[str, str] | None = None) -> Delivery:
    """Give a message as the bus hands it over."""
    return Delivery(channel, body, headers or {}, 1)


def answer(job: messages.StepRequested, message_type: str = "step.completed", **fields: Any) -> bytes:
    """Give a worker's answer to a job."""
    data = {
        "task_id": str(job.task_id),
        "step": job.step,
        "attempt": job.attempt,
        "token": job.token,
        "worker": "w-1",
    }
    return cloud_event(message_type, data | fields, f"{job.task_id}/{job.step}/{job.attempt}/{message_type}")


class Broken:
    """A store that does what it is told to at the next appends, and is the real one in all else."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.failures: list[Exception] = []
        self.lost_answers: list[Exception] = []
        self.commits: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        """Fail before the commit, or after it, as told; else commit."""
        if self.failures:
            raise self.failures.pop()
        self.commits.append(len(batches))
        answers = await self._store.append(batches)
        if self.lost_answers:
            raise self.lost_answers.pop()
        return answers
