"""A broker that comes back without its data while tasks are in hand: `stepbus bus resync`, and all goes on."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from stepbus.orchestrator.bootstrap import opened_store
from stepbus.orchestrator.cli import app
from stepbus.orchestrator.runtime.verify import verify
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Context
from tests.support.deployment import Deployment, deployed, settings_of
from tools.servers import Server

TASKS = 50


@pytest.fixture(params=["nats", "rabbitmq", "redis", "kafka"])
def broker(request: pytest.FixtureRequest) -> Server:
    """A broker of each kind that this test alone uses."""
    server: Server = request.getfixturevalue(f"own_{request.param}")
    return server


async def resynced(deployment: Deployment) -> Any:
    """Run the verb beside the process that serves, and give its answer."""
    settings = deployment.settings
    words = ["bus", "resync", "--json", "--bus", settings.bus, "--store", settings.store, "--prefix", settings.prefix]
    result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--set", f"partitions={settings.partitions}"])
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


async def until_all_are_sent(deployment: Deployment) -> None:
    serving = deployment.process.serving
    head = await serving.store.head()
    await wait_until(lambda: serving.relay.confirmed >= head)


async def test_all_tasks_in_hand_complete_after_a_resync(broker: Server, unique_name: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, broker.url, unique_name)
    async with deployed(settings) as deployment:
        await deployment.process.serving.bus.provision(["test.one", "test.two"])
        await deployment.register({"name": "one"}, {"name": "two", "depends_on": ["one"]})
        tasks = [await deployment.submit(context={"order": number}) for number in range(TASKS)]
        await until_all_are_sent(deployment)
        await asyncio.to_thread(broker.wipe)
        await asyncio.to_thread(broker.start)
        await wait_until(deployment.process.serving.bus.connected, within_s=30)
        await wait_until(deployment.bus.connected, within_s=30)
        head = await deployment.process.serving.store.head()

        first, again = await resynced(deployment), await resynced(deployment)

        assert await deployment.process.serving.store.head() == head
        assert (first["jobs"], first["tasks"], first["queues"]) == (TASKS, TASKS, ["test.one"])
        assert again["jobs"] == TASKS
        done: list[tuple[str, str]] = []

        def one(context: Context) -> None:
            done.append((str(context.task_id), "one"))

        def two(context: Context) -> None:
            done.append((str(context.task_id), "two"))

        async with deployment.worker(one=one, two=two):
            ended = [await deployment.ended(task_id) for task_id in tasks]
    async with opened_store(settings) as store:
        report = await verify(store)

    assert {task["status"] for task in ended} == {"complete"}
    assert set(done) == {(task_id, step) for task_id in tasks for step in ("one", "two")}
    assert report.found == 0, report.violations


async def test_where_nothing_was_lost_nothing_is_done_twice(nats_url: str, unique_name: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, nats_url, unique_name)
    async with deployed(settings) as deployment:
        await deployment.register({"name": "step"})
        tasks = [await deployment.submit() for _ in range(10)]
        await until_all_are_sent(deployment)
        held = [await deployment.job("step") for _ in range(4)]

        assert (await resynced(deployment))["jobs"] == len(tasks)

        for job in held + [await deployment.job("step") for _ in range(6)]:
            await deployment.answer(job)
        assert {(await deployment.ended(task_id))["status"] for task_id in tasks} == {"complete"}
        assert {task_id: await deployment.attempts(task_id) for task_id in tasks} == {
            task_id: [("step", 1, "completed", None)] for task_id in tasks
        }
