"""One workload from the start of its processes to its figures."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from stepbus.orchestrator.bench.budget import Budget
from stepbus.orchestrator.bench.client import Client
from stepbus.orchestrator.bench.floor import bus_floor, store_floor
from stepbus.orchestrator.bench.history import History, read_history
from stepbus.orchestrator.bench.load import Load, Measured
from stepbus.orchestrator.bench.machine import WITHOUT_DISK, machine_facts
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.report import Floors, Report, per_step
from stepbus.orchestrator.bench.stage import Ground, Stage, ground, stage
from stepbus.orchestrator.bench.workloads import WORKLOADS, Workload
from stepbus.orchestrator.bootstrap.settings import Settings

Say = Callable[[str], None]

_RESERVE_S = 5.0
_FLOORS_RESERVE_S = 9.0
_LIBRARY_RESERVE_S = 5.0
_LIBRARY_RUNS = 3
_LIBRARY_BURSTS = 20
_FLOOR_RUNS = 3


async def run_workload(plan: Plan, say: Say) -> Report:
    """Measure a workload; all that it needs is made for it in a folder of its own, and removed.

    Raises:
        Unfinished: something did not happen, or not in time.
        Refused, StoreUnavailable, BusUnavailable: what the plan names does not serve.
    """
    workload = WORKLOADS[plan.workload].scaled(plan.scale)
    folder = Path(await asyncio.to_thread(mkdtemp, prefix="stepbus-bench-", dir=plan.folder))
    try:
        report = Report(plan, workload, machine_facts(folder))
        budget = Budget(plan.budget_s, _reserve_s(plan, workload), report.notes)
        if report.machine["file_system"] in WITHOUT_DISK:
            report.notes.append("the files were in memory, where a sync costs nothing: give --data a folder on a disk")
        async with ground(plan, folder) as on:
            async with stage(plan, on, workload) as here:
                history = await _measure(report, here, budget, say)
            if plan.floor:
                report.floors = await _floors(report, on, history, say)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return report


async def _measure(report: Report, here: Stage, budget: Budget, say: Say) -> History:
    """Fill in the runs, and give what the log says of that load of which it has the most whole tasks."""
    plan, workload = report.plan, report.workload
    client = Client(here.bus, workload.name)
    async with client.hearing():
        async with here.workers(plan.worker):
            load = Load(here, client, workload, plan.runs, budget, say, plan.time_scale)
            histories = [await _looked_up(report, here, await load.run(at_once)) for at_once in workload.at_once]
        if _is_tried_with_library(plan, workload):
            left = Budget(max(budget.until_end_s - budget.reserve_s + _LIBRARY_RESERVE_S, _LIBRARY_RESERVE_S))
            shorter = replace(workload, bursts=min(_LIBRARY_BURSTS, workload.bursts))
            async with here.workers("library"):
                report.with_library = await Load(here, client, shorter, _LIBRARY_RUNS, left, say).run(1)
            report.notes += [f"with the library {note}" for note in left.notes]
    return max(histories, key=lambda history: history.whole_steps)


async def _looked_up(report: Report, here: Stage, measured: Measured) -> History:
    """Add a load with the times of its steps."""
    history = await read_history(here.store, measured.begins_at)
    by_client = report.is_by_client
    report.loads.append(measured)
    report.step_ms.append(per_step(measured.laps, report.workload.steps) if by_client else history.step_ms)
    if history.others:
        report.notes.append(f"{history.others} records were no task's: answers were ignored, or messages quarantined")
    return history


async def _floors(report: Report, on: Ground, history: History, say: Say) -> Floors:
    plan, in_flight = report.plan, report.workload.in_flight
    round_limit = int(plan.settings.get("round_limit", Settings.model_fields["round_limit"].default))
    bus = await bus_floor(plan, on, in_flight, _FLOOR_RUNS)
    say(f"the bus alone: {max(bus):,.0f} steps/s")
    store = await store_floor(plan, on, history, min(in_flight, round_limit), _FLOOR_RUNS)
    say(f"the log alone: {max(store):,.0f} steps/s")
    return Floors(bus, store)


def _reserve_s(plan: Plan, workload: Workload) -> float:
    library_s = _LIBRARY_RESERVE_S if _is_tried_with_library(plan, workload) else 0.0
    return _RESERVE_S + library_s + (_FLOORS_RESERVE_S if plan.floor else 0.0)


def _is_tried_with_library(plan: Plan, workload: Workload) -> bool:
    """Say whether the library is measured besides: where tasks run alone, its own time shows."""
    return plan.worker == "bare" and workload.in_flight == 1
