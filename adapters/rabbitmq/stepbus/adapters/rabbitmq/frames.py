"""The frames of AMQP that go by the thousand, written and read by hand; all others are pamqp's.

Source: AMQP 0-9-1, sections 4.2.3 to 4.2.6. A frame is kind, channel, size, payload and an end mark; a message is a
method frame, a header frame, and as many body frames as it takes.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct, error
from typing import Any

from pamqp import frame, header
from pamqp.commands import Basic

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = 0xCE
HEAD = Struct(">BHI")
"""Kind, channel, size of the payload."""

AROUND = HEAD.size + 1
"""How many bytes of a frame are not payload."""

_SETTLE = Struct(">BHIHHQBB")
_CONTENT = Struct(">BHIHHQHBB")
_END = bytes([FRAME_END])
_BASIC = 60
_ACK, _REJECT = 80, 90
_MULTIPLE = _REQUEUE = 1

_PERSISTENT = 2
_WITH_MODE_AND_ID = 1 << 12 | 1 << 7
_WITH_HEADERS, _WITH_TYPE = 1 << 13, 1 << 15
_FIXED = 15
"""How much of the header's payload stands before the id, of a message that has a delivery mode and an id alone."""

GIVEN_BACK = "stepbus-deliveries"
"""The header in which a message that waits for its delay carries how often it was delivered before."""

_FROM_SERVER = (
    "x-delivery-count",
    "x-acquired-count",
    "x-death",
    "x-first-death",
    "x-last-death",
    "x-stream-",
    "x-opt-",
)
_NO_HEADERS: Mapping[str, str] = {}


def acks(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Give the command that is done with a delivery, or with all up to it."""
    return _SETTLE.pack(METHOD, channel, 13, _BASIC, _ACK, tag, _MULTIPLE if multiple else 0, FRAME_END)


def requeue(channel: int, tag: int) -> bytes:
    """Give the command that gives a delivery back. From version 4.3 on only this one counts as a delivery."""
    return _SETTLE.pack(METHOD, channel, 13, _BASIC, _REJECT, tag, _REQUEUE, FRAME_END)


@lru_cache(maxsize=8192)
def publish(channel: int, queue: str, *, mandatory: bool) -> bytes:
    """Give the command that sends to a queue by the default exchange; what is sent follows it."""
    return frame.marshal(Basic.Publish(exchange="", routing_key=queue, mandatory=mandatory), channel)


def plain_header(channel: int, message_id: bytes, size: int) -> bytes:
    """Give the header of a message that the server keeps on file, with its id and nothing else."""
    length = len(message_id)
    return b"%b%b\xce" % (
        _CONTENT.pack(HEADER, channel, _FIXED + 1 + length, _BASIC, 0, size, _WITH_MODE_AND_ID, _PERSISTENT, length),
        message_id,
    )


def full_header(channel: int, properties: Basic.Properties, size: int) -> bytes:
    """Give the header of a message with whatever properties."""
    return frame.marshal(header.ContentHeader(body_size=size, properties=properties), channel)


def body_frames(channel: int, body: bytes, frame_max: int) -> list[bytes]:
    """Give the body in as many frames as it takes."""
    room = frame_max - AROUND
    parts: list[bytes] = []
    for at in range(0, len(body), room):
        piece = body if len(body) <= room else body[at : at + room]
        parts += (HEAD.pack(BODY, channel, len(piece)), piece, _END)
    return parts


def properties_of(block: bytes) -> Basic.Properties:
    """Give the properties of a message, from its header's payload behind the size; none if they can't be read."""
    properties = Basic.Properties()
    try:
        properties.unmarshal(int.from_bytes(block[:2], "big"), block[2:])
    except (ValueError, error, IndexError, OverflowError):
        return Basic.Properties()
    return properties


def headers_of(block: bytes) -> tuple[Mapping[str, str], int]:
    """Give the headers of a message but for the server's own, and how often it was delivered before."""
    if not int.from_bytes(block[:2], "big") & (_WITH_HEADERS | _WITH_TYPE):
        return _NO_HEADERS, 0
    properties = properties_of(block)
    table: Mapping[str, Any] = properties.headers or {}
    headers = {_name(name): text for name, value in table.items() if (text := _text(name, value)) is not None}
    if properties.content_type:
        headers["content-type"] = properties.content_type
    return headers or _NO_HEADERS, _number(table, "x-delivery-count") + _number(table, GIVEN_BACK)


def is_of_the_server(name: str) -> bool:
    """Say whether a header is not the sender's."""
    return name.startswith(_FROM_SERVER)


def _name(name: str) -> str:
    """Give a header's name as all buses have it. Source: CloudEvents, AMQP binding, section 3.1.3.1."""
    for prefix in ("cloudEvents:", "cloudEvents_"):
        if name.startswith(prefix):
            return f"ce-{name.removeprefix(prefix)}"
    return name


def _text(name: str, value: Any) -> str | None:
    if name == GIVEN_BACK or is_of_the_server(name):
        return None
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str | int | float) else None


def _number(table: Mapping[str, Any], name: str) -> int:
    value = table.get(name, 0)
    return value if isinstance(value, int) and value > 0 else 0
