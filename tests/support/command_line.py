"""`stepbus` as a user has it: processes that serve, and verbs that ask them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from typer.testing import CliRunner, Result

from stepbus.orchestrator.cli import app

ROOT = Path(__file__).parents[2]
STEPBUS = str(Path(sys.executable).with_name("stepbus"))
STOP_S = 30


@dataclass(frozen=True)
class Serving:
    """A process that is ready, and what it said when it was."""

    process: "subprocess.Popen[bytes]"
    said: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        """Give the URL of its API."""
        return str(self.said["api"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop, and give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def environment(**variables: str) -> dict[str, str]:
    """Give this process's environment without settings of stepbus, and with these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STEPBUS_")} | variables


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Serving]:
    """Run `stepbus dev` or `stepbus serve` in a folder until the block is left; it must say that it is ready."""
    log = folder / f"{arguments[0]}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [STEPBUS, *arguments, "--json"], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(b'{"ready":true'):
            raise AssertionError(f"expected {arguments} to be ready, but it said {line!r} and {log.read_text()}")
        yield Serving(process, orjson.loads(line), log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_S)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def working(bus: str, prefix: str) -> Iterator[None]:
    """Run the worker of `tests.support.handlers` until the block is left."""
    command = [sys.executable, "-m", "stepbus.worker", "tests.support.handlers:worker", "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(STEPBUS_BUS=bus, STEPBUS_PREFIX=prefix))
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)


@dataclass(frozen=True)
class CommandLine:
    """Verbs against one stepbus."""

    url: str
    data: Path

    def run(self, *arguments: str, code: int = 0, given: str | bytes | None = None) -> Result:
        """Run a verb, which must end with this exit code."""
        result = CliRunner().invoke(
            app, arguments, input=given, env={"STEPBUS_URL": self.url, "STEPBUS_DATA": str(self.data)}
        )
        if result.exit_code != code:
            raise AssertionError(
                f"expected {arguments} to end with {code}, but {result.exit_code}: {result.output}"
            ) from result.exception
        return result

    def text(self, *arguments: str, code: int = 0) -> str:
        """Give what a verb says to a person."""
        return self.run(*arguments, code=code).stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Give what a verb answers to a program."""
        return orjson.loads(self.run(*arguments, "--json", code=code).stdout)

    def register(self, folder: Path, name: str, steps: Sequence[dict[str, Any]], **more: Any) -> str:
        """Register a template of these steps, and give its name."""
        file = folder / f"{name}.json"
        file.write_bytes(orjson.dumps({"name": name, "version": "1.0.0", "steps": steps} | more))
        self.run("template", "register", str(file))
        return name

    def submit(self, name: str, *arguments: str, context: Any = None) -> str:
        """Start a task, and give its id."""
        given = orjson.dumps(context or {}).decode()
        return self.text("submit", name, "--context", given, *arguments).strip()


def step(name: str, *needed: str, handler: str = "succeed", **more: Any) -> dict[str, Any]:
    """Give a step that the worker of `tests.support.handlers` does."""
    return {"name": name, "depends_on": list(needed), "handler": f"handlers.{handler}", "queue": "handlers"} | more
