"""Tasks are ended, whatever they do with a cancellation."""

import asyncio
from contextlib import suppress

import pytest

from stepbus.orchestrator.ports import end_tasks, ending


async def fail() -> None:
    raise ValueError("expected by nobody")


async def test_tasks_are_over_when_it_returns() -> None:
    for_ever, failed = asyncio.create_task(asyncio.sleep(60)), asyncio.create_task(fail())
    await asyncio.sleep(0)

    await end_tasks(for_ever, failed, None)

    assert for_ever.cancelled()
    assert failed.done()


async def test_a_task_that_misses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_AGAIN_S", 0.01)

    async def miss_one() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    misses = asyncio.create_task(miss_one())
    await asyncio.sleep(0)

    await end_tasks(misses)

    assert misses.cancelled()


async def test_who_is_cancelled_meanwhile_waits_no_longer() -> None:
    async def keep_all() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    released = asyncio.Event()
    keeps = asyncio.create_task(keep_all())
    await asyncio.sleep(0)
    waits = asyncio.create_task(end_tasks(keeps))
    await asyncio.sleep(0)

    waits.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waits
    released.set()
    await keeps
