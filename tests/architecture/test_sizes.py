"""Product files and functions have one idea each. The limits are alarms, above what the style asks for."""

import ast
from collections.abc import Iterator

from tests.architecture.tree import ROOT, listing, parsed, product_files

FILE_LINES = 350
FUNCTION_LINES = 60

ALLOWED: dict[str, str] = {}
"""What may be larger: a path, or a path::function, and the reason."""


def sizes() -> Iterator[tuple[str, int, int]]:
    """Each file and function: its name, its lines (a function's without its docstring), and how many it may have."""
    for path in product_files():
        yield str(path), len((ROOT / path).read_text().splitlines()), FILE_LINES
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}::{node.name}", lines_without_docstring(node), FUNCTION_LINES


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    spared = 0 if docstring is None else (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - spared


def test_no_product_file_or_function_is_larger_than_one_idea() -> None:
    large = [
        f"{name}: expected at most {limit} lines, but it has {lines}"
        for name, lines, limit in sizes()
        if lines > limit and name not in ALLOWED
    ]

    assert not large, listing(large)


def test_every_exception_is_needed() -> None:
    needed = {name for name, lines, limit in sizes() if lines > limit}

    assert set(ALLOWED) <= needed
