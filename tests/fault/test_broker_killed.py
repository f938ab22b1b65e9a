"""The broker of each kind killed with SIGKILL and begun again, five times, while it carries 500 tasks."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from stepbus.contracts.envelope import CloudEvent, write
from stepbus.contracts.messages import TaskRequested
from stepbus.orchestrator.ports import Bus, Outgoing, Sent
from tests.support.ledger import effects
from tests.support.town import STEPS, check_log, client_bus, register, town_of, until_at_rest, until_ready
from tools.servers import Server

TASKS = 500
BATCH = 25
DEATHS = 5
ENDS_WITHIN_S = 150.0


@pytest.fixture(params=["nats", "kafka", "rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> Server:
    """A broker of each kind that this test alone uses."""
    server: Server = request.getfixturevalue(f"own_{request.param}")
    return server


async def ask(bus: Bus, chance: Random) -> set[UUID]:
    """Ask for all tasks, a batch at a time and each batch until the broker has confirmed it."""
    asked: set[UUID] = set()
    while len(asked) < TASKS:
        ids = [UUID(int=chance.getrandbits(128), version=4) for _ in range(BATCH)]
        waiting = [Outgoing("tasks", str(task_id), write(_request(task_id)), str(task_id)) for task_id in ids]
        while waiting:
            answers = await bus.publish(waiting)
            waiting = [one for one, sent in zip(waiting, answers, strict=True) if not isinstance(sent, Sent)]
            if waiting:
                await asyncio.sleep(0.2)
        asked.update(ids)
        await asyncio.sleep(0.3)
    return asked


def _request(task_id: UUID) -> CloudEvent:
    request = TaskRequested(template="diamond", namespace="test", task_id=task_id)
    data = request.model_dump(mode="json")
    return CloudEvent(id=str(task_id), source="/test/client", type=TaskRequested.TYPE, data=data)


async def torment(broker: Server, chance: Random) -> None:
    for _ in range(DEATHS):
        await asyncio.sleep(chance.uniform(1.0, 2.5))
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(chance.choice((0.0, 0.5, 2.0)))
        await asyncio.to_thread(broker.start)


@pytest.mark.timeout(360)
async def test_a_broker_that_dies_five_times_under_load_loses_and_doubles_nothing(
    broker: Server, unique_name: str, tmp_path: Path
) -> None:
    chance = Random(7)  # noqa: S311 - the same each time is what is wanted
    store = f"sqlite:///{tmp_path / 'log.db'}"
    with town_of(tmp_path, store, broker.url, unique_name, 1) as town:
        async with client_bus(broker.url, unique_name) as bus:
            await until_ready(town.urls[0])
            await register(town.urls[0])
            asked, _ = await asyncio.gather(ask(bus, chance), torment(broker, chance))
            tasks = await until_at_rest(town, asked, ENDS_WITHIN_S)
        for member in town.coordinators:
            assert member.stop() == 0, member.said()
        check_log(town, TASKS)

    assert tasks.keys() == asked
    assert Counter(task["status"] for task in tasks.values()) == {"complete": TASKS}
    assert {(task_id, step) for task_id in asked for step in STEPS} == effects(town.ledger)
