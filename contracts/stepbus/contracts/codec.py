"""JSON as it may cross our border: strict going in, canonical going out.

Parsers disagree on what they let through (duplicate keys, NaN, integers past 2^53, lone surrogates, NUL, depth).
Whatever one reader could take differently from another is refused here, once, with a code and a pointer, before anybody
else sees it.

Most messages are compact JSON from a library. Such a body is its own encoding, byte for byte, so one comparison shows
that it holds no duplicate key and no number that a parser changed; only other bodies are scanned token by token.
"""

import re
from typing import Any

import orjson
import rfc8785

from stepbus.contracts.document import MAX_DEPTH, MAX_INTEGER, read_json
from stepbus.contracts.problems import Refused, refuse

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "MAX_MESSAGE_BYTES", "canonical", "decode", "encode"]

MAX_MESSAGE_BYTES = 256 * 1024

_ENCODING = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_LONG_NUMBER = re.compile(rb"[0-9]{16}")


def decode(body: bytes, limit: int = MAX_MESSAGE_BYTES) -> Any:
    """Give the value that the bytes say, the same one that every strict reader would give.

    Raises:
        Refused: too large, not JSON, not UTF-8, or holding what readers disagree about; with code and pointer.
    """
    if len(body) > limit:
        raise refuse("json.too_large", f"expected at most {limit} bytes, found {len(body)}")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _scan(body)
        raise refuse("json.malformed", f"expected JSON, but {error}") from error
    if (
        orjson.dumps(value) != body
        or b"\\u0000" in body
        or body.count(b"{") + body.count(b"[") > MAX_DEPTH
        or _LONG_NUMBER.search(body)
    ):
        _scan(body)
    return value


def encode(value: Any) -> bytes:
    """Give compact JSON with sorted keys: equal values give equal bytes.

    Raises:
        Refused: `json.unsupported`, the value holds what JSON can't say or readers would disagree about.
    """
    try:
        return orjson.dumps(value, option=_ENCODING)
    except TypeError as error:
        raise refuse("json.unsupported", f"expected what JSON can say, but {error}") from error


def canonical(value: Any) -> bytes:
    """Give the bytes that a hash is taken of, the same in every language. Source: RFC 8785 (JCS)."""
    return rfc8785.dumps(value)


def _scan(body: bytes) -> None:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise refuse(
            "json.encoding", f"expected UTF-8, found byte 0x{body[error.start]:02x} at byte {error.start}"
        ) from error
    document = read_json(text)
    if document.problems:
        raise Refused(document.problems)
