"""Entries of streams as messages.

The field `body` is the body, `id` the id that it was sent under; every other field is a header.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stepbus.orchestrator.ports import Delivery

_NO_HEADERS: Mapping[str, str] = {}
_OUR_FIELDS = 4
"""Names and values of an entry that has an id and a body only."""


class Receipt(NamedTuple):
    """What a delivery is known by: its stream, its number there, and how often it was delivered."""

    stream: str
    entry: bytes
    times: int


def delivery(channel: str, fields: Sequence[bytes], receipt: Receipt) -> Delivery:
    """Give the message that an entry holds.

    Shape: `fields` are names and values by turns.
    """
    if len(fields) == _OUR_FIELDS and fields[0] == b"id" and fields[2] == b"body":
        return Delivery(channel, fields[3], _NO_HEADERS, receipt.times, receipt)
    body = b""
    headers: dict[str, str] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if name == b"body":
            body = value
        elif name != b"id":
            headers[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return Delivery(channel, body, headers, receipt.times, receipt)


def place_of(entry: bytes) -> tuple[int, int]:
    """Give the number of an entry so that it can be compared: the milliseconds and the number within them."""
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)
