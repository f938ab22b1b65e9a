"""The `:name` parameters of the ports' statements, and what stands for them in each database."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*'          # a string, '' stands for a quote in it
    | "(?:[^"]|"")*"        # a quoted name
    | --[^\n]*              # a comment
    | ::                    # a cast
    | :([A-Za-z_]\w*)       # a parameter
    """,
    re.VERBOSE,
)


class Numbered(NamedTuple):
    """A statement with numbers for names; `names` are in the order of their numbers, which begin with 1."""

    sql: str
    names: tuple[str, ...]


def with_parameters(sql: str, write: Callable[[str], str]) -> str:
    """Give the statement with what `write` gives for each parameter's name."""
    return _TOKEN.sub(lambda token: write(token[1]) if token[1] else token[0], sql)


@lru_cache(maxsize=1_000)
def numbered(sql: str, mark: str) -> Numbered:
    """Give the statement with the mark and a number for each parameter: `?1` in SQLite, `$1` in PostgreSQL."""
    names = list(dict.fromkeys(token[1] for token in _TOKEN.finditer(sql) if token[1]))
    return Numbered(with_parameters(sql, lambda name: f"{mark}{names.index(name) + 1}"), tuple(names))
