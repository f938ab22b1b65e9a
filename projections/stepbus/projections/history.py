"""The history: every event of every task, in the order of the log."""

from stepbus.contracts.events import TASK, TASK_EVENTS, Event
from stepbus.projections.projection import Batch, Fact, Projection, Table, inserting, json_text

_TABLE = Table(
    "view_history",
    ("task_id", "sequence"),
    (
        """CREATE TABLE IF NOT EXISTS view_history (
            task_id TEXT NOT NULL,
            sequence BIGINT NOT NULL,
            position BIGINT NOT NULL,
            record_index BIGINT NOT NULL,
            version BIGINT NOT NULL,
            type TEXT NOT NULL,
            step TEXT,
            attempt BIGINT,
            at_ms BIGINT NOT NULL,
            actor TEXT NOT NULL,
            causation_id TEXT NOT NULL,
            correlation_id TEXT NOT NULL,
            data TEXT NOT NULL,
            PRIMARY KEY (task_id, sequence)
        )""",
    ),
)

_INSERT = inserting(
    "view_history",
    "task_id",
    "sequence",
    "position",
    "record_index",
    "version",
    "type",
    "step",
    "attempt",
    "at_ms",
    "actor",
    "causation_id",
    "correlation_id",
    "data",
)


def _happened(fact: Fact, event: Event, batch: Batch) -> None:
    batch.add(
        fact.stream,
        _INSERT,
        {
            "task_id": fact.stream,
            "sequence": fact.sequence,
            "position": fact.position,
            "record_index": fact.index,
            "version": fact.version,
            "type": event.TYPE,
            "step": getattr(event, "step", None),
            "attempt": getattr(event, "attempt", None),
            "at_ms": fact.meta.at_ms,
            "actor": fact.meta.actor,
            "causation_id": fact.meta.causation_id,
            "correlation_id": fact.meta.correlation_id,
            "data": json_text(event.model_dump(mode="json")),
        },
    )


HISTORY = Projection("history", frozenset({TASK}), (_TABLE,), dict.fromkeys(TASK_EVENTS, _happened))
