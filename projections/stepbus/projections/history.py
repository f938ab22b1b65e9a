"""The history: every record of every task, as the log has it.

A row holds the record's own bytes, so that keeping it costs one row however many events it has; a reader decodes those
that it shows.
"""

from stepbus.contracts.events import TASK
from stepbus.projections.numbers import add_number, number_of, numbers_in
from stepbus.projections.projection import Batch, Entry, Projection, Table

_TABLE = Table(
    "view_history",
    ("task", "last_sequence"),
    (
        """CREATE TABLE IF NOT EXISTS view_history (
            task BIGINT NOT NULL,
            task_id TEXT NOT NULL,
            last_sequence BIGINT NOT NULL,
            version BIGINT NOT NULL,
            position BIGINT NOT NULL,
            record TEXT NOT NULL,
            PRIMARY KEY (task, last_sequence)
        )""",
    ),
)

NUMBERS = numbers_in("view_history_tasks")

_INSERT = f"""INSERT INTO view_history (task, task_id, last_sequence, version, position, record)
    VALUES ({number_of(NUMBERS)}, :task_id, :last_sequence, :version, :position, :record)"""  # noqa: S608 - our own names


def _happened(entry: Entry, batch: Batch) -> None:
    last = entry.facts[-1]
    if last.version == 1:
        add_number(NUMBERS, last, batch)
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


HISTORY = Projection("history", frozenset({TASK}), (_TABLE, NUMBERS), _happened)
