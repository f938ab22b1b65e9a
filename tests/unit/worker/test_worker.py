"""How a worker is set up, started and found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Worker
from stepbus.worker.__main__ import main
from stepbus.worker.buses import open_bus


@pytest.fixture
async def bus(unique_name: str) -> AsyncIterator[Bus]:
    opened = await open_bus(f"memory:{unique_name}", "stepbus")
    await opened.provision()
    yield opened
    await opened.close()


def served(**options: int) -> Worker:
    worker = Worker("memory:", **options)  # type: ignore[arg-type]
    worker.handler("h")(lambda: None)
    return worker


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"max_deliveries": 0}, {"grace": -1}, {"name": "x" * 257}], ids=str
)
def test_options_that_cannot_work_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        served(**options)


@pytest.mark.parametrize("changes", [{"extend_every_s": 0.0}, {"concurrency": -1}], ids=str)
def test_a_change_that_cannot_work_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        served().configure(**changes)


def test_a_worker_has_a_name_of_its_own_unless_it_is_given_one() -> None:
    assert Worker().options.name
    assert Worker(name="first").options.name == "first"


@pytest.mark.parametrize("url", ["", "gopher://x", "nats"])
async def test_a_url_that_no_adapter_answers_to_is_refused_with_those_that_are_known(url: str) -> None:
    scheme = url.partition(":")[0]
    if scheme == "nats":  # a scheme that is known, and nothing after it
        with pytest.raises(Refused):
            await open_bus(url, "stepbus")
    else:
        with pytest.raises(ValueError, match=r"schemes .*memory.*nats"):
            await open_bus(url, "stepbus")


async def test_a_url_of_a_store_is_refused() -> None:
    with pytest.raises(ValueError, match="offers a bus"):
        await open_bus("sqlite:///log.db", "stepbus")


async def test_a_worker_without_handlers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one handler"):
        await Worker("memory:").serve()


async def test_a_worker_runs_once_at_a_time(bus: Bus) -> None:
    worker = Worker(bus=bus)
    worker.handler("h")(lambda: None)
    async with worker:
        with pytest.raises(RuntimeError, match="runs already"):
            await worker.serve()


async def test_what_the_lifespan_opened_is_closed_when_the_bus_can_not_be_had() -> None:
    life: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        life.append("opened")
        try:
            yield
        finally:
            life.append("closed")

    worker = Worker("sqlite:///log.db", lifespan=lifespan)
    worker.handler("h")(lambda: None)
    with pytest.raises(ValueError, match="offers a bus"):
        await worker.serve()

    assert life == ["opened", "closed"]


async def test_a_worker_waits_for_the_channels_and_makes_none(
    unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = served()
    worker.configure(url=f"memory:{unique_name}")
    serving = asyncio.create_task(worker.serve())
    await wait_until(lambda: "not ready" in caplog.text)
    bus = await open_bus(f"memory:{unique_name}", "stepbus")
    await bus.provision()
    caplog.set_level("INFO")
    await wait_until(lambda: "serves h" in caplog.text)
    worker.request_stop()
    await serving
    await bus.close()


async def test_a_worker_whose_task_is_cancelled_stops_gracefully(bus: Bus) -> None:
    worker = Worker(bus=bus)
    worker.handler("h")(lambda: None)
    serving = asyncio.create_task(worker.serve())
    await wait_until(lambda: asyncio.all_tasks() - {asyncio.current_task(), serving})
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("tests.support.nowhere:worker", "nowhere"),
        ("tests.support.served:nobody", "NoneType"),
        ("json:loads", "function"),
    ],
)
def test_a_worker_that_is_not_where_it_is_said_to_be_is_wrong_usage(
    place: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([place]) == 2
    assert said in capsys.readouterr().err


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEPBUS_BUS", "gopher://environment")
    assert main(["tests.support.served:worker"]) == 1
    assert "gopher" in capsys.readouterr().err
    assert main(["tests.support.served:worker", "--url", "sqlite:///log.db"]) == 1
    assert "offers a bus" in capsys.readouterr().err
    monkeypatch.setenv("STEPBUS_PREFIX", "Not A Prefix")
    assert main(["tests.support.served:worker", "--url", "memory:"]) == 1
    assert "prefix" in capsys.readouterr().err
