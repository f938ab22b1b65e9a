"""The page of what was run on which server: `python -m tests.support.matrix` runs it and writes docs/matrix.md."""

import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.servers import KINDS, server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "matrix.md"
BUSES = ("memory", "nats", "kafka", "rabbitmq", "redis")
STORES = ("memory", "sqlite", "postgres")
TESTS = ("tests/conformance", "tests/fault")
SUITES: Mapping[str, Sequence[str]] = {
    "conformance": (r"conformance/test_{bus}_(bus|embedded|limits)\.py",),
    "outages": (
        r"fault/test_{bus}_\w+\.py",
        r"fault/test_broker_(killed|emptied)\.py.*[\[-]{bus}\b",
        r"fault/test_broker_outages\.py::Test(?i:{bus})Outages",
    ),
    "differential, SQLite": (r"fault/test_differential\.py.*\[sqlite-{bus}\b",),
    "differential, PostgreSQL": (r"fault/test_differential\.py.*\[postgres-{bus}\b",),
    "messages by hand": (r"fault/test_messages_by_hand\.py.*\[{bus}\b",),
    "several coordinators": (r"fault/test_several_coordinators\.py.*[\[-]{bus}\b",),
}


@dataclass
class Counts:
    """Which tests passed."""

    passed: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)


def rows(tests: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Give how many of these tests each suite has for each bus, and for each store."""
    found: dict[str, Counter[str]] = {}
    for bus in BUSES:
        found[bus] = Counter({suite: _matching(tests, patterns, bus) for suite, patterns in SUITES.items()})
    for store in STORES:
        found[f"{store} store"] = Counter(
            conformance=_matching(tests, (r"conformance/test_{bus}_(store|views)\.py",), store)
        )
    return found


def _matching(tests: Sequence[str], patterns: Sequence[str], name: str) -> int:
    wanted = [re.compile(pattern.replace("{bus}", name)) for pattern in patterns]
    return sum(any(pattern.search(test) for pattern in wanted) for test in tests)


def page(passed: Mapping[str, Mapping[str, int]], versions: Mapping[str, str]) -> str:
    """Give the page: a line a server, the version that it was, and how many tests it passed."""
    lines = [
        "# What was run on what",
        "",
        "Each number is of tests that passed against a real server of this version, in one run. `make matrix` runs",
        "them and writes this page; a test sees that none is missing.",
        "",
        "## Buses",
        "",
        f"| bus | version | {' | '.join(SUITES)} |",
        "|---|---|" + "---|" * len(SUITES),
    ]
    for bus in BUSES:
        cells = [str(passed[bus][suite] or "-") for suite in SUITES]
        lines.append(f"| {bus} | {versions.get(bus, '-')} | {' | '.join(cells)} |")
    lines += ["", "## Stores", "", "| store | version | conformance |", "|---|---|---|"]
    for store in STORES:
        lines.append(f"| {store} | {versions.get(store, '-')} | {passed[f'{store} store']['conformance']} |")
    return "\n".join([*lines, ""])


def versions_found() -> Mapping[str, str]:
    """Give the version of each kind of server that a test would be given."""
    found = {"sqlite": sqlite3.sqlite_version}
    for kind in KINDS:
        with server(kind) as running:
            found[type(kind).__name__.lower()] = kind.version(running.url)
    return found


def main() -> int:
    """Run the tests and write the page; a test that fails leaves the page as it is."""
    counts = Counts()
    code = pytest.main(["-q", "-n", "3", "--dist", "worksteal", *TESTS], plugins=[counts])
    if code == 0:
        PAGE.write_text(page(rows(sorted(counts.passed)), versions_found()))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
