"""The page of what was run on what counts every test that there is."""

import re
import sys

from tests.architecture.tree import ROOT, run
from tests.support.matrix import BUSES, PAGE, STORES, SUITES, TESTS, rows


def test_the_matrix_counts_every_test_of_every_bus_and_store() -> None:
    listed = run(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", *TESTS)
    assert listed.returncode == 0, listed.stdout
    expected = rows([line for line in listed.stdout.splitlines() if "::" in line])

    found = {(cells[0], len(cells)): cells[2:] for cells in _tables()}

    for bus in BUSES:
        assert found[bus, len(SUITES) + 2] == [str(expected[bus][suite] or "-") for suite in SUITES], bus
    for store in STORES:
        assert found[store, 3] == [str(expected[f"{store} store"]["conformance"])], store


def _tables() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [a-z]", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "version" not in line]
