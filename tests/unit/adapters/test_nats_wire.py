"""What a NATS server sends: whole messages, however the bytes were cut, and what it says beside them."""

from collections.abc import Mapping

import pytest

from stepbus.adapters.nats.deliveries import headers_of, metadata_of
from stepbus.adapters.nats.wire import Wire

Heard = list[tuple[bytes, bytes, bytes, bytes | None]]

HEADERS = b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n"
LINES = b"".join(
    (
        b"MSG a.b %b 5\r\nfirst\r\n",
        b"MSG a.b %b reply.to 8\r\ntwo\r\ntwo\r\n",
        b"HMSG a %b 28 33\r\n" + HEADERS + b"MSG a\r\n",
        b"+OK\r\n",
        b"HMSG a %b reply.to 28 28\r\n" + HEADERS + b"\r\n",
        b"MSG a %b 0\r\n\r\n",
    )
)
HEARD: Heard = [
    (b"a.b", b"", b"first", None),
    (b"a.b", b"reply.to", b"two\r\ntwo", None),
    (b"a", b"", b"MSG a", HEADERS),
    (b"a", b"reply.to", b"", HEADERS),
    (b"a", b"", b"", None),
]


class Line:
    """A wire without a server, and what was heard on it."""

    def __init__(self) -> None:
        self.wire = Wire(needs_tls=False)
        self.heard: Heard = []
        self.sid = b"%d" % self.wire.hear("a.>", self._take)

    def _take(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        self.heard.append((subject, reply, body, headers))

    async def read(self, lines: bytes, piece: int) -> Heard:
        for start in range(0, len(lines), piece):
            await self.wire._ps.parse(lines[start : start + piece])  # noqa: SLF001 - as nats-py's read loop does
        return self.heard


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 20, 1000])
async def test_messages_are_whole_however_the_bytes_were_cut(piece: int) -> None:
    line = Line()

    assert await line.read(LINES % ((line.sid,) * 5), piece) == HEARD


async def test_a_message_that_could_not_be_taken_in_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise ValueError

    line = Line()
    sid = line.wire.hear("broken", broken)

    heard = await line.read(b"MSG broken %d 0\r\n\r\nMSG a %b 1\r\nb\r\n" % (sid, line.sid), 1000)

    assert heard == [(b"a", b"", b"b", None)]
    assert "could not be taken in" in caplog.text


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, {}),
        (b"NATS/1.0\r\n\r\n", {}),
        (b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Expected-Stream: B\r\n\r\n", {}),
        (b"NATS/1.0\r\nNats-Msg-Id: a\r\ntraceparent: 00-1\r\n\r\n", {"traceparent": "00-1"}),
        (b"NATS/1.0\r\nce-type:step.completed\r\n\r\n", {"ce-type": "step.completed"}),
        (b"NATS/1.0\r\na: \xff\r\n\r\n", {"a": "\ufffd"}),
    ],
)
def test_headers_are_what_the_sender_said(block: bytes | None, expected: Mapping[str, str]) -> None:
    assert headers_of(block) == expected


@pytest.mark.parametrize(
    "reply",
    [
        b"$JS.ACK.JOBS.worker.3.17.20.1764000000000000000.5",
        b"$JS.ACK._.QHASH.JOBS.worker.3.17.20.1764000000000000000.5",
        b"$JS.ACK.hub.QHASH.JOBS.worker.3.17.20.1764000000000000000.5.token",
    ],
)
def test_an_ack_address_says_how_often_and_which(reply: bytes) -> None:
    assert metadata_of(reply) == (3, b"17")
