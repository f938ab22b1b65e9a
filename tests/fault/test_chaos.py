"""Coordinators, workers and the broker killed at random while clients ask for tasks.

Whatever is killed, no task that was promised is lost, every task comes to its end soon after the last blow, the log
keeps every invariant, the views are what a rebuild makes of the log, and each step that is complete has had its effect.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker.buses import open_bus
from tests.support.command_line import ROOT, STEPBUS, environment
from tests.support.ledger import FILE, effects
from tests.support.nemesis import Client, Member, Victim, every_task, seed_of, torment
from tools.servers import Server
from tools.servers.kinds import free_port

_log = logging.getLogger(__name__)

FOR_S = float(os.environ.get("STEPBUS_TEST_CHAOS_S") or 60)
"""How long the torment lasts: longer where the environment says so."""

ENDS_WITHIN_S = 60.0
EVERY_S = 0.07
WORKERS = 2
SEED = "STEPBUS_TEST_CHAOS_SEED"

STEP = {"handler": "ledger.work", "queue": "ledger"}
TEMPLATE = {
    "name": "diamond",
    "namespace": "test",
    "version": "1.0.0",
    "defaults": {"timeout": "3s", "retry": {"max_attempts": 100, "initial": "50ms", "max": "500ms"}},
    "steps": [
        {"name": "top", **STEP},
        {"name": "left", "depends_on": ["top"], **STEP},
        {"name": "right", "depends_on": ["top"], **STEP},
        {"name": "bottom", "depends_on": ["left", "right"], **STEP},
    ],
}
STEPS = ("top", "left", "right", "bottom")


@dataclass
class Town:
    """A deployment of several processes."""

    settings: list[str]
    coordinators: list[Member]
    urls: list[str]
    workers: list[Member]
    ledger: Path

    @property
    def members(self) -> list[Member]:
        return [*self.coordinators, *self.workers]

    def ask(self, *arguments: str) -> Any:
        """Give what a verb answers."""
        command = [STEPBUS, *arguments, *self.settings, "--json"]
        answered = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=False)
        assert answered.returncode == 0, (arguments, answered.stdout[-4000:], answered.stderr[-4000:])
        return json.loads(answered.stdout)


@contextmanager
def town_of(folder: Path, store: str, bus: str, prefix: str, coordinators: int) -> Iterator[Town]:
    """Processes over a store and a bus: all begin, and all have ended when the block is left."""
    settings = ["--store", store, "--data", str(folder / "data")]
    ports = [free_port() for _ in range(coordinators)]
    serving = [
        Member(
            f"coordinator-{number}",
            [
                *(STEPBUS, "serve", *settings, "--log-level", "warning"),
                *("--set", f"bus={bus}", "--set", f"prefix={prefix}", "--set", f"api_port={port}"),
            ],
            folder,
        )
        for number, port in enumerate(ports, 1)
    ]
    ledger = folder / "ledger"
    ledger.touch()
    command = [sys.executable, "-m", "stepbus.worker", "tests.support.ledger:worker", "--log-level", "warning"]
    working = [
        Member(
            f"worker-{number}",
            [*command, "--url", bus, "--prefix", prefix, "--name", f"worker-{number}"],
            folder,
            **{FILE: str(ledger)},
        )
        for number in range(1, WORKERS + 1)
    ]
    town = Town(settings, serving, [f"http://127.0.0.1:{port}" for port in ports], working, ledger)
    try:
        for member in town.members:
            member.start()
        yield town
    finally:
        for member in town.members:
            member.kill()


@asynccontextmanager
async def client_bus(url: str, prefix: str) -> AsyncIterator[Bus]:
    bus = await open_bus(url, prefix)
    try:
        await bus.provision()
        yield bus
    finally:
        await bus.close()


async def until_ready(url: str) -> None:
    async def is_ready() -> bool:
        try:
            async with httpx.AsyncClient(base_url=url, timeout=5) as http:
                return (await http.get("/v1/health/ready")).is_success
        except httpx.HTTPError:
            return False

    await wait_until(is_ready, within_s=30)


async def register(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        response = await http.post("/v1/templates", json=TEMPLATE)
        assert response.is_success, response.text


async def until_at_rest(town: Town, client: Client) -> dict[Any, dict[str, Any]]:
    """Give all tasks, once every promised one is there and none moves any more."""

    async def is_at_rest() -> bool:
        for member in town.members:
            member.supervise()
        try:
            moving = await every_task(town.urls[0], status="pending,in_progress")
            return not moving and client.history.promised <= (await every_task(town.urls[0])).keys()
        except httpx.HTTPError:
            return False

    await wait_until(is_at_rest, within_s=ENDS_WITHIN_S)
    return await every_task(town.urls[0])


def check_log(town: Town, tasks: int) -> None:
    """See that the log keeps every invariant, and that the views are what it says."""
    report = town.ask("verify")
    assert report["violations"] == []
    assert report["tasks"] == tasks
    views = town.ask("rebuild")["views"]
    assert views
    assert [view["name"] for view in views if not view["same"]] == []


@pytest.mark.timeout(FOR_S + 240)
@pytest.mark.parametrize(("store", "coordinators"), [("sqlite", 1), ("postgres", 2)])
async def test_no_death_loses_or_doubles_anything(
    store: str, coordinators: int, own_nats: Server, unique_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = seed_of(SEED)
    url = f"sqlite:///{tmp_path / 'log.db'}" if store == "sqlite" else request.getfixturevalue("postgres_database")
    with town_of(tmp_path, url, own_nats.url, unique_name, coordinators) as town:
        async with client_bus(own_nats.url, unique_name) as bus:
            for api in town.urls:
                await until_ready(api)
            await register(town.urls[0])
            client = Client(bus, town.urls, Random(seed))  # noqa: S311 - to be had again
            victims: list[Victim] = [*town.coordinators, *town.workers, own_nats]
            blows, _ = await asyncio.gather(
                torment(victims, Random(seed + 1), FOR_S),  # noqa: S311 - as above
                client.ask("diamond", EVERY_S, FOR_S),
            )
            tasks = await until_at_rest(town, client)
        for member in town.coordinators:
            assert member.stop() == 0, member.said()
        check_log(town, len(tasks))

    history = client.history
    said = "killed: %s; tasks: %d asked for, %d promised, %d there"
    _log.warning(said, dict(Counter(blows)), history.asked, len(history.promised), len(tasks))
    assert not history.refused
    assert tasks.keys() <= history.promised | history.unknown
    assert Counter(task["status"] for task in tasks.values()) == {"complete": len(tasks)}
    assert {(task_id, step) for task_id in tasks for step in STEPS} <= effects(town.ledger)
    assert len(set(blows)) == len(victims)
    assert len(history.promised) >= FOR_S
