"""What a workload runs on: a broker, a coordinator and workers, each a process of its own, or all in this one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from os import getpid
from pathlib import Path
from uuid import uuid4

from stepbus.orchestrator.bench import library
from stepbus.orchestrator.bench.bare import BareWorker
from stepbus.orchestrator.bench.plan import NATS, SQLITE, Plan, WorkerKind
from stepbus.orchestrator.bench.processes import ROLE, STEPBUS, child
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import Workload
from stepbus.orchestrator.bootstrap import embedded_server, opened_bus, opened_store, running
from stepbus.orchestrator.bootstrap.interpreter import settle_interpreter
from stepbus.orchestrator.bootstrap.settings import Settings, read_settings
from stepbus.orchestrator.ports import Bus, Denied, EventStore, end_tasks
from stepbus.orchestrator.runtime import shares

READY = b'{"ready":true'
_SHARED_S = 20.0
_LOOK_S = 0.05
Workers = Callable[[WorkerKind], AbstractAsyncContextManager[None]]


@dataclass(slots=True)
class Stage:
    """What a client and an observer need. `pids` are the processes by role; what is in this process is coordinator."""

    bus: Bus
    store: EventStore
    settings: Settings
    workers: Workers
    pids: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What outlives the coordinator: the folder, the broker, and whose process that is."""

    folder: Path
    bus_url: str
    broker: list[int] = field(default_factory=list)


@asynccontextmanager
async def ground(plan: Plan, folder: Path) -> AsyncIterator[Ground]:
    """Start the broker that the plan asks for, for the length of the block.

    Raises:
        Unfinished: there is no server to be started.
        BusUnavailable: it did not start.
    """
    if plan.bus != NATS:
        yield Ground(folder, f"memory:bench{uuid4().hex}" if plan.is_embedded else plan.bus)
        return
    server = embedded_server(folder / "broker")
    if server is None:
        raise Unfinished("expected the packages of nats: to be installed (pip install 'stepbus[nats]')")
    await server.start()
    try:
        yield Ground(folder, server.url, [] if server.pid is None else [server.pid])
    finally:
        await server.stop()


def fresh_settings(plan: Plan, on: Ground, name: str) -> Settings:
    """Give settings of which nothing is there yet: a folder or schema of this name, channels of a prefix of its own."""
    folder = on.folder / name
    folder.mkdir()
    fields: dict[str, object] = {
        "data": folder,
        "bus": on.bus_url,
        "prefix": f"bench-{uuid4().hex[:12]}",
        "drain_timeout_s": 3,
        **plan.settings,
    }
    if plan.store != SQLITE:
        separator = "&" if "?" in plan.store else "?"
        fields["store"] = f"{plan.store}{separator}schema=bench_{uuid4().hex[:12]}"
    return read_settings(None, {}, fields).settings


@asynccontextmanager
async def stage(plan: Plan, on: Ground, workload: Workload) -> AsyncIterator[Stage]:
    """Run the plan's coordinators, who know the workload's template, for the length of the block."""
    settings = fresh_settings(plan, on, "coordinator")
    roles = ("coordinator", "projections") if plan.views else ("coordinator",)
    async with AsyncExitStack() as stack:
        if plan.is_embedded:
            process = await stack.enter_async_context(running(settings, roles))
            answer = await process.serving.desk.register(workload.template, "bench")
            _demand(answer)
            coordinators, store = [getpid()], process.serving.store
            settle_interpreter()  # as a process that serves does
        else:
            await register(settings, workload)
            names = ["coordinator", *(f"coordinator-{number}" for number in range(2, plan.coordinators + 1))]
            serving = [coordinator_process(settings, roles, name) for name in names]
            coordinators = [(await stack.enter_async_context(process)).pid for process in serving]
            store = await stack.enter_async_context(opened_store(settings))
            if plan.coordinators > 1:
                await _until_shared(store, plan.coordinators, settings.partitions)
        bus = await stack.enter_async_context(opened_bus(settings, on.bus_url))
        pids = {"coordinator": coordinators, "worker": [], "broker": on.broker, "client": [getpid()]}
        if plan.is_embedded:
            del pids["client"]
        yield Stage(bus, store, settings, lambda kind: workers_of(plan, kind, settings, on, pids["worker"]), pids)


@asynccontextmanager
async def coordinator_process(
    settings: Settings, roles: Sequence[str], name: str = "coordinator"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `stepbus serve` with these settings until the block is left, or the process is killed."""
    values = settings.model_dump(mode="json", exclude_unset=True)
    options = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = (*STEPBUS, "serve", "--roles", ",".join(roles), "--json", "--log-level", "warning", *options)
    async with child(command, settings.data, name, says=READY) as process:
        yield process


async def _until_shared(store: EventStore, coordinators: int, partitions: int) -> None:
    """Wait until each coordinator has its share of the partitions."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SHARED_S):
            while not shares.are_settled(  # noqa: ASYNC110 - the leases are those of other processes
                await store.hold("bench", (), 1), coordinators, partitions
            ):
                await asyncio.sleep(_LOOK_S)
            return
    raise Unfinished(f"expected {coordinators} coordinators to share {partitions} partitions within {_SHARED_S:.0f} s")


@asynccontextmanager
async def workers_of(
    plan: Plan, kind: WorkerKind, settings: Settings, on: Ground, pids: list[int]
) -> AsyncIterator[None]:
    """Run the plan's workers for the length of the block, and list their processes in `pids`."""
    async with AsyncExitStack() as stack:
        for number in range(plan.workers):
            if plan.is_embedded:
                await stack.enter_async_context(_worker_here(kind, settings, on))
            else:
                pids.append(await stack.enter_async_context(_worker_process(kind, settings, on, f"worker-{number}")))
        yield
    pids.clear()


@asynccontextmanager
async def _worker_process(kind: WorkerKind, settings: Settings, on: Ground, name: str) -> AsyncIterator[int]:
    command = library.command(on.bus_url, settings.prefix)
    says = b""
    if kind == "bare":
        command = (*ROLE, "worker", settings.model_dump_json(include={"data", "bus", "prefix"}))
        says = READY
    else:
        await asyncio.to_thread(library.write, settings.data)
    async with child(command, settings.data, name, says=says) as process:
        yield process.pid


@asynccontextmanager
async def _worker_here(kind: WorkerKind, settings: Settings, on: Ground) -> AsyncIterator[None]:
    async with opened_bus(settings, on.bus_url) as bus:
        if kind == "bare":
            working = asyncio.create_task(BareWorker(bus).run())
        else:
            working = asyncio.create_task(library.work(settings.data, on.bus_url, settings.prefix))
        try:
            yield
        finally:
            await end_tasks(working)


async def register(settings: Settings, workload: Workload) -> None:
    """Put the template into the log before the coordinator starts."""
    alone = settings.model_copy(update={"bus": f"memory:register{uuid4().hex}"})
    async with running(alone, ()) as process:
        _demand(await process.serving.desk.register(workload.template, "bench"))


def _demand(answer: object) -> None:
    if isinstance(answer, Denied):
        raise Unfinished(f"expected the template to be taken, but {answer.problems}")
