"""The worker as a child process that the kit starts, kills and stops."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Command:
    """Runs a command, and all that it starts, as a process group of its own. What it says goes to `log`, if given.

    Raises:
        OSError: at the start, the program can't be run.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path | None = None) -> None:
        self._words = words
        self._environment = environment
        self._log = Path(os.devnull) if log is None else log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> str:
        """Say whether it runs, or how it ended."""
        if self._process is None:
            return "the worker was not started"
        code = self._process.returncode
        return "the worker runs" if code is None else f"the worker has ended with {code}"

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.returncode is None:
            return
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def kill(self) -> None:
        """End it and all that it started, at once."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def tell_to_stop(self) -> None:
        """Send SIGTERM to it and all that it started."""
        self._signal(signal.SIGTERM)

    async def ended(self, within_s: float) -> bool:
        """Wait for its end; false if it has not come within the time."""
        if self._process is None:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
