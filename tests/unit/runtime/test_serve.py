"""A process: parts that fail begin again, and a drain finishes what is in hand."""

import asyncio

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore, Outgoing
from stepbus.orchestrator.runtime import serve as serve_module
from stepbus.orchestrator.runtime.timers import INDEX_STREAM
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import cloud_event, memory_bus, memory_store, serving


class Recorded:
    """A role that remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def start(self) -> str:
        """Begin."""
        self.asked.append("start")
        return "recorded"

    async def stop(self) -> None:
        """End."""
        self.asked.append("stop")

    def health(self) -> tuple[bool, str]:
        """Say that it is well, while it runs."""
        return "stop" not in self.asked, "listens"


async def test_a_part_that_fails_is_unhealthy_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "_RESTART_S", 0.05)
    store = await memory_store()
    tries: list[int] = []
    async with serving(store, await memory_bus()) as parts:
        real = parts.parts["relay"].run

        async def once_broken() -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ZeroDivisionError("planted")
            await real()

        await parts.parts["relay"].end()
        parts.parts["relay"].run = once_broken
        parts.parts["relay"].begin()
        await wait_until(lambda: not parts.health()["ready"])
        assert "planted" in parts.health()["parts"]["relay"]["detail"]
        await wait_until(lambda: parts.health()["ready"])
        assert len(tries) == 2


async def test_a_role_is_started_shown_and_stopped_first() -> None:
    role = Recorded()
    async with serving(await memory_store(), await memory_bus()) as parts:
        assert await parts.add("recorded", role) == "recorded"
        assert parts.health()["parts"]["recorded"] == {"ok": True, "detail": "listens"}
    assert role.asked == ["start", "stop"]
    assert not parts.health()["ready"]


async def test_a_drain_decides_what_came_and_keeps_checkpoint_and_timers() -> None:
    store, bus, client = await memory_store(), await memory_bus("drained"), await memory_bus("drained")

    async def accepted() -> int:
        return len(await store.read(0, 1000, e.TASK))

    async with serving(store, bus):
        bodies = [cloud_event("task.requested", {"template": "fork_and_join"}, f"m-{n}") for n in range(50)]
        await client.publish([Outgoing("tasks", f"m-{n}", body) for n, body in enumerate(bodies)])
        await wait_until(accepted)
    left = await client.subscribe("tasks")
    undecided = await left.receive(1000, 0.05)
    assert await accepted() + len(undecided) == 50
    assert await store.checkpoint("relay") == await store.head()
    assert await store.snapshot(INDEX_STREAM) is not None


async def test_a_drain_that_cannot_finish_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    store: EventStore = await memory_store()
    limits = serve_module.Limits(drain_timeout_s=0.2)
    async with asyncio.timeout(10), serving(store, await memory_bus(), limits=limits) as parts:
        stuck = asyncio.Event()
        monkeypatch.setattr(parts.intake, "stop", lambda: None)
        await parts.parts["relay"].end()
        parts.parts["relay"].run = stuck.wait  # type: ignore[assignment]
        parts.parts["relay"].begin()


async def test_a_role_that_does_not_stop_holds_nobody_up_for_longer_than_the_drain_may_take() -> None:
    class Stuck(Recorded):
        async def stop(self) -> None:
            """Never end."""
            await asyncio.Event().wait()

    limits = serve_module.Limits(drain_timeout_s=0.1)
    async with asyncio.timeout(10), serving(await memory_store(), await memory_bus(), limits=limits) as parts:
        await parts.add("stuck", Stuck())
