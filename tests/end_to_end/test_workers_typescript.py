"""The TypeScript reference worker against a coordinator that, like it, knows the contract and plain NATS only."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker.buses import open_bus
from tests.support.raw_nats import RawCoordinator, raw_connection, raw_coordinator
from tests.support.typescript import Process, running
from tools.servers import Nats, Server
from tools.servers.places import LocalServer

QUEUE = "typescript"


@pytest.fixture
async def coordinator(nats_url: str, unique_name: str) -> AsyncIterator[RawCoordinator]:
    async with raw_coordinator(nats_url, unique_name, QUEUE) as coordinator:
        yield coordinator


def served(url: str, prefix: str, name: str, grace_ms: int = 5_000) -> AbstractAsyncContextManager[Process]:
    environment = {
        "STEPBUS_BUS": url,
        "STEPBUS_PREFIX": prefix,
        "WORKER_NAME": name,
        "GRACE_MS": str(grace_ms),
    }
    return running("test/served", environment)


@pytest.fixture
async def worker(nats_url: str, coordinator: RawCoordinator) -> AsyncIterator[Process]:
    async with served(nats_url, coordinator.prefix, "first") as process:
        await wait_until(coordinator.is_served, within_s=60)
        yield process


async def terminate(worker: Process) -> None:
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.process.wait(), 20) == 0, worker.lines


@pytest.mark.usefixtures("worker")
async def test_a_job_is_answered_with_what_it_asks_to_be_echoed_and_is_gone(coordinator: RawCoordinator) -> None:
    task = await coordinator.send("typescript.echo", context={"a": [1, "é"]}, results={"check": {"b": None}}, attempt=2)
    event = await coordinator.answer(task)

    assert event["data"] == {
        "task_id": task,
        "step": "step",
        "attempt": 2,
        "token": f"token-of-{task}",
        "worker": "first",
        "result": {"context": {"a": [1, "é"]}, "results": {"check": {"b": None}}},
    }
    assert (event["specversion"], event["type"], event["partitionkey"]) == ("1.0", "step.completed", task)
    assert (event["correlationid"], event["tenant"]) == ("correlation", "acme")
    await wait_until(coordinator.is_empty)


@pytest.mark.usefixtures("worker")
async def test_a_failure_says_whether_and_when_to_try_again(coordinator: RawCoordinator) -> None:
    tasks = [await coordinator.send(f"typescript.{name}") for name in ("retryable", "permanent", "unexpected")]

    assert [await coordinator.error(task) for task in tasks] == [
        {"code": "stock.busy", "message": "try later", "retryable": True, "retry_after": 1.5, "details": {"sku": "a"}},
        {"code": "card.declined", "message": "no money", "retryable": False, "details": {"bank": "b"}},
        {"code": "TypeError", "message": "not a function", "retryable": True},
    ]
    await wait_until(coordinator.is_empty)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("nan", "worker.result_invalid"),
        ("unsafe", "worker.result_invalid"),
        ("nul", "worker.result_invalid"),
        ("deep", "worker.result_invalid"),
        ("big", "worker.result_too_large"),
    ],
)
async def test_a_result_that_no_message_can_carry_fails_for_good(
    coordinator: RawCoordinator, kind: str, code: str
) -> None:
    error = await coordinator.error(await coordinator.send("typescript.result", context={"kind": kind}))

    assert (error["code"], error["retryable"]) == (code, False)
    await wait_until(coordinator.is_empty)


@pytest.mark.usefixtures("worker")
async def test_an_attempt_that_takes_too_long_is_ended(coordinator: RawCoordinator) -> None:
    error = await coordinator.error(
        await coordinator.send("typescript.slow", context={"ms": 3_600_000}, timeout_ms=200)
    )

    assert (error["code"], error["retryable"]) == ("worker.timeout", True)
    await wait_until(coordinator.is_empty)


@pytest.mark.usefixtures("worker")
async def test_heartbeats_keep_an_attempt_alive_beyond_its_timeout(coordinator: RawCoordinator) -> None:
    task = await coordinator.send("typescript.alive", context={"ms": 600, "beats": 3}, timeout_ms=1_500)

    assert await coordinator.result(task) == "done"
    beats = coordinator.answers(task, "step.heartbeat")
    assert [beat["data"]["progress"] for beat in beats] == [{"beat": 1}, {"beat": 2}, {"beat": 3}]
    assert beats[0]["data"]["token"] == f"token-of-{task}"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"{", "json.malformed", ""),
        (b"\xff", "json.malformed", ""),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"step.completed"}', "message.unknown_type", "/type"),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"step.requested"}', "message.invalid", "/data/task_id"),
    ],
)
async def test_a_message_that_is_no_job_goes_to_quarantine_and_is_gone(
    coordinator: RawCoordinator, body: bytes, code: str, pointer: str
) -> None:
    await coordinator.send_body(body)
    await wait_until(lambda: coordinator.quarantined)

    data: dict[str, Any] = coordinator.quarantined[0]["data"]
    assert (data["channel"], data["code"], data["pointer"]) == ("jobs.typescript", code, pointer)
    await wait_until(coordinator.is_empty)


async def test_an_attempt_delivered_twice_at_once_runs_once(coordinator: RawCoordinator, worker: Process) -> None:
    task = await coordinator.send("typescript.alive", context={"ms": 700, "beats": 1})
    await coordinator.send("typescript.alive", context={"ms": 700, "beats": 1}, task_id=task)

    assert await coordinator.result(task) == "done"
    await wait_until(coordinator.is_empty)
    assert len(coordinator.answers(task)) == 2  # the heartbeat and the ending
    await terminate(worker)
    assert worker.logged('"duplicates":1')


async def test_a_graceful_stop_finishes_what_runs_and_leaves_the_rest_to_others(
    nats_url: str, coordinator: RawCoordinator, worker: Process
) -> None:
    tasks = [await coordinator.send("typescript.slow", context={"ms": 1_000}) for _ in range(3)]
    await wait_until(lambda: _out_is(coordinator, 2))
    await terminate(worker)
    async with served(nats_url, coordinator.prefix, "second"):
        workers = [(await coordinator.answer(task))["data"]["worker"] for task in tasks]
        await wait_until(coordinator.is_empty)

    assert workers == ["first", "first", "second"]
    assert all(len(coordinator.answers(task)) == 1 for task in tasks)


async def test_what_outlasts_the_grace_is_given_back_and_runs_elsewhere(
    nats_url: str, coordinator: RawCoordinator
) -> None:
    async with served(nats_url, coordinator.prefix, "first", grace_ms=100) as first:
        await wait_until(coordinator.is_served, within_s=60)
        task = await coordinator.send("typescript.slow", context={"ms": 1_500})
        await wait_until(lambda: _out_is(coordinator, 1))
        await terminate(first)
        assert first.logged('"givenBack":1')
    async with served(nats_url, coordinator.prefix, "second"):
        assert (await coordinator.answer(task))["data"]["worker"] == "second"

    assert len(coordinator.answers(task)) == 1


async def test_a_job_whose_worker_is_killed_is_delivered_to_another(nats_url: str, unique_name: str) -> None:
    async with raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=2) as coordinator:
        async with served(nats_url, unique_name, "first") as first:
            await wait_until(coordinator.is_served, within_s=60)
            task = await coordinator.send("typescript.slow", context={"ms": 1_000})
            await wait_until(lambda: _out_is(coordinator, 1))
            first.process.kill()
            await first.process.wait()
        async with served(nats_url, unique_name, "second"):
            assert (await coordinator.answer(task))["data"]["worker"] == "second"
            await wait_until(coordinator.is_empty)


async def test_a_job_in_hand_is_not_delivered_to_others_however_long_it_takes(nats_url: str, unique_name: str) -> None:
    async with (
        raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=0.6) as coordinator,
        served(nats_url, unique_name, "first"),
        served(nats_url, unique_name, "second"),
    ):
        await wait_until(coordinator.is_served, within_s=60)
        task = await coordinator.send("typescript.slow", context={"ms": 3_000})
        await coordinator.result(task)
        await wait_until(coordinator.is_empty)

    assert len(coordinator.answers(task)) == 1


async def test_a_job_that_comes_back_again_and_again_is_answered_as_failed(nats_url: str, unique_name: str) -> None:
    async with raw_coordinator(nats_url, unique_name, QUEUE, ack_wait_s=0.2) as coordinator:
        task = await coordinator.send("typescript.echo")
        waiting = await coordinator.stream.pull_subscribe_bind(coordinator.consumer, coordinator.jobs_stream)
        for _ in range(3):
            await waiting.fetch(1, timeout=10)  # as a worker does that dies of it
        async with served(nats_url, unique_name, "first"):
            error = await coordinator.error(task)
            await wait_until(coordinator.is_empty)

    assert (error["code"], error["retryable"]) == ("worker.redelivered", True)


@pytest.mark.usefixtures("worker")
async def test_a_job_for_a_handler_that_nobody_serves_is_answered_in_the_end(coordinator: RawCoordinator) -> None:
    error = await coordinator.error(await coordinator.send("typescript.unknown"))

    assert (error["code"], error["retryable"]) == ("worker.handler_unknown", True)
    await wait_until(coordinator.is_empty)


async def test_an_answer_outlives_a_restart_of_the_broker(own_nats: Server, unique_name: str) -> None:
    async with (
        raw_coordinator(own_nats.url, unique_name, QUEUE) as coordinator,
        served(own_nats.url, unique_name, "first"),
    ):
        await wait_until(coordinator.is_served, within_s=60)
        task = await coordinator.send("typescript.slow", context={"ms": 1_000})
        await wait_until(lambda: _out_is(coordinator, 1))
        own_nats.kill()
        own_nats.start()
        await coordinator.answer(task, within_s=60)
        await wait_until(coordinator.is_empty, within_s=60)
        again = await coordinator.send("typescript.echo")
        assert await coordinator.result(again)


async def test_a_worker_waits_for_streams_that_are_not_there_yet(nats_url: str, unique_name: str) -> None:
    async with served(nats_url, unique_name, "first") as first:
        await wait_until(lambda: first.logged("trying again"), within_s=60)
        async with raw_coordinator(nats_url, unique_name, QUEUE) as coordinator:
            assert await coordinator.result(await coordinator.send("typescript.echo"))


async def test_the_consumer_that_it_makes_is_the_one_that_others_make(nats_url: str, unique_name: str) -> None:
    prefixes = [f"{unique_name}-{first}" for first in ("typescript", "python")]
    found = []
    for prefix in prefixes:
        bus = await open_bus(nats_url, prefix)
        await bus.provision([] if prefix == prefixes[0] else [QUEUE])
        async with served(nats_url, prefix, "first"), raw_connection(nats_url, prefix, QUEUE) as coordinator:
            await wait_until(coordinator.is_served, within_s=60)
            await bus.provision([QUEUE])
            found.append((await coordinator.stream.consumer_info(coordinator.jobs_stream, QUEUE)).config)
        await bus.close()

    theirs, ours = (vars(config) | {"filter_subject": ""} for config in found)
    assert theirs == ours


class GuardedNats(Nats):
    """NATS that lets a worker do what its README says it needs, and no more."""

    def __init__(self, folder: Path, prefix: str) -> None:
        stream = f"{prefix.upper()}_JOBS"
        api = [f"$JS.API.CONSUMER.{verb}.{stream}.>" for verb in ("CREATE", "INFO", "MSG.NEXT")]
        users = [
            {"user": "coordinator", "password": "all"},
            {
                "user": "worker",
                "password": "p:ss",
                "permissions": {
                    "publish": [f"{prefix}.results.*", f"{prefix}.tasks", f"$JS.ACK.{stream}.>", *api],
                    "subscribe": ["_INBOX.>"],
                },
            },
        ]
        self.config = folder / "nats.conf"
        self.config.write_text(f"authorization: {json.dumps({'users': users})}")

    def command(self, port: int) -> Sequence[str]:
        return (*super().command(port), "--config", str(self.config))


async def test_it_needs_no_more_permissions_than_its_readme_says(tmp_path: Path, unique_name: str) -> None:
    server = LocalServer(GuardedNats(tmp_path, unique_name))
    try:
        server.start()
        address = server.url.removeprefix("nats://")
        async with (
            raw_coordinator(f"nats://coordinator:all@{address}", unique_name, QUEUE) as coordinator,
            served(f"nats://worker:p%3Ass@{address}", unique_name, "first"),
        ):
            await coordinator.result(await coordinator.send("typescript.echo"))
            await coordinator.send_body(b"{")
            await wait_until(lambda: coordinator.quarantined)
            await wait_until(coordinator.is_empty)
    finally:
        server.discard()


async def _out_is(coordinator: RawCoordinator, number: int) -> bool:
    return await coordinator.out() == number
