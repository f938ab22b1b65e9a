"""What one process does for all: it runs while the lease is held, and is begun anew each time that it comes here."""

import asyncio

import pytest

from stepbus.orchestrator.runtime.leased import LeasedRole, while_held
from stepbus.orchestrator.testing.waiting import wait_until


class Recorded:
    """A role that can fail to start, and says in a list what was asked of it."""

    said: list[str]
    failures: list[Exception]

    def __init__(self) -> None:
        self.is_running = False

    async def start(self) -> str:
        if self.failures:
            raise self.failures.pop()
        self.said.append("start")
        self.is_running = True
        return "recorded"

    async def stop(self) -> None:
        self.said.append("stop")
        self.is_running = False

    def health(self) -> tuple[bool, str]:
        return self.is_running, "follows"


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    Recorded.said, Recorded.failures = [], []


async def test_a_loop_runs_while_its_lease_is_held_and_is_prepared_each_time() -> None:
    held, said = asyncio.Event(), list[str]()

    async def prepare() -> None:
        said.append("prepare")

    async def run() -> None:
        said.append("run")
        try:
            await asyncio.Event().wait()
        finally:
            said.append("end")

    loop = asyncio.create_task(while_held(held, prepare, run))
    for _ in range(2):
        held.set()
        await wait_until(lambda: said[-1:] == ["run"])
        held.clear()
        await wait_until(lambda: said[-1:] == ["end"])
    assert said == ["prepare", "run", "end"] * 2
    loop.cancel()


async def test_a_loop_that_fails_fails_whoever_runs_it() -> None:
    held = asyncio.Event()
    held.set()

    async def prepare() -> None:
        return None

    async def run() -> None:
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        await while_held(held, prepare, run)


async def test_a_role_rests_while_another_process_has_it() -> None:
    held = asyncio.Event()
    role = LeasedRole(held, Recorded)
    assert await role.start() == "recorded"
    await wait_until(lambda: Recorded.said == ["start", "stop"])
    assert role.health() == (True, "another process has it")

    held.set()
    await wait_until(lambda: role.health() == (True, "follows"))
    await role.stop()
    assert Recorded.said == ["start", "stop", "start", "stop"]


async def test_a_role_that_cannot_start_is_shown_and_tried_again() -> None:
    held = asyncio.Event()
    role = LeasedRole(held, Recorded)
    await role.start()
    await wait_until(lambda: "stop" in Recorded.said)
    Recorded.failures = [ConnectionError("away")]
    held.set()
    await wait_until(lambda: not role.health()[0])
    assert "away" in role.health()[1]
    await wait_until(lambda: role.health() == (True, "follows"))
    await role.stop()
