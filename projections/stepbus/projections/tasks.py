"""The task summary: a row for each task, with its status and how many of its steps are satisfied.

A step is satisfied once in its life (complete, resolved manually or bypassed), so the count only rises and no row of a
step is needed to keep it.
"""

from stepbus.contracts import events as e
from stepbus.projections.projection import Batch, Fact, Projection, Row, Table, by_event, inserting, json_text, updating

ENDED = ("complete", "cancelled", "resolved_manually")
"""The states of a task that nothing moves on. `error` is none of them: an operator can."""

_TASKS = Table(
    "view_tasks",
    ("task_id",),
    (
        """CREATE TABLE IF NOT EXISTS view_tasks (
            task_id TEXT NOT NULL PRIMARY KEY,
            position BIGINT NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            template_hash TEXT NOT NULL,
            status TEXT NOT NULL,
            total_steps BIGINT NOT NULL,
            satisfied_steps BIGINT NOT NULL,
            context TEXT NOT NULL,
            tenant TEXT NOT NULL,
            actor TEXT NOT NULL,
            request_id TEXT NOT NULL,
            correlation_id TEXT NOT NULL,
            accepted_at_ms BIGINT NOT NULL,
            changed_at_ms BIGINT NOT NULL,
            ended_at_ms BIGINT,
            deadline_at_ms BIGINT,
            code TEXT,
            reason TEXT,
            failed_steps TEXT NOT NULL
        )""",
        "CREATE INDEX IF NOT EXISTS view_tasks_position ON view_tasks (position)",
        "CREATE INDEX IF NOT EXISTS view_tasks_status ON view_tasks (status, position)",
        "CREATE INDEX IF NOT EXISTS view_tasks_name ON view_tasks (namespace, name, position)",
    ),
)
_SIZES = Table(
    "view_task_sizes",
    ("template_hash",),
    (
        """CREATE TABLE IF NOT EXISTS view_task_sizes (
            template_hash TEXT NOT NULL PRIMARY KEY,
            total_steps BIGINT NOT NULL
        )""",
    ),
)

_REGISTER = inserting("view_task_sizes", "template_hash", "total_steps")
# A task of an unknown template has no size, which the column refuses: the projection stops rather than tell an untruth.
_ACCEPT = """INSERT INTO view_tasks
    (task_id, position, namespace, name, version, template_hash, status, total_steps, satisfied_steps, context, tenant,
        actor, request_id, correlation_id, accepted_at_ms, changed_at_ms, deadline_at_ms, failed_steps)
    VALUES (:task_id, :position, :namespace, :name, :version, :template_hash, 'pending',
        (SELECT total_steps FROM view_task_sizes WHERE template_hash = :template_hash), 0, :context, :tenant,
        :actor, :request_id, :correlation_id, :at_ms, :at_ms, :deadline_at_ms, '[]')"""
_BEGIN = "UPDATE view_tasks SET status = 'in_progress' WHERE task_id = :task_id AND status = 'pending'"
# These two are most of what happens; they leave alone what has an index, which would else be written too.
_SATISFY = updating("view_tasks", ("task_id",), "satisfied_steps = satisfied_steps + 1, changed_at_ms = :at_ms")
_TOUCH = updating("view_tasks", ("task_id",), "changed_at_ms = :at_ms")
_END = """UPDATE view_tasks SET status = :status, code = :code, reason = :reason, failed_steps = :failed_steps,
    changed_at_ms = :at_ms, ended_at_ms = :at_ms WHERE task_id = :task_id"""
_REOPEN = """UPDATE view_tasks SET status = 'in_progress', code = NULL, reason = NULL, failed_steps = '[]',
    changed_at_ms = :at_ms, ended_at_ms = NULL WHERE task_id = :task_id"""


def _registered(fact: Fact, event: e.TemplateRegistered, batch: Batch) -> None:
    row: Row = {"template_hash": event.template_hash, "total_steps": len(event.template["steps"])}
    batch.add(fact.stream, _REGISTER, row)
    batch.barrier()


def _accepted(fact: Fact, event: e.TaskAccepted, batch: Batch) -> None:
    batch.add(
        fact.stream,
        _ACCEPT,
        {
            "task_id": fact.stream,
            "position": fact.position,
            "namespace": event.namespace,
            "name": event.name,
            "version": event.version,
            "template_hash": event.template_hash,
            "context": json_text(event.context),
            "tenant": fact.meta.tenant,
            "actor": fact.meta.actor,
            "request_id": event.request_id,
            "correlation_id": fact.meta.correlation_id,
            "at_ms": fact.meta.at_ms,
            "deadline_at_ms": event.deadline_at_ms,
        },
    )


def _dispatched(fact: Fact, _event: e.StepDispatched, batch: Batch) -> None:
    # The first dispatches stand in the record of the acceptance; later ones follow something that touches the row too.
    if fact.version == 1:
        batch.add(fact.stream, _BEGIN, {"task_id": fact.stream})


def _satisfied(fact: Fact, _event: e.Event, batch: Batch) -> None:
    batch.add(fact.stream, _SATISFY, {"task_id": fact.stream, "at_ms": fact.meta.at_ms})


def _touched(fact: Fact, _event: e.Event, batch: Batch) -> None:
    batch.add(fact.stream, _TOUCH, {"task_id": fact.stream, "at_ms": fact.meta.at_ms})


def _end(
    fact: Fact, batch: Batch, status: str, code: str | None = None, reason: str = "", failed: tuple[str, ...] = ()
) -> None:
    batch.add(
        fact.stream,
        _END,
        {
            "task_id": fact.stream,
            "status": status,
            "code": code,
            "reason": reason or None,
            "failed_steps": json_text(failed),
            "at_ms": fact.meta.at_ms,
        },
    )


def _completed(fact: Fact, _event: e.TaskCompleted, batch: Batch) -> None:
    _end(fact, batch, "complete")


def _failed(fact: Fact, event: e.TaskFailed, batch: Batch) -> None:
    _end(fact, batch, "error", code=event.code, failed=event.failed_steps)


def _cancelled(fact: Fact, event: e.TaskCancelled, batch: Batch) -> None:
    _end(fact, batch, "cancelled", reason=event.reason)


def _resolved(fact: Fact, event: e.TaskResolvedManually, batch: Batch) -> None:
    _end(fact, batch, "resolved_manually", reason=event.reason)


def _reopened(fact: Fact, _event: e.TaskReopened, batch: Batch) -> None:
    batch.add(fact.stream, _REOPEN, {"task_id": fact.stream, "at_ms": fact.meta.at_ms})


TASKS = Projection(
    "tasks",
    frozenset({e.TASK, e.CATALOGUE}),
    (_TASKS, _SIZES),
    by_event(
        {
            e.TemplateRegistered: _registered,
            e.TaskAccepted: _accepted,
            e.StepDispatched: _dispatched,
            e.StepBypassed: _satisfied,
            e.StepCompleted: _satisfied,
            e.StepResolvedManually: _satisfied,
            e.StepFailed: _touched,
            e.StepTimedOut: _touched,
            e.TaskCompleted: _completed,
            e.TaskFailed: _failed,
            e.TaskCancelled: _cancelled,
            e.TaskResolvedManually: _resolved,
            e.TaskReopened: _reopened,
        }
    ),
)
