"""The processes of the demo: started with a log each, and all of them ended when the demo ends, however it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from stage.failure import DemoFailed

HERE = Path(__file__).resolve().parents[1]
TYPESCRIPT = HERE.parents[1] / "workers" / "typescript"
_STEPBUS = Path(sys.executable).with_name("stepbus")
_TYPESCRIPT_SPEAKS = ("nats", "tls", "amqp", "amqps", "kafka")
_READY_S, _STOP_S = 30.0, 15.0
_TAIL_LINES = 15


@dataclass(frozen=True)
class Broker:
    """Where the messages go, and the first word of all channels' names there. It is shown without its password."""

    url: str
    prefix: str = "stepbus"

    @property
    def scheme(self) -> str:
        """Give the kind of broker, as its URL begins."""
        return self.url.partition(":")[0]

    def __str__(self) -> str:
        """Give the URL as it can be shown."""
        return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", self.url)


class Children:
    """Processes by name, each in a group of its own, so that none outlives its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._killed: set[str] = set()

    def start(self, name: str, command: Sequence[str | Path], **variables: str) -> "subprocess.Popen[bytes]":
        """Start a process. What it says on stderr goes into `<name>.log`."""
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=HERE,
                env=_environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def serve(self, name: str, *arguments: str) -> dict[str, Any]:
        """Start a `stepbus` that serves, and give what it says when it is ready.

        Raises:
            DemoFailed: it ended before it was ready, or was silent for too long.
        """
        process = self.start(name, [*stepbus(), *arguments, "--json"])
        line = _first_line(process, _READY_S)
        try:
            ready: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as error:
            raise DemoFailed(f"expected {name} to be ready, but it said {line!r}\n{self.tail(name)}") from error
        return ready

    def kill(self, name: str) -> int:
        """End a process as a power cut would, and give its process id."""
        process = self._processes[name]
        self._killed.add(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return process.pid

    def demand_life(self) -> None:
        """See that all run that nobody killed.

        Raises:
            DemoFailed: one does not.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and name not in self._killed:
                raise DemoFailed(f"expected {name} to run, but it ended with {code}\n{self.tail(name)}")

    def stop(self) -> None:
        """Ask one after the other to end, the youngest first: workers still need their bus. End who does not."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def tail(self, name: str) -> str:
        """Give the last lines of a process's log."""
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log.is_file() else []
        return "\n".join(f"  {name} | {line}" for line in lines) or f"  {name} | (nothing)"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


@contextmanager
def ending_with(processes: Children) -> Iterator[None]:
    """End the processes with the block. SIGTERM ends the block as Ctrl-C does."""
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
        processes.stop()


def stepbus() -> list[str]:
    """Give the command that runs stepbus: beside this Python, or on PATH."""
    return [str(_STEPBUS) if _STEPBUS.is_file() else shutil.which("stepbus") or "stepbus"]


def python_worker(module: str, name: str, broker: Broker) -> list[str]:
    """Give the command of a Python worker of this folder."""
    command = [sys.executable, "-m", "stepbus.worker", f"{module}:worker", "--url", broker.url, "--name", name]
    return [*command, "--prefix", broker.prefix, "--log-level", "warning"]


def typescript_worker(broker: Broker) -> tuple[list[str], str]:
    """Give the command of the TypeScript worker; none, and why, if it can't be run here or with this broker."""
    if broker.scheme not in _TYPESCRIPT_SPEAKS:
        return [], f"it does not speak to {broker.scheme}:"
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if node is None:
        return [], "there is no Node here"
    main = TYPESCRIPT / "dist" / "src" / "main.js"
    if not main.is_file():
        return [], "workers/typescript is not built (npm ci && npm run build, there)"
    return [node, str(main)], ""


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Give this environment without settings of stepbus: the demo is the same wherever it is played."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STEPBUS_")} | dict(variables)


def _first_line(process: "subprocess.Popen[bytes]", within_s: float) -> str:
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    os.set_blocking(process.stdout.fileno(), False)
    deadline, line = monotonic() + within_s, b""
    while not line.endswith(b"\n") and monotonic() < deadline:
        line += process.stdout.read() or b""
        if process.poll() is not None and not line:
            break
        sleep(0.01)
    return line.decode(errors="replace").strip()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
