"""What is compared is this tree and the other one, each for itself, in pairs."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tools import bench_compare
from tools.bench_compare import ROOT, CompareError, checked_out, compare, install, measure, show

WHERE = """
import importlib, pkgutil, stepbus.contracts, stepbus.orchestrator.bench, stepbus.adapters.nats, stepbus.worker
for module in (stepbus.contracts, stepbus.orchestrator.bench, stepbus.adapters.nats, stepbus.worker):
    print(module.__file__)
"""


@pytest.fixture(scope="module")
def other() -> Iterator[tuple[Path, str]]:
    """The last commit as a tree of its own, and the Python that it is installed for."""
    with checked_out("HEAD") as tree:
        yield tree, install(tree, tree.parent / "environment")


def test_the_other_side_runs_the_code_of_its_own_tree(other: tuple[Path, str]) -> None:
    tree, python = other

    done = subprocess.run([python, "-c", WHERE], cwd=tree.parent, capture_output=True, text=True, check=True)

    assert len(done.stdout.splitlines()) == 4
    assert all(Path(line).is_relative_to(tree) for line in done.stdout.splitlines())


def test_the_other_side_can_be_measured(other: tuple[Path, str]) -> None:
    _, python = other

    found = measure(python, "W4", ("--scale", "0.01"))

    assert (found["workload"], found["runs"]) == ("W4", 1)
    assert found["floor_steps_per_s"]["min"] is None


def test_a_revision_that_is_none_is_an_error() -> None:
    with pytest.raises(CompareError, match="no-such-revision"), checked_out("no-such-revision"):
        pass


def test_nothing_is_left_of_a_revision() -> None:
    with checked_out("HEAD") as tree:
        assert (tree / "pyproject.toml").is_file()

    assert not tree.parent.exists()
    listed = subprocess.run(
        (*bench_compare.GIT, "worktree", "list"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert str(tree) not in listed.stdout


def test_a_measurement_that_comes_to_nothing_is_an_error() -> None:
    with pytest.raises(CompareError, match="W4"):
        measure(sys.executable, "W4", ("--store", "postgres"))


def test_sides_alternate_and_each_pair_gives_a_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    rates = {"base": iter((100.0, 200.0)), "head": iter((150.0, 220.0))}

    def measured(python: str, workload: str, _arguments: Sequence[str]) -> dict[str, Any]:
        assert workload == "W2"
        asked.append(python)
        return {
            "steps_per_s": {"median": next(rates[python])},
            "step_ms": {"p50": 0, "p99": 2.0},
            "cpu_us_per_step": {"coordinator": None},
            "rss_mib": {"coordinator": 50.0},
        }

    monkeypatch.setattr(bench_compare, "measure", measured)

    ratios = compare("base", "head", "W2", 2, ())
    show("W2", ratios)

    assert asked == ["base", "head", "head", "base"]
    assert ratios["steps/s"] == [1.5, pytest.approx(1.1)]
    assert ratios["ms a step, p50"] == ratios["coordinator CPU µs a step"] == []
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "| W2 | steps/s | 1.3 | 1.1 … 1.5 |",
        "| W2 | ms a step, p99 | 1.0 | 1.0 … 1.0 |",
        "| W2 | coordinator MiB | 1.0 | 1.0 … 1.0 |",
    ]
