"""`python -m stepbus.worker module:worker` runs the worker that a module holds.

What is said on the command line is stronger than the environment (`STEPBUS_BUS`, `STEPBUS_PREFIX`), and that is
stronger than what the module says.
"""

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from stepbus.contracts.problems import Refused
from stepbus.worker.worker import Worker


def main(arguments: list[str] | None = None) -> int:
    """Run the worker until it is told to stop; 1 for a bus that is not as it must be, 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=given.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.path.insert(0, str(Path.cwd()))
    try:
        worker = _load(given.worker)
        changes = {"url": given.url, "prefix": given.prefix, "name": given.name, "concurrency": given.concurrency}
        worker.configure(**{name: value for name, value in changes.items() if value is not None})
    except (ImportError, TypeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        worker.run()
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stepbus.worker", description="Run a stepbus worker.")
    parser.add_argument("worker", help="the module and the name in it: shop.handlers:worker")
    parser.add_argument("--url", default=os.environ.get("STEPBUS_BUS"), help="of the bus [STEPBUS_BUS]")
    parser.add_argument("--prefix", default=os.environ.get("STEPBUS_PREFIX"), help="of all channels [STEPBUS_PREFIX]")
    parser.add_argument("--name", help="of this worker, as it stands in its answers")
    parser.add_argument("--concurrency", type=int, help="how many handlers run at once")
    levels = ["debug", "info", "warning", "error"]
    parser.add_argument("--log-level", default="info", choices=levels, help="how much is logged (info)")
    return parser


def _load(place: str) -> Worker:
    module_name, _, name = place.partition(":")
    found = getattr(import_module(module_name), name or "worker", None)
    if not isinstance(found, Worker):
        raise TypeError(f"expected a Worker at {place}, found {type(found).__name__}")
    return found


if __name__ == "__main__":
    sys.exit(main())
