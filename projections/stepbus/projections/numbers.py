"""Numbers for tasks, in the order of their acceptance, for the keys of views that grow with every record.

Ids of tasks are as good as random. In an index that begins with them, each record is written to a page of its own; in
one that begins with numbers, those of the tasks that are active now stand side by side.
"""

from stepbus.projections.projection import Batch, Fact, Row, Table, inserting


def numbers_in(name: str) -> Table:
    """Give the table that a view keeps its numbers in: that of a task is the position of its first record."""
    ddl = f"CREATE TABLE IF NOT EXISTS {name} (task_id TEXT NOT NULL PRIMARY KEY, task BIGINT NOT NULL)"
    return Table(name, ("task_id",), (ddl,))


def number_of(numbers: Table) -> str:
    """Give the expression for the number of the task that the parameter `task_id` names."""
    return f"(SELECT task FROM {numbers.name} WHERE task_id = :task_id)"  # noqa: S608 - our own names


def add_number(numbers: Table, fact: Fact, batch: Batch) -> None:
    """Number the task whose first record this is."""
    row: Row = {"task_id": fact.stream, "task": fact.position}
    batch.add(fact.stream, inserting(numbers.name, "task_id", "task"), row)
