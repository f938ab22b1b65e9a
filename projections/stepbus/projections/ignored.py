"""The ignored answers: what workers said that changed nothing, so that an operator can see it."""

from stepbus.contracts import events as e
from stepbus.projections.projection import Batch, Fact, Projection, Table, by_event, inserting

_TABLE = Table(
    "view_ignored",
    ("position", "record_index"),
    (
        """CREATE TABLE IF NOT EXISTS view_ignored (
            position BIGINT NOT NULL,
            record_index BIGINT NOT NULL,
            task_id TEXT NOT NULL,
            step TEXT NOT NULL,
            attempt BIGINT NOT NULL,
            code TEXT NOT NULL,
            reason TEXT NOT NULL,
            answer_type TEXT NOT NULL,
            worker TEXT NOT NULL,
            at_ms BIGINT NOT NULL,
            PRIMARY KEY (position, record_index)
        )""",
        "CREATE INDEX IF NOT EXISTS view_ignored_task ON view_ignored (task_id, position)",
    ),
)

_INSERT = inserting(
    "view_ignored",
    "position",
    "record_index",
    "task_id",
    "step",
    "attempt",
    "code",
    "reason",
    "answer_type",
    "worker",
    "at_ms",
)


def _ignored(fact: Fact, event: e.AnswerIgnored, batch: Batch) -> None:
    batch.add(
        fact.stream,
        _INSERT,
        {
            "position": fact.position,
            "record_index": fact.record_index,
            "task_id": str(event.task_id),
            "step": event.step,
            "attempt": event.attempt,
            "code": event.code,
            "reason": event.reason,
            "answer_type": event.answer_type,
            "worker": event.worker,
            "at_ms": fact.meta.at_ms,
        },
    )


IGNORED = Projection("ignored", frozenset({e.IGNORED}), (_TABLE,), by_event({e.AnswerIgnored: _ignored}))
