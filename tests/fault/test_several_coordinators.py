"""Two coordinators over one PostgreSQL and one broker, and one of them killed or frozen under load.

Its share of the work moves to the other within seconds; what it still believes when it wakes changes nothing.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import pytest

from stepbus.adapters.postgres import connect
from stepbus.contracts import events as e
from stepbus.contracts.envelope import CloudEvent, write
from stepbus.contracts.messages import TaskRequested
from stepbus.orchestrator.ports import Bus, EventStore, Outgoing, Sent
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.ledger import effects
from tests.support.town import STEPS, TEMPLATE, Town, check_log, client_bus, register, town_of, until_ready

_log = logging.getLogger(__name__)

PATIENT = TEMPLATE | {
    "defaults": {"timeout": "120s", "retry": {"max_attempts": 100, "initial": "50ms", "max": "500ms"}}
}
"""The diamond, without a deadline that would free a step that hangs somewhere."""

EVERY_S = 0.06
ENDS_WITHIN_S = 60.0
MOVES_WITHIN_S = 5.0
FROZEN_S = 20.0
OVER = (e.TaskCompleted, e.TaskFailed, e.TaskCancelled)


@pytest.fixture(params=["nats", "kafka", "rabbitmq", "redis"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """A broker of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[EventStore]:
    factory = connect(url).store
    assert factory is not None
    store = await factory()
    yield store
    await store.close()


async def ask(bus: Bus, store: EventStore, chance: Random, over: asyncio.Event) -> dict[UUID, int]:
    """Ask for tasks until it is over; give when each was asked for, by the store's clock in ms."""
    asked: dict[UUID, int] = {}
    while not over.is_set():
        task_id = UUID(int=chance.getrandbits(128), version=4)
        request = TaskRequested(template="diamond", namespace="test", task_id=task_id)
        event = CloudEvent(
            id=str(task_id), source="/test/client", type=request.TYPE, data=request.model_dump(mode="json")
        )
        asked[task_id] = await store.now_ms()
        (sent,) = await bus.publish([Outgoing("tasks", event.id, write(event), str(task_id))])
        assert isinstance(sent, Sent), sent
        await asyncio.sleep(EVERY_S)
    return asked


async def histories(store: EventStore) -> dict[UUID, list[tuple[int, e.Event]]]:
    """Give what happened to each task, and when, in ms."""
    found: dict[UUID, list[tuple[int, e.Event]]] = defaultdict(list)
    position = 0
    while batch := await store.read(position, 1000, e.TASK):
        for stored in batch:
            record = e.decode_record(stored.data)
            found[stored.stream] += [(record.meta.at_ms, event) for event in record.events]
        position = batch[-1].position
    return found


async def until_all_are_over(store: EventStore, asked: set[UUID]) -> dict[UUID, list[tuple[int, e.Event]]]:
    async def is_so() -> bool:
        found = await histories(store)
        return asked <= {task for task, history in found.items() if isinstance(history[-1][1], OVER)}

    await wait_until(is_so, within_s=ENDS_WITHIN_S)
    return await histories(store)


def longest_stall_s(found: dict[UUID, list[tuple[int, e.Event]]]) -> float:
    """Give the longest time in which nothing happened to a task that was not over."""
    times = [[at_ms for at_ms, _ in history] for history in found.values()]
    return max(later - earlier for of_task in times for earlier, later in pairwise(of_task)) / 1000


def longest_wait_s(asked: dict[UUID, int], found: dict[UUID, list[tuple[int, e.Event]]]) -> float:
    """Give the longest time that a request waited to be accepted."""
    return max(found[task_id][0][0] - asked_ms for task_id, asked_ms in asked.items()) / 1000


def demand_each_attempt_once(found: dict[UUID, list[tuple[int, e.Event]]]) -> None:
    attempts = Counter(
        (task_id, event.TYPE, event.step, event.attempt)
        for task_id, history in found.items()
        for _, event in history
        if isinstance(event, e.StepDispatched | e.StepCompleted | e.StepFailed)
    )
    assert set(attempts.values()) == {1}


async def owned(town: Town) -> list[set[str]]:
    """Give the partitions that each coordinator says it has."""
    found = []
    for url in town.urls:
        async with httpx.AsyncClient(base_url=url, timeout=5) as http:
            parts = (await http.get("/v1/health/ready")).json().get("parts", {})
        detail = parts.get("leases", {"detail": ""})["detail"]
        found.append({word.strip(" ,") for word in detail.split(";")[0].split() if word.strip(" ,").isdecimal()})
    return found


async def until_shared(town: Town) -> None:
    async def is_shared() -> bool:
        found = await owned(town)
        return [len(each) for each in found] == [4, 4] and not found[0] & found[1]

    await wait_until(is_shared, within_s=20)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("blow", ["killed", "frozen"])
async def test_the_work_of_a_coordinator_that_is_gone_moves_on_and_none_of_it_is_done_twice(
    blow: str, bus_url: str, postgres_database: str, unique_name: str, tmp_path: Path
) -> None:
    chance, over = Random(11), asyncio.Event()  # noqa: S311 - the same each time
    with town_of(tmp_path, postgres_database, bus_url, unique_name, 2) as town:
        victim, survivor = town.coordinators
        async with client_bus(bus_url, unique_name) as bus, opened(postgres_database) as store:
            for url in town.urls:
                await until_ready(url)
            await register(town.urls[1], PATIENT)
            await until_shared(town)
            asking = asyncio.create_task(ask(bus, store, chance, over))
            await asyncio.sleep(5)
            if blow == "killed":
                victim.kill()
                await asyncio.sleep(10)
            else:
                victim.freeze()
                await asyncio.sleep(FROZEN_S)
                victim.thaw()
                await until_shared(town)
                await asyncio.sleep(5)
            over.set()
            asked = await asking
            found = await until_all_are_over(store, set(asked))
        assert survivor.stop() == 0, survivor.said()
        assert victim.stop() == 0, victim.said()
        check_log(town, len(asked))

    stall_s, wait_s = longest_stall_s(found), longest_wait_s(asked, found)
    kind = bus_url.partition(":")[0]
    said = "%s, %s: %d tasks, longest stall %.1f s, longest wait to be accepted %.1f s"
    _log.warning(said, kind, blow, len(asked), stall_s, wait_s)
    assert all(isinstance(history[-1][1], e.TaskCompleted) for history in found.values())
    demand_each_attempt_once(found)
    assert {(task_id, step) for task_id in asked for step in STEPS} == effects(town.ledger)
    assert stall_s <= MOVES_WITHIN_S
    assert wait_s <= MOVES_WITHIN_S
    assert len(asked) > 100
