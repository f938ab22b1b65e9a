"""Publishing with a confirm for every message: all of a call are sent, then all confirms are awaited."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.topology import Names
from stepbus.adapters.nats.wire import Wire
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import NotSent, Outgoing, Sent

_SENT = Sent()
_LOST = NotSent("expected a confirm, but the connection was lost")
_NO_RESPONDERS = b"NATS/1.0 503"
_WRITE_BYTES = 256 * 1024
_MESSAGE_TOO_LARGE = 10054
"""The stream's own limit on a message's size, of the JetStream error codes."""


class _Call:
    """The answers of one call, by their place in it."""

    __slots__ = ("answers", "done", "missing")

    def __init__(self, count: int) -> None:
        self.answers: list[Sent | NotSent | None] = [None] * count
        self.missing = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, index: int, answer: Sent | NotSent) -> None:
        self.answers[index] = answer
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(None)


class Publisher:
    """Sends messages and matches the server's confirms to them."""

    def __init__(self, connection: Connection, names: Names, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._inbox = b""
        self._number = 0
        self._in_flight: dict[int, tuple[_Call, int]] = {}
        self._route = lru_cache(maxsize=4096)(names.route)

    def attach(self, wire: Wire) -> None:
        """Hear the confirms of a new connection."""
        inbox = wire.new_inbox()
        self._inbox = inbox.encode() + b"."
        wire.hear(f"{inbox}.*", self._confirmed)

    def detach(self) -> None:
        """Answer for all that is in flight: its confirms can't come any more."""
        in_flight, self._in_flight = self._in_flight, {}
        for call, index in in_flight.values():
            call.answer(index, _LOST)

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order."""
        wire = self._connection.wire
        if wire is None:
            return [NotSent(f"expected a connection to NATS, but {self._connection.trouble}")] * len(messages)
        if not messages:
            return []
        call = _Call(len(messages))
        first = self._number
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(wire, call, messages)
                await call.done
        except TimeoutError:
            pass
        finally:
            for number in range(first, self._number) if call.missing else ():
                if self._in_flight.get(number, (None,))[0] is call:
                    del self._in_flight[number]
        late = NotSent(f"expected a confirm within {self._timeout_s} s, but none came")
        return [answer or late for answer in call.answers]

    async def _write(self, wire: Wire, call: _Call, messages: Sequence[Outgoing]) -> None:
        commands: list[bytes] = []
        size = 0
        for index, message in enumerate(messages):
            number = self._number
            self._number += 1
            try:
                command = self._command(wire, message, b"%b%d" % (self._inbox, number))
            except Refused as refused:
                call.answer(index, NotSent(str(refused), permanent=True))
                continue
            self._in_flight[number] = (call, index)
            commands.append(command)
            size += len(command)
            if size > _WRITE_BYTES:
                wire.send(b"".join(commands))
                await wire.sent()
                commands, size = [], 0
                if self._connection.wire is not wire:
                    for rest in range(index + 1, len(messages)):
                        call.answer(rest, _LOST)
                    return
        wire.send(b"".join(commands))
        await wire.sent()

    def _command(self, wire: Wire, message: Outgoing, reply: bytes) -> bytes:
        route = self._route(message.channel)
        body = message.body
        if not route.stream:  # nobody keeps it; that our own empty message comes back shows that the server took it
            _demand_size(len(body), wire.max_payload)
            return b"PUB %b %d\r\n%b\r\nPUB %b 0\r\n\r\n" % (route.subject, len(body), body, reply)
        header = b"NATS/1.0\r\nNats-Msg-Id: %b:%b\r\nNats-Expected-Stream: %b\r\n\r\n" % (
            route.subject,
            channels.to_id(message.id).encode(),
            route.stream,
        )
        size = len(header) + len(body)
        _demand_size(size, wire.max_payload)
        return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (route.subject, reply, len(header), size, header, body)

    def _confirmed(self, subject: bytes, _reply: bytes, body: bytes, headers: bytes | None) -> None:
        number = subject[len(self._inbox) :]
        found = self._in_flight.pop(int(number), None) if number.isdigit() else None
        if found is not None:
            call, index = found
            call.answer(index, _answer(body, headers))


def _demand_size(size: int, limit: int) -> None:
    if size > limit:
        raise refuse("message.too_large", f"expected at most {limit} bytes with headers, found {size}")


def _answer(body: bytes, headers: bytes | None) -> Sent | NotSent:
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
