"""From the `:name` parameters of the port to those of psycopg."""

import re

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*'          # a string, '' stands for a quote in it
    | "(?:[^"]|"")*"        # a quoted name
    | --[^\n]*              # a comment
    | ::                    # a cast
    | :([A-Za-z_]\w*)       # a parameter
    | %                     # psycopg's own mark
    """,
    re.VERBOSE,
)
_KNOWN: dict[str, str] = {}
_KNOWN_LIMIT = 1_000


def with_psycopg_parameters(sql: str) -> str:
    """Give the statement with `%(name)s` for `:name`, and every other per cent sign doubled."""
    translated = _KNOWN.get(sql)
    if translated is None:
        translated = _TOKEN.sub(_translate, sql)
        if len(_KNOWN) < _KNOWN_LIMIT:
            _KNOWN[sql] = translated
    return translated


def _translate(token: re.Match[str]) -> str:
    name = token[1]
    return f"%({name})s" if name else token[0].replace("%", "%%")
