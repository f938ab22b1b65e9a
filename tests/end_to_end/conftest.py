"""The deployments that whole tasks are tried on; and one with a worker, which all tests of the command line ask."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from stepbus.orchestrator.bootstrap.settings import Settings
from tests.support.command_line import CommandLine, serving, working
from tests.support.deployment import Deployment, deployed, settings_of


@pytest.fixture(
    params=["memory+sqlite", "nats+sqlite", "nats+postgres", "redis+sqlite", "rabbitmq+postgres", "kafka+sqlite"]
)
def settings(request: pytest.FixtureRequest, tmp_path: Path, unique_name: str) -> Settings:
    """Settings of a deployment that the test has for itself: which bus, and which store."""
    bus, _, store = request.param.partition("+")
    bus_url = f"memory:{unique_name}" if bus == "memory" else request.getfixturevalue(f"{bus}_url")
    store_url = request.getfixturevalue("postgres_database") if store == "postgres" else None
    return settings_of(tmp_path, bus_url, unique_name, store_url)


@pytest.fixture
async def deployment(settings: Settings) -> AsyncIterator[Deployment]:
    """A process that serves with these settings."""
    async with deployed(settings) as found:
        yield found


@pytest.fixture(scope="session")
def dev_prefix() -> str:
    """What the channels of the shared stepbus begin with."""
    return f"cli{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def command_line(nats_url: str, dev_prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Verbs against `stepbus dev`, a real process on NATS, with a worker in another process."""
    folder: Path = tmp_path_factory.mktemp("dev")
    arguments = (
        "dev",
        "--port",
        "0",
        "--data",
        str(folder / "data"),
        "--bus",
        nats_url,
        "--set",
        f"prefix={dev_prefix}",
    )
    with serving(folder, *arguments) as process, working(nats_url, dev_prefix):
        yield CommandLine(process.url, folder / "data")
        assert process.stop() == 0
