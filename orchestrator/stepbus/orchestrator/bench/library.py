"""The worker library at the same work: a worker as a user writes it, in a file, run as a user runs it."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stepbus.orchestrator.bench.workloads import PAYLOAD, QUEUE

_MODULE = "bench_worker"
_CONCURRENCY = 128
_SOURCE = f"""
from stepbus.worker import Worker

worker = Worker(concurrency={_CONCURRENCY})


@worker.handler("{QUEUE}")
async def answer():
    return {PAYLOAD!r}
"""


def write(folder: Path) -> Path:
    """Give the file of the worker, written into the folder."""
    path = folder / f"{_MODULE}.py"
    path.write_text(_SOURCE)
    return path


def command(url: str, prefix: str) -> Sequence[str]:
    """Give the command that runs it, in the folder that it was written to."""
    options: Iterable[str] = ("--url", url, "--prefix", prefix, "--log-level", "warning")
    return (sys.executable, "-m", "stepbus.worker", f"{_MODULE}:worker", *options)


async def work(folder: Path, url: str, prefix: str) -> None:
    """Run it in this process until cancelled."""
    path = await asyncio.to_thread(write, folder)
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    assert spec is not None  # noqa: S101 - of a file that was just written
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    worker: Any = module.worker
    worker.configure(url=url, prefix=prefix)
    await worker.serve()
