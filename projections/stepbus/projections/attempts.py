"""The timeline: a row for each attempt of each step, from its dispatch to its end."""

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import Value
from stepbus.projections.numbers import add_number, number_of, numbers_in
from stepbus.projections.projection import Batch, Fact, Projection, Table, by_event, worker_of
from stepbus.projections.steps import TIMED_OUT

_TABLE = Table(
    "view_attempts",
    ("task", "step", "attempt"),
    (
        """CREATE TABLE IF NOT EXISTS view_attempts (
            task BIGINT NOT NULL,
            task_id TEXT NOT NULL,
            step TEXT NOT NULL,
            attempt BIGINT NOT NULL,
            position BIGINT NOT NULL,
            record_index BIGINT NOT NULL,
            dispatched_at_ms BIGINT NOT NULL,
            started_at_ms BIGINT,
            ended_at_ms BIGINT,
            deadline_at_ms BIGINT NOT NULL,
            retry_at_ms BIGINT,
            outcome TEXT,
            worker TEXT,
            error_code TEXT,
            PRIMARY KEY (task, step, attempt)
        )""",
    ),
)

NUMBERS = numbers_in("view_attempt_tasks")

_TASK = number_of(NUMBERS)
_DISPATCH = f"""INSERT INTO view_attempts
    (task, task_id, step, attempt, position, record_index, dispatched_at_ms, deadline_at_ms)
    VALUES ({_TASK}, :task_id, :step, :attempt, :position, :record_index, :dispatched_at_ms, :deadline_at_ms)"""  # noqa: S608
_FOUND = f"task = {_TASK} AND step = :step AND attempt = :attempt"
_BEAT = f"""UPDATE view_attempts SET started_at_ms = COALESCE(started_at_ms, :at_ms),
    deadline_at_ms = :deadline_at_ms, worker = :worker WHERE {_FOUND}"""  # noqa: S608 - our own names
_END = f"""UPDATE view_attempts SET ended_at_ms = :at_ms, outcome = :outcome, worker = COALESCE(:worker, worker),
    error_code = :code, retry_at_ms = :retry_at_ms WHERE {_FOUND} AND ended_at_ms IS NULL"""  # noqa: S608

_AttemptEvent = (
    e.StepDispatched
    | e.StepHeartbeatRecorded
    | e.StepCompleted
    | e.StepFailed
    | e.StepTimedOut
    | e.StepCancelled
    | e.StepResolvedManually
)


def _change(fact: Fact, event: _AttemptEvent, batch: Batch, sql: str, **values: Value) -> None:
    values["task_id"], values["step"], values["attempt"] = fact.stream, event.step, event.attempt
    batch.add(fact.stream, sql, values)


def _accepted(fact: Fact, _event: e.TaskAccepted, batch: Batch) -> None:
    add_number(NUMBERS, fact, batch)


def _dispatched(fact: Fact, event: e.StepDispatched, batch: Batch) -> None:
    _change(
        fact,
        event,
        batch,
        _DISPATCH,
        position=fact.position,
        record_index=fact.record_index,
        dispatched_at_ms=fact.meta.at_ms,
        deadline_at_ms=event.deadline_at_ms,
    )


def _beaten(fact: Fact, event: e.StepHeartbeatRecorded, batch: Batch) -> None:
    at_ms, due_ms, worker = fact.meta.at_ms, event.deadline_at_ms, worker_of(fact.meta)
    _change(fact, event, batch, _BEAT, at_ms=at_ms, deadline_at_ms=due_ms, worker=worker)


def _end(
    fact: Fact,
    event: _AttemptEvent,
    batch: Batch,
    outcome: str,
    code: str | None = None,
    retry_at_ms: int | None = None,
) -> None:
    at_ms, worker = fact.meta.at_ms, worker_of(fact.meta)
    _change(fact, event, batch, _END, at_ms=at_ms, outcome=outcome, worker=worker, code=code, retry_at_ms=retry_at_ms)


def _completed(fact: Fact, event: e.StepCompleted, batch: Batch) -> None:
    _end(fact, event, batch, "completed")


def _failed(fact: Fact, event: e.StepFailed, batch: Batch) -> None:
    _end(fact, event, batch, "failed", event.error.code, event.retry_at_ms)


def _timed_out(fact: Fact, event: e.StepTimedOut, batch: Batch) -> None:
    _end(fact, event, batch, "timed_out", TIMED_OUT, event.retry_at_ms)


def _cancelled(fact: Fact, event: e.StepCancelled, batch: Batch) -> None:
    _end(fact, event, batch, "cancelled")


def _resolved(fact: Fact, event: e.StepResolvedManually, batch: Batch) -> None:
    _end(fact, event, batch, "resolved_manually")


ATTEMPTS = Projection(
    "attempts",
    frozenset({e.TASK}),
    (_TABLE, NUMBERS),
    by_event(
        {
            e.TaskAccepted: _accepted,
            e.StepDispatched: _dispatched,
            e.StepHeartbeatRecorded: _beaten,
            e.StepCompleted: _completed,
            e.StepFailed: _failed,
            e.StepTimedOut: _timed_out,
            e.StepCancelled: _cancelled,
            e.StepResolvedManually: _resolved,
        }
    ),
)
