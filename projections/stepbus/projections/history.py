"""The history: every record of every task, as the log has it.

A row holds the record's own bytes, so that keeping it costs one row however many events it has; a reader decodes those
that it shows.
"""

from stepbus.contracts.events import TASK
from stepbus.projections.projection import Batch, Entry, Projection, Table, inserting

_TABLE = Table(
    "view_history",
    ("task_id", "last_sequence"),
    (
        """CREATE TABLE IF NOT EXISTS view_history (
            task_id TEXT NOT NULL,
            last_sequence BIGINT NOT NULL,
            version BIGINT NOT NULL,
            position BIGINT NOT NULL,
            record TEXT NOT NULL,
            PRIMARY KEY (task_id, last_sequence)
        )""",
    ),
)

_INSERT = inserting("view_history", "task_id", "last_sequence", "version", "position", "record")


def _happened(entry: Entry, batch: Batch) -> None:
    last = entry.facts[-1]
    batch.add(
        last.stream,
        _INSERT,
        {
            "task_id": last.stream,
            "last_sequence": last.sequence,
            "version": last.version,
            "position": last.position,
            "record": entry.stored.data.decode(),
        },
    )


HISTORY = Projection("history", frozenset({TASK}), (_TABLE,), _happened)
