"""What tools/workers.sh says of the reference workers: built, absent or failed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDINARY = ("bash", "cat", "cut", "dirname", "env", "head", "mktemp", "rm", "sort")


def run(folder: Path, *workers: str) -> subprocess.CompletedProcess[str]:
    """Run it where only the programs of the folder are."""
    return subprocess.run(
        (str(ROOT / "tools/workers.sh"), *workers),
        env={**os.environ, "PATH": str(folder)},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in ORDINARY:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def test_a_worker_whose_toolchain_is_absent_is_named_with_what_it_needs(programs: Path) -> None:
    done = run(programs, "go", "java", "rust", "ruby")

    assert done.returncode == 0, done.stderr
    assert [line.split(maxsplit=2) for line in done.stdout.splitlines()] == [
        ["go", "absent", "needs Go 1.26 or later"],
        ["java", "absent", "needs Java 17 or later, Maven"],
        ["rust", "absent", "needs Rust 1.89 or later"],
        ["ruby", "absent", "needs Ruby 3, bunny (Debian: ruby-bunny)"],
    ]


def test_a_toolchain_that_is_too_old_counts_as_absent(programs: Path) -> None:
    program(programs / "go", "echo go1.9.7")

    assert run(programs, "go").stdout.split()[:2] == ["go", "absent"]


def test_a_worker_that_fails_its_tests_is_told_and_fails_the_run(programs: Path) -> None:
    program(programs / "ruby", '[ "$1" = -e ] || { echo "1 failure"; exit 1; }')
    done = run(programs, "java", "ruby")

    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["java", "absent"], ["ruby", "FAILED"]]
    assert "1 failure" in done.stderr


def test_a_worker_that_there_is_not_is_refused(programs: Path) -> None:
    done = run(programs, "cobol")

    assert (done.returncode, done.stdout) == (2, "")
    assert "found cobol" in done.stderr
