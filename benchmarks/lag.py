"""How far the read models are behind the log, at half of the load that a coordinator carries.

First 100 active tasks find the steps a second that a coordinator alone carries, on NATS. Then tasks come at half of
that rate, whatever becomes of them, to a coordinator whose process keeps the views too, and to one beside whose process
another keeps them. Every record of that time counts once, from the moment that it was decided, which is before it was
committed, to the end of the first look at which every view stood for it: there is a look every few milliseconds, so
that a lag is told too long rather than too short.
"""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time_ns

from stepbus.contracts.events import decode_record
from stepbus.orchestrator.bench.budget import Budget
from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.figures import percentiles
from stepbus.orchestrator.bench.load import Load
from stepbus.orchestrator.bench.plan import NATS, Plan, store_kind
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import Stage, coordinator_process, ground, stage
from stepbus.orchestrator.bench.workloads import WORKLOADS
from stepbus.orchestrator.bootstrap import opened_views
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.ports import EventStore, ViewStore
from stepbus.projections import PROJECTIONS

ACTIVE = 100
SECONDS = 5.0
SHARE = 0.5
TICK_S = 0.02
LOOK_S = 0.005
PATIENCE_S = 60.0
WORKLOAD = WORKLOADS["W5"]
PLACES = {True: "in the coordinator's process", False: "in a process of their own"}


@dataclass(slots=True)
class Looks:
    """When every view was seen to stand for which position. Units: milliseconds since the Unix epoch."""

    positions: list[int] = field(default_factory=lambda: [0])
    at_ms: list[float] = field(default_factory=lambda: [0.0])
    last: int | None = None

    async def go_on(self, views: ViewStore) -> None:
        """Look again and again, until the last position, once it is known, was seen."""
        while self.last is None or self.positions[-1] < self.last:
            checkpoints = await asyncio.gather(*(views.checkpoint(projection.name) for projection in PROJECTIONS))
            self.at_ms.append(time_ns() / 1e6)
            self.positions.append(min(checkpoints))
            await asyncio.sleep(LOOK_S)

    async def lags(self, store: EventStore, after: int) -> list[float]:
        """Give the lag of each record behind a position."""
        found = []
        while records := await store.read(after, 1000):
            for record in records:
                seen_ms = self.at_ms[bisect_left(self.positions, record.position)]
                found.append(seen_ms - decode_record(record.data).meta.at_ms)
            after = records[-1].position
        return found


async def carried(plan: Plan, folder: Path, seconds: float) -> float:
    """Give the steps a second of a coordinator alone, with 100 active tasks."""
    async with ground(plan, folder) as on, stage(plan, on, WORKLOAD) as here:
        client = Client(here.bus, WORKLOAD.name)
        async with client.hearing(), here.workers("bare"):
            load = Load(here, client, WORKLOAD, 1, Budget(PATIENCE_S), lambda _: None, time_scale=seconds / SECONDS)
            return (await load.run(ACTIVE)).runs[0].steps_per_s


async def lags(plan: Plan, folder: Path, seconds: float, steps_per_s: float) -> list[float]:
    """Give the lags of the records of so long a time at this rate. Units: milliseconds."""
    async with ground(plan, folder) as on, stage(plan, on, WORKLOAD) as here, projecting(plan, here):
        client = Client(here.bus, WORKLOAD.name)
        async with client.hearing(), here.workers("bare"), opened_views(here.settings) as views:
            looks = Looks()
            looking = asyncio.create_task(looks.go_on(views))
            begins_at = await here.store.head()
            await pace(client, steps_per_s / WORKLOAD.steps, seconds)
            await client.until_idle(PATIENCE_S)
            looks.last = await here.store.head()
            async with asyncio.timeout(PATIENCE_S):
                await looking
            return await looks.lags(here.store, begins_at)


@asynccontextmanager
async def projecting(plan: Plan, here: Stage) -> AsyncIterator[None]:
    """Keep the views in a process of their own, unless the coordinator's keeps them."""
    if plan.views:
        yield
        return
    fields = {**here.settings.model_dump(exclude_unset=True), "data": here.settings.data / "projections"}
    fields["store"] = here.settings.store  # in the coordinator's folder, unless it says otherwise
    fields["data"].mkdir()
    async with coordinator_process(Settings(**fields), ("projections",)):
        yield


async def pace(client: Client, tasks_per_s: float, seconds: float) -> None:
    """Ask for tasks at this rate for so long."""
    begun = perf_counter()
    asked = 0
    while (passed_s := perf_counter() - begun) < seconds:
        due = int(passed_s * tasks_per_s) - asked
        await client.submit(due)
        asked += due
        await asyncio.sleep(TICK_S)


def main() -> None:
    """Measure the load of a run, and the lags in both places."""
    given = options(__doc__, runs=3)
    kind = store_kind(given.store)
    seconds = max(0.5, SECONDS * given.scale)
    loads: list[float] = []
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-lag-", dir=given.data) as folder:
            planned = partial(Plan, workload="W5", bus=NATS, store=given.store, folder=Path(folder))
            alone = Path(folder, "alone")
            alone.mkdir()
            loads.append(SHARE * asyncio.run(carried(planned(), alone, seconds)))
            for shared, runs in found.items():
                here = Path(folder, f"views-{shared}")
                here.mkdir()
                runs.append(percentiles(asyncio.run(lags(planned(views=shared), here, seconds, loads[-1]))) or {})
    tell("load while the read models follow", "steps/s", loads, store=kind)
    for shared, runs in found.items():
        what = f"read models {PLACES[shared]} behind the log"
        tell(f"{what}, p50", "ms", [run["p50"] for run in runs], store=kind)
        tell(f"{what}, p99", "ms", [run["p99"] for run in runs], target=100, store=kind)


if __name__ == "__main__":
    main()
