"""What 10,000 active tasks of 10 steps weigh in a coordinator, when nothing has happened to them for a while.

The coordinator is `stepbus serve` on NATS and SQLite. First it runs as many tasks to their end as will be active, so
that what it ever needs at once for so many it has asked of the system before. Then its worker is stopped and the tasks
are submitted: each waits with its first step dispatched. The resident set is read before and after, both times after
the time for passivation. `fresh` is the same for a coordinator that has run only a hundred tasks before: there the
difference has in it what the work of accepting so many takes, and the allocator keeps.

What the tasks weigh without the allocator is told by tracemalloc, in a coordinator that runs in a child of this script
and has run as many tasks before.
"""

import asyncio
import gc
import signal
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.plan import NATS, Plan
from stepbus.orchestrator.bench.processes import child, rss_mib
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import coordinator_process, fresh_settings, ground, register, workers_of
from stepbus.orchestrator.bench.workloads import WORKLOADS
from stepbus.orchestrator.bootstrap import opened_bus, running
from stepbus.orchestrator.bootstrap.interpreter import settle_interpreter
from stepbus.orchestrator.bootstrap.settings import Settings

TASKS = 10_000
FEW = 100
PATIENCE_S = 120.0
PASSIVATE_AFTER_S = 1.0
SETTLE_S = 2 * PASSIVATE_AFTER_S + 1.0
ROLES = ("coordinator",)
TRACED = "--traced"
MIB = 1024 * 1024

Process = asyncio.subprocess.Process
Reading = Callable[[Process], Awaitable[float]]


def served(settings: Settings) -> AbstractAsyncContextManager[Process]:
    """Give a coordinator as anybody runs it."""
    return coordinator_process(settings, ROLES)


def traced(settings: Settings) -> AbstractAsyncContextManager[Process]:
    """Give a coordinator that says how many bytes are alive in it, whenever it is asked."""
    command = (sys.executable, str(Path(__file__).absolute()), TRACED, settings.model_dump_json(exclude_unset=True))
    return child(command, settings.data, "coordinator", says=b"ready")


async def resident_mib(process: Process) -> float:
    """Give the resident set."""
    return rss_mib([process.pid]) or 0.0


async def live_mib(process: Process) -> float:
    """Give the bytes that are alive."""
    process.send_signal(signal.SIGUSR1)
    if process.stdout is None:
        raise TypeError("expected a process that can be listened to")
    return int(await process.stdout.readline()) / MIB


async def measure(
    folder: Path,
    begun: Callable[[Settings], AbstractAsyncContextManager[Process]],
    reading: Reading,
    before: int,
    tasks: int,
) -> tuple[float, float]:
    """Give what is read of the coordinator when it has run so many tasks `before`, and with the tasks active."""
    plan = Plan(workload="W2", bus=NATS, folder=folder, settings={"passivate_after_s": PASSIVATE_AFTER_S})
    workload = WORKLOADS[plan.workload]
    async with ground(plan, folder) as on:
        settings = fresh_settings(plan, on, "coordinator")
        await register(settings, workload)
        async with begun(settings) as process, opened_bus(settings, on.bus_url) as bus:
            client = Client(bus, workload.name)
            async with client.hearing():
                async with workers_of(plan, "bare", settings, on, []):
                    await client.submit(before)
                    await client.until_idle(PATIENCE_S)
                client.forget()
                await asyncio.sleep(SETTLE_S)
                idle = await reading(process)
                await client.submit(tasks)
                await client.until_accepted(PATIENCE_S)
                await asyncio.sleep(SETTLE_S)
                return idle, await reading(process)


async def serve_traced(settings: Settings) -> None:
    """Run a coordinator until the process is ended, and say on each SIGUSR1 how many bytes are alive."""

    def say() -> None:
        gc.collect()
        sys.stdout.write(f"{tracemalloc.get_traced_memory()[0]}\n")
        sys.stdout.flush()

    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, say)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    async with running(settings, ROLES):
        settle_interpreter()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await told.wait()


def main() -> None:
    """Start three coordinators a run."""
    given = options(__doc__, runs=3)
    tasks = max(1, round(TASKS * given.scale))
    few = min(FEW, tasks)
    readings: dict[str, list[tuple[float, float]]] = {"warm": [], "fresh": [], "live": []}
    for _ in range(given.runs):
        for name, begun, reading, before in (
            ("warm", served, resident_mib, tasks),
            ("fresh", served, resident_mib, few),
            ("live", traced, live_mib, tasks),
        ):
            with TemporaryDirectory(prefix="stepbus-memory-", dir=given.data) as folder:
                readings[name].append(asyncio.run(measure(Path(folder), begun, reading, before, tasks)))
    active = f"{tasks:,} active 10-step tasks"
    tell(f"resident set of a coordinator that has run {tasks:,} tasks", "MiB", [idle for idle, _ in readings["warm"]])
    tell(f"resident set with {active} after that", "MiB", [above for _, above in readings["warm"]])
    tell(f"{active} above the idle coordinator", "MiB", above(readings["warm"]), target=1)
    tell(f"{active} above a fresh coordinator", "MiB", above(readings["fresh"]))
    tell(f"live bytes of {active}", "MiB", above(readings["live"]))


def above(readings: list[tuple[float, float]]) -> list[float]:
    """Give the differences."""
    return [active - idle for idle, active in readings]


if __name__ == "__main__":
    if sys.argv[1:2] == [TRACED]:
        tracemalloc.start()
        asyncio.run(serve_traced(Settings(**orjson.loads(sys.argv[2]))))
    else:
        main()
