"""What happened to a task, told in a line an event; and followed as it happens."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from stepbus.orchestrator.cli.drawing.looks import STEP, TASK, TERMINAL
from stepbus.orchestrator.cli.drawing.sketch import Line, Piece
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.moments import clock
from stepbus.orchestrator.cli.pages import all_of
from stepbus.orchestrator.cli.printable import one_line
from stepbus.orchestrator.cli.remote import Api, path_of

Event = Mapping[str, Any]
"""An event as the API gives it: sequence, position, index, type, step, attempt, at_ms, actor, data."""

_TASK_STATUS = {
    "TaskAccepted": "in_progress",
    "TaskReopened": "in_progress",
    "TaskCompleted": "complete",
    "TaskFailed": "error",
    "TaskCancelled": "cancelled",
    "TaskResolvedManually": "resolved_manually",
}
_STEP_STATE = {
    "StepBypassed": "bypassed",
    "StepDispatched": "dispatched",
    "StepHeartbeatRecorded": "in_progress",
    "StepCompleted": "complete",
    "StepCancelled": "cancelled",
    "StepResolvedManually": "resolved_manually",
    "StepReopened": "pending",
}
_SAID_BY_WORKERS = frozenset({"StepHeartbeatRecorded", "StepCompleted", "StepFailed"})
"""What a worker did; what follows from it carries the worker's name in the log, but is the coordinator's doing."""
_LOOK_S = 0.5
_PATIENCE_S = 30.0


def task_status_after(event: Event) -> str | None:
    """Give the task's status from this event on; None if the event does not change it."""
    return _TASK_STATUS.get(event["type"])


def step_state_after(event: Event) -> str | None:
    """Give the state from this event on of the step that it is about; None for an event of the task."""
    if event["type"] in {"StepFailed", "StepTimedOut"}:
        return "error" if event["data"]["retry_at_ms"] is None else "waiting_for_retry"
    return _STEP_STATE.get(event["type"])


def told(event: Event) -> Line:
    """Give the event as a line: when, what, of which step and attempt, by whom, and why."""
    state = step_state_after(event)
    style = STEP[state].style if state is not None else TASK.get(task_status_after(event) or "", "")
    attempt = f" #{event['attempt']}" if event["attempt"] else ""
    return (
        Piece(f"{clock(event['at_ms'])}  ", "dim"),
        Piece(f"{event['type']:<21}", style),
        Piece(f"  {event['step'] or ''}{attempt}"),
        Piece("".join(f"  {one_line(detail)}" for detail in _details(event)), "dim"),
    )


def _details(event: Event) -> Iterator[str]:
    data = event["data"]
    if isinstance(data.get("error"), dict):
        yield ": ".join(part for part in (data["error"]["code"], data["error"]["message"]) if part)
    if data.get("retry_at_ms") is not None:
        yield f"retry at {clock(data['retry_at_ms'])}"
    if data.get("code"):
        yield data["code"]
    if data.get("failed_steps"):
        yield ", ".join(data["failed_steps"])
    if data.get("reason"):
        yield data["reason"]
    kind, _, name = event["actor"].partition("/")
    if kind == "operator" or (kind == "worker" and event["type"] in _SAID_BY_WORKERS):
        yield f"by {name}"


def followed(api: Api, task_id: str) -> Iterator[Event]:
    """Give the events of a task from its first on, as they happen, until the task is at rest.

    A stream that breaks off is taken up where it ended; where the API has too many of them, the history is read
    instead.

    Raises:
        Failure: the API has not been reached for half a minute, or refuses.
    """
    last: Event | None = None
    status: str | None = None
    reached_at = time.monotonic()
    read_on = _streamed
    while status not in TERMINAL:
        try:
            for event in read_on(api, task_id, last):
                last, status = event, task_status_after(event) or status
                yield event
            reached_at = time.monotonic()
        except Failure as failure:
            if failure.code == "events.too_many":
                read_on = _paged
            elif failure.code != "api.unreachable" or time.monotonic() - reached_at > _PATIENCE_S:
                raise
        if status not in TERMINAL:
            time.sleep(_LOOK_S)


def _streamed(api: Api, task_id: str, last: Event | None) -> Iterator[Event]:
    after = None if last is None else f"{last['position']}.{last['index']}"
    for notice in api.notices(path_of("tasks", task_id, "events"), after=after, until="terminal"):
        if notice.event != "end":
            yield notice.data


def _paged(api: Api, task_id: str, last: Event | None) -> Iterator[Event]:
    seen = 0 if last is None else last["sequence"]
    history = all_of(api, path_of("tasks", task_id, "history"), "events", None)["events"]
    yield from (event for event in history if event["sequence"] > seen)
