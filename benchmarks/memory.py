"""What 10,000 active tasks of 10 steps weigh: the resident set of a coordinator with them, less that of an idle one.

The coordinator is `stepbus serve` on NATS and SQLite, after some tasks have run to their end. Then its worker is
stopped and the tasks are submitted: each waits with its first step dispatched.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.plan import NATS, Plan
from stepbus.orchestrator.bench.processes import rss_mib
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import ground, stage
from stepbus.orchestrator.bench.workloads import WORKLOADS

TASKS = 10_000
WARM_UP = 100
PATIENCE_S = 120.0
SETTLE_S = 1.0


async def measure(folder: Path, tasks: int) -> tuple[float, float]:
    """Give the resident set of the idle coordinator, and with the tasks. Units: MiB."""
    plan, workload = Plan(workload="W2", bus=NATS, folder=folder), WORKLOADS["W2"]
    async with ground(plan, folder) as on, stage(plan, on, workload) as here:
        client = Client(here.bus, workload.name)
        async with client.hearing():
            async with here.workers("bare"):
                await client.submit(WARM_UP)
                await client.until_idle(PATIENCE_S)
            client.forget()
            idle = await settled_mib(here.pids["coordinator"])
            await client.submit(tasks)
            await client.until_accepted(PATIENCE_S)
            return idle, await settled_mib(here.pids["coordinator"])


async def settled_mib(pids: list[int]) -> float:
    """Give the resident set once what is in hand has been dealt with."""
    await asyncio.sleep(SETTLE_S)
    return rss_mib(pids) or 0.0


def main() -> None:
    """Start a coordinator a run."""
    given = options(__doc__, runs=3)
    tasks = max(1, round(TASKS * given.scale))
    idle, above = [], []
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-memory-", dir=given.data) as folder:
            before, after = asyncio.run(measure(Path(folder), tasks))
        idle.append(before)
        above.append(after - before)
    tell("resident set of an idle coordinator", "MiB", idle)
    tell(f"resident set of {tasks:,} active 10-step tasks above it", "MiB", above, target=1)


if __name__ == "__main__":
    main()
