"""A measurement in a process of its own, so that none has the memory or the caches of another."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.processes import ROLE, end, start
from stepbus.orchestrator.bench.unfinished import Unfinished


async def measure_apart(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Give the document of a measurement; `say` hears of its progress.

    Raises:
        Unfinished: there is no figure.
    """
    process = await start((*ROLE, "workload", plan.model_dump_json()), plan.folder, asyncio.subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - it is a pipe, and so is the next
    assert process.stderr is not None  # noqa: S101
    last = ""
    try:
        hearing = asyncio.create_task(process.stdout.read())
        async for line in process.stderr:
            last = line.decode(errors="replace").rstrip()
            say(last)
        said = await hearing
        await process.wait()
    finally:
        await end(process)
    if not said.startswith(b"{"):
        raise Unfinished(f"expected the figures of {plan.workload}, but the process ended with: {last or 'nothing'}")
    document: dict[str, Any] = orjson.loads(said)
    if "error" in document:
        raise Unfinished(document["error"])
    return document
