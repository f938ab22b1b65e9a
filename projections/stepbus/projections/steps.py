"""The step states: a row for every step of every task from its acceptance on.

The template's steps and edges are kept once, beside the rows. What a step waits for is read from both when it is asked
for: so it is answered from this view alone, and an event changes the rows of the steps it names, whatever the size of
the task.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepbus.contracts import events as e
from stepbus.contracts.template import TaskTemplate
from stepbus.projections.levels import levels_of
from stepbus.projections.projection import (
    Batch,
    Fact,
    Projection,
    Row,
    Table,
    by_event,
    inserting,
    json_text,
    updating,
    worker_of,
)

SATISFIED = ("complete", "resolved_manually", "bypassed")
TIMED_OUT = "step.timed_out"

_PLAN_STEPS = Table(
    "view_plan_steps",
    ("template_hash", "ordinal"),
    (
        """CREATE TABLE IF NOT EXISTS view_plan_steps (
            template_hash TEXT NOT NULL,
            ordinal BIGINT NOT NULL,
            step TEXT NOT NULL,
            level BIGINT NOT NULL,
            description TEXT NOT NULL,
            handler TEXT NOT NULL,
            queue TEXT NOT NULL,
            max_attempts BIGINT NOT NULL,
            timeout_ms BIGINT NOT NULL,
            skippable BIGINT NOT NULL,
            PRIMARY KEY (template_hash, ordinal)
        )""",
    ),
)
_PLAN_EDGES = Table(
    "view_plan_edges",
    ("template_hash", "step", "depends_on"),
    (
        """CREATE TABLE IF NOT EXISTS view_plan_edges (
            template_hash TEXT NOT NULL,
            step TEXT NOT NULL,
            depends_on TEXT NOT NULL,
            PRIMARY KEY (template_hash, step, depends_on)
        )""",
        # Either way, all that is asked for is in the index: else SQLite takes the one where it is, and walks all edges.
        "CREATE INDEX IF NOT EXISTS view_plan_edges_down ON view_plan_edges (template_hash, depends_on, step)",
    ),
)
_STEP_TASKS = Table(
    "view_step_tasks",
    ("task_id",),
    (
        """CREATE TABLE IF NOT EXISTS view_step_tasks (
            task_id TEXT NOT NULL PRIMARY KEY,
            template_hash TEXT NOT NULL,
            total_steps BIGINT NOT NULL
        )""",
    ),
)
_STEPS = Table(
    "view_steps",
    ("task_id", "step"),
    (
        """CREATE TABLE IF NOT EXISTS view_steps (
            task_id TEXT NOT NULL,
            step TEXT NOT NULL,
            ordinal BIGINT NOT NULL,
            state TEXT NOT NULL,
            attempt BIGINT NOT NULL,
            max_attempts BIGINT NOT NULL,
            dispatched_at_ms BIGINT,
            heartbeat_at_ms BIGINT,
            deadline_at_ms BIGINT,
            retry_at_ms BIGINT,
            ended_at_ms BIGINT,
            worker TEXT,
            progress TEXT,
            result TEXT,
            error_code TEXT,
            error_message TEXT,
            error TEXT,
            reason TEXT,
            PRIMARY KEY (task_id, step)
        )""",
        "CREATE INDEX IF NOT EXISTS view_steps_ordinal ON view_steps (task_id, ordinal)",
    ),
)

_PLAN_STEP = inserting(
    "view_plan_steps",
    "template_hash",
    "ordinal",
    "step",
    "level",
    "description",
    "handler",
    "queue",
    "max_attempts",
    "timeout_ms",
    "skippable",
)
_PLAN_EDGE = inserting("view_plan_edges", "template_hash", "depends_on", "step")
# NULLIF makes a task of an unknown template fail here, with its position, rather than have no steps.
_ACCEPT = """INSERT INTO view_step_tasks (task_id, template_hash, total_steps) VALUES (:task_id, :template_hash,
    (SELECT NULLIF(COUNT(*), 0) FROM view_plan_steps WHERE template_hash = :template_hash))"""
_UNFOLD = """INSERT INTO view_steps (task_id, step, ordinal, state, attempt, max_attempts)
    SELECT CAST(:task_id AS TEXT), step, ordinal, 'pending', 0, max_attempts
    FROM view_plan_steps WHERE template_hash = :template_hash"""


def _update(assignments: str) -> str:
    return updating("view_steps", ("task_id", "step"), assignments)


_BYPASS = _update("state = 'bypassed', ended_at_ms = :at_ms")
_DISPATCH = _update(
    "state = 'dispatched', attempt = :attempt, dispatched_at_ms = :at_ms, deadline_at_ms = :due_ms, "
    "heartbeat_at_ms = NULL, retry_at_ms = NULL, ended_at_ms = NULL, worker = NULL, progress = NULL"
)
_BEAT = _update(
    "state = 'in_progress', heartbeat_at_ms = :at_ms, deadline_at_ms = :due_ms, worker = :worker, progress = :progress"
)
_ENDED = "ended_at_ms = :at_ms, deadline_at_ms = NULL"
_COMPLETE = _update(f"state = 'complete', {_ENDED}, retry_at_ms = NULL, worker = :worker, result = :result")
_FAIL = _update(
    f"state = :state, {_ENDED}, retry_at_ms = :retry_at_ms, worker = :worker, "
    "error_code = :code, error_message = :message, error = :error"
)
_CANCEL = _update(f"state = 'cancelled', {_ENDED}, retry_at_ms = NULL")
_RESOLVE = _update(f"state = 'resolved_manually', {_ENDED}, retry_at_ms = NULL, result = :result, reason = :reason")
_REOPEN = _update(
    "state = 'pending', max_attempts = :max_attempts, retry_at_ms = NULL, ended_at_ms = NULL, reason = :reason"
)


def _registered(fact: Fact, event: e.TemplateRegistered, batch: Batch) -> None:
    for row in _plan_rows(event.template_hash, event.template):
        batch.add(fact.stream, _PLAN_STEP, row)
    for step in event.template["steps"]:
        for dependency in step.get("depends_on", ()):
            edge: Row = {"template_hash": event.template_hash, "depends_on": dependency, "step": step["name"]}
            batch.add(fact.stream, _PLAN_EDGE, edge)
    batch.barrier()


def _plan_rows(template_hash: str, document: Mapping[str, Any]) -> Iterator[Row]:
    template = TaskTemplate.model_validate(document)
    levels = levels_of({step.name: step.depends_on for step in template.steps})
    for ordinal, step in enumerate(template.steps):
        yield {
            "template_hash": template_hash,
            "ordinal": ordinal,
            "step": step.name,
            "level": levels[step.name],
            "description": step.description,
            "handler": step.handler,
            "queue": step.queue,
            "max_attempts": step.retry.max_attempts,
            "timeout_ms": step.timeout,
            "skippable": int(step.skippable),
        }


def _accepted(fact: Fact, event: e.TaskAccepted, batch: Batch) -> None:
    row: Row = {"task_id": fact.stream, "template_hash": event.template_hash}
    batch.add(fact.stream, _ACCEPT, row)
    batch.add(fact.stream, _UNFOLD, row)


def _change(fact: Fact, step: str, batch: Batch, sql: str, **values: Any) -> None:
    values["task_id"], values["step"], values["at_ms"] = fact.stream, step, fact.meta.at_ms
    batch.add(fact.stream, sql, values)


def _bypassed(fact: Fact, event: e.StepBypassed, batch: Batch) -> None:
    _change(fact, event.step, batch, _BYPASS)


def _dispatched(fact: Fact, event: e.StepDispatched, batch: Batch) -> None:
    _change(fact, event.step, batch, _DISPATCH, attempt=event.attempt, due_ms=event.deadline_at_ms)


def _beaten(fact: Fact, event: e.StepHeartbeatRecorded, batch: Batch) -> None:
    progress = None if event.progress is None else json_text(event.progress)
    _change(fact, event.step, batch, _BEAT, due_ms=event.deadline_at_ms, worker=worker_of(fact.meta), progress=progress)


def _completed(fact: Fact, event: e.StepCompleted, batch: Batch) -> None:
    _change(fact, event.step, batch, _COMPLETE, worker=worker_of(fact.meta), result=json_text(event.result))


def _failed(fact: Fact, event: e.StepFailed, batch: Batch) -> None:
    _fail(fact, event, batch, event.error.code, event.error.message, json_text(event.error.model_dump(mode="json")))


def _timed_out(fact: Fact, event: e.StepTimedOut, batch: Batch) -> None:
    _fail(fact, event, batch, TIMED_OUT, f"no answer to attempt {event.attempt} came by its deadline", None)


def _fail(
    fact: Fact, event: e.StepFailed | e.StepTimedOut, batch: Batch, code: str, message: str, error: str | None
) -> None:
    state = "error" if event.retry_at_ms is None else "waiting_for_retry"
    due = event.retry_at_ms
    worker = worker_of(fact.meta)
    _change(
        fact,
        event.step,
        batch,
        _FAIL,
        state=state,
        retry_at_ms=due,
        worker=worker,
        code=code,
        message=message,
        error=error,
    )


def _cancelled(fact: Fact, event: e.StepCancelled, batch: Batch) -> None:
    _change(fact, event.step, batch, _CANCEL)


def _resolved(fact: Fact, event: e.StepResolvedManually, batch: Batch) -> None:
    _change(fact, event.step, batch, _RESOLVE, result=json_text(event.result), reason=event.reason or None)


def _reopened(fact: Fact, event: e.StepReopened, batch: Batch) -> None:
    _change(fact, event.step, batch, _REOPEN, max_attempts=event.max_attempts, reason=event.reason or None)


STEPS = Projection(
    "steps",
    frozenset({e.TASK, e.CATALOGUE}),
    (_PLAN_STEPS, _PLAN_EDGES, _STEP_TASKS, _STEPS),
    by_event(
        {
            e.TemplateRegistered: _registered,
            e.TaskAccepted: _accepted,
            e.StepBypassed: _bypassed,
            e.StepDispatched: _dispatched,
            e.StepHeartbeatRecorded: _beaten,
            e.StepCompleted: _completed,
            e.StepFailed: _failed,
            e.StepTimedOut: _timed_out,
            e.StepCancelled: _cancelled,
            e.StepResolvedManually: _resolved,
            e.StepReopened: _reopened,
        }
    ),
)
