"""The figures of one workload as one document: the same keys whatever was measured, None for what could not be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from stepbus.orchestrator.bench.client import Lap
from stepbus.orchestrator.bench.figures import percentiles, ratio, spread
from stepbus.orchestrator.bench.load import Measured
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.workloads import Workload

ROLES = ("coordinator", "worker", "broker")

BY_CLIENT = "a task from its request to its end as the client hears it, divided by its steps"
BY_LOG = "a step from its dispatch to its completion, by the times in the log, to the millisecond"
FROM_ACCEPTANCE = "a task from its acceptance to its end, both as the client hears them, divided by its steps"


@dataclass(slots=True)
class Floors:
    """What bus and log alone can do here, in steps a second of each run."""

    bus: Sequence[float] = ()
    store: Sequence[float] = ()

    def shown(self) -> dict[str, float | None]:
        """Give the median of each, and the lower of the two: the limit."""
        rates = {"bus": _median(self.bus), "store": _median(self.store)}
        known = [rate for rate in rates.values() if rate is not None]
        return {**rates, "min": min(known, default=None)}


@dataclass(slots=True)
class Report:
    """All that was found out about one workload."""

    plan: Plan
    workload: Workload
    machine: Mapping[str, Any]
    loads: list[Measured] = field(default_factory=list)
    step_ms: list[Sequence[float]] = field(default_factory=list)
    floors: Floors = field(default_factory=Floors)
    with_library: Measured | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_by_client(self) -> bool:
        """Say whether the time of a step is what a client sees: so it is where no step waits for another."""
        return self.workload.in_flight == 1

    def document(self) -> dict[str, Any]:
        """Give the document."""
        measured = self.loads[-1]
        floors = self.floors.shown()
        return {
            "workload": self.workload.name,
            "bus": self.plan.bus_kind,
            "store": self.plan.store_kind,
            "runs": len(measured.runs),
            "steps_per_s": rates_of(measured),
            "floor_steps_per_s": floors,
            "step_ms": percentiles(self.step_ms[-1]),
            "cpu_us_per_step": {role: measured.cpu_us_per_step(role) for role in ROLES},
            "rss_mib": {role: _rounded(measured.rss_mib.get(role)) for role in ROLES},
            "machine": dict(self.machine),
            "also": self._also(measured, floors["min"]),
        }

    def _also(self, measured: Measured, limit: float | None) -> dict[str, Any]:
        rates = [run.steps_per_s for run in measured.runs]
        also: dict[str, Any] = {
            "of_floor": ratio(_median(rates), limit),
            "worker": self.plan.worker,
            "workers": self.plan.workers,
            "coordinators": self.plan.coordinators,
            "views": self.plan.views,
            "settings": dict(self.plan.settings),
            "at_once": measured.at_once,
            "steps": measured.steps,
            "seconds": round(sum(run.seconds for run in measured.runs), 2),
            "step_ms_is": BY_CLIENT if self.is_by_client else BY_LOG,
            "client_cpu_us_per_step": measured.cpu_us_per_step("client"),
            "notes": list(self.notes),
        }
        if self.is_by_client:
            also["accepted_step_ms"] = percentiles(per_step(measured.laps, self.workload.steps, accepted=True))
            also["accepted_step_ms_is"] = FROM_ACCEPTANCE
        if len(self.loads) > 1:
            also["by_active"] = {
                str(load.at_once): _level(load, step_ms) for load, step_ms in zip(self.loads, self.step_ms, strict=True)
            }
        if self.with_library is not None:
            also["with_library"] = {
                "steps_per_s": rates_of(self.with_library),
                "step_ms": percentiles(per_step(self.with_library.laps, self.workload.steps)),
            }
        return also


def _level(load: Measured, step_ms: Sequence[float]) -> dict[str, Any]:
    return {
        "steps_per_s": rates_of(load),
        "step_ms": percentiles(step_ms),
        "cpu_us_per_step": {role: load.cpu_us_per_step(role) for role in ROLES},
        "rss_mib": {role: _rounded(load.rss_mib.get(role)) for role in ROLES},
    }


def rates_of(measured: Measured) -> dict[str, float] | None:
    """Give the steps a second of the runs."""
    return spread([run.steps_per_s for run in measured.runs])


def per_step(laps: Sequence[Lap], steps: int, *, accepted: bool = False) -> list[float]:
    """Give the milliseconds a step of each task, from its request on, or from its acceptance on."""
    return [1e3 * (lap.ended - (lap.accepted if accepted else lap.requested)) / steps for lap in laps if lap.ended]


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 1) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
