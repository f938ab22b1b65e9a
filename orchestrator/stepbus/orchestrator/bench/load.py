"""Putting a workload onto a stage, run by run, within a budget of time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter

from stepbus.orchestrator.bench.budget import Budget
from stepbus.orchestrator.bench.client import Client, Lap
from stepbus.orchestrator.bench.processes import Pids, cpu_of, rss_mib
from stepbus.orchestrator.bench.stage import Stage
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import Workload

_WARM_UP_SHARE = 0.2
_SHORTEST_WINDOW_S, _LONGEST_WINDOW_S = 0.2, 2.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: so many steps in so many seconds."""

    steps: int
    seconds: float

    @property
    def steps_per_s(self) -> float:
        """Give the rate."""
        return self.steps / self.seconds


@dataclass(slots=True)
class Measured:
    """The runs of one load, what they cost by role, and where in the log they begin."""

    at_once: int
    begins_at: int
    runs: list[Run] = field(default_factory=list)
    laps: list[Lap] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    rss_mib: dict[str, float | None] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Give the steps of all runs."""
        return sum(run.steps for run in self.runs)

    def cpu_us_per_step(self, role: str) -> float | None:
        """Give what a step cost this role; None where that is not known."""
        return round(1e6 * self.cpu_s[role] / self.steps, 1) if role in self.cpu_s and self.steps else None

    @contextmanager
    def costed(self, pids: Pids) -> Iterator[None]:
        """Count what is computed within the block, and look at the memory at its end."""
        before = cpu_of(pids)
        yield
        for role, after in cpu_of(pids).items():
            begun = before[role]
            if after is not None and begun is not None:
                self.cpu_s[role] = self.cpu_s.get(role, 0.0) + after - begun
        self.rss_mib = {role: rss_mib(of_role) for role, of_role in pids.items()}


@dataclass(frozen=True, slots=True)
class Load:
    """A workload on a stage, asked for by one client."""

    stage: Stage
    client: Client
    workload: Workload
    runs: int
    budget: Budget
    say: Callable[[str], None]
    time_scale: float = 1.0

    async def run(self, at_once: int) -> Measured:
        """Give the runs with so many tasks at once; before them come some that do not count.

        Raises:
            Unfinished: a task failed, or did not end in time.
        """
        return await (self._held(at_once) if self.workload.is_sustained else self._in_bursts(at_once))

    async def _in_bursts(self, at_once: int) -> Measured:
        """Run bursts of tasks, each when the last has ended."""
        planned, client = self.workload.bursts, self.client
        warm = max(1, round(at_once * planned * _WARM_UP_SHARE))
        warm_up = await self._bursts(-(-warm // at_once), min(at_once, warm))
        task_s = warm_up.seconds * self.workload.steps / warm_up.steps
        bursts, tasks = self.budget.bursts_of(planned, at_once, self.runs, task_s)
        client.forget()
        measured = Measured(tasks, await self.stage.store.head())
        longest_s = 0.0
        while len(measured.runs) < self.runs and self.budget.allows(longest_s, len(measured.runs), self.runs):
            with measured.costed(self.stage.pids):
                run = await self._bursts(bursts, tasks)
            self._add(measured, run)
            longest_s = max(longest_s, run.seconds)
        await self._demand_in_log(measured)
        measured.laps = list(client.laps.values())
        client.forget()
        return measured

    async def _demand_in_log(self, measured: Measured) -> None:
        """See that the log holds the acceptance of each task, and each of its steps."""
        expected = measured.steps // self.workload.steps * (self.workload.steps + 1)
        found = await self.stage.store.head() - measured.begins_at
        if found < expected:
            raise Unfinished(f"expected {expected} records of the runs in the log, found {found}")

    async def _bursts(self, bursts: int, tasks: int) -> Run:
        begun = perf_counter()
        for _ in range(bursts):
            await self.client.submit(tasks)
            await self.client.until_idle(self.budget.until_end_s)
        return Run(bursts * tasks * self.workload.steps, perf_counter() - begun)

    async def _held(self, at_once: int) -> Measured:
        """Hold the number of active tasks: as one ends, the next begins. The runs are stretches of that time.

        A task is a record when it is accepted and one for each of its steps, so that many records are that many steps
        less one for each task. Tasks that began together go through their steps together; counted like this, it does
        not matter whether a stretch has seen more of them accepted or more of them end.

        What is active already counts, and at the end it is left so: the next number, which is greater, goes on from it.
        """
        client, store, steps = self.client, self.stage.store, self.workload.steps
        levels_left = len(self.workload.at_once) - self.workload.at_once.index(at_once)
        reserved_s = self.budget.left_s * (levels_left - 1) / levels_left
        refill = _Refill(client)
        await client.submit(at_once - client.open_tasks)
        await client.until_accepted(self.budget.until_end_s)
        share_s = (self.budget.left_s - reserved_s) / (self.runs + 1)
        window_s = max(min(share_s, _LONGEST_WINDOW_S * self.time_scale), _SHORTEST_WINDOW_S)
        await refill.go_on(window_s)
        measured = Measured(at_once, await store.head())
        marks = [(perf_counter(), measured.begins_at)]
        with measured.costed(self.stage.pids):
            for _ in range(self.runs):
                await refill.go_on(window_s)
                marks.append((perf_counter(), await store.head()))
        await client.until_accepted(self.budget.until_end_s)
        for (begun, after), (ended, until) in pairwise(marks):
            self._add(measured, Run(round((until - after) * steps / (steps + 1)), ended - begun))
        return measured

    def _add(self, measured: Measured, run: Run) -> None:
        measured.runs.append(run)
        number = f"run {len(measured.runs)} of {self.runs}"
        self.say(f"{self.workload.name} {measured.at_once:,} at once, {number}: {run.steps_per_s:,.0f} steps/s")


class _Refill:
    """Asks for as many tasks as have ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._owed = 0
        client.on_ends = self._ended

    async def go_on(self, seconds: float) -> None:
        """Refill for so long."""
        until = perf_counter() + seconds
        while (left_s := until - perf_counter()) > 0:
            owed, self._owed = self._owed, 0
            if owed:
                await self._client.submit(owed)
            else:
                await self._client.heard(left_s)

    def _ended(self, count: int) -> None:
        self._owed += count
