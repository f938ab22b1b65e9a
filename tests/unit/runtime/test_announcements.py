"""What workers announce is kept where it is new, costs nothing where it is not, and is put aside where it is wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore, Outgoing
from stepbus.orchestrator.runtime.intents import Outcome
from stepbus.orchestrator.runtime.serve import Serving
from stepbus.orchestrator.runtime.workers import worker_stream
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import Broken, cloud_event, delivery, events_of, memory_bus, memory_store, serving

SERVED = {"handler": "orders.check", "contract": 1}
STREAM = worker_stream("default", "w-1")


@pytest.fixture
async def store() -> EventStore:
    return await memory_store()


@pytest.fixture
async def parts(store: EventStore) -> AsyncIterator[Serving]:
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        yield parts


async def announced(parts: Serving, *handlers: Any, worker: str = "w-1", tenant: str = "default") -> Outcome:
    data = {"worker": worker, "handlers": handlers}
    return await parts.intake.apply(delivery("tasks", cloud_event("worker.announced", data, tenant=tenant)))


async def handlers_kept(store: EventStore) -> list[list[str]]:
    events = [event for event in await events_of(store, STREAM) if isinstance(event, e.WorkerAnnounced)]
    return [[served.handler for served in event.handlers] for event in events]


async def test_what_a_worker_announces_is_in_the_log_and_the_same_again_is_not(
    parts: Serving, store: EventStore
) -> None:
    first = await announced(parts, SERVED)
    again = await announced(parts, SERVED)
    assert first.position > 0
    assert (again.id, again.position, again.rejection) == (STREAM, 0, None)
    assert await handlers_kept(store) == [["orders.check"]]


async def test_what_is_new_takes_the_place_of_what_was_said_before(parts: Serving, store: EventStore) -> None:
    await announced(parts, SERVED)
    await announced(parts, SERVED | {"handler": "orders.pay"})
    await announced(parts)
    assert await handlers_kept(store) == [["orders.check"], ["orders.pay"], []]


async def test_the_order_of_handlers_is_no_news_but_a_schema_is(parts: Serving) -> None:
    other = {"handler": "orders.pay", "contract": 1, "input_schema": {"const": 1}}
    assert (await announced(parts, SERVED, other)).position > 0
    assert (await announced(parts, other, SERVED)).position == 0
    assert (await announced(parts, SERVED, other | {"input_schema": {"const": True}})).position > 0


async def test_workers_of_one_name_under_two_tenants_are_two(parts: Serving) -> None:
    ours, theirs = await announced(parts, SERVED), await announced(parts, SERVED, tenant="acme")
    assert ours.id != theirs.id
    assert theirs.position > 0


async def test_announcements_of_one_worker_that_meet_are_kept_one_after_the_other(
    parts: Serving, store: EventStore
) -> None:
    names = ["a", "b", "c", "d"]
    await asyncio.gather(*(announced(parts, SERVED | {"handler": name}) for name in names))
    assert sorted(name for (name,) in await handlers_kept(store)) == names


async def test_what_another_process_took_in_is_no_news_here(parts: Serving, store: EventStore) -> None:
    async with serving(store, await memory_bus(), coordinate=False) as others:
        await announced(others, SERVED)
        assert (await announced(parts, SERVED)).position == 0
        await announced(parts, SERVED | {"handler": "orders.pay"})
        assert (await announced(others, SERVED)).position > 0


@pytest.mark.parametrize(
    ("handlers", "code", "pointer"),
    [
        ([SERVED, SERVED], "message.handler_twice", "/data"),
        ([{"handler": "orders.check"}], "message.missing", "/data/handlers/0/contract"),
        ([SERVED | {"contract": 0}], "message.invalid", "/data/handlers/0/contract"),
        ([SERVED | {"handler": "no spaces"}], "message.invalid", "/data/handlers/0/handler"),
        ([SERVED | {"input_schema": "text"}], "schema.invalid", "/data/handlers/0/input_schema"),
        ([SERVED | {"input_schema": {"type": "wrong"}}], "schema.invalid", "/data/handlers/0/input_schema/type"),
        (
            [SERVED | {"result_schema": {"$ref": "http://x"}}],
            "schema.remote_ref",
            "/data/handlers/0/result_schema/$ref",
        ),
    ],
)
async def test_what_is_malformed_is_in_quarantine(
    parts: Serving, store: EventStore, handlers: list[Any], code: str, pointer: str
) -> None:
    outcome = await announced(parts, *handlers)
    (kept,) = await events_of(store, outcome.id)
    assert isinstance(kept, e.MessageQuarantined)
    assert (kept.problems[0].code, kept.problems[0].pointer) == (code, pointer)
    assert not await events_of(store, STREAM)


async def test_an_announcement_among_answers_is_in_quarantine(parts: Serving, store: EventStore) -> None:
    body = cloud_event("worker.announced", {"worker": "w-1", "handlers": []})
    outcome = await parts.intake.apply(delivery("results.0", body))
    (kept,) = await events_of(store, outcome.id)
    assert isinstance(kept, e.MessageQuarantined)
    assert kept.problems[0].code == "message.wrong_channel"


async def test_an_announcement_that_cannot_be_decided_is_in_quarantine() -> None:
    store = Broken(await memory_store())
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        store.failures.append(ZeroDivisionError())
        outcome = await announced(parts, SERVED)
        (kept,) = await events_of(store, outcome.id)
        assert isinstance(kept, e.MessageQuarantined)
        assert kept.problems[0].code == "internal.error"


async def test_an_announcement_on_the_bus_is_taken_in() -> None:
    store, bus = await memory_store(), await memory_bus()
    async with serving(store, bus):
        body = cloud_event("worker.announced", {"worker": "w-1", "handlers": [SERVED]})
        await bus.publish([Outgoing("tasks", "a-1", body)])

        async def is_kept() -> bool:
            return await handlers_kept(store) == [["orders.check"]]

        await wait_until(is_kept)
