"""A deployment of several processes, for tests that kill them: coordinators, and workers whose effects are kept."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from stepbus.orchestrator.ports import Bus
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker.buses import open_bus
from tests.support.command_line import ROOT, STEPBUS, environment
from tests.support.ledger import FILE
from tests.support.nemesis import Member, every_task
from tools.servers.kinds import free_port

WORKERS = 2

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


async def register(url: str, template: Mapping[str, Any] = TEMPLATE) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        response = await http.post("/v1/templates", json=template)
        assert response.is_success, response.text


async def until_at_rest(town: Town, promised: set[UUID], within_s: float) -> dict[UUID, dict[str, Any]]:
    """Give all tasks, once every promised one is there and none moves any more."""

    async def is_at_rest() -> bool:
        for member in town.members:
            member.supervise()
        try:
            moving = await every_task(town.urls[0], status="pending,in_progress")
            return not moving and promised <= (await every_task(town.urls[0])).keys()
        except httpx.HTTPError:
            return False

    await wait_until(is_at_rest, within_s=within_s)
    return await every_task(town.urls[0])


def check_log(town: Town, tasks: int) -> None:
    """See that the log keeps every invariant, and that the views are what it says."""
    report = town.ask("verify")
    assert report["violations"] == []
    assert report["tasks"] == tasks
    views = town.ask("rebuild")["views"]
    assert views
    assert [view["name"] for view in views if not view["same"]] == []
