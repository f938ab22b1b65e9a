"""Python workers as processes on NATS that are killed and stopped, and brokers that go away, before plain NATS."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Context, Worker
from tests.support.raw_nats import RawCoordinator, raw_coordinator
from tools.servers import Server

ROOT = Path(__file__).parents[2]
QUEUE = "python"


class Door:
    """What a handler in another process waits at: it is told of it in its task's context."""

    def __init__(self, folder: Path) -> None:
        self.entered = folder / "entered"
        self.opened = folder / "open"

    @property
    def context(self) -> dict[str, str]:
        return {"entered": str(self.entered), "open": str(self.opened)}


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@asynccontextmanager
async def process(url: str, prefix: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "stepbus.worker",
            "tests.support.served:worker",
            "--name",
            name,
            "--log-level",
            "debug",
        ),
        cwd=ROOT,
        env={**os.environ, "STEPBUS_BUS": url, "STEPBUS_PREFIX": prefix},
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def test_a_job_whose_worker_is_killed_is_delivered_to_another(
    nats_url: str, unique_name: str, door: Door
) -> None:
    async with raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=2) as coordinator:
        async with process(nats_url, unique_name, "first") as first:
            task = await coordinator.send("python.gate", context=door.context)
            await wait_until(door.entered.exists, within_s=30)
            first.kill()
            await first.wait()
        door.opened.touch()
        async with process(nats_url, unique_name, "second"):
            answer = await coordinator.answer(task, within_s=30)
            await wait_until(coordinator.is_empty)

    assert answer["data"]["worker"] == "second"
    assert answer["data"]["result"] == "through"


async def test_a_worker_that_is_told_to_end_finishes_what_it_runs(nats_url: str, unique_name: str, door: Door) -> None:
    async with (
        raw_coordinator(nats_url, unique_name, QUEUE) as coordinator,
        process(nats_url, unique_name, "first") as first,
    ):
        task = await coordinator.send("python.gate", context=door.context)
        await wait_until(door.entered.exists, within_s=30)
        first.send_signal(signal.SIGTERM)
        await wait_until(lambda: _stops_pulling(coordinator))
        door.opened.touch()
        assert await coordinator.result(task) == "through"
        assert await asyncio.wait_for(first.wait(), 20) == 0
        await wait_until(coordinator.is_empty)


async def test_a_second_signal_ends_a_worker_at_once_and_its_job_goes_to_others(
    nats_url: str, unique_name: str, door: Door
) -> None:
    async with raw_coordinator(nats_url, unique_name, QUEUE) as coordinator:
        async with process(nats_url, unique_name, "first") as first:
            task = await coordinator.send("python.gate", context=door.context)
            await wait_until(door.entered.exists, within_s=30)
            first.send_signal(signal.SIGTERM)
            await wait_until(lambda: _stops_pulling(coordinator))
            first.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(first.wait(), 20) == 0
        door.opened.touch()
        async with process(nats_url, unique_name, "second"):
            assert (await coordinator.answer(task))["data"]["worker"] == "second"

    assert len(coordinator.answers(task)) == 1


async def test_an_answer_outlives_a_restart_of_the_broker(own_nats: Server, unique_name: str) -> None:
    entered, opened = asyncio.Event(), asyncio.Event()
    worker = Worker(own_nats.url, prefix=unique_name)

    @worker.handler("python.gate", queue=QUEUE)
    async def gate(context: Context) -> int:
        entered.set()
        await opened.wait()
        return context.attempt

    async with raw_coordinator(own_nats.url, unique_name, QUEUE) as coordinator, worker:
        task = await coordinator.send("python.gate")
        await entered.wait()
        own_nats.kill()
        opened.set()
        await wait_until(lambda: worker.stats.retried)
        own_nats.start()
        assert (await coordinator.answer(task, within_s=60))["data"]["result"] == 1
        await wait_until(coordinator.is_empty, within_s=60)
        again = await coordinator.send("python.gate")
        assert await coordinator.result(again) == 1


async def test_a_worker_that_starts_before_its_broker_waits_for_it(own_nats: Server, unique_name: str) -> None:
    own_nats.stop()
    worker = Worker(own_nats.url, prefix=unique_name)
    worker.handler("python.one", queue=QUEUE)(lambda: 1)
    serving = asyncio.create_task(worker.serve())
    own_nats.start()
    async with raw_coordinator(own_nats.url, unique_name, QUEUE) as coordinator:
        assert await coordinator.result(await coordinator.send("python.one")) == 1
    worker.request_stop()
    await serving


async def test_a_worker_that_waits_for_its_broker_can_be_told_to_end(own_nats: Server, unique_name: str) -> None:
    own_nats.stop()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stepbus.worker", "tests.support.served:worker", "--url", own_nats.url),
        cwd=ROOT,
        env={**os.environ, "STEPBUS_PREFIX": unique_name},
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stderr is not None
    line = b""
    while b"bus is away" not in line:
        line = await asyncio.wait_for(started.stderr.readline(), 60)
        assert line, "expected it to say that it waits, but it ended"
    started.send_signal(signal.SIGTERM)
    await started.communicate()

    assert started.returncode == 0


async def test_a_job_in_hand_is_not_delivered_to_others_however_long_it_takes(nats_url: str, unique_name: str) -> None:
    ends = 0.0

    async def long(context: Context) -> int:
        nonlocal ends
        ends = ends or monotonic() + 2
        await wait_until(lambda: monotonic() > ends)
        return context.attempt

    workers = [Worker(nats_url, prefix=unique_name) for _ in range(2)]
    for worker in workers:
        worker.handler("python.long", queue=QUEUE)(long)
        worker.configure(extend_every_s=0.1)
    async with raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=0.5) as coordinator, workers[0], workers[1]:
        task = await coordinator.send("python.long")
        await coordinator.result(task)
        await wait_until(coordinator.is_empty)

    assert sum(worker.stats.received for worker in workers) == 1


async def test_a_handler_that_will_not_end_holds_its_job_no_longer_than_its_time(
    nats_url: str, unique_name: str
) -> None:
    released = asyncio.Event()
    stubborn = Worker(nats_url, prefix=unique_name, name="stubborn", grace=0)
    stubborn.configure(extend_every_s=0.1)

    @stubborn.handler("python.job", queue=QUEUE)
    async def hang() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    other = Worker(nats_url, prefix=unique_name, name="other")
    other.handler("python.job", queue=QUEUE)(lambda: "done")
    async with raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=0.5) as coordinator, stubborn:
        task = await coordinator.send("python.job", timeout_ms=200)
        await wait_until(lambda: stubborn.stats.running)
        async with other:
            assert (await coordinator.answer(task))["data"]["worker"] == "other"
        released.set()


@pytest.mark.parametrize("place", ["tests.support.nowhere:worker", "tests.support.served:nobody", "json:loads"])
async def test_a_worker_that_is_not_there_is_an_error_of_usage(place: str) -> None:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stepbus.worker", place), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await started.communicate()

    assert started.returncode == 2
    assert place.split(":", maxsplit=1)[0].encode() in said


async def _stops_pulling(coordinator: RawCoordinator) -> bool:
    return not await coordinator.is_served()
