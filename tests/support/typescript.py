"""The TypeScript worker as a process, built from its sources."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "workers" / "typescript"
PATH = f"{os.environ['PATH']}:{ROOT / '.venv' / 'bin'}"


@cache
def build() -> None:
    """Install the packages and compile. Node is the machine's own, else a wheel; with neither it is an error."""
    done = subprocess.run(
        ("make", "--no-print-directory", "node-workers"),
        cwd=ROOT,
        env={**os.environ, "PATH": PATH},
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout


class Process:
    """A running worker, and the lines that it has logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@asynccontextmanager
async def running(script: str, environment: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run a compiled script (`test/served`) until the block ends."""
    build()
    started = await asyncio.create_subprocess_exec(
        "node",
        str(WORKER / "dist" / f"{script}.js"),
        env={**os.environ, "PATH": PATH, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    worker = Process(started)
    reading = asyncio.create_task(worker.read())
    try:
        yield worker
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        await reading
        print("\n".join(worker.lines))  # noqa: T201 - pytest shows it where a test fails
