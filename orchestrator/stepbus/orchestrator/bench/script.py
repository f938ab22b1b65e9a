"""What the scripts in benchmarks/ share: their options, and how they say what they found."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

import orjson

from stepbus.orchestrator.bench.figures import spread
from stepbus.orchestrator.bench.machine import machine_facts


def options(about: str | None, runs: int = 5) -> Namespace:
    """Give what the command line says: `runs`, `scale`, `data` and `store`."""
    parser = ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=runs, help=f"how many runs ({runs})")
    parser.add_argument("--scale", type=float, default=1.0, help="this share of the size, for trying out")
    parser.add_argument(
        "--data", type=Path, default=Path(gettempdir()), help="where the files are meanwhile: on a disk"
    )
    parser.add_argument("--store", default="sqlite", help="sqlite, or the URL of a PostgreSQL database (sqlite)")
    return parser.parse_args()


def tell(measured: str, unit: str, values: Sequence[float], target: float | None = None, **facts: object) -> None:
    """Say what was measured, on stdout: one line of JSON, and one for a person.

    A target says how much it may be at most; or, below 0, at least.
    """
    found = spread(values, digits=3)
    if found is None:
        raise ValueError(f"expected at least one value of {measured}, found none")
    document = {"measured": measured, "unit": unit, **found, "runs": len(values), **facts}
    if target is not None:
        document["target"] = f"{'at least' if target < 0 else 'at most'} {abs(target):,g}"
    document["machine"] = machine_facts(Path(gettempdir()))
    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
    wanted = f"  [{document['target']}]" if target is not None else ""
    shown = "".join(f"  {name}: {value}" for name, value in facts.items() if not isinstance(value, dict | list))
    line = f"# {measured}: {found['median']:,g} {unit} ({found['min']:,g} … {found['max']:,g}){wanted}{shown}\n"
    sys.stdout.buffer.write(line.encode())
    sys.stdout.buffer.flush()
