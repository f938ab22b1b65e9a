"""A continuous pull: messages arrive as if pushed, but never more than there is room for.

The server is asked for as many messages as the hand has room, and asked again when half of them have come. While it
has none it says now and then that it is alive, and it says when a request has ended. Whoever waits for messages next
does all repairs: of a consumer that is gone, of a server that has fallen silent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from logging import DEBUG, WARNING
from time import monotonic

import orjson

from stepbus.adapters.nats.api import JetStreamApi
from stepbus.adapters.nats.connection import Connection
from stepbus.adapters.nats.deliveries import headers_of, metadata_of, nak
from stepbus.adapters.nats.provisioning import create_consumer
from stepbus.adapters.nats.topology import ConsumerPlace
from stepbus.adapters.nats.wire import Wire
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusUnavailable, Delivery

_log = logging.getLogger(__name__)

_NEVER = float("inf")
_SECOND = 1_000_000_000
_HEARTBEAT_S = 2
_SILENT_S = 2.5 * _HEARTBEAT_S
_MENDING_PAUSE_S = 0.2
_GOODBYE_S = 1.0
_BUFFER_BYTES = 32 * 1024 * 1024
"""How much may be fetched and not handed out, beside the number of messages."""

_STATUS = b"NATS/1.0 "
_PENDING = b"Nats-Pending-Messages: "
_HEARTBEAT = b"100"


class PullSubscription:
    """One reader of a consumer.

    A delivery's receipt is where its ack goes. What was fetched and is not acked yet is held, handed out or not, until
    the server gives it to another; nothing is due before `_due`.
    """

    def __init__(
        self,
        connection: Connection,
        api: JetStreamApi,
        place: ConsumerPlace,
        prefix: str,
        in_hand: int,
        ack_wait_s: float,
    ) -> None:
        self._connection = connection
        self._api = api
        self._place = place
        self._prefix_length = len(prefix) + 1
        self._in_hand = in_hand
        self._ack_wait_s = ack_wait_s
        self._first_ack = f"$JS.ACK.{place.stream}.{place.name}.1.".encode()
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{place.stream}.{place.name}".encode()
        self._inbox = b""
        self._sid = 0
        self._fetched: deque[Delivery] = deque()
        self._fetched_bytes = 0
        self._asked = 0
        self._held: dict[bytes, float] = {}
        self._due = _NEVER
        self._heard_at = 0.0
        self._is_broken = False
        self._is_failing = False
        self._mending = asyncio.Lock()
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_closed = False

    # --- what a reader calls ---

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the server is away."""
        deadline = monotonic() + timeout_s
        await asyncio.sleep(0)  # who finds messages for ever must leave room for others
        while not self._is_closed:
            taken = self._take(limit)
            self._ask()
            remaining_s = deadline - monotonic()
            if taken or remaining_s <= 0:
                return taken
            await self._mend()
            await self._changed(remaining_s)
        return ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the server that it can forget these, all in one write."""
        for delivery in deliveries:
            self._held.pop(delivery.receipt, None)
        self._send(b"".join([b"PUB %b 4\r\n+ACK\r\n" % delivery.receipt for delivery in deliveries]))
        self._ask()
        await self._sent()

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, unless somebody else has it by now."""
        if self._held.pop(delivery.receipt, None) is not None:
            self._send(nak(delivery.receipt, delay_s))
            self._ask()
            await self._sent()

    async def extend(self, delivery: Delivery) -> None:
        """Start the wait for its ack anew, unless somebody else has it by now."""
        if delivery.receipt in self._held:
            self._held[delivery.receipt] = monotonic() + self._ack_wait_s
            self._send(b"PUB %b 4\r\n+WPI\r\n" % delivery.receipt)

    async def close(self) -> None:
        """Stop receiving and give back at once what was fetched and not handed out."""
        if self._is_closed:
            return
        self._is_closed = True
        self._wake()
        wire = self._connection.wire
        self._connection.unlink(self)
        if wire is None:
            return
        wire.mute(self._sid)
        with suppress(TimeoutError):
            await wire.settle(_GOODBYE_S)  # what is under way arrives, and is given back with the rest
        wire.forget(self._sid)
        self._give_back([delivery.receipt for delivery in self._fetched])
        self._fetched.clear()

    async def abandon(self) -> None:
        """Close, and give back at once what was handed out, too."""
        await self.close()
        self._give_back(list(self._held))

    @property
    def is_over(self) -> bool:
        """Say that it is closed, and that the server has all that it held."""
        self._forget_late()
        return self._is_closed and not self._held

    # --- what the connection calls ---

    def attach(self, wire: Wire) -> None:
        """Hear on a new connection, under a new name: what was asked for under the old one is moot."""
        inbox = wire.new_inbox()
        self._inbox = inbox.encode()
        self._sid = wire.hear(inbox, self._arrived)
        self._asked = 0
        self._heard_at = monotonic()
        self._ask()

    def detach(self) -> None:
        """Ask no more until there is a new connection. What was fetched can still be handed out."""
        self._asked = 0

    def _arrived(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        self._heard_at = now = monotonic()
        if headers is not None and headers.startswith(_STATUS):
            self._told(headers)
            return
        self._asked -= 1
        self._held[reply] = due = now + self._ack_wait_s
        self._due = min(self._due, due)
        count = 1 if reply.startswith(self._first_ack) else metadata_of(reply)[0]
        channel = subject[self._prefix_length :].decode("utf-8", "replace")
        self._fetched.append(Delivery(channel, body, headers_of(headers), count, reply))
        self._fetched_bytes += len(body)
        if self._waiting:
            self._wake()

    def _told(self, headers: bytes) -> None:
        code = headers[len(_STATUS) : len(_STATUS) + 3]
        if code == _HEARTBEAT:
            return
        _, found, rest = headers.partition(_PENDING)
        if found:
            self._asked = max(0, self._asked - int(rest.partition(b"\r\n")[0]))
            self._ask()
        else:
            self._is_broken = True
            self._wake()

    # --- the pull ---

    def _take(self, limit: int) -> Sequence[Delivery]:
        self._forget_late()
        fetched, held = self._fetched, self._held
        taken: list[Delivery] = []
        while fetched and len(taken) < limit:
            delivery = fetched.popleft()
            self._fetched_bytes -= len(delivery.body)
            if delivery.receipt in held:
                taken.append(delivery)
        return taken

    def _ask(self) -> None:
        """Ask for what there is room for, unless most of that is on its way."""
        self._forget_late()
        wire = self._connection.wire
        if wire is None or self._is_closed or self._is_broken or self._fetched_bytes > _BUFFER_BYTES // 2:
            return
        room = self._in_hand - len(self._held) - self._asked
        is_dry = not self._asked and not self._fetched
        if room > 0 and (is_dry or room >= (self._in_hand + 1) // 2):
            self._asked += room
            request = orjson.dumps(
                {
                    "batch": room,
                    "expires": int(self._place.asked_for_s * _SECOND),
                    "idle_heartbeat": int(min(_HEARTBEAT_S, self._place.asked_for_s / 3) * _SECOND),
                    "max_bytes": _BUFFER_BYTES,
                }
            )
            wire.send(b"PUB %b %b %d\r\n%b\r\n" % (self._next, self._inbox, len(request), request))

    def _forget_late(self) -> None:
        now = monotonic()
        if self._due <= now:
            for late in [receipt for receipt, due in self._held.items() if due <= now]:
                del self._held[late]
            self._due = min(self._held.values(), default=_NEVER)

    async def _mend(self) -> None:
        is_silent = self._asked > 0 and monotonic() - self._heard_at > _SILENT_S
        if self._connection.wire is None or not (self._is_broken or is_silent) or self._mending.locked():
            return
        async with self._mending:
            try:
                await create_consumer(self._api, self._place, self._ack_wait_s)
            except (BusUnavailable, Refused) as error:
                _log.log(
                    DEBUG if self._is_failing else WARNING, "nothing comes from %s: %s", self._place.subject, error
                )
                self._is_broken = self._is_failing = True
                await self._changed(_MENDING_PAUSE_S)
                return
            self._is_broken = self._is_failing = False
            self._renew()

    def _renew(self) -> None:
        wire = self._connection.wire
        if wire is not None and not self._is_closed:
            wire.forget(self._sid)
            self.attach(wire)

    # --- waiting and writing ---

    async def _changed(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting.add(woken)
        until_due_s = max(0.0, self._due - monotonic())
        timer = loop.call_later(min(timeout_s, until_due_s, _HEARTBEAT_S), _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._waiting.discard(woken)

    def _wake(self) -> None:
        for woken in self._waiting:
            _set(woken)
        self._waiting.clear()

    def _give_back(self, receipts: Sequence[bytes]) -> None:
        for receipt in receipts:
            self._held.pop(receipt, None)
        self._send(b"".join([nak(receipt) for receipt in receipts]))

    def _send(self, commands: bytes) -> None:
        if self._connection.wire is not None and commands:
            self._connection.wire.send(commands)

    async def _sent(self) -> None:
        if self._connection.wire is not None:
            await self._connection.wire.sent()


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
