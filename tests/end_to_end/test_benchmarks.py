"""The scripts of benchmarks/ at a tiny size: each measures what it says. Nothing here is timed."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.support.command_line import ROOT, environment

PATIENCE_S = 100
MEASURED = {
    "readiness": [
        what.format(steps)
        for steps in ("100", "1,000", "10,000")
        for what in (
            "next ready steps after a completion, {} steps",
            "next ready steps after a completion, {} steps, with the state kept",
            "decision and fold of a completion, {} steps",
        )
    ],
    "append": [
        "append, first tenth of 10,000 versions",
        "append, last tenth of 10,000 versions",
        "append, last tenth to first",
    ],
    "decode": ["decode", "decode and evolve"],
    "memory": [
        "resident set of a coordinator that has run 50 tasks",
        "resident set with 50 active 10-step tasks after that",
        "50 active 10-step tasks above the idle coordinator",
        "50 active 10-step tasks above a fresh coordinator",
        "live bytes of 50 active 10-step tasks",
    ],
    "start": [
        "start to ready, cold",
        "start to ready, warm",
        "idle memory of stepbus dev",
        "idle memory of stepbus dev and its broker",
    ],
    "recovery": [
        "start to ready after kill -9 with 50 open tasks",
        "start to the first decision after kill -9 with 50 open tasks",
        "start to as many decisions as tasks after kill -9 with 50 open tasks",
    ],
    "backpressure": [
        f"{what}, 250 tasks at once over {how}"
        for how in ("the bus", "HTTP")
        for what in (
            "peak resident set of the coordinator",
            "clients told to come again later",
            "until all were complete",
        )
    ],
    "lag": [
        "load while the read models follow",
        "read models in the coordinator's process behind the log, p50",
        "read models in the coordinator's process behind the log, p99",
        "read models in a process of their own behind the log, p50",
        "read models in a process of their own behind the log, p99",
    ],
}


def test_every_script_is_tried() -> None:
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == set(MEASURED)


@pytest.mark.parametrize("name", MEASURED)
def test_a_script_says_what_it_measured_to_programs_and_to_people(name: str, tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / f"{name}.py")
    command = [sys.executable, script, "--scale", "0.005", "--runs", "1", "--data", str(tmp_path)]

    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    documents = [orjson.loads(line) for line in lines[::2]]
    assert [document["measured"] for document in documents] == MEASURED[name]
    for document, shown in zip(documents, lines[1::2], strict=True):
        assert shown.startswith(f"# {document['measured']}: ")
        assert document["runs"] == 1
        assert document["min"] <= document["median"] <= document["max"]
        assert document["unit"]
        assert document["machine"]["cpus"]
    assert list(tmp_path.iterdir()) == []
