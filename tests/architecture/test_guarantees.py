"""What the documentation promises, a test shows."""

import re
import sys

from tests.architecture.tree import ROOT, listing, run

GUARANTEES = ROOT / "docs" / "guarantees.md"
REFERENCE = re.compile(r"`(tests/[^`]+\.py::[^`]+)`")


def rows() -> list[str]:
    """The rows of all tables in the document whose heading is `| guarantee | test |`, without heading and rule."""
    found = []
    inside = False
    for line in GUARANTEES.read_text().splitlines():
        cells = [cell.strip().lower() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == "guarantee" and cells[-1] in {"test", "tests"}:
            inside = True
        elif inside and not set(line) <= set("|-: "):
            found.append(line)
    return found


def collected() -> set[str]:
    """Every test that pytest finds, and every class that holds one, without parameters."""
    listed = run(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", "tests")
    assert listed.returncode == 0, listed.stdout
    tests: set[str] = set()
    for line in listed.stdout.splitlines():
        parts = line.partition("[")[0].split("::")
        tests.update("::".join(parts[:length]) for length in range(2, len(parts) + 1))
    return tests


def test_every_guarantee_names_tests_that_exist() -> None:
    guarantees = rows()
    assert guarantees, "expected a table of guarantees, but found none"
    tests = collected()

    untested = [row for row in guarantees if not REFERENCE.search(row)]
    unknown = [name for row in guarantees for name in REFERENCE.findall(row) if name.partition("[")[0] not in tests]
    assert not untested, f"expected each guarantee to name a test, but these name none: {listing(untested)}"
    assert not unknown, f"expected the named tests to exist, but these do not: {listing(unknown)}"
