"""JSON as it may cross our border: strict going in, canonical going out.

Parsers disagree on what they let through (duplicate keys, NaN, integers past 2^53, lone surrogates, NUL, depth).
Whatever one reader could take differently from another is refused here, once, with a code and a pointer, before anybody
else sees it.

Most messages are compact JSON from a library. Such a body is its own encoding, byte for byte, so one comparison shows
that it holds no duplicate key and no number that a parser changed. Most others differ from theirs in white space or
escapes alone: a second parser, in C too, watches the keys and the integers. Only a body that one of the two stumbles
over is read token by token, to say what is wrong and where.
"""

import json
import math
import re
from typing import Any, Final

import orjson
import rfc8785

from stepbus.contracts.document import MAX_DEPTH, MAX_INTEGER, read_json
from stepbus.contracts.problems import Refused, refuse

__all__ = ["MAX_CARRIED_DEPTH", "MAX_DEPTH", "MAX_INTEGER", "MAX_MESSAGE_BYTES", "canonical", "decode", "encode"]

MAX_MESSAGE_BYTES = 256 * 1024

MAX_CARRIED_DEPTH = MAX_DEPTH + 8
"""Levels of what stepbus itself sends: a job wraps the results that it carries deeper than their answers did."""

_ENCODING: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
"""With a byte to cut off: the encoder's own bytes keep all the room that it worked in, some KiB for any message."""

_INTEGER_DIGITS: Final = len(str(MAX_INTEGER))

_BRACKET, _BACKSLASH = b"[\\"  # as numbers: that a single byte is missing is seen soonest, and most often it is
_NULL: Final = re.compile(b"null").search  # sooner than `in`
_TEXTS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")


class _ReadOtherwise(ValueError):
    """Two readers might take the text differently."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _ReadOtherwise
    return members


def _small(literal: str) -> int:
    if len(literal) >= _INTEGER_DIGITS:
        raise _ReadOtherwise
    return int(literal)


_SECOND_READER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_int=_small)


def decode(body: bytes, limit: int = MAX_MESSAGE_BYTES, depth: int = MAX_DEPTH) -> Any:
    """Give the value that the bytes say, the same one that every strict reader would give.

    Raises:
        Refused: too large, not JSON, not UTF-8, or holding what readers disagree about; with code and pointer.
    """
    if len(body) > limit:
        raise refuse("json.too_large", f"expected at most {limit} bytes, found {len(body)}")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _scan(body, depth)
    levels = body.count(b"{") + (body.count(b"[") if _BRACKET in body else 0)  # at most so many
    if (levels > depth and _is_deep(body, depth)) or (_BACKSLASH in body and b"\\u0000" in body):
        return _scan(body, depth)
    return value if _is_read_alike(body, value) else _scan(body, depth)


def encode(value: Any) -> bytes:
    """Give compact JSON with sorted keys: equal values give equal bytes.

    Raises:
        Refused: `json.unsupported`, the value holds what JSON can't say or readers would disagree about.
    """
    try:
        body = orjson.dumps(value, option=_ENCODING)[:-1]
    except TypeError as error:
        raise refuse("json.unsupported", f"expected what JSON can say, but {error}") from error
    if _NULL(body) and not _is_finite(value):
        raise refuse("json.nan", "expected finite numbers, found a NaN or an infinity")
    return body


def canonical(value: Any) -> bytes:
    """Give the bytes that a hash is taken of, the same in every language. Source: RFC 8785 (JCS)."""
    return rfc8785.dumps(value)


def _is_deep(body: bytes, depth: int) -> bool:
    brackets = _TEXTS.sub(b"", body).translate(_SQUARE, _NOT_BRACKETS)
    for _ in range(depth):  # each round takes away the innermost level
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return True


def _is_read_alike(body: bytes, value: Any) -> bool:
    try:
        if orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) == body:
            return True
        _SECOND_READER.decode(body.decode())
    except (_ReadOtherwise, TypeError):  # TypeError: an integer that not every language can hold
        return False
    return True


def _is_finite(value: Any) -> bool:
    """Say whether a value is without NaN and infinity, which the encoder takes for null."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return False
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple):
            waiting.extend(part)
    return True


def _scan(body: bytes, depth: int) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found byte 0x{body[error.start]:02x} at byte {error.start}"
        raise refuse("json.encoding", message) from error
    document = read_json(text, depth)
    if document.problems:
        raise Refused(document.problems)
    return document.value
