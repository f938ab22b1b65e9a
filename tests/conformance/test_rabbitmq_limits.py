"""The bus on a RabbitMQ server that is short of memory, and on queues that an operator has bounded."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic

import pytest_asyncio

from stepbus.adapters.rabbitmq import connect
from stepbus.orchestrator.ports import Bus, BusSettings, Sent
from stepbus.orchestrator.testing.bus_suite.bench import bodies, message, messages, publish, receive, refusal
from stepbus.orchestrator.testing.waiting import wait_until
from tools.servers import Server

SETTINGS = BusSettings(prefix="limits", partitions=1, publish_timeout_s=1.0)
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
"""Debian's own script, and not what it puts on PATH, which becomes another user."""


@pytest_asyncio.fixture
async def bus(own_rabbitmq: Server) -> AsyncIterator[Bus]:
    """A provisioned bus on a server whose limits the test may set."""
    open_bus = connect(own_rabbitmq.url).bus
    assert open_bus is not None
    bus = await open_bus(SETTINGS)
    await bus.provision(["a"])
    yield bus
    await bus.close()


async def operate(server: Server, *command: str) -> None:
    """Do as an operator does, with the server's own command-line tool."""
    done = await asyncio.to_thread(run_tool, server, command)
    assert done.returncode == 0, done.stdout


def run_tool(server: Server, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    process = Path(f"/proc/{server.pid}")
    variables = dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if "=" in line)
    binary = str(_SCRIPT) if _SCRIPT.exists() else shutil.which("rabbitmqctl")
    assert binary is not None
    return subprocess.run(
        (binary, "-n", variables["RABBITMQ_NODENAME"], *command),
        cwd=(process / "cwd").resolve(),
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


async def test_a_server_short_of_memory_takes_no_messages_but_gives_and_takes_back_all_others(
    own_rabbitmq: Server, bus: Bus
) -> None:
    reader = await bus.subscribe("jobs.a", in_hand=1)
    await publish(bus, *messages(3, "jobs.a"))
    await operate(own_rabbitmq, "set_vm_memory_high_watermark", "absolute", "1000")

    await refusal(bus, message(4, "jobs.a"))  # it says that it is blocked when it is sent something
    begun = monotonic()
    refused = await refusal(bus, message(5, "jobs.a"))
    assert not refused.permanent
    assert "RabbitMQ takes no messages: low on memory" in refused.reason
    assert SETTINGS.publish_timeout_s <= monotonic() - begun < 3 * SETTINGS.publish_timeout_s
    for number in (1, 2, 3):
        deliveries = await receive(reader)
        assert bodies(deliveries) == [b"body %d" % number]
        await reader.ack(deliveries)
    assert await bus.connected()

    waiting = asyncio.create_task(sent_at_last(bus))
    await operate(own_rabbitmq, "set_vm_memory_high_watermark", "absolute", "512MB")
    await waiting
    seen: list[bytes] = []
    while b"body 6" not in seen:  # what was on its way when it was blocked may come
        deliveries = await receive(reader)
        await reader.ack(deliveries)
        seen += bodies(deliveries)
    assert b"body 5" not in seen  # nothing is written to a server that says that it is blocked


async def sent_at_last(bus: Bus) -> None:
    async def is_sent() -> bool:
        return await bus.publish([message(6, "jobs.a")]) == [Sent()]

    await wait_until(is_sent, within_s=30)


async def test_a_full_queue_refuses_the_newest_until_there_is_room(own_rabbitmq: Server, bus: Bus) -> None:
    policy = ("set_policy", "--apply-to", "queues", "bound", r"^limits\.tasks$", '{"max-length": 2}')
    await operate(own_rabbitmq, *policy)
    kept = 0

    async def is_full() -> bool:
        nonlocal kept
        [answer] = await bus.publish([message(kept + 1, "tasks")])
        kept += answer == Sent()
        return answer != Sent()

    await wait_until(is_full)
    answer = await refusal(bus, message(99, "tasks"))
    assert not answer.permanent
    assert "the queue is full" in answer.reason

    subscription = await bus.subscribe("tasks")
    deliveries = await receive(subscription, kept)
    assert bodies(deliveries) == [b"body %d" % number for number in range(1, kept + 1)]
    await subscription.ack(deliveries)

    async def is_sent() -> bool:
        return await bus.publish([message(100, "tasks")]) == [Sent()]

    await wait_until(is_sent)
    assert bodies(await receive(subscription)) == [b"body 100"]
