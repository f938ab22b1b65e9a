"""A coordinator killed with 10,000 open tasks: from the start of the next until it is ready, decides, has caught up.

The tasks have 4 steps; when the coordinator dies, the first step of each waits in its queue. The worker starts before
the next coordinator does, so the answers wait for it. The clock runs from the start of that process to its word that it
is ready, to the first record that it adds to the log, and to as many records as there are tasks: by then it has also
sent again what the dead one may not have sent, and read what its timers did not know. At the end every task must be
complete.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.plan import NATS, Plan, store_kind
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import coordinator_process, fresh_settings, ground, register, workers_of
from stepbus.orchestrator.bench.workloads import WORKLOADS
from stepbus.orchestrator.bootstrap import opened_bus, opened_store
from stepbus.orchestrator.ports import EventStore

TASKS = 10_000
PATIENCE_S = 120.0
LOOK_S = 0.002
ROLES = ("coordinator",)


class Recovery(NamedTuple):
    """The seconds from the start of the second coordinator until it is ready, decides, and has decided once a task."""

    ready_s: float
    decided_s: float
    caught_up_s: float


async def measure(plan: Plan, folder: Path, tasks: int) -> Recovery:
    """Kill one coordinator, and start the next."""
    workload = WORKLOADS[plan.workload]
    async with ground(plan, folder) as on:
        settings = fresh_settings(plan, on, "coordinator")
        await register(settings, workload)
        async with opened_store(settings) as store, opened_bus(settings, on.bus_url) as bus:
            client = Client(bus, workload.name)
            async with coordinator_process(settings, ROLES) as first, client.hearing():
                await client.submit(tasks)
                await client.until_accepted(PATIENCE_S)
                first.kill()
                await first.wait()
            async with client.hearing(), workers_of(plan, "bare", settings, on, []):
                head = await store.head()
                decided = asyncio.create_task(reached_at(store, head + 1))
                caught_up = asyncio.create_task(reached_at(store, head + tasks))
                begun = perf_counter()
                async with coordinator_process(settings, ROLES):
                    ready_s = perf_counter() - begun
                    recovery = Recovery(ready_s, await decided - begun, await caught_up - begun)
                    await client.until_idle(PATIENCE_S)
    return recovery


async def reached_at(store: EventStore, position: int) -> float:
    """Give when the log had come to this position, by the clock of this process."""
    while await store.head() < position:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(LOOK_S)
    return perf_counter()


def main() -> None:
    """Kill one coordinator a run."""
    given = options(__doc__, runs=3)
    store = store_kind(given.store)
    tasks = max(1, round(TASKS * given.scale))
    found = []
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-recovery-", dir=given.data) as folder:
            plan = Plan(workload="W5", bus=NATS, store=given.store, folder=Path(folder))
            found.append(asyncio.run(measure(plan, Path(folder), tasks)))
    what = f"after kill -9 with {tasks:,} open tasks"
    tell(f"start to ready {what}", "s", [run.ready_s for run in found], store=store)
    tell(f"start to the first decision {what}", "s", [run.decided_s for run in found], target=2.0, store=store)
    tell(f"start to as many decisions as tasks {what}", "s", [run.caught_up_s for run in found], store=store)


if __name__ == "__main__":
    main()
