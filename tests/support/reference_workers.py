"""The reference workers: which there are, how each is built and started, and what it needs for that."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
_ENVIRONMENT = {**os.environ, "PATH": f"{os.environ['PATH']}:{PYTHON.parent}"}


@dataclass(frozen=True, slots=True)
class ReferenceWorker:
    """A worker in one language. `buses` are the schemes of the brokers that it knows."""

    name: str
    command: Sequence[str | Path]
    buses: Sequence[str]
    folder: Path


WORKERS = {
    worker.name: worker
    for worker in (
        ReferenceWorker("go", ["dist/worker"], ("nats", "rabbitmq", "kafka"), ROOT / "workers/go"),
        ReferenceWorker("python", [PYTHON, "-m", "plain"], ("nats",), ROOT / "workers/python"),
        ReferenceWorker(
            "typescript", ["node", "dist/src/main.js"], ("nats", "rabbitmq", "kafka"), ROOT / "workers/typescript"
        ),
        ReferenceWorker("java", ["java", "-jar", "target/worker.jar"], ("nats",), ROOT / "workers/java"),
        ReferenceWorker("rust", ["target/release/worker"], ("nats",), ROOT / "workers/rust"),
        ReferenceWorker("ruby", ["ruby", "worker.rb"], ("rabbitmq",), ROOT / "workers/ruby"),
    )
}


class Absences:
    """A plugin of pytest that names, in the summary of the run, the workers that this machine can't build."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, lacking in sorted(self.of.items()):
            terminalreporter.write_line(f"reference worker {name} was not tried: {lacking}", yellow=True)


@cache
def built(name: str) -> str:
    """Build a worker and run its own tests, once a run; give "", or what this machine lacks for it.

    A worker that can be built and is not, or whose tests fail, fails the test that asks.
    """
    done = subprocess.run(
        ("tools/workers.sh", name),
        cwd=ROOT,
        env=_ENVIRONMENT,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, state, why = done.stdout.split(maxsplit=2)
    return why.strip() if state == "absent" else ""


def words(worker: ReferenceWorker) -> list[str]:
    """Give the command that starts a built worker in its folder."""
    program, *rest = worker.command
    path = worker.folder / program
    return [str(path if path.exists() else program), *map(str, rest)]


@asynccontextmanager
async def serving(
    worker: ReferenceWorker, bus: str, prefix: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker until the block ends; its output is the test's."""
    environment: Mapping[str, str] = {"STEPBUS_BUS": bus, "STEPBUS_PREFIX": prefix, **settings}
    process = await asyncio.create_subprocess_exec(
        *words(worker), cwd=worker.folder, env={**_ENVIRONMENT, **environment}, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
