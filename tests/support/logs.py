"""Logs in memory with histories of tasks: real ones, decided by a coordinator, and ones written by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any
from uuid import UUID, uuid5

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import IN_HAND, MOVING, StepStatus, TaskState
from stepbus.orchestrator.ports import Append, Appended, EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.clock import StoreClock
from stepbus.orchestrator.runtime.coordinator import Coordinator, RoundLimits
from stepbus.orchestrator.runtime.intents import Cause, RegisterIntent, TaskIntent
from stepbus.orchestrator.runtime.tasks import Tasks

CAUSE = Cause("operator/test", "a-test")
META = e.Metadata(at_ms=1_000_000)


def orders(version: str = "1.0.0", **fields: Any) -> TaskTemplate:
    """A template of a diamond with a step beside it: `d` waits for `b` and `c`, those for `a`; `x` can be left out."""
    steps = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "x": []}
    retry = {"max_attempts": 2, "initial": "1s", "jitter": 0.0}
    document = {
        "name": "orders",
        "version": version,
        "steps": [
            {"name": name, "depends_on": needed, "retry": retry, "skippable": name == "x"}
            for name, needed in steps.items()
        ],
    }
    return from_mapping({**document, **fields})


def task(number: int) -> UUID:
    return UUID(int=number)


def registered(told: TaskTemplate, **fields: Any) -> e.TemplateRegistered:
    values: dict[str, Any] = {
        "namespace": told.namespace,
        "name": told.name,
        "version": told.version,
        "template_hash": told.hash,
        "template": told.canonical(),
    }
    return e.TemplateRegistered(**{**values, **fields})


def accepted(template: TaskTemplate, request_id: str = "request-1", **fields: Any) -> e.TaskAccepted:
    values: dict[str, Any] = {
        "namespace": template.namespace,
        "name": template.name,
        "version": template.version,
        "template_hash": template.hash,
        "context": {},
        "request_id": request_id,
    }
    return e.TaskAccepted(**{**values, **fields})


async def write(store: EventStore, stream: UUID, category: str, *records: Sequence[e.Event]) -> None:
    """Add records to a stream, whatever they say."""
    stored = await store.read_stream(stream)
    first = 1 + sum(len(e.decode_record(record.data).events) for record in stored)
    for number, events in enumerate(records):
        data = e.encode_record(e.Record(first, META, tuple(events)))
        (answer,) = await store.append([Append(stream, len(stored) + number, category, data)])
        assert isinstance(answer, Appended)
        first += len(events)


class Altered:
    """A log some of whose records are not what was stored: left out, or changed."""

    def __init__(self, store: EventStore, change: Callable[[StoredRecord], StoredRecord | None]) -> None:
        self._store = store
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        records = map(self._change, await self._store.read(after, limit, category))
        return [record for record in records if record is not None]


@asynccontextmanager
async def coordinator(store: EventStore, templates: Iterable[TaskTemplate]) -> AsyncIterator[Coordinator]:
    """A coordinator of this log, with these templates registered."""
    catalogue = Catalogue(store)
    running = Coordinator(store, catalogue, Tasks(store, catalogue, 1_000), StoreClock(store), RoundLimits())
    rounds = asyncio.create_task(running.run())
    try:
        for template in templates:
            await running.submit(RegisterIntent(template, CAUSE))
        yield running
    finally:
        rounds.cancel()
        with suppress(asyncio.CancelledError):
            await rounds


async def live_through(running: Coordinator, template: TaskTemplate, seed: int, commands: int = 60) -> TaskState:
    """Have one task decided by commands that a seed chooses, mostly sensible ones.

    Gives the state in the coordinator's memory: the last one there, if the task has ended.
    """
    random = Random(seed)  # noqa: S311 - examples, not secrets
    task_id = uuid5(e.STREAMS, f"{template.hash}/{seed}")
    left_out = tuple(step.name for step in template.steps if step.skippable and random.random() < 0.3)
    request = c.RequestTask(task_id, Plan.of(template), {"seed": seed}, f"request-{task_id}", 0, None, left_out)
    await running.submit(TaskIntent(request, CAUSE))
    now_ms = 0
    kept = await running.tasks.load(task_id)
    assert kept is not None
    for _ in range(commands):
        kept = running.tasks.kept(task_id) or kept
        now_ms = max(
            [now_ms + random.randint(0, 500), *(due for due in kept.state.due_ms.values() if random.random() < 0.1)]
        )
        await running.submit(TaskIntent(_chosen(random, kept.state, now_ms), CAUSE))
    return (running.tasks.kept(task_id) or kept).state


def _chosen(random: Random, state: TaskState, now_ms: int) -> c.Command:
    numbers = range(len(state.plan.steps))
    moving = [number for number in numbers if StepStatus(state.step_status[number]) in MOVING]
    number = random.choice(moving if moving and random.random() < 0.8 else list(numbers))
    name, attempt = state.plan.steps[number].name, max(1, state.attempts[number] - (random.random() < 0.1))
    task_id, error = state.task_id, StepError(code="broken", retryable=random.random() < 0.7)
    choices: list[c.Command] = [c.DispatchRetry(task_id, name, attempt, now_ms)]
    if random.random() < 0.02:
        choices = [c.CancelTask(task_id, "stop", now_ms), c.ResolveTask(task_id, "done", now_ms)]
    elif not moving and random.random() < 0.5:
        choices = [c.RetryStep(task_id, name, "", now_ms), c.ResolveStep(task_id, name, 1, "", now_ms)]
    elif StepStatus(state.step_status[number]) in IN_HAND:
        choices = [
            *[c.CompleteStep(task_id, name, attempt, {"n": number}, now_ms)] * 4,
            *[c.FailStep(task_id, name, attempt, error, now_ms)] * 2,
            c.RecordHeartbeat(task_id, name, attempt, None, now_ms),
            c.TimeOutStep(task_id, name, attempt, now_ms),
            c.ResolveStep(task_id, name, 1, "", now_ms),
        ]
    return random.choice(choices)
