"""Waiting in tests: for what is to happen, and no longer."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from time import monotonic


async def wait_until(holds: Callable[[], object | Awaitable[object]], *, within_s: float = 10.0) -> None:
    """Return as soon as `holds` gives a true value, asking it every few milliseconds.

    Raises:
        AssertionError: it gave none within the time.
    """
    deadline = monotonic() + within_s
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if monotonic() > deadline:
            raise AssertionError(f"expected {holds!r} to hold within {within_s} s, but it gave {found!r}")
        await asyncio.sleep(0.005)
