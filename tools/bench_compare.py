"""Compare this tree with another revision by `stepbus bench`: run alternately on one machine, told as ratios.

The revision is checked out beside the tree and installed in an environment of its own, which has the same dependencies
as this one. One pair of runs is one ratio: what disturbs the machine for longer than a pair disturbs both of its sides.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stepbus.orchestrator.bench.figures import spread

ROOT = Path(__file__).parents[1]
STEPBUS = ("-c", "from stepbus.orchestrator.cli import main; main()")
GIT = ("git", "-c", "safe.directory=*")
_PACKAGES = {"site-packages", "dist-packages"}
FIGURES: Mapping[str, tuple[str, ...]] = {
    "steps/s": ("steps_per_s", "median"),
    "ms a step, p50": ("step_ms", "p50"),
    "ms a step, p99": ("step_ms", "p99"),
    "coordinator CPU µs a step": ("cpu_us_per_step", "coordinator"),
    "coordinator MiB": ("rss_mib", "coordinator"),
}
"""What is compared: where it stands in the document of a measurement."""


class CompareError(Exception):
    """There is nothing to compare with; the text says why."""


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Give a folder that holds the revision, until the block is left.

    Raises:
        CompareError: there is no such revision.
    """
    folder = Path(tempfile.mkdtemp(prefix="stepbus-compare-"))
    tree = folder / "tree"
    try:
        _run(*GIT, "worktree", "add", "--quiet", "--detach", str(tree), revision)
        yield tree
    finally:
        subprocess.run((*GIT, "worktree", "remove", "--force", str(tree)), cwd=ROOT, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def install(tree: Path, environment: Path) -> str:
    """Give the Python of a new environment in which `stepbus` is the tree's, and all else is this environment's.

    Raises:
        CompareError: the tree can't be installed.
    """
    venv.create(environment, with_pip=False, symlinks=True)
    python = str(environment / "bin" / "python")
    own = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # A path in a .pth file is searched, but the .pth files in it are not read: this tree stays unknown there.
    (own / "dependencies.pth").write_text("".join(f"{path}\n" for path in sys.path if Path(path).name in _PACKAGES))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--no-deps", "--no-build-isolation", "--editable", str(tree))
    return python


def measure(python: str, workload: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Give the document of one run.

    Raises:
        CompareError: it came to nothing.
    """
    command = (python, *STEPBUS, "bench", workload, "--runs", "1", "--no-floor", "--json", *arguments)
    said = _run(*command, cwd=Path(tempfile.gettempdir()))
    found: dict[str, Any] = json.loads(said)
    return found


def compare(base: str, head: str, workload: str, pairs: int, arguments: Sequence[str]) -> dict[str, list[float]]:
    """Give the ratios head : base of each figure, one a pair. Which side goes first changes from pair to pair."""
    ratios: dict[str, list[float]] = {name: [] for name in FIGURES}
    for pair in range(pairs):
        order = (base, head) if pair % 2 == 0 else (head, base)
        found = {python: measure(python, workload, arguments) for python in order}
        for name, place in FIGURES.items():
            values = [_at(found[python], place) for python in (head, base)]
            if values[0] is not None and values[1]:
                ratios[name].append(values[0] / values[1])
        rates = [_at(found[python], FIGURES["steps/s"]) for python in (base, head)]
        print(f"{workload} pair {pair + 1} of {pairs}: {rates[0]:,.0f} -> {rates[1]:,.0f} steps/s", file=sys.stderr)
    return ratios


def show(workload: str, ratios: Mapping[str, Sequence[float]]) -> None:
    """Print a row a figure, as docs/performance.md has them."""
    for name, values in ratios.items():
        found = spread(values, digits=3)
        if found is not None:
            print(f"| {workload} | {name} | {found['median']} | {found['min']} … {found['max']} |", flush=True)


def _at(document: Mapping[str, Any], place: Sequence[str]) -> float | None:
    for key in place:
        document = document[key]
    return document  # type: ignore[return-value]


def _run(*command: str, cwd: Path = ROOT) -> str:
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=ours, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompareError(f"expected {' '.join(command[:6])} … to succeed; it says:\n{done.stdout}{done.stderr}")
    return done.stdout


def _given() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the revision to compare with")
    parser.add_argument("--workloads", default="W1 W2", help="which, with blanks between (W1 W2)")
    parser.add_argument("--pairs", type=int, default=5, help="how many runs of each side (5)")
    parser.add_argument("--arguments", default="", help="what else `stepbus bench` is told: --arguments='--bus nats'")
    return parser.parse_args()


def main() -> None:
    given = _given()
    with checked_out(given.base) as tree:
        base = install(tree, tree.parent / "environment")
        print(f"| workload | figure | this tree : {given.base} | least … most |\n|---|---|---|---|", flush=True)
        for workload in given.workloads.split():
            show(workload, compare(base, sys.executable, workload, given.pairs, shlex.split(given.arguments)))


if __name__ == "__main__":
    try:
        main()
    except CompareError as error:
        sys.exit(f"bench-compare: {error}")
