"""A process of its own on the bus, to be killed.

`python -m stepbus.orchestrator.testing.bus_suite.child ROLE URL PREFIX AMOUNT` is how it is started. It
says what it has done on its output, a line each: `held 5`, `sent 200`, `listening`.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Self

from stepbus.orchestrator.ports import Bus, BusSettings, Sent
from stepbus.orchestrator.testing.bus_suite.bench import JOBS, PATIENCE_S, message, receive
from stepbus.orchestrator.testing.bus_suite.by_url import open_by_url
from stepbus.orchestrator.testing.bus_suite.demands import Broken

_BATCH = 10


class Child:
    """A process that plays a role on the bus until the block is left, or until it is killed."""

    def __init__(self, url: str, settings: BusSettings, role: str, amount: str = "0") -> None:
        if not url:
            raise Broken("expected the suite to say by `url` where another process finds the broker, found nothing")
        self._words = [role, url, settings.prefix, amount]
        self._process: asyncio.subprocess.Process | None = None
        self._lines: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, *self._words, stdout=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._running()
        self.kill()
        if process.stdout is not None:
            self._lines += (await process.stdout.read()).decode().splitlines()
        await process.wait()

    async def said(self, line: str) -> None:
        """Wait until the process has said this.

        Raises:
            Broken: it did not within the time, or ended.
        """
        process = self._running()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while process.stdout is not None and (text := await process.stdout.readline()):
                    self._lines.append(text.decode().strip())
                    if self._lines[-1] == line:
                        return
        raise Broken(f"expected a process on the bus to say {line!r}, found {self._lines[-1:]}")

    def kill(self) -> None:
        """End it at once, in the middle of what it does."""
        with suppress(ProcessLookupError):
            self._running().kill()

    def last_number(self) -> int:
        """Give the number in what was last heard of it."""
        return int(self._lines[-1].split()[1])

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Broken("expected a process on the bus, found that it was not started")
        return self._process


async def hold(bus: Bus, amount: str) -> None:
    """Receive so many jobs and never ack them."""
    await receive(await bus.subscribe(JOBS, in_hand=int(amount)), int(amount))
    say(f"held {amount}")


async def send(bus: Bus, amount: str) -> None:
    """Publish so many jobs, and tell each batch that is confirmed."""
    for first in range(1, int(amount) + 1, _BATCH):
        answers = await bus.publish([message(number) for number in range(first, first + _BATCH)])
        if list(answers) != [Sent()] * _BATCH:
            return
        say(f"sent {first + _BATCH - 1}")


async def listen(bus: Bus, _amount: str) -> None:
    """Hear all events."""
    listener = await bus.listen("events", from_start=True)
    say("listening")
    while True:
        await listener.receive(100, PATIENCE_S)


def say(line: str) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def play(role: str, url: str, prefix: str, amount: str) -> None:
    """Open the bus by the scheme of its URL, as a deployment does, and play the role until killed."""
    bus = await open_by_url(url, BusSettings(prefix=prefix))
    await {"hold": hold, "send": send, "listen": listen}[role](bus, amount)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(play(*sys.argv[1:]))
