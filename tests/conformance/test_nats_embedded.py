"""The NATS server that is a child of its process: one that lives and ends with it, and outlives its own death."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stepbus.adapters.nats import connect
from stepbus.adapters.nats.embedded import BINARY, EmbeddedServer
from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.plain_servers import listens
from tools.servers.kinds import free_port

PARENT = """
import asyncio, pathlib, sys
from stepbus.adapters.nats.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def open_bus(url: str) -> Bus:
    bus = connect(url).bus
    assert bus is not None
    return await bus(BusSettings())


async def is_silent(port: int) -> bool:
    return not await listens(port)


async def test_a_bus_can_be_opened_as_soon_as_the_server_is_started(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        bus = await open_bus(server.url)
        await bus.provision(["a"])
        await publish(bus, message(1, "jobs.a"))

        assert bodies(await receive(await bus.subscribe("jobs.a"))) == [b"body 1"]
        await bus.close()


async def test_the_port_can_be_chosen(tmp_path: Path) -> None:
    port = free_port()

    async with EmbeddedServer(tmp_path, port) as server:
        assert server.url == f"nats://127.0.0.1:{port}"
        assert await listens(port)


async def test_stopping_ends_the_server_and_another_can_have_its_folder(tmp_path: Path) -> None:
    port = free_port()
    server = EmbeddedServer(tmp_path, port)
    await server.start()
    bus = await open_bus(server.url)
    await bus.provision(["a"])
    await publish(bus, *messages(3, "jobs.a"))
    await bus.close()

    await server.stop()
    assert server.pid is None
    assert await is_silent(port)

    async with EmbeddedServer(tmp_path) as another:
        bus = await open_bus(another.url)
        assert len(await receive(await bus.subscribe("jobs.a"), 3)) == 3
        await bus.close()


async def test_a_server_that_dies_is_started_again_on_the_same_port_with_all_it_held(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        bus = await open_bus(server.url)
        await bus.provision(["a"])
        await publish(bus, *messages(50, "jobs.a"))
        first = server.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)

        await wait_until(lambda: server.pid not in {None, first})
        await wait_until(bus.connected)
        assert len(await receive(await bus.subscribe("jobs.a"), 50)) == 50
        await bus.close()


async def test_the_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), str(port), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert int(await parent.stdout.readline()) > 0
    assert await listens(port)

    parent.kill()
    await parent.wait()

    await wait_until(lambda: is_silent(port))


async def test_a_server_that_was_left_behind_is_ended_before_another_has_its_folder(tmp_path: Path) -> None:
    port = free_port()
    left = await asyncio.create_subprocess_exec(
        *(BINARY, "--jetstream", "--store_dir", str(tmp_path), "--addr", "127.0.0.1", "--port", str(port)),
        *("--pid", str(tmp_path / "nats-server.pid")),
        stderr=subprocess.DEVNULL,
    )
    await wait_until(lambda: listens(port))

    async with EmbeddedServer(tmp_path, port) as server:
        assert await left.wait() is not None
        assert server.pid != left.pid


async def test_a_process_that_only_has_the_number_of_an_earlier_server_is_left_alone(tmp_path: Path) -> None:
    stranger = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    (tmp_path / "nats-server.pid").write_text(str(stranger.pid))

    async with EmbeddedServer(tmp_path):
        assert stranger.returncode is None

    stranger.kill()
    await stranger.wait()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "one") as one:
        port = int(one.url.rpartition(":")[2])

        with pytest.raises(BusUnavailable, match="address already in use"):
            await EmbeddedServer(tmp_path / "two", port).start()


async def test_ctrl_c_at_the_terminal_is_the_parents_to_handle(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)
