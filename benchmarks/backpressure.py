"""50,000 tasks at once, over the bus and over HTTP: what the coordinator's memory peaks at, and whether all tasks end.

The coordinator is `stepbus serve` on NATS and SQLite, with one worker. Over the bus a client sends as fast as the
broker confirms. Over HTTP 10,000 clients (fewer, if the system allows no more connections) each send their share, one
task after the other; one that is told to come again later does so after the time it is told, and one whose connection
the system itself resets, after a second. The resident set is read every 100 ms, from before the first task is asked for
until the last has ended.
"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import uuid4

import orjson

from stepbus.orchestrator.bench.client import Client, Lap
from stepbus.orchestrator.bench.plan import NATS, Plan
from stepbus.orchestrator.bench.processes import rss_mib
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import coordinator_process, fresh_settings, ground, register, workers_of
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import NAMESPACE, PAYLOAD, WORKLOADS
from stepbus.orchestrator.bootstrap import opened_bus

TASKS = 50_000
CLIENTS = 10_000
OTHER_FILES = 500
PATIENCE_S = 600.0
LOOK_S = 0.1
HOST = "127.0.0.1"
HOW = {"the bus": ("coordinator",), "HTTP": ("coordinator", "api")}
AGAIN_S = 1.0
OK, OVERLOADED = (202, 200), 503

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Found:
    """What one run found. `slowed` counts how often a client was told to come again later, `reset` its connections."""

    peak_mib: float = 0.0
    seconds: float = 0.0
    slowed: int = 0
    reset: int = 0


async def measure(folder: Path, how: str, tasks: int) -> Found:
    """Ask for the tasks, and return when all are complete.

    Raises:
        Unfinished: not all were within the time, or one failed.
    """
    port = free_port()
    plan = Plan(workload="W2", bus=NATS, folder=folder, settings={"api_port": port})
    workload = WORKLOADS[plan.workload]
    found = Found()
    async with ground(plan, folder) as on:
        settings = fresh_settings(plan, on, "coordinator")
        await register(settings, workload)
        async with (
            coordinator_process(settings, HOW[how]) as process,
            opened_bus(settings, on.bus_url) as bus,
            workers_of(plan, "bare", settings, on, []),
        ):
            client = Client(bus, workload.name)
            async with client.hearing(), watched(process.pid, found):
                begun = perf_counter()
                if how == "HTTP":
                    await submit_over_http(client, port, tasks, found)
                else:
                    await client.submit(tasks)
                await client.until_idle(PATIENCE_S)
                found.seconds = perf_counter() - begun
    return found


@asynccontextmanager
async def watched(pid: int, found: Found) -> AsyncIterator[None]:
    """Keep the highest resident set of the process for the length of the block."""

    async def watch() -> None:
        while True:
            found.peak_mib = max(found.peak_mib, rss_mib([pid]) or 0.0)
            await asyncio.sleep(LOOK_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def submit_over_http(client: Client, port: int, tasks: int, found: Found) -> None:
    """Have each of many clients ask for its share."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = min(CLIENTS, tasks, most_files - OTHER_FILES)
    shares = [tasks // clients + (number < tasks % clients) for number in range(clients)]
    async with asyncio.TaskGroup() as group:
        for share in shares:
            group.create_task(one_client(client, port, share, found))


async def one_client(client: Client, port: int, tasks: int, found: Found) -> None:
    """Ask for tasks, each until it is taken."""
    connection: Connection | None = None
    for _ in range(tasks):
        task_id = str(uuid4())
        client.laps[task_id] = Lap(perf_counter())
        client.open_tasks += 1
        request = request_for(client.template, task_id, port)
        while True:
            try:
                connection = connection or await asyncio.open_connection(HOST, port)
                wait_s = await asked(*connection, request)
                if wait_s is None:
                    break
                found.slowed += 1
            except (OSError, asyncio.IncompleteReadError):  # more connect at once than the system keeps in its queue
                found.reset += 1
                wait_s = AGAIN_S
            if connection is not None:
                connection[1].close()
                connection = None
            await asyncio.sleep(wait_s)
    if connection is not None:
        connection[1].close()


def request_for(template: str, task_id: str, port: int) -> bytes:
    """Give the request for a task, which makes no second one if it is sent again."""
    body = orjson.dumps({"template": template, "namespace": NAMESPACE, "context": PAYLOAD, "task_id": task_id})
    return (
        b"POST /v1/tasks HTTP/1.1\r\nHost: %b:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (HOST.encode(), port, len(body), body)
    )


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> float | None:
    """Ask once. Gives the seconds after which to ask again; None if the task was taken.

    Raises:
        Unfinished: it was refused for another reason than that too much waits.
    """
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["content-length"]))
    status = int(first.split(" ")[1])
    if status in OK:
        return None
    if status != OVERLOADED:
        raise Unfinished(f"expected a task to be taken, or to be told when to come again, but found {body.decode()}")
    return float(headers["retry-after"])


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as here:
        here.bind((HOST, 0))
        port: int = here.getsockname()[1]
        return port


def main() -> None:
    """Start a coordinator a run and a way to ask."""
    given = options(__doc__, runs=1)
    tasks = max(1, round(TASKS * given.scale))
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # for this process and those it starts
    for how in HOW:
        runs: list[Found] = []
        for _ in range(given.runs):
            with TemporaryDirectory(prefix="stepbus-backpressure-", dir=given.data) as folder:
                runs.append(asyncio.run(measure(Path(folder), how, tasks)))
        at_once = f"{tasks:,} tasks at once over {how}"
        tell(f"peak resident set of the coordinator, {at_once}", "MiB", [run.peak_mib for run in runs], target=300)
        reset = [run.reset for run in runs]
        tell(f"clients told to come again later, {at_once}", "times", [run.slowed for run in runs], reset=max(reset))
        tell(f"until all were complete, {at_once}", "s", [run.seconds for run in runs])


if __name__ == "__main__":
    main()
