"""Text of others, made safe for a terminal: what a message or a worker says must not move the cursor or hide a line."""

import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Give the text with control characters, and those that turn the direction, spelt out; newlines and tabs stay."""
    return _CONTROLS.sub(_spelt_out, text)


def one_line(text: str) -> str:
    """Give the same in one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _spelt_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
