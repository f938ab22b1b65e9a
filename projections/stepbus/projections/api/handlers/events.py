"""A task's events as they happen, as server-sent events. Source: WHATWG HTML, section 9.2.

The id of an event is `<position>.<index>`: a client that comes back with it gets what followed, read from the log; it
misses nothing and sees nothing twice.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import StoredRecord
from stepbus.projections.api.endpoint import Api, Call
from stepbus.projections.api.handlers.tasks import unknown_task
from stepbus.projections.api.live import Listener
from stepbus.projections.api.models.tasks import Following, event_of
from stepbus.projections.api.refusals import refusal, unavailable
from stepbus.projections.projection import facts_of
from stepbus.projections.queries.tasks import version_before

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_S: Final = 15.0

_ID: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,9})")
_TERMINAL: Final = (e.TaskCompleted, e.TaskFailed, e.TaskCancelled, e.TaskResolvedManually)
_GREETING: Final = b"retry: 1000\n: follows the task\n\n"
_HEARTBEAT: Final = b": alive\n\n"
_FAREWELL: Final = b": closes; come back with the last id\n\n"
_END: Final = b"event: end\ndata: {}\n\n"
_CHUNK: Final = 100

Place = tuple[int, int]
START: Final[Place] = (0, -1)


@dataclass(slots=True)
class _Telling:
    """What one client has been told: up to which place and version, and whether the task has ended since."""

    after: Place
    version: int
    stops_at_end: bool
    has_ended: bool = False

    @property
    def is_over(self) -> bool:
        return self.stops_at_end and self.has_ended

    def tell(self, stored: StoredRecord) -> bytes:
        """Give the events of a record that the client has not seen."""
        if stored.version <= self.version:
            return b""
        self.version = stored.version
        told = bytearray()
        for fact in facts_of(stored):
            if isinstance(fact.event, _TERMINAL):
                self.has_ended = True
            elif isinstance(fact.event, e.TaskReopened):
                self.has_ended = False
            if (fact.position, fact.record_index) > self.after:
                told += (
                    f"id: {fact.position}.{fact.record_index}\ndata: {event_of(fact).model_dump_json()}\n\n".encode()
                )
        return bytes(told)


async def follow_task(call: Call) -> Response:
    """Stream what happens to a task, from its beginning or from the last event that the client saw."""
    query: Following = call.query
    after = _place(call.headers.get("last-event-id") or query.after)
    telling = _Telling(after, 0, stops_at_end=query.until == "terminal")
    if not telling.stops_at_end and after > START:
        telling.version = await version_before(call.api.views, call.task_id, after[0])
    past = await call.api.store.read_stream(call.task_id, telling.version)
    if (past[:1] and past[0].category != e.TASK) or (not past and not telling.version):
        raise unknown_task(call.task_id)
    if call.api.hub.is_full:
        raise unavailable("events.too_many", "expected fewer followers, found as many as are served; come back later")
    if after > START and _is_told(past, telling):
        return Response(status_code=HTTPStatus.NO_CONTENT.value)  # an EventSource does not come back after this
    stream = _stream(call.api, call.task_id, telling, past)
    return StreamingResponse(stream, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})


async def _stream(api: Api, task_id: UUID, telling: _Telling, past: Sequence[StoredRecord]) -> AsyncIterator[bytes]:
    async with api.hub.listening(task_id) as listener:
        yield _GREETING
        async for told in _tell(telling, past):
            yield told
        async for told in _tell(telling, await api.store.read_stream(task_id, telling.version)):
            yield told
        while not telling.is_over:
            yield await _next(listener, telling)
            if listener.is_done:
                yield _FAREWELL
                return
        yield _END


async def _tell(telling: _Telling, records: Sequence[StoredRecord]) -> AsyncIterator[bytes]:
    for first in range(0, len(records), _CHUNK):
        yield b"".join(map(telling.tell, records[first : first + _CHUNK]))
        await asyncio.sleep(0)  # a long history leaves room for others


async def _next(listener: Listener, telling: _Telling) -> bytes:
    try:
        record = await listener.next(HEARTBEAT_S)
    except TimeoutError:
        return _HEARTBEAT
    return b"" if record is None else telling.tell(record)


def _is_told(past: Sequence[StoredRecord], telling: _Telling) -> bool:
    """Say whether the task has ended and the client has seen how."""
    if not telling.stops_at_end:
        return False
    trial = _Telling(telling.after, telling.version, stops_at_end=True)
    return not any(list(map(trial.tell, past))) and trial.is_over


def _place(text: str | None) -> Place:
    if text is None:
        return START
    found = _ID.fullmatch(text)
    if found is None:
        message = f"expected <position>.<index> as Last-Event-ID, found {text!r}"
        raise refusal(HTTPStatus.BAD_REQUEST, "events.last_id", message)
    return int(found[1]), int(found[2])
