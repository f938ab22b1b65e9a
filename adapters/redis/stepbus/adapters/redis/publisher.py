"""Publishing with a confirm for every message: a call goes out in a few scripts, then all their answers are awaited."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from redis.exceptions import NoScriptError

from stepbus.adapters.redis.commands import Part
from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.scripts import PUBLISH
from stepbus.adapters.redis.topology import Keeping, Names, keeping
from stepbus.adapters.redis.wire import Answer, Wire, text_of
from stepbus.contracts import channels
from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import NotSent, Outgoing, Sent

_SENT = Sent()
_MOST_MESSAGES, _MOST_BYTES = 128, 64 * 1024
"""How much one script takes: others wait while it runs."""


class _Way(NamedTuple):
    """The stream of a channel, and what it keeps."""

    stream: str
    keeping: Keeping


class _Batch:
    """What one script sends: the streams by their number in it, and where its messages stood in the call."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.limits: list[Part] = []
        self.arguments: list[Part] = []
        self.places: list[int] = []
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self.size >= _MOST_BYTES or len(self.places) >= _MOST_MESSAGES

    def add(self, place: int, way: _Way, message: Outgoing) -> None:
        number = self.numbers.get(way.stream)
        if number is None:
            number = self.numbers[way.stream] = len(self.numbers) + 1
            kept = way.keeping
            self.limits += (kept.most, kept.age_ms, kept.rest_ms, kept.ids)
        self.arguments += (number, message.id, message.body)
        self.places.append(place)
        self.size += len(message.body)

    def command(self, mark: str) -> bytes:
        return PUBLISH.call([mark, *self.numbers], [*self.limits, *self.arguments])


class Publisher:
    """Sends messages, and turns what the server answers into our words."""

    def __init__(self, connection: Connection, names: Names, timeout_s: float, max_message_bytes: int) -> None:
        self._connection = connection
        self._names = names
        self._timeout_s = timeout_s
        self._max_message_bytes = max_message_bytes
        self._way = lru_cache(maxsize=4096)(self._find_way)
        self.on_absence: Callable[[], None] = lambda: None

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order."""
        wire = self._connection.wire
        if wire is None:
            return [NotSent(f"expected a connection to Redis, but {self._connection.trouble}")] * len(messages)
        answers: list[Sent | NotSent | None] = [None] * len(messages)
        asked: list[tuple[_Batch, asyncio.Future[Answer]]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(wire, messages, answers, asked)
                for batch, answer in asked:
                    self._settle(batch, await answer, answers)
        except TimeoutError:
            pass
        late = NotSent(f"expected a confirm within {self._timeout_s} s, but none came")
        return [answer or late for answer in answers]

    async def _send(
        self,
        wire: Wire,
        messages: Sequence[Outgoing],
        answers: list[Sent | NotSent | None],
        asked: "list[tuple[_Batch, asyncio.Future[Answer]]]",
    ) -> None:
        batch = _Batch()
        for place, message in enumerate(messages):
            try:
                way = self._way(message.channel)
                self._demand(message)
            except Refused as refused:
                answers[place] = NotSent(str(refused), permanent=True)
                continue
            batch.add(place, way, message)
            if batch.is_full:
                asked.append((batch, wire.ask(batch.command(self._names.mark))))
                batch = _Batch()
                await wire.sent()
        if batch.places:
            asked.append((batch, wire.ask(batch.command(self._names.mark))))

    def _settle(self, batch: _Batch, answer: Answer, answers: list[Sent | NotSent | None]) -> None:
        if isinstance(answer, list):
            for place, one in zip(batch.places, answer, strict=True):
                answers[place] = _SENT if one == 1 else NotSent(f"expected a confirm, but Redis says: {one.decode()}")
            return
        if isinstance(answer, NoScriptError):
            self._connection.renew()
        if isinstance(answer, Exception):
            refusal = NotSent(f"expected a confirm, but {text_of(answer)}")
        else:
            refusal = NotSent(
                f"expected the channels of {self._names.prefix} to be there, but they are not; provision the bus"
            )
            self.on_absence()
        for place in batch.places:
            answers[place] = refusal

    def _demand(self, message: Outgoing) -> None:
        channels.to_id(message.id)
        if len(message.body) > self._max_message_bytes:
            expected = f"expected at most {self._max_message_bytes} bytes"
            raise refuse("message.too_large", f"{expected}, found {len(message.body)}")

    def _find_way(self, channel: str) -> _Way:
        to = channels.to_send(channel)
        return _Way(self._names.stream(to), keeping(to))
