"""Processes that are killed while clients ask for tasks, and what the clients know of their requests."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx

from stepbus.contracts.envelope import CloudEvent, write
from stepbus.contracts.messages import TaskRequested
from stepbus.orchestrator.ports import Bus, Outgoing, Sent
from tests.support.command_line import ROOT, environment
from tools.servers import Server

_log = logging.getLogger(__name__)

REFUSED = range(400, 500)


class Member:
    """A process of the deployment, begun again by whoever killed it; what it says goes into a log."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, **variables: str) -> None:
        self.name = name
        self._command = command
        self._environment = environment(**variables)
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it run no further, as a machine that hangs would."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run on, as if nothing had been."""
        self._signal(signal.SIGCONT)

    def supervise(self) -> None:
        """Begin it again if it could not begin because the broker was away; that it ends otherwise is an error."""
        if self._process is None or self._process.poll() is None:
            return
        last = self.said().splitlines()[-1:]
        if not last or not last[0].startswith("error[bus.unavailable]"):
            raise AssertionError(f"expected {self.name} to run, but it ended: {self.said()}")
        self.start()

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(60)
        self._process = None
        return code


Victim = Member | Server


async def torment(victims: Sequence[Victim], chance: Random, for_s: float) -> list[str]:
    """Kill one of these now and then, each as often as the others, and begin it again after a moment.

    Gives the names of those that were killed. All run at the end.
    """
    done: list[str] = []
    deck: list[Victim] = []
    until = asyncio.get_running_loop().time() + for_s
    while True:
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        if asyncio.get_running_loop().time() > until:
            return done
        for victim in victims:
            if isinstance(victim, Member):
                victim.supervise()
        deck = deck or chance.sample(victims, len(victims))
        victim = deck.pop()
        done.append(victim.name if isinstance(victim, Member) else "broker")
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(chance.choice((0.0, 0.3, 1.5)))
        await asyncio.to_thread(victim.start)


@dataclass
class History:
    """What a client knows: tasks that were promised to it, that were refused, and that may or may not be there."""

    promised: set[UUID] = field(default_factory=set)
    refused: set[UUID] = field(default_factory=set)
    unknown: set[UUID] = field(default_factory=set)

    @property
    def asked(self) -> int:
        return len(self.promised) + len(self.refused) + len(self.unknown)


class Client:
    """Asks for tasks under ids of its own, over HTTP and over the bus by turns, and remembers what it was told."""

    def __init__(self, bus: Bus, urls: Sequence[str], chance: Random) -> None:
        self.history = History()
        self._bus = bus
        self._urls = urls
        self._chance = chance
        self._http = httpx.AsyncClient(timeout=5)

    async def ask(self, template: str, every_s: float, for_s: float) -> None:
        """Ask every so often for so long, whatever comes of it."""
        until = asyncio.get_running_loop().time() + for_s
        async with asyncio.TaskGroup() as group, self._http:
            while asyncio.get_running_loop().time() < until:
                task_id = UUID(int=self._chance.getrandbits(128), version=4)
                way = self._chance.choice((self._over_http, self._over_bus))
                group.create_task(way(TaskRequested(template=template, namespace="test", task_id=task_id)))
                await asyncio.sleep(every_s)

    async def _over_http(self, request: TaskRequested) -> None:
        url = self._chance.choice(self._urls)
        try:
            response = await self._http.post(f"{url}/v1/tasks", json=request.model_dump(mode="json"))
        except httpx.HTTPError:
            self._note(self.history.unknown, request)
            return
        if response.status_code in REFUSED:
            self._note(self.history.refused, request)
        else:
            self._note(self.history.promised if response.is_success else self.history.unknown, request)

    async def _over_bus(self, request: TaskRequested) -> None:
        event = CloudEvent(
            id=str(request.task_id), source="/test/client", type=request.TYPE, data=request.model_dump(mode="json")
        )
        (sent,) = await self._bus.publish([Outgoing("tasks", event.id, write(event))])
        self._note(self.history.promised if isinstance(sent, Sent) else self.history.unknown, request)

    @staticmethod
    def _note(into: set[UUID], request: TaskRequested) -> None:
        assert request.task_id is not None
        into.add(request.task_id)


async def every_task(url: str, **wanted: str) -> dict[UUID, dict[str, Any]]:
    """Give all tasks by id, as the API lists them, or those that are wanted."""
    found: dict[UUID, dict[str, Any]] = {}
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        cursor: str | None = None
        while True:
            parameters = {"limit": "200"} | wanted | ({} if cursor is None else {"cursor": cursor})
            response = await http.get("/v1/tasks", params=parameters)
            response.raise_for_status()
            page = response.json()
            found |= {UUID(task["task_id"]): task for task in page["tasks"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def seed_of(variable: str) -> int:
    """Give the seed that the environment names, else a new one; it is logged, so that a run can be had again."""
    seed = int(os.environ.get(variable) or int.from_bytes(os.urandom(4)))
    _log.warning("%s=%d", variable, seed)
    return seed
