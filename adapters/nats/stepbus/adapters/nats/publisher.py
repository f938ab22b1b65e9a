"""Publishing with a confirm for every message: all of a call are sent, then all confirms are awaited."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import orjson

from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.topology import Names, Route
from stepbus.adapters.nats.wire import Wire
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import NotSent, Outgoing, Sent

_SENT = Sent()
_LOST = NotSent("expected a confirm, but the connection was lost")
_NO_RESPONDERS = b"NATS/1.0 503"
_CONFIRM, _ERROR = b'{"stream":', b'"error"'
"""How a confirm of JetStream begins, and what it holds if it is none. What looks otherwise is read as JSON."""

_WRITE_BYTES = 64 * 1024
"""How much is written at once: of much larger pieces each gets fresh pages of memory, and takes twice as long."""

_MESSAGE_TOO_LARGE = 10054
"""The stream's own limit on a message's size, of the JetStream error codes."""


class _Call:
    """The answers of one call, by their place in it. Confirms come to `reply` and that place."""

    __slots__ = ("answers", "done", "missing", "reply")

    def __init__(self, count: int, reply: bytes) -> None:
        self.answers: list[Sent | NotSent | None] = [None] * count
        self.missing = count
        self.reply = reply
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Sent | NotSent) -> None:
        if self.answers[index] is None:
            self.answers[index] = answer
            self.missing -= 1
            if not self.missing and not self.done.done():
                self.done.set_result(None)

    def answer_all(self, answer: NotSent) -> None:
        for index in range(len(self.answers)):
            self.answer(index, answer)


class _Way(NamedTuple):
    """Where the messages of a channel go, and what of the command that sends one is the same for all.

    Shape: `head` is formatted with where the confirm goes, place, sizes and id; `header_size` is without the id.
    """

    route: Route
    head: bytes
    header_size: int


class Publisher:
    """Sends messages and matches the server's confirms to them."""

    def __init__(self, connection: Connection, names: Names, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._names = names
        self._inbox = b""
        self._numbers = count()
        self._in_flight: dict[bytes, _Call] = {}
        self._way = lru_cache(maxsize=4096)(self._find_way)

    def attach(self, wire: Wire) -> None:
        """Hear the confirms of a new connection."""
        inbox = wire.new_inbox()
        self._inbox = inbox.encode() + b"."
        wire.hear(f"{inbox}.*.*", self._confirmed)

    def detach(self) -> None:
        """Answer for all that is in flight: its confirms can't come any more."""
        in_flight, self._in_flight = self._in_flight, {}
        for call in in_flight.values():
            call.answer_all(_LOST)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order."""
        wire = self._connection.wire
        if wire is None:
            return [NotSent(f"expected a connection to NATS, but {self._connection.trouble}")] * len(messages)
        if not messages:
            return []
        number = b"%d" % next(self._numbers)
        call = self._in_flight[number] = _Call(len(messages), b"%b%b." % (self._inbox, number))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(wire, call, messages)
                await call.done
        except TimeoutError:
            pass
        finally:
            self._in_flight.pop(number, None)
        late = NotSent(f"expected a confirm within {self._timeout_s} s, but none came")
        return [answer or late for answer in call.answers]

    async def _write(self, wire: Wire, call: _Call, messages: Sequence[Outgoing]) -> None:
        parts: list[bytes] = []
        size = 0
        for index, message in enumerate(messages):
            try:
                head, tail = self._around(message, call.reply, index, wire.max_payload)
            except Refused as refused:
                call.answer(index, NotSent(str(refused), permanent=True))
                continue
            parts += (head, message.body, tail)
            size += len(head) + len(message.body)
            if size > _WRITE_BYTES:
                wire.send(b"".join(parts))
                await wire.sent()
                parts, size = [], 0
                if self._connection.wire is not wire:
                    call.answer_all(_LOST)
                    return
        wire.send(b"".join(parts))
        await wire.sent()

    def _around(self, message: Outgoing, reply: bytes, index: int, limit: int) -> tuple[bytes, bytes]:
        """Give what of the command stands before the body, which is copied only when all is written, and after it."""
        route, head, header_size = self._way(message.channel)
        size = len(message.body)
        if not route.stream:  # nobody keeps it; that our own empty message comes back shows that the server took it
            _demand_size(size, limit)
            return b"PUB %b %d\r\n" % (route.subject, size), b"\r\nPUB %b%d 0\r\n\r\n" % (reply, index)
        message_id = channels.to_id(message.id).encode()
        header_size += len(message_id)
        size += header_size
        _demand_size(size, limit)
        return head % (reply, index, header_size, size, message_id), b"\r\n"

    def _find_way(self, channel: str) -> _Way:
        route = self._names.route(channel)
        header = b"NATS/1.0\r\nNats-Msg-Id: %b:%%b\r\nNats-Expected-Stream: %b\r\n\r\n" % (route.subject, route.stream)
        return _Way(route, b"HPUB %b %%b%%d %%d %%d\r\n%b" % (route.subject, header), len(header) - len(b"%b"))

    def _confirmed(self, subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        number, _, index = subject[len(self._inbox) :].partition(b".")
        call = self._in_flight.get(number)
        if call is not None and index.isdigit():
            call.answer(int(index), _answer(body, headers))


def _demand_size(size: int, limit: int) -> None:
    if size > limit:
        raise refuse("message.too_large", f"expected at most {limit} bytes with headers, found {size}")


def _answer(body: bytes, headers: bytes | None) -> Sent | NotSent:
    if body.startswith(_CONFIRM) and _ERROR not in body:
        return _SENT
    if not body:
        if headers is None or not headers.startswith(_NO_RESPONDERS):
            return _SENT
        return NotSent("expected a stream that takes the message, but there is none; provision the bus")
    try:
        confirm: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NotSent(f"expected a confirm, found {body[:200]!r}")
    error = confirm.get("error")
    if error is None:
        return _SENT
    return NotSent(
        f"expected a confirm, but NATS says: {error.get('description')}",
        permanent=error.get("err_code") == _MESSAGE_TOO_LARGE,
    )
