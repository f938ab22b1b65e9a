"""Loads in this process, on a memory bus: what counts as a run, and what does not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from stepbus.orchestrator.bench.budget import Budget
from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.load import Load
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.stage import Stage, ground, stage
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import WORKLOADS, Workload
from stepbus.orchestrator.ports import EventStore

BUDGET_S = 60.0


class ForgetfulStore:
    """A log that always ends at the same place."""

    async def head(self) -> int:
        return 7


@pytest.fixture
def workload(request: pytest.FixtureRequest) -> Workload:
    return WORKLOADS[request.param].scaled(0.01)


@pytest.fixture
async def here(workload: Workload, tmp_path: Path) -> AsyncIterator[Stage]:
    plan = Plan(workload=workload.name, folder=tmp_path)
    async with ground(plan, tmp_path) as on, stage(plan, on, workload) as here:
        yield here


@pytest.fixture
async def client(here: Stage, workload: Workload) -> AsyncIterator[Client]:
    client = Client(here.bus, workload.name)
    async with client.hearing():
        yield client


def load(here: Stage, client: Client, workload: Workload, said: list[str]) -> Load:
    return Load(here, client, workload, 2, Budget(BUDGET_S), said.append, time_scale=0.1)


@pytest.mark.parametrize("workload", ["W2"], indirect=True)
async def test_bursts_are_counted_and_the_warm_up_is_not(here: Stage, client: Client, workload: Workload) -> None:
    said: list[str] = []

    async with here.workers("bare"):
        measured = await load(here, client, replace(workload, bursts=3), said).run(5)

    assert [run.steps for run in measured.runs] == [150, 150]
    assert len(measured.laps) == 30
    assert all(lap.requested < lap.accepted <= lap.ended for lap in measured.laps)
    assert await here.store.head() - measured.begins_at == 30 * 11
    assert [line.partition(":")[0] for line in said] == ["W2 5 at once, run 1 of 2", "W2 5 at once, run 2 of 2"]
    assert (client.open_tasks, client.laps) == (0, {})
    assert measured.cpu_us_per_step("coordinator") is not None
    assert measured.cpu_us_per_step("broker") is None


@pytest.mark.parametrize("workload", ["W5"], indirect=True)
async def test_the_number_of_active_tasks_is_held_and_then_raised(
    here: Stage, client: Client, workload: Workload
) -> None:
    async with here.workers("bare"):
        few, more = [await load(here, client, workload, []).run(at_once) for at_once in (1, 10)]

    assert len(few.runs) == len(more.runs) == 2
    assert min(run.steps for run in (*few.runs, *more.runs)) > 0
    assert few.begins_at < more.begins_at


@pytest.mark.parametrize("workload", ["W4"], indirect=True)
async def test_what_is_not_in_the_log_is_no_figure(here: Stage, client: Client, workload: Workload) -> None:
    here.store = cast("EventStore", ForgetfulStore())

    async with here.workers("bare"):
        with pytest.raises(Unfinished, match="expected 200 records of the runs in the log, found 0"):
            await load(here, client, replace(workload, bursts=4), []).run(5)


@pytest.mark.parametrize("workload", ["W2"], indirect=True)
@pytest.mark.usefixtures("workload")
async def test_the_library_can_do_the_work_too(here: Stage, client: Client) -> None:
    async with here.workers("library"):
        await client.submit(2)
        await client.until_idle(BUDGET_S)

    assert client.accepted == 2
