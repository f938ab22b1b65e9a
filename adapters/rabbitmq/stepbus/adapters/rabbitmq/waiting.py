"""Waiting for something to change, by several at once."""

import asyncio


class Waiters:
    """Those who wait on one loop; whoever changes something wakes them all."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def are_there(self) -> bool:
        """Say whether somebody waits."""
        return bool(self._waiting)

    async def wait(self, timeout_s: float) -> None:
        """Return when something has changed, or the time has passed."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting.add(woken)
        timer = loop.call_later(timeout_s, _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)

    def wake(self) -> None:
        """Let all go on."""
        for woken in self._waiting:
            _set(woken)
        self._waiting.clear()


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
