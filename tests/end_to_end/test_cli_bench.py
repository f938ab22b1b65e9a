"""`stepbus bench` at a tiny size: that it measures at all, and says it as promised. Nothing here is timed."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.command_line import STEPBUS, environment

PATIENCE_S = 100
TINY = ("--scale", "0.01", "--runs", "2")
KEYS = [
    "workload", "bus", "store", "runs", "steps_per_s", "floor_steps_per_s", "step_ms", "cpu_us_per_step", "rss_mib",
    "machine", "also",
]  # fmt: skip


def bench(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [STEPBUS, "bench", *arguments, "--data", str(folder)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=folder
    )


def document(folder: Path, *arguments: str) -> dict[str, Any]:
    done = bench(folder, *arguments, *TINY, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = orjson.loads(done.stdout)
    assert list(found) == KEYS
    assert 0 < found["steps_per_s"]["min"] <= found["steps_per_s"]["median"] <= found["steps_per_s"]["max"]
    assert list(found["step_ms"]) == ["p50", "p95", "p99"]
    assert not [note for note in found["also"]["notes"] if "no task's" in note]
    assert list(folder.iterdir()) == []  # whatever it made there is gone
    return found


def test_embedded_one_process_is_everything(tmp_path: Path) -> None:
    found = document(tmp_path, "W1")

    assert (found["bus"], found["store"]) == ("memory", "sqlite")
    assert found["floor_steps_per_s"]["min"] == min(
        found["floor_steps_per_s"]["bus"], found["floor_steps_per_s"]["store"]
    )
    assert found["rss_mib"]["coordinator"] > 10
    assert (found["rss_mib"]["worker"], found["rss_mib"]["broker"]) == (None, None)
    assert found["also"]["with_library"]["steps_per_s"]["min"] > 0


def test_on_nats_each_part_is_a_process_of_its_own(tmp_path: Path) -> None:
    found = document(tmp_path, "W2", "--bus", "nats", "--workers", "2")

    assert found["also"]["steps"] == 2 * 5 * 10
    assert all(memory > 5 for memory in found["rss_mib"].values())
    assert None not in found["cpu_us_per_step"].values()
    assert min(found["floor_steps_per_s"].values()) > 0


def test_a_broker_and_a_database_that_run_already_serve_too(
    nats_url: str, postgres_database: str, tmp_path: Path
) -> None:
    found = document(tmp_path, "W4", "--bus", nats_url, "--store", postgres_database, "--worker", "library", "--views")

    assert (found["bus"], found["store"]) == ("nats", "postgres")
    assert (found["cpu_us_per_step"]["broker"], found["rss_mib"]["broker"]) == (None, None)
    assert (found["also"]["worker"], found["also"]["views"]) == ("library", True)


def test_several_coordinators_share_a_workload(nats_url: str, postgres_database: str, tmp_path: Path) -> None:
    where = ("--bus", nats_url, "--store", postgres_database)
    found = document(tmp_path, "W4", *where, "--coordinators", "2", "--budget", "40")

    assert found["also"]["coordinators"] == 2
    assert found["steps_per_s"]["median"] > 0


@pytest.mark.parametrize("options", [(), ("--bus", "nats"), ("--store", "postgresql://localhost/x")])
def test_several_coordinators_need_a_broker_and_a_database_to_share(options: tuple[str, ...], tmp_path: Path) -> None:
    done = bench(tmp_path, "W2", "--coordinators", "2", *options)

    assert done.returncode == 2
    assert "--coordinators" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_person_gets_a_table(tmp_path: Path) -> None:
    done = bench(tmp_path, "W5", *TINY, "--budget", "15", "--no-floor", "--set", "round_limit=100")

    assert done.returncode == 0, done.stderr
    assert "memory + sqlite, 1 bare worker(s)" in done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.strip().startswith("W5")] == [
        ["W5", "1"],
        ["W5", "10"],
        ["W5", "50"],
    ]
    assert "W5 50 at once, run 2 of 2:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--bus", "nats://127.0.0.1:1"), "bench.unfinished"),
        (("--store", "postgresql://nobody@127.0.0.1:1/none"), "bench.unfinished"),
        (("--set", "round_limt=1"), "settings.unknown_key"),
    ],
)
def test_what_cannot_be_measured_is_said_to_be(arguments: tuple[str, ...], code: str, tmp_path: Path) -> None:
    done = bench(tmp_path, "W2", *arguments, *TINY, "--json")

    assert (done.returncode, orjson.loads(done.stdout)["error"]["code"]) == (1, code)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("W6",), ("--store", "postgres"), ("--bus", "smoke signals"), ("--set", "x")])
def test_what_is_no_workload_bus_or_store_is_wrong_usage(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert bench(tmp_path, *arguments).returncode == 2


def test_told_to_stop_it_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [STEPBUS, "bench", "W2", "--bus", "nats", "--data", str(tmp_path)]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "run 1 of 5" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) != 0

    assert list(tmp_path.iterdir()) == []
