"""Several processes at one log."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.testing.store_suite import child
from stepbus.orchestrator.testing.store_suite.bench import (
    PATIENCE_S,
    Bench,
    OpenStore,
    append_one,
    demand_a_sound_log,
    everything,
    new_streams,
    tail,
)

ACKNOWLEDGED = 40


@asynccontextmanager
async def process(role: str, url: str, *arguments: object) -> AsyncIterator[Process]:
    """A process that works on the log; ended with the block."""
    command = (sys.executable, "-m", child.__name__, role, url, *map(str, arguments))
    running = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def run(role: str, url: str, *arguments: object) -> list[str]:
    """Let a process do its work to the end, and give the lines that it told."""
    async with process(role, url, *arguments) as running, asyncio.timeout(2 * PATIENCE_S):
        told, _ = await running.communicate()
    assert running.returncode == 0
    return told.decode().splitlines()


class AcrossProcesses(Bench):
    """Cases of a log that several processes open. `url` is the log of this case."""

    url: str

    async def test_a_reader_misses_nothing_that_other_processes_write(self, store: EventStore) -> None:
        async def write_too() -> None:
            for stream in new_streams(120):
                await append_one(store, stream)

        writers = asyncio.gather(write_too(), *(run("write", self.url, 120) for _ in range(3)))
        seen = await tail(store, 480)
        await writers

        assert seen == list(await everything(store))
        demand_a_sound_log(seen)

    async def test_processes_that_contend_for_a_stream_leave_neither_gap_nor_fork(self, store: EventStore) -> None:
        stream = uuid4()

        await asyncio.gather(*(run("contend", self.url, stream, 40) for _ in range(3)))

        records = await store.read_stream(stream)
        assert len(records) == 120
        demand_a_sound_log(records)

    async def test_an_append_by_another_process_ends_the_wait(self, store: EventStore) -> None:
        waiting = asyncio.ensure_future(store.wait(0, 60 * PATIENCE_S))

        await run("write", self.url, 4)

        async with asyncio.timeout(PATIENCE_S):
            assert await waiting > 0

    async def test_another_process_finds_the_same_identity(self, store: EventStore) -> None:
        identity = await store.identity()

        assert await run("identify", self.url) == [f"{identity.epoch} {identity.secret.hex()}"]

    async def test_processes_that_open_a_new_log_at_once_agree_on_it(self) -> None:
        told = await asyncio.gather(*(run("identify", self.url) for _ in range(4)))

        assert len({line for [line] in told}) == 1

    async def test_what_was_acknowledged_survives_the_end_of_the_process(self, open_again: OpenStore) -> None:
        acknowledged: dict[int, UUID] = {}
        async with process("acknowledge", self.url) as running, asyncio.timeout(PATIENCE_S):
            assert running.stdout is not None
            while len(acknowledged) < ACKNOWLEDGED:
                position, stream = (await running.stdout.readline()).split()
                acknowledged[int(position)] = UUID(stream.decode())
            running.kill()
            async for line in running.stdout:
                position, stream = line.split()
                acknowledged[int(position)] = UUID(stream.decode())

        records = await everything(await open_again())
        assert acknowledged.items() <= {stored.position: stored.stream for stored in records}.items()
        demand_a_sound_log(records)
