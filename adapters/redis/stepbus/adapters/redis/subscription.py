"""A reader of a consumer group: what comes new, and what is due again.

The server hands a new entry to whoever waits, at once. An entry that was given back, or whose holder said nothing for
too long, is taken by whoever looks for it first, a few times a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from time import monotonic
from uuid import uuid4

from redis.exceptions import NoScriptError, ResponseError

from stepbus.adapters.redis import scripts
from stepbus.adapters.redis.commands import Part, pack
from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.entries import Receipt, delivery, place_of
from stepbus.adapters.redis.reader import MOST_AT_ONCE, READ_S, Reader
from stepbus.adapters.redis.topology import again
from stepbus.adapters.redis.wire import Wire
from stepbus.orchestrator.ports import Delivery

_NEVER = float("inf")
_TURN_S = 0.02
"""How long a read waits if there is room for fewer messages than there are streams, and they are read by turns."""

_MOST_OFTEN_S, _LEAST_OFTEN_S = 0.2, 3.0
"""How often somebody looks for entries whose holder has fallen silent: ten times in the ack wait, within these."""


class GroupSubscription(Reader):
    """One consumer of a group, on the streams of one channel.

    What was fetched and is not acked yet is held, handed out or not, until another may have it; nothing is due before
    `_due`. `keeps` says that an entry stays in its stream when this group is done with it, `takes_over` that what
    others have un-acked at first is late already.
    """

    def __init__(
        self,
        connection: Connection,
        streams: Mapping[str, str],
        group: str,
        in_hand: int,
        ack_wait_s: float,
        *,
        keeps: bool,
        takes_over: bool,
        join: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(connection, ", ".join(streams))
        self._streams = streams
        self._keys = list(streams)
        self._group = group
        self._consumer = uuid4().hex
        self._in_hand = in_hand
        self._ack_wait_s = ack_wait_s
        self._ack_wait_ms = max(1, round(ack_wait_s * 1000))
        self._keeps = keeps
        self._takes_over = takes_over
        self._join = join
        self._held: dict[Receipt, float] = {}
        self._due = _NEVER
        self._freed = asyncio.Event()
        self._looks_at = 0.0
        self._sweeps_at = 0.0
        self._has_left = False

    # --- what a reader calls ---

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the server that it can forget these, all in one write."""
        wire = self._connection.wire
        receipts: list[Receipt] = [one.receipt for one in deliveries]
        self._let_go(receipts)
        if wire is None:
            return
        for stream, entries in _by_stream(receipts):
            numbers = [receipt.entry for receipt in entries]
            if not self._keeps:  # first, so that nothing stays in a stream for ever that no group will see again
                wire.tell_soon(pack("XDEL", stream, *numbers))
            wire.tell_soon(pack("XACK", stream, self._group, *numbers))
        self._leave_if_done()
        await wire.sent()

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, unless somebody else has it by now."""
        receipt: Receipt = delivery.receipt
        if receipt in self._held:
            self._give_back([(receipt, receipt.times)], delay_s)
            self._looks_at = min(self._looks_at, monotonic() + delay_s)
            if delay_s <= 0:
                self._interrupt()
            self._leave_if_done()

    async def extend(self, delivery: Delivery) -> None:
        """Start the wait for its ack anew, unless somebody else has it by now."""
        receipt: Receipt = delivery.receipt
        if receipt in self._held and self._connection.wire is not None:
            self._held[receipt] = monotonic() + self._ack_wait_s
            self._connection.wire.tell(
                scripts.EXTEND.call([receipt.stream], (self._group, self._consumer, receipt.entry, receipt.times))
            )

    async def close(self) -> None:
        """Stop receiving and give back at once what was fetched and not handed out, as if it had not been."""
        if self._is_closed:
            return
        await super().close()
        kept = [one.receipt for one in self._fetched if one.receipt in self._held]
        self._fetched.clear()
        self._give_back([(receipt, receipt.times - 1) for receipt in kept])
        self._leave_if_done()

    async def abandon(self) -> None:
        """Close, and give back at once what was handed out, too."""
        await self.close()
        self._give_back([(receipt, receipt.times) for receipt in self._held])
        self._leave_if_done()

    @property
    def is_over(self) -> bool:
        """Say that it is closed, and that the server has all that it held."""
        self._forget_late()
        return self._is_closed and not self._held

    # --- what it reads ---

    async def read(self, wire: Wire, wanted: int) -> Sequence[Delivery]:
        """Give what is due again, or else what comes new."""
        self._forget_late()
        room = self._in_hand - len(self._held)
        now = monotonic()
        if room <= 0:
            await self._wait_for_room(min(READ_S, max(0.0, self._due - now)))
            return ()
        if self._looks_at <= now:
            redelivered = await self._look(wire, min(room, max(wanted, 1), MOST_AT_ONCE), now)
            if redelivered:
                return redelivered
        return await self._read_new(wire, room, wanted)

    async def mend(self, error: Exception) -> None:
        """Make the group again if it is gone."""
        if isinstance(error, ResponseError) and not isinstance(error, NoScriptError):
            await self._join()

    def held(self, delivery: Delivery) -> bool:
        """Say whether nobody else can have it by now."""
        return delivery.receipt in self._held

    async def _look(self, wire: Wire, most: int, now: float) -> Sequence[Delivery]:
        """Take what is due again. If there was as much as there may be, look again soon."""
        sweeps = self._sweeps_at <= now
        if sweeps:
            self._sweeps_at = now + min(_LEAST_OFTEN_S, max(_MOST_OFTEN_S, self._ack_wait_s / 10))
        keys = [key for stream in self._keys for key in (stream, again(stream, self._group))]
        wait_ms = 0 if self._takes_over else self._ack_wait_ms
        arguments = (self._group, self._consumer, most, wait_ms, int(sweeps))
        taken = await self.ask(wire, scripts.REDELIVER.call(keys, arguments))
        self._takes_over = False
        self._looks_at = now if len(taken) == most else now + READ_S
        return [self._hold(self._keys[number], entry, fields, count) for number, entry, fields, count in taken]

    async def _read_new(self, wire: Wire, room: int, wanted: int) -> Sequence[Delivery]:
        keys = self._keys
        wait_s = max(0.001, min(READ_S, self._looks_at - monotonic()))
        if room < len(keys):
            self._keys = keys = keys[room:] + keys[:room]
            keys, wait_s = keys[:room], _TURN_S
        each = max(1, min(room, wanted, MOST_AT_ONCE) // len(keys))
        wait_ms = max(1, round(wait_s * 1000))
        command = pack(
            *("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", each, "BLOCK", wait_ms),
            *("STREAMS", *keys, *[">" for _ in keys]),
        )
        found = await self.ask(wire, command, wait_s) or ()
        entries = [(key.decode(), entry, fields) for key, some in found for entry, fields in some]
        if len(found) > 1:
            entries.sort(key=lambda one: place_of(one[1]))
        return [self._hold(key, entry, fields, 1) for key, entry, fields in entries]

    def _hold(self, stream: str, entry: bytes, fields: Sequence[bytes], count: int) -> Delivery:
        receipt = Receipt(stream, entry, count)
        self._held[receipt] = due = monotonic() + self._ack_wait_s
        self._due = min(self._due, due)
        return delivery(self._streams[stream], fields, receipt)

    # --- what it holds ---

    def _let_go(self, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self._held.pop(receipt, None)
        self._freed.set()

    def _forget_late(self) -> None:
        now = monotonic()
        if self._due <= now:
            self._let_go([receipt for receipt, due in self._held.items() if due <= now])
            self._due = min(self._held.values(), default=_NEVER)

    async def _wait_for_room(self, timeout_s: float) -> None:
        self._freed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._freed.wait()
        except TimeoutError:
            pass

    def _give_back(self, counts: Sequence[tuple[Receipt, int]], delay_s: float = 0) -> None:
        """Let others have these, each with the count that it goes back with."""
        self._let_go([receipt for receipt, _ in counts])
        wire = self._connection.wire
        if wire is None:
            return
        becomes = dict(counts)
        for stream, receipts in _by_stream(becomes):
            arguments: list[Part] = [self._group, self._consumer, self._ack_wait_ms, round(delay_s * 1000)]
            for receipt in receipts:
                arguments += (receipt.entry, receipt.times, becomes[receipt])
            wire.tell(scripts.GIVE_BACK.call([stream, again(stream, self._group)], arguments))

    def _leave_if_done(self) -> None:
        """Take the consumer out of the group once it is closed and holds nothing."""
        wire = self._connection.wire
        if self._is_closed and not self._held and not self._has_left and wire is not None:
            self._has_left = True
            wire.tell(scripts.LEAVE.call(self._keys, [self._group, self._consumer]))


def _by_stream(receipts: Iterable[Receipt]) -> Iterable[tuple[str, list[Receipt]]]:
    ordered = sorted(receipts, key=lambda receipt: receipt.stream)
    return [(stream, list(some)) for stream, some in groupby(ordered, key=lambda receipt: receipt.stream)]
