"""Which message each event sends, and to whom.

What goes out is a function of the log alone, so it can be sent again.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zlib import crc32

from stepbus.contracts import codec, envelope, messages
from stepbus.contracts import events as e
from stepbus.orchestrator.core.state import IN_HAND, TaskState, TaskStatus

_TOKEN_LENGTH = 32
_SHOWN_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be sent: to a channel, or to a client's reply address where `replyto` is set."""

    channel: str
    id: str
    key: str
    body: bytes
    replyto: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the letters of one log have in common.

    Shape: `results` are the addresses of the results channels, one a partition; `secret` signs the tokens of jobs.
    """

    epoch: str
    secret: bytes
    results: Sequence[str]

    @property
    def source(self) -> str:
        """Give the CloudEvents source."""
        return f"/stepbus/{self.epoch}"

    def token(self, task_id: UUID, step: str, attempt: int) -> str:
        """Give the token that binds an answer to this attempt of this step."""
        digest = hmac.new(self.secret, f"{task_id}|{step}|{attempt}".encode(), "sha256")
        return digest.hexdigest()[:_TOKEN_LENGTH]

    def results_address(self, task_id: UUID) -> str:
        """Give where the answers of a task go, always the same for one task."""
        return self.results[crc32(str(task_id).encode()) % len(self.results)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in the log."""

    position: int
    index: int
    meta: e.Metadata
    stream: UUID

    def letter_id(self, origin: Origin) -> str:
        """Give the id of the message that the event sends, the same each time it is sent."""
        return f"{origin.epoch}:{self.position}.{self.index}"


def route(origin: Origin, place: Place, event: e.Event, state: TaskState | None) -> Iterator[Letter]:
    """Give the letters of one event.

    `state` is the task's after the event's record, or later; None for other streams.
    """
    writer = _LETTERS.get(type(event))
    if writer is not None:
        yield from writer(origin, place, event, state)


def needs_state(event: e.Event) -> bool:
    """Say whether `route` must be given the task's state for this event."""
    return type(event) in _NEED_STATE


def _job(origin: Origin, place: Place, event: e.StepDispatched, state: TaskState) -> Iterator[Letter]:
    number = state.plan.index[event.step]
    step = state.plan.steps[number]
    if state.attempts[number] != event.attempt or state.step_status[number] not in IN_HAND:
        return  # superseded or over since: nobody would hear the answer
    task_id = str(state.task_id)
    data = {
        "task_id": task_id,
        "step": step.name,
        "attempt": event.attempt,
        "handler": step.handler,
        "inputs": {
            "context": state.context,
            "results": {
                state.plan.steps[dependency].name: state.results.get(dependency)
                for dependency in state.plan.dependencies[number]
            },
        },
        "timeout_ms": step.timeout,
        "idempotency_key": f"{task_id}/{step.name}",
        "replyto": origin.results_address(state.task_id),
        "token": origin.token(state.task_id, step.name, event.attempt),
    }
    yield _letter(origin, place, f"jobs.{step.queue}", messages.StepRequested, data, task_id)


def _accepted(origin: Origin, place: Place, event: e.TaskAccepted, _state: TaskState | None) -> Iterator[Letter]:
    data = {
        "task_id": str(place.stream),
        "namespace": event.namespace,
        "name": event.name,
        "version": event.version,
        "position": place.position,
    }
    yield from _public(origin, place, messages.TaskAccepted, data, str(place.stream), event.replyto)


def _changed(
    message: type[messages.TaskChanged], status: TaskStatus, reason: Callable[[Any], str]
) -> Callable[[Origin, Place, Any, TaskState], Iterator[Letter]]:
    def write(origin: Origin, place: Place, event: e.Event, state: TaskState) -> Iterator[Letter]:
        template = state.plan.template
        data = {
            "task_id": str(place.stream),
            "namespace": template.namespace,
            "name": template.name,
            "version": template.version,
            "status": status.value,
            "reason": reason(event),
        }
        yield from _public(origin, place, message, data, str(place.stream), None)

    return write


def _quarantined(
    origin: Origin, place: Place, event: e.MessageQuarantined, _state: TaskState | None
) -> Iterator[Letter]:
    first = event.problems[0]
    data = {
        "message_id": str(place.stream),
        "channel": event.channel,
        "code": first.code,
        "pointer": first.pointer,
        "reason": first.message,
        "body": event.body if len(event.body) <= _SHOWN_BODY else "",
    }
    yield _letter(origin, place, "quarantine", messages.QuarantineEntry, data, str(place.stream))
    if event.request_id is not None:
        problems = [problem.model_dump(mode="json", exclude_none=True) for problem in event.problems]
        rejected = {"request_id": event.request_id, "problems": problems}
        yield from _public(origin, place, messages.TaskRejected, rejected, event.request_id, event.replyto)


def _public(
    origin: Origin, place: Place, message: type[messages.Message], data: dict[str, Any], key: str, replyto: str | None
) -> Iterator[Letter]:
    letter = _letter(origin, place, "events", message, data, key)
    yield letter
    if replyto is not None:
        yield Letter("", letter.id, key, letter.body, replyto)


def _letter(
    origin: Origin, place: Place, channel: str, message: type[messages.Message], data: dict[str, Any], key: str
) -> Letter:
    letter_id = place.letter_id(origin)
    body = codec.encode(
        {
            "specversion": "1.0",
            "id": letter_id,
            "source": origin.source,
            "type": message.TYPE,
            "time": envelope.timestamp(place.meta.at_ms),
            "datacontenttype": "application/json",
            "dataschema": message.dataschema(),
            "partitionkey": _attribute(key),
            "correlationid": _attribute(place.meta.correlation_id or key),
            "causationid": _attribute(place.meta.causation_id or key),
            "tenant": place.meta.tenant,
            "data": data,
        }
    )
    return Letter(channel, letter_id, key, body)


def _attribute(text: str) -> str:
    """Give as much of the text as an attribute may hold: the name of a request is two attributes long."""
    return text[: envelope.MAX_ATTRIBUTE]


_LETTERS: Mapping[type[e.Event], Callable[[Origin, Place, Any, Any], Iterator[Letter]]] = {
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
