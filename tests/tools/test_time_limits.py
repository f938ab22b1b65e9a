"""A test's time limit holds to its end: for what fails, for its teardown, and for what is run again."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HANGS_WHEN_RUN_AGAIN = """
import time
tries = []

def test_it():
    tries.append(None)
    assert len(tries) > 1
    time.sleep(60)
"""

HANGS_IN_ITS_TEARDOWN = """
import time
import pytest

@pytest.fixture
def thing():
    yield
    time.sleep(60)

def test_it(thing):
    assert False
"""

SWALLOWS_THE_ALARM = """
import asyncio
import time
busy = []  # kept: a task that is let go of tells of what it swallowed, in the middle of the report

async def work():
    while True:
        time.sleep(0.01)
        await asyncio.sleep(0)

async def test_it():
    busy.extend([asyncio.create_task(work()) for _ in range(20)])
    await asyncio.sleep(60)
"""


@pytest.mark.parametrize("source", [HANGS_WHEN_RUN_AGAIN, HANGS_IN_ITS_TEARDOWN, SWALLOWS_THE_ALARM])
def test_a_test_that_hangs_is_ended(source: str, tmp_path: Path) -> None:
    module = tmp_path / "test_it.py"
    module.write_text(source)
    options = ("--timeout=4", "--reruns=1", "--override-ini=addopts=", "-c", str(ROOT / "pyproject.toml"))

    run = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "tests.conftest", *options, "--rootdir", str(tmp_path), str(module)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    assert "Timeout (>4.0s) from pytest-timeout" in run.stdout
