"""Imports point inward, and each contract that says so fails when it is broken."""

import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, copy_to, run, run_in_copy, settings

CORE = "orchestrator/stepbus/orchestrator/core/planted.py"
BREACHES = [
    ("inward", "contracts/stepbus/contracts/planted.py", "import stepbus.orchestrator.ports"),
    ("inward", "orchestrator/stepbus/orchestrator/runtime/planted.py", "import stepbus.adapters.sqlite"),
    ("inward", "orchestrator/stepbus/orchestrator/bootstrap/planted.py", "import stepbus.projections"),
    ("inward", "adapters/recorders/stepbus/adapters/recorders/planted.py", "import stepbus.adapters.memory"),
    ("floors", CORE, "import stepbus.orchestrator.runtime"),
    ("floors", CORE, "import stepbus.orchestrator.ports"),
    ("floors", "orchestrator/stepbus/orchestrator/ports/log.py", "import stepbus.orchestrator.core"),
    ("floors", "orchestrator/stepbus/orchestrator/runtime/planted.py", "import stepbus.orchestrator.bootstrap"),
    ("floors", "orchestrator/stepbus/orchestrator/runtime/planted.py", "import stepbus.orchestrator.testing"),
    ("floors", "orchestrator/stepbus/orchestrator/bootstrap/planted.py", "import stepbus.orchestrator.bench"),
    ("floors", "orchestrator/stepbus/orchestrator/utils.py", ""),
    ("adapters-apart", "adapters/sqlite/stepbus/adapters/sqlite/planted.py", "import stepbus.adapters.postgres"),
    ("ports-only", "adapters/nats/stepbus/adapters/nats/planted.py", "import stepbus.orchestrator.core"),
    ("ports-only", "projections/stepbus/projections/planted.py", "import stepbus.orchestrator.runtime"),
    ("ports-only", "workers/python/stepbus/worker/planted.py", "import stepbus.orchestrator.testing"),
    ("no-adapter-by-name", "projections/stepbus/projections/planted.py", "import stepbus.adapters.sqlite"),
    ("no-adapter-by-name", "workers/python/stepbus/worker/planted.py", "import stepbus.adapters.nats"),
    ("pure", CORE, "import time"),
    ("pure", CORE, "from os import environ"),
    ("pure", "contracts/stepbus/contracts/planted.py", "import asyncio"),
]

IMPURE_CALLS = [
    ("from datetime import UTC, datetime", "datetime.now(UTC)"),
    ("from datetime import date", "date.today()"),
    ("from uuid import uuid4", "uuid4()"),
    ("import random", "random.random()"),
    ("import time", "time.time()"),
]


def lint_imports(copy: Path, *contracts: str) -> tuple[int, str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    limits = [word for contract in contracts for word in ("--contract", contract)]
    done = run_in_copy(copy, code, "--no-cache", "--no-logo", *limits)
    return done.returncode, done.stdout


def test_imports_point_inward(tmp_path: Path) -> None:
    code, said = lint_imports(copy_to(tmp_path))

    assert code == 0, said


@pytest.mark.parametrize(("contract", "path", "statement"), BREACHES)
def test_a_breach_of_a_contract_is_reported(contract: str, path: str, statement: str, tmp_path: Path) -> None:
    copy = copy_to(tmp_path)
    with (copy / path).open("a") as file:
        file.write(f"\n{statement}\n")

    code, said = lint_imports(copy, contract)

    assert code == 1, said
    assert "BROKEN" in said
    assert Path(path).stem in said


def test_every_contract_has_been_seen_to_fail() -> None:
    contracts = {contract["id"] for contract in settings()["tool"]["importlinter"]["contracts"]}

    assert {contract for contract, _, _ in BREACHES} == contracts


@pytest.mark.parametrize(("statement", "call"), IMPURE_CALLS)
def test_a_call_in_the_core_that_reads_a_clock_or_draws_lots_is_reported(
    statement: str, call: str, tmp_path: Path
) -> None:
    copy = copy_to(tmp_path)
    (copy / CORE).write_text(f"{statement}\n\nSOMETHING = {call}\n")

    done = run(ROOT, sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", str(copy / CORE))

    assert done.returncode == 1, done.stdout
    assert "TID251" in done.stdout
