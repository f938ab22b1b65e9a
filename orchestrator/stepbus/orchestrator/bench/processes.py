"""Other processes: started, told apart by their role, watched from outside, ended with this one."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bootstrap.settings import environment_without_settings

STEPBUS = (sys.executable, "-c", "from stepbus.orchestrator.cli import main; main()")
"""The command line, of this very Python."""
ROLE = (sys.executable, "-m", "stepbus.orchestrator.bench")

_READY_S = 20.0
_STOP_S = 10.0
_TAIL_BYTES = 2000
_MIB = 1024 * 1024
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


async def start(command: Sequence[str], folder: Path, stderr: IO[bytes] | int) -> asyncio.subprocess.Process:
    """Start a process that ends when this one does, and that knows no settings but those it is given."""
    parent = os.getpid()
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment_without_settings(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for this process, which then stops the other
        preexec_fn=lambda: _die_with(parent),
    )


@asynccontextmanager
async def child(
    command: Sequence[str], folder: Path, name: str, *, says: bytes
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process in a folder until the block is left. Its first line must begin with `says`, if that is not empty.

    Raises:
        Unfinished: it did not say so in time; with the last of what it said on stderr.
    """
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = await start(command, folder, errors)
    try:
        if says:
            await _hear(process, says, log, name)
        yield process
    finally:
        await end(process)


async def _hear(process: asyncio.subprocess.Process, says: bytes, log: Path, name: str) -> None:
    said = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_READY_S):
            said = await process.stdout.readline() if process.stdout is not None else b""
    if not said.startswith(says):
        told = (said + await asyncio.to_thread(log.read_bytes))[-_TAIL_BYTES:].decode(errors="replace")
        raise Unfinished(f"expected the {name} to be ready within {_READY_S:.0f} s, but it says: {told or 'nothing'}")


async def end(process: asyncio.subprocess.Process) -> None:
    """Tell it to end, and wait until it has; one that does not is killed."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends; runs in the child before it becomes what it is to be."""
    if _libc is not None:
        _libc.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before we could ask


Pids = Mapping[str, Sequence[int]]
"""The processes of each role."""


def cpu_s(pids: Iterable[int]) -> float | None:
    """Give the time that these processes have computed so far, user and system; None where that is not known."""
    found = [_cpu_s(pid) for pid in pids]
    known = [seconds for seconds in found if seconds is not None]
    return sum(known) if known else None


def rss_mib(pids: Iterable[int]) -> float | None:
    """Give the resident memory of these processes; None where that is not known. Units: MiB."""
    found = [_rss_mib(pid) for pid in pids]
    known = [size for size in found if size is not None]
    return sum(known) if known else None


def cpu_of(pids: Pids) -> dict[str, float | None]:
    """Give the time computed so far, by role."""
    return {role: cpu_s(of_role) for role, of_role in pids.items()}


def _cpu_s(pid: int) -> float | None:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mib(pid: int) -> float | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB
