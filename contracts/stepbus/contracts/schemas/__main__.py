"""Write the JSON Schemas of the contracts, or say where they differ from the classes."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

from stepbus.contracts.schemas import FOLDER, documents, shape_of, written


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write or check; 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m stepbus.contracts.schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; print what differs, and exit with 1")
    wanted, found = documents(), written(folder)
    if parser.parse_args(arguments).check:
        lines = list(_differences(found, wanted))
        sys.stdout.writelines(lines)
        return 1 if lines else 0
    shapes = {shape_of(path) for path in wanted}
    for path in found:
        if shape_of(path) not in shapes:
            (folder / path).unlink()
    for path, text in wanted.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return 0


def _differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(found.keys() | wanted.keys()):
        before, after = found.get(path, ""), wanted.get(path, "")
        yield from unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"written/{path}", f"classes/{path}"
        )


if __name__ == "__main__":
    sys.exit(main())
