"""The document has the same keys whatever was measured."""

from pathlib import Path

import pytest

from stepbus.orchestrator.bench.client import Lap
from stepbus.orchestrator.bench.load import Measured, Run
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.report import Floors, Report, per_step
from stepbus.orchestrator.bench.workloads import WORKLOADS

KEYS = {
    "workload", "bus", "store", "runs", "steps_per_s", "floor_steps_per_s", "step_ms", "cpu_us_per_step", "rss_mib",
    "machine", "also",
}  # fmt: skip


def measured(at_once: int = 500, *rates: int) -> Measured:
    return Measured(
        at_once,
        begins_at=10,
        runs=[Run(rate * 2, 2.0) for rate in rates or (900, 1000, 1100)],
        cpu_s={"coordinator": 0.6, "worker": 0.12, "client": 0.03},
        rss_mib={"coordinator": 100.04, "worker": None},
    )


def report(name: str = "W2", **fields: object) -> Report:
    plan = Plan(workload=name, folder=Path(), **fields)  # type: ignore[arg-type]
    return Report(plan, WORKLOADS[name], {"cpus": 2}, [measured()], [[5, 9, 7]])


def test_a_document_says_rates_times_costs_and_limits() -> None:
    found = report(bus="nats", store="postgresql://localhost/x", floor=True)
    found.floors = Floors(bus=(4000, 5000, 6000), store=(9000,))

    document = found.document()

    assert document.keys() == KEYS
    assert (document["workload"], document["bus"], document["store"], document["runs"]) == ("W2", "nats", "postgres", 3)
    assert document["steps_per_s"] == {"median": 1000, "min": 900, "max": 1100}
    assert document["floor_steps_per_s"] == {"bus": 5000, "store": 9000, "min": 5000}
    assert document["step_ms"] == {"p50": 7, "p95": 9, "p99": 9}
    assert document["cpu_us_per_step"] == {"coordinator": 100.0, "worker": 20.0, "broker": None}
    assert document["rss_mib"] == {"coordinator": 100.0, "worker": None, "broker": None}
    assert document["machine"] == {"cpus": 2}
    assert document["also"]["of_floor"] == 0.2


def test_without_limits_there_is_no_share_of_them() -> None:
    document = report().document()

    assert document["floor_steps_per_s"] == {"bus": None, "store": None, "min": None}
    assert document["also"]["of_floor"] is None


def test_several_numbers_of_tasks_are_said_each_and_the_last_counts() -> None:
    found = report("W5")
    found.loads = [measured(100, 50), measured(5000, 45)]
    found.step_ms = [[1], [40]]

    document = found.document()

    assert document["steps_per_s"]["median"] == 45
    assert document["step_ms"]["p50"] == 40
    assert {at_once: level["steps_per_s"]["median"] for at_once, level in document["also"]["by_active"].items()} == {
        "100": 50,
        "5000": 45,
    }


def test_tasks_alone_are_timed_by_the_client_and_with_the_library_too() -> None:
    found = report("W1")
    found.loads[0].laps = [Lap(1.0, 1.005, 1.020), Lap(2.0, 2.005, 2.030)]
    found.with_library = measured(1)
    found.with_library.laps = [Lap(1.0, 1.0, 1.1)]

    also = found.document()["also"]

    assert also["accepted_step_ms"]["p50"] == pytest.approx(1.5)
    assert also["with_library"]["step_ms"]["p50"] == pytest.approx(10)
    assert "client" in also["step_ms_is"]


def test_a_task_that_did_not_end_has_no_time() -> None:
    laps = [Lap(1.0, 1.1, 1.2), Lap(1.0)]

    assert per_step(laps, 10) == [pytest.approx(20)]
    assert per_step(laps, 10, accepted=True) == [pytest.approx(10)]
