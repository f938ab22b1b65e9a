"""How far the read models are behind the log, at about half of the load that the machine carries.

Coordinator and projections are one process, on NATS. First 100 active tasks find the rate that is carried; then tasks
come at half of that rate, whatever becomes of them. Meanwhile, again and again: where the log ends now, and how long it
takes until every view stands for that position.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from stepbus.orchestrator.bench.budget import Budget
from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.figures import percentiles
from stepbus.orchestrator.bench.load import Load
from stepbus.orchestrator.bench.plan import NATS, Plan, store_kind
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import Stage, ground, stage
from stepbus.orchestrator.bench.workloads import WORKLOADS
from stepbus.orchestrator.bootstrap import opened_views
from stepbus.orchestrator.ports import EventStore, ViewStore
from stepbus.projections import PROJECTIONS

ACTIVE = 100
SECONDS = 5.0
SHARE = 0.5
TICK_S = 0.02
LOOK_S = 0.001
PAUSE_S = 0.01
PATIENCE_S = 60.0


async def measure(plan: Plan, folder: Path, seconds: float) -> tuple[float, list[float]]:
    """Give the load in steps a second, and the lags that were found. Units: milliseconds."""
    workload = WORKLOADS["W5"]
    async with ground(plan, folder) as on, stage(plan, on, workload) as here, opened_views(here.settings) as views:
        client = Client(here.bus, workload.name)
        async with client.hearing(), here.workers("bare"):
            steps_per_s = SHARE * await carried(here, client, seconds)
            pacing = asyncio.create_task(pace(client, steps_per_s / workload.steps, seconds))
            lags = []
            while not pacing.done():
                lags.append(1e3 * await lag_s(here.store, views))
                await asyncio.sleep(PAUSE_S)
            await pacing
            await client.until_idle(PATIENCE_S)
    return steps_per_s, lags


async def carried(here: Stage, client: Client, seconds: float) -> float:
    """Give the steps a second with 100 active tasks."""
    load = Load(here, client, WORKLOADS["W5"], 1, Budget(PATIENCE_S), lambda _: None, time_scale=seconds / SECONDS)
    found = (await load.run(ACTIVE)).runs[0].steps_per_s
    client.on_ends = None  # of the load, which asks for a task for each that ends
    await client.until_idle(PATIENCE_S)
    return found


async def pace(client: Client, tasks_per_s: float, seconds: float) -> None:
    """Ask for tasks at this rate for so long."""
    begun = perf_counter()
    asked = 0
    while (passed_s := perf_counter() - begun) < seconds:
        due = int(passed_s * tasks_per_s) - asked
        await client.submit(due)
        asked += due
        await asyncio.sleep(TICK_S)


async def lag_s(store: EventStore, views: ViewStore) -> float:
    """Give how long it takes until every view stands for what the log holds now."""
    head = await store.head()
    begun = perf_counter()
    for projection in PROJECTIONS:
        while await views.checkpoint(projection.name) < head:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(LOOK_S)
    return perf_counter() - begun


def main() -> None:
    """Measure lags a run."""
    given = options(__doc__, runs=3)
    store = store_kind(given.store)
    loads, halves, tails = [], [], []
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-lag-", dir=given.data) as folder:
            plan = Plan(workload="W5", bus=NATS, store=given.store, folder=Path(folder), views=True)
            load, lags = asyncio.run(measure(plan, Path(folder), max(0.5, SECONDS * given.scale)))
        found = percentiles(lags) or {}
        loads.append(load)
        halves.append(found["p50"])
        tails.append(found["p99"])
    tell("load while the read models follow", "steps/s", loads, store=store)
    tell("read models behind the log, p50", "ms", halves, store=store)
    tell("read models behind the log, p99", "ms", tails, target=100, store=store)


if __name__ == "__main__":
    main()
