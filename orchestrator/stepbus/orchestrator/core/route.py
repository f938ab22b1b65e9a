"""Which message each event sends, and to whom.

What goes out is a function of the log alone, so it can be sent again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID
from zlib import crc32

from stepbus.contracts import codec, envelope, messages
from stepbus.contracts import events as e
from stepbus.orchestrator.core.state import IN_HAND, TaskState, TaskStatus

_TOKEN_BYTES: Final = 16
SLOTS: Final = 64
"""The parts that the streams of a log fall into, whatever the number of results channels: work is divided by them."""

_SHOWN_BODY: Final = 64 * 1024
_ATTRIBUTE: Final = envelope.MAX_ATTRIBUTE  # cut to it, since the name of a request is two attributes long
_DATASCHEMA: Final = {message: message.dataschema() for message in messages.PUBLISHED}


class Letter(NamedTuple):
    """A message to be sent: to a channel, or to a client's reply address where `replyto` is set."""

    channel: str
    id: str
    key: str
    body: bytes
    replyto: str | None = None


def slot_of(stream: UUID | str) -> int:
    """Give the slot of a stream, always the same."""
    return crc32(str(stream).encode()) % SLOTS


@dataclass(frozen=True, slots=True)
class Origin:
    """What the letters of one log have in common.

    Shape: `results` are the addresses of the results channels, one a partition; `secret` signs the tokens of jobs.
    """

    epoch: str
    secret: bytes
    results: Sequence[str]
    source: str = field(init=False, compare=False)
    """The CloudEvents source."""
    _keyed: blake2b = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take in the secret once."""
        object.__setattr__(self, "source", f"/stepbus/{self.epoch}")
        object.__setattr__(self, "_keyed", blake2b(key=self.secret, digest_size=_TOKEN_BYTES))

    def token(self, task_id: UUID, step: str, attempt: int) -> str:
        """Give the token that binds an answer to this attempt of this step: a keyed BLAKE2b. Source: RFC 7693."""
        keyed = self._keyed.copy()
        keyed.update(b"%b %d %b" % (task_id.bytes, attempt, step.encode()))
        return keyed.hexdigest()

    def results_address(self, task_id: UUID | str) -> str:
        """Give where the answers of a task go, always the same for one task."""
        return self.results[slot_of(task_id) % len(self.results)]

    def slots_of(self, partition: int) -> Sequence[int]:
        """Give the slots whose answers go to one of the results channels."""
        return range(partition, SLOTS, len(self.results))


@dataclass(slots=True)
class Place:
    """Where an event stands in the log."""

    position: int
    index: int
    meta: e.Metadata
    stream: UUID


def letters_of(origin: Origin, position: int, record: e.Record, stream: UUID, state: TaskState | None) -> list[Letter]:
    """Give the letters of all events of one record, in their order.

    `state` is the task's after the record, or later; None where no event of the record needs it.
    """
    letters: list[Letter] = []
    for index, event in enumerate(record.events):
        if type(event) in _LETTERS:
            letters += route(origin, Place(position, index, record.meta, stream), event, state)
    return letters


def route(origin: Origin, place: Place, event: e.Event, state: TaskState | None) -> Sequence[Letter]:
    """Give the letters of one event.

    `state` is the task's after the event's record, or later; None for other streams.
    """
    writer = _LETTERS.get(type(event))
    return () if writer is None else writer(origin, place, event, state)


def needs_state(event: e.Event) -> bool:
    """Say whether the task's state must be given for the letters of this event."""
    return type(event) in _NEED_STATE


def _job(origin: Origin, place: Place, event: e.StepDispatched, state: TaskState) -> Sequence[Letter]:
    plan, attempt = state.plan, event.attempt
    number = plan.index[event.step]
    if state.attempts[number] != attempt or state.step_status[number] not in IN_HAND:
        return ()  # superseded or over since: nobody would hear the answer
    step = plan.steps[number]
    task_id, name = str(state.task_id), step.name
    results = {}
    for dependency in plan.dependencies[number]:
        results[plan.steps[dependency].name] = state.results.get(dependency)
    data = {
        "attempt": attempt,
        "handler": step.handler,
        "idempotency_key": f"{task_id}/{name}",
        "inputs": {"context": state.context, "results": results},
        "replyto": origin.results_address(task_id),
        "step": name,
        "task_id": task_id,
        "timeout_ms": step.timeout,
        "token": origin.token(state.task_id, name, attempt),
    }
    return (_letter(origin, place, f"jobs.{step.queue}", messages.StepRequested, data, task_id),)


def _accepted(origin: Origin, place: Place, event: e.TaskAccepted, _state: TaskState | None) -> Sequence[Letter]:
    task_id = str(place.stream)
    data = {
        "task_id": task_id,
        "namespace": event.namespace,
        "name": event.name,
        "version": event.version,
        "position": place.position,
    }
    return _public(origin, place, messages.TaskAccepted, data, task_id, event.replyto)


def _changed(
    message: type[messages.TaskChanged], status: TaskStatus, reason: Callable[[Any], str]
) -> Callable[[Origin, Place, Any, TaskState], Sequence[Letter]]:
    def write(origin: Origin, place: Place, event: e.Event, state: TaskState) -> Sequence[Letter]:
        template, task_id = state.plan.template, str(place.stream)
        data = {
            "task_id": task_id,
            "namespace": template.namespace,
            "name": template.name,
            "version": template.version,
            "status": status.value,
            "reason": reason(event),
        }
        return _public(origin, place, message, data, task_id, None)

    return write


def _quarantined(
    origin: Origin, place: Place, event: e.MessageQuarantined, _state: TaskState | None
) -> Sequence[Letter]:
    first, message_id = event.problems[0], str(place.stream)
    data = {
        "message_id": message_id,
        "channel": event.channel,
        "code": first.code,
        "pointer": first.pointer,
        "reason": first.message,
        "body": event.body if len(event.body) <= _SHOWN_BODY else "",
    }
    entry = _letter(origin, place, "quarantine", messages.QuarantineEntry, data, message_id)
    if event.request_id is None:
        return (entry,)
    problems = [problem.model_dump(mode="json", exclude_none=True) for problem in event.problems]
    rejected = {"request_id": event.request_id, "problems": problems}
    return (entry, *_public(origin, place, messages.TaskRejected, rejected, event.request_id, event.replyto))


def _public(
    origin: Origin, place: Place, message: type[messages.Message], data: dict[str, Any], key: str, replyto: str | None
) -> Sequence[Letter]:
    letter = _letter(origin, place, "events", message, data, key)
    return (letter,) if replyto is None else (letter, Letter("", letter.id, key, letter.body, replyto))


def _letter(
    origin: Origin, place: Place, channel: str, message: type[messages.Message], data: dict[str, Any], key: str
) -> Letter:
    letter_id = f"{origin.epoch}:{place.position}.{place.index}"  # the same each time the event is sent
    meta = place.meta
    body = codec.encode(
        {
            "causationid": (meta.causation_id or key)[:_ATTRIBUTE],
            "correlationid": (meta.correlation_id or key)[:_ATTRIBUTE],
            "data": data,
            "datacontenttype": "application/json",
            "dataschema": _DATASCHEMA[message],
            "id": letter_id,
            "partitionkey": key[:_ATTRIBUTE],
            "source": origin.source,
            "specversion": "1.0",
            "tenant": meta.tenant,
            "time": _time(meta.at_ms),
            "type": message.TYPE,
        }
    )
    return Letter(channel, letter_id, key, body)


@lru_cache(maxsize=16)
def _time(at_ms: int) -> str:
    """Give the time as it is written; the records of a round share it."""
    return codec.encode(envelope.timestamp(at_ms))[1:-1].decode()


_LETTERS: Mapping[type[e.Event], Callable[[Origin, Place, Any, Any], Sequence[Letter]]] = {
    e.TaskAccepted: _accepted,
    e.StepDispatched: _job,
    e.TaskCompleted: _changed(messages.TaskCompleted, TaskStatus.COMPLETE, lambda _: ""),
    e.TaskFailed: _changed(messages.TaskFailed, TaskStatus.ERROR, lambda event: event.code),
    e.TaskCancelled: _changed(messages.TaskCancelled, TaskStatus.CANCELLED, lambda event: event.reason),
    e.TaskReopened: _changed(messages.TaskReopened, TaskStatus.IN_PROGRESS, lambda _: ""),
    e.TaskResolvedManually: _changed(
        messages.TaskResolvedManually, TaskStatus.RESOLVED_MANUALLY, lambda event: event.reason
    ),
    e.MessageQuarantined: _quarantined,
}
_NEED_STATE = frozenset(_LETTERS) - {e.TaskAccepted, e.MessageQuarantined}
