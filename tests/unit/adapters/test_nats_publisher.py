"""Confirms of JetStream, and which message each of them answers for."""

import asyncio
import re
from collections.abc import Sequence

import pytest

from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.publisher import Publisher
from stepbus.adapters.nats.settings import parse
from stepbus.adapters.nats.topology import Names
from stepbus.adapters.nats.wire import Wire
from stepbus.orchestrator.ports import NotSent, Sent
from stepbus.orchestrator.testing.bus_suite.bench import message, messages

CONFIRM = b'{"stream":"T_JOBS","seq":%d}'
REFUSAL = b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"T_JOBS","seq":0}'

Answers = asyncio.Task[Sequence[Sent | NotSent]]


class Line(Wire):
    """A wire to a server that says what the test says."""

    def __init__(self) -> None:
        super().__init__(needs_tls=False)
        self.written = b""

    @property
    def max_payload(self) -> int:
        return 1000

    def send(self, commands: bytes) -> None:
        self.written += commands

    async def sent(self) -> None:
        """Return at once."""

    @property
    def replies(self) -> list[bytes]:
        """Where the confirms of what was published go."""
        return re.findall(rb"HPUB \S+ (\S+) ", self.written)

    async def confirm(self, subject: bytes, body: bytes) -> None:
        sid = b"%d" % (1 << 30)
        await self._ps.parse(b"MSG %b %b %d\r\n%b\r\n" % (subject, sid, len(body), body))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def publisher(line: Line) -> Publisher:
    connection = Connection(parse("nats://nowhere"))
    connection.wire = line
    publisher = Publisher(connection, Names("t"), timeout_s=5)
    connection.link(publisher)
    return publisher


async def publishing(publisher: Publisher, count: int) -> Answers:
    """Begin to publish, and give the call once all is written."""
    call = asyncio.create_task(publisher.publish(messages(count)))
    await asyncio.wait({call}, timeout=0.01)
    return call


async def test_a_confirm_answers_for_its_own_message_in_whatever_order_they_come(
    publisher: Publisher, line: Line
) -> None:
    first, second = await publishing(publisher, 2), await publishing(publisher, 1)
    one, other, lone = line.replies

    await line.confirm(lone, CONFIRM % 3)
    await line.confirm(other, REFUSAL)
    await line.confirm(one, CONFIRM % 1)

    assert await second == [Sent()]
    assert await first == [Sent(), NotSent("expected a confirm, but NATS says: maximum messages exceeded")]


async def test_a_confirm_that_comes_twice_or_for_nothing_answers_for_no_other(publisher: Publisher, line: Line) -> None:
    call = await publishing(publisher, 2)
    one, other = line.replies

    for subject in (one, one, one + b"x", one.rpartition(b".")[0] + b".none", b"t.other"):
        await line.confirm(subject, CONFIRM % 1)
    await line.confirm(other, CONFIRM % 2)

    assert await call == [Sent(), Sent()]


@pytest.mark.parametrize("body", [b"+OK", b'{"error":{}, "stream":"error"}', b'{"stream":"T_JOBS","error":{"code":1}}'])
async def test_what_is_no_confirm_is_not_taken_for_one(publisher: Publisher, line: Line, body: bytes) -> None:
    call = await publishing(publisher, 1)

    await line.confirm(line.replies[0], body)

    assert isinstance((await call)[0], NotSent)


@pytest.mark.parametrize("body", [CONFIRM % 1, b'{"stream":"error","seq":1}', b'{"seq":1,"stream":"T_JOBS"}'])
async def test_a_confirm_is_known_however_it_is_written(publisher: Publisher, line: Line, body: bytes) -> None:
    call = await publishing(publisher, 1)

    await line.confirm(line.replies[0], body)

    assert await call == [Sent()]


async def test_a_message_is_written_whole_and_names_its_stream(publisher: Publisher, line: Line) -> None:
    call = asyncio.create_task(publisher.publish([message(7, "results.3", b"body")]))
    await asyncio.wait({call}, timeout=0.01)
    line.written = line.written.partition(b"HPUB")[2]

    headers = b"NATS/1.0\r\nNats-Msg-Id: t.results.3:epoch:7.0\r\nNats-Expected-Stream: T_RESULTS\r\n\r\n"
    assert line.written.endswith(b" %d %d\r\n%bbody\r\n" % (len(headers), len(headers) + 4, headers))
    publisher.detach()
    assert isinstance((await call)[0], NotSent)
