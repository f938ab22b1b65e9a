"""What the server says beside a message: how often it was delivered, which one of its stream it is, its headers."""

from collections.abc import Mapping

_SHORT_FORM = 9
_NO_HEADERS: Mapping[str, str] = {}
_OF_THE_SERVER = b"\r\nNats-"
_OTHER_LINE_ENDS = 2
"""A block of headers ends its last line and itself."""


def metadata_of(reply: bytes) -> tuple[int, bytes]:
    """Give how often a message was delivered, and its place in the stream, from where its ack goes.

    Source: ADR-15 of NATS. `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.…` has 9 tokens; the longer form
    has `<domain>.<account>` before the stream.
    """
    tokens = reply.split(b".")
    first = 4 if len(tokens) == _SHORT_FORM else 6
    return int(tokens[first]), tokens[first + 1]


def headers_of(block: bytes | None) -> Mapping[str, str]:
    """Give the headers but for the server's own."""
    if block is None or block.count(_OF_THE_SERVER) + _OTHER_LINE_ENDS == block.count(b"\r\n"):
        return _NO_HEADERS
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n")[1:]:
        if line and not line.startswith(b"Nats-"):
            name, _, value = line.partition(b":")
            headers[name.strip().decode("utf-8", "replace")] = value.strip().decode("utf-8", "replace")
    return headers or _NO_HEADERS


def nak(reply: bytes, delay_s: float = 0) -> bytes:
    """Give the command that gives a message back."""
    body = b'-NAK {"delay": %d}' % int(delay_s * 1_000_000_000) if delay_s > 0 else b"-NAK"
    return b"PUB %b %d\r\n%b\r\n" % (reply, len(body), body)
