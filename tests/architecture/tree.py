"""The repository as files: what the architecture tests look at."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).parents[2]


@cache
def files() -> tuple[PurePosixPath, ...]:
    """All files that are, or with the next commit could be, in the repository, relative to its root."""
    listed = subprocess.run(
        ("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = sorted({PurePosixPath(name) for name in listed.stdout.decode().split("\0") if name})
    return tuple(path for path in paths if (ROOT / path).is_file())


@cache
def portions() -> tuple[str, ...]:
    """The folders that hold a portion of the namespace, as found on disk."""
    return tuple(sorted({str(path)[: str(path).index("/stepbus/")] for path in files() if "/stepbus/" in str(path)}))


def product_files() -> Iterator[PurePosixPath]:
    """The Python files that are installed at a user's."""
    for path in files():
        if path.suffix == ".py" and "/stepbus/" in str(path):
            yield path


@cache
def parsed(path: PurePosixPath) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


@cache
def settings() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def copy_to(folder: Path) -> Path:
    """Give a copy of the repository's files in the folder, for a test that changes them."""
    for path in files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    return folder


def run_in_copy(copy: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that imports `stepbus` from the copy and never from the editable install."""
    ours = [str(ROOT / portion) for portion in portions()]
    theirs = [str(copy / portion) for portion in portions()]
    prelude = f"import sys; sys.path[:] = {theirs!r} + [path for path in sys.path if path not in {ours!r}]\n"
    return run(copy, sys.executable, "-c", prelude + code, *arguments)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its standard error in its output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environment = {**inherited, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def listing(findings: Sequence[object]) -> str:
    """Findings, one a line, for the message of an assertion."""
    return "".join(f"\n  {finding}" for finding in findings)
