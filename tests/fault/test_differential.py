"""One story on every bus and store, and in the pure model: equal histories, whatever dies and whatever comes twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from stepbus.orchestrator.bootstrap import opened_bus, opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.ports import Bus, EventStore
from stepbus.orchestrator.runtime.verify import verify
from tests.support.differential import PARTITIONS, OpenBus, Stage, Story

BUSES = ("memory", "nats", "kafka", "rabbitmq", "redis")
STORES = ("sqlite", "postgres")


@pytest.fixture(params=BUSES)
def bus_url(request: pytest.FixtureRequest, unique_name: str) -> str:
    """Where a broker of each kind is."""
    if request.param == "memory":
        return f"memory:{unique_name}"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest_asyncio.fixture
async def open_bus(bus_url: str, unique_name: str) -> AsyncIterator[OpenBus]:
    """What connects anew to the one broker."""
    settings = Settings(bus=bus_url, prefix=unique_name, partitions=PARTITIONS)
    opened = []

    async def open_bus() -> Bus:
        opened.append(opened_bus(settings, bus_url))
        return await opened[-1].__aenter__()

    yield open_bus
    for one in opened:
        await one.__aexit__(None, None, None)


@pytest_asyncio.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    """An empty log of each kind."""
    is_local = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'log.db'}" if is_local else request.getfixturevalue("postgres_database")
    async with opened_store(Settings(store=url)) as store:
        yield store


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_story_has_the_history_that_the_model_gives_it(seed: int, store: EventStore, open_bus: OpenBus) -> None:
    story = Story.of(seed)
    stage = Stage(story, store, open_bus)

    found = await stage.play()

    assert found == {task_id: part.history() for task_id, part in story.parts.items()}
    assert stage.deaths_left == 0
    report = await verify(store)
    assert not report.violations, report.violations


def test_stories_of_one_seed_are_one_story_and_of_two_are_not() -> None:
    assert Story.of(1) == Story.of(1)
    assert Story.of(1).parts.keys().isdisjoint(Story.of(2).parts)


def test_a_story_holds_every_kind_of_ending_and_repeat() -> None:
    histories = [part.history() for seed in (1, 2) for part in Story.of(seed).parts.values()]
    names = {name for history in histories for events in history.values() for name, _ in events}

    assert {"TaskCompleted", "TaskFailed", "StepFailed", "StepTimedOut"} <= names
