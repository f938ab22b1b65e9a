"""The parts of one process, started in order, watched, and drained at the end.

A part that fails is logged, shown as unhealthy and begun again; the log keeps what it had not done.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from stepbus.orchestrator.core.route import SLOTS, Origin
from stepbus.orchestrator.ports import Bus, EventStore, Role, StoreUnavailable, end_tasks
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.clock import StoreClock
from stepbus.orchestrator.runtime.coordinator import Coordinator, RoundLimits
from stepbus.orchestrator.runtime.desk import Desk
from stepbus.orchestrator.runtime.estate import Estate
from stepbus.orchestrator.runtime.follow import Follower
from stepbus.orchestrator.runtime.intake import Intake
from stepbus.orchestrator.runtime.leased import while_held
from stepbus.orchestrator.runtime.load import Load
from stepbus.orchestrator.runtime.ownership import TIMERS, LeaseTimes, Ownership
from stepbus.orchestrator.runtime.relay import READER, Relay
from stepbus.orchestrator.runtime.tasks import Tasks
from stepbus.orchestrator.runtime.timers import Timers

_log = logging.getLogger(__name__)
_RESTART_S = 0.5
_LOOK_S = 0.01
_LAST_WRITES_S = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one process: commands a round, tasks at hand and for how long, what may wait, the time of a drain.

    Of what is shared with other processes, how long it is held.
    """

    round: RoundLimits = field(default_factory=RoundLimits)
    cache_tasks: int = 20_000
    passivate_after_s: float = 30.0
    backlog_limit: int = 5_000
    drain_timeout_s: float = 10.0
    leases: LeaseTimes = field(default_factory=LeaseTimes)


@dataclass(slots=True)
class _Part:
    """A loop of this process, and how it is."""

    name: str
    run: Callable[[], Awaitable[None]]
    task: "asyncio.Task[None] | None" = None
    trouble: str = ""

    def begin(self) -> None:
        self.task = asyncio.create_task(self._watched(), name=self.name)

    async def end(self) -> None:
        await end_tasks(self.task)

    async def _watched(self) -> None:
        while True:
            try:
                return await self.run()
            except Exception as error:  # noqa: BLE001 - the other parts go on, and this one begins again
                self.trouble = repr(error)
                _log.exception("%s failed and begins again in %s s", self.name, _RESTART_S)
            await asyncio.sleep(_RESTART_S)
            self.trouble = ""


@dataclass(slots=True)
class Serving:
    """What runs in this process."""

    store: EventStore
    bus: Bus
    limits: Limits
    coordinator: Coordinator
    intake: Intake
    relay: Relay
    timers: Timers
    load: Load
    desk: Desk
    estate: Estate
    ownership: Ownership | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    parts: dict[str, _Part] = field(default_factory=dict)
    is_draining: bool = False

    @classmethod
    async def open(
        cls, store: EventStore, bus: Bus, partitions: int, environment: str | None, limits: Limits
    ) -> "Serving":
        """Put the parts together; nothing runs yet."""
        identity = await store.identity()
        origin = Origin(
            identity.epoch, identity.secret, tuple(bus.address(f"results.{number}") for number in range(partitions))
        )
        catalogue = Catalogue(store, environment)
        await catalogue.refresh()
        tasks = Tasks(store, catalogue, limits.cache_tasks, limits.passivate_after_s)
        clock = StoreClock(store)
        await clock.refresh()
        coordinator = Coordinator(store, catalogue, tasks, clock, limits.round)
        intake = Intake(bus, coordinator, origin, limits.round.count)
        follower = Follower(store, await store.checkpoint(READER))
        relay = Relay(store, bus, coordinator, origin, follower)
        timers = await Timers.open(store, coordinator, limits.passivate_after_s)
        load = Load(coordinator, limits.backlog_limit)
        desk = Desk(store, coordinator, intake, load, lambda address: bus.reply_channel(address) is not None)
        estate = Estate(coordinator, intake, relay)
        serving = cls(store, bus, limits, coordinator, intake, relay, timers, load, desk, estate)
        serving._part("rounds", coordinator.run)
        serving._part("passivation", tasks.run)
        desk.health_of = serving.health
        return serving

    def share(self, partitions: int) -> None:
        """Hold by lease what this process works on: others share the log. Who is no coordinator has no partitions."""
        self.ownership = Ownership(self.store, partitions, self.estate, times=self.limits.leases)
        self.estate.ownership = self.ownership
        self.coordinator.demand = self.relay.demand = self.ownership.demand
        self._part("leases", self.ownership.run)

    async def coordinate(self) -> None:
        """Provision the bus, and add the coordinator's own loops: relay, timers, intake.

        Without leases all is this process's from the start. The queues of jobs are the workers' to open: a job waits on
        its channel until the first of them comes.
        """
        await self.bus.provision()
        self.coordinator.inform(self.relay)
        self.coordinator.inform(self.timers.follower)
        self.coordinator.inform(self.load)
        self.load.watch(self.relay)
        self._part("relay", self.relay.run)
        if self.ownership is None:
            self.relay.take(await self.relay.positions(range(SLOTS)))
            self._part("timers", self.timers.run)
            self._part("intake", self.intake.run)
        else:
            held = self.ownership.sole(TIMERS)
            self._part("timers", lambda: while_held(held, self.timers.catch_up, self.timers.run))
            self._part("intake", lambda: self.intake.run(("tasks",)))

    def begin(self) -> None:
        """Let every part run."""
        for part in self.parts.values():
            part.begin()

    async def add(self, name: str, role: Role) -> str:
        """Start a role beside the parts, and give its line for a person."""
        line = await role.start()
        self.roles[name] = role
        return line

    async def drain(self) -> None:
        """Finish what is in hand: no new work, then the rounds, then the relay; checkpoints last.

        Takes so long at most; what is not finished then is in the log, and is done after the next start.
        """
        self.is_draining = True
        self.intake.stop()
        try:
            async with asyncio.timeout(self.limits.drain_timeout_s):
                await self._finish()
        except TimeoutError:
            _log.warning("not all was finished within %s s; the rest is in the log", self.limits.drain_timeout_s)
        await self.estate.end()
        for part in reversed(self.parts.values()):
            await part.end()
        if "relay" in self.parts:
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(_LAST_WRITES_S):
                    await self.relay.save()
                    if self.ownership is None or self.ownership.holds(TIMERS):
                        await self.timers.save()
        if self.ownership is not None:
            await self.ownership.end()

    async def _finish(self) -> None:
        for role in reversed(self.roles.values()):
            await role.stop()
        if (intake := self.parts.get("intake")) is not None and intake.task is not None:
            await asyncio.wait([intake.task])
        await self.estate.finish()
        await _until(lambda: self.coordinator.is_idle)
        if "relay" in self.parts:
            head = await self.store.head()
            await _until(lambda: not self.relay.unsent(head))

    def health(self) -> Mapping[str, Any]:
        """Say how each part and role is."""
        found = {
            name: {
                "ok": not part.trouble and part.task is not None and not part.task.done(),
                "detail": part.trouble or "runs",
            }
            for name, part in self.parts.items()
        }
        for name, role in self.roles.items():
            ok, detail = role.health()
            found[name] = {"ok": ok, "detail": detail}
        if self.ownership is not None and "intake" in self.parts:
            found["leases"] = self.estate.health()
        if self.relay.is_blocked:
            found["relay"] = {"ok": False, "detail": "the bus confirms nothing"}
        return {"ready": not self.is_draining and all(part["ok"] for part in found.values()), "parts": found}

    def _part(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self.parts[name] = _Part(name, run)


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - counters of other loops, at a drain only
        await asyncio.sleep(_LOOK_S)
