"""Tasks: the list, one of them, its timeline and its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts.events import TASK
from stepbus.orchestrator.ports import StoredRecord, ViewStore
from stepbus.projections import attempts, history
from stepbus.projections.numbers import number_of
from stepbus.projections.projection import Fact, facts_of
from stepbus.projections.queries.ask import Row, ask, ask_one
from stepbus.projections.queries.paging import Conditions, Order, Page, page, read_cursor, write_cursor

ORDERS: Mapping[str, Order] = {
    order.name: order
    for order in (
        Order("accepted_at", ("position",), (int,)),
        Order("-accepted_at", ("position",), (int,), descending=True),
        Order("changed_at", ("changed_at_ms", "position"), (int, int)),
        Order("-changed_at", ("changed_at_ms", "position"), (int, int), descending=True),
        Order("name", ("namespace", "name", "position"), (str, str, int)),
        Order("-name", ("namespace", "name", "position"), (str, str, int), descending=True),
    )
}
"""The orders of the task list. A task's position rises with the time of its acceptance."""

_SEQUENCE = Order("sequence", ("sequence",), (int,))

_SUMMARY = """SELECT task_id, position, namespace, name, version, status, total_steps, satisfied_steps, tenant, actor,
    correlation_id, accepted_at_ms, changed_at_ms, ended_at_ms, deadline_at_ms, code, reason, failed_steps
    FROM view_tasks"""
_ATTEMPTS = """SELECT step, attempt, position, record_index, dispatched_at_ms, started_at_ms, ended_at_ms,
    deadline_at_ms, retry_at_ms, outcome, worker, error_code FROM view_attempts"""
_HISTORY = f"""SELECT last_sequence, version, position, record FROM view_history
    WHERE task = {number_of(history.NUMBERS)} AND last_sequence > :after ORDER BY last_sequence LIMIT :most"""  # noqa: S608 - our own names
_VERSION_BEFORE = f"""SELECT MAX(version) AS version FROM view_history
    WHERE task = {number_of(history.NUMBERS)} AND position < :position"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; times are milliseconds, `after` inclusive, `before` exclusive."""

    statuses: Sequence[str] = ()
    namespace: str | None = None
    name: str | None = None
    version: str | None = None
    accepted_after_ms: int | None = None
    accepted_before_ms: int | None = None


async def list_tasks(views: ViewStore, wanted: TaskFilter, order: Order, cursor: str | None, limit: int) -> Page:
    """Give a page of task summaries."""
    conditions = Conditions()
    conditions.one_of("status", wanted.statuses)
    conditions.equal(namespace=wanted.namespace, name=wanted.name, version=wanted.version)
    if wanted.accepted_after_ms is not None:
        conditions.add("accepted_at_ms >= :accepted_after_ms", accepted_after_ms=wanted.accepted_after_ms)
    if wanted.accepted_before_ms is not None:
        conditions.add("accepted_at_ms < :accepted_before_ms", accepted_before_ms=wanted.accepted_before_ms)
    return await page(views, _SUMMARY, conditions, order, cursor, limit)


async def find_task(views: ViewStore, task_id: UUID) -> Row | None:
    """Give all that the view knows of a task."""
    sql = "SELECT * FROM view_tasks WHERE task_id = :task_id"
    return await ask_one(views, sql, task_id=str(task_id))


async def list_attempts(
    views: ViewStore, task_id: UUID, cursor: str | None, limit: int, step: str | None = None
) -> Page:
    """Give a page of the attempts of a task, or of one of its steps, in the order of their dispatch."""
    conditions = Conditions()
    conditions.add(f"task = {number_of(attempts.NUMBERS)}", task_id=str(task_id))
    conditions.equal(step=step)
    return await page(
        views, _ATTEMPTS, conditions, Order("dispatched", ("position", "record_index"), (int, int)), cursor, limit
    )


async def list_history(
    views: ViewStore, task_id: UUID, cursor: str | None, limit: int
) -> tuple[Sequence[Fact], str | None]:
    """Give a page of the events of a task, in order, and the cursor for those that follow."""
    after = 0 if cursor is None else read_cursor(cursor, _SEQUENCE)[0]
    rows = await ask(views, _HISTORY, task_id=str(task_id), after=after, most=limit + 1)
    facts = [fact for row in rows for fact in _facts_of(task_id, row) if fact.sequence > after]
    if len(facts) <= limit:
        return facts, None
    return facts[:limit], write_cursor(_SEQUENCE, facts[limit - 1]._asdict())


def _facts_of(task_id: UUID, row: Row) -> Sequence[Fact]:
    return facts_of(StoredRecord(row["position"], task_id, row["version"], TASK, row["record"].encode()))


async def version_before(views: ViewStore, task_id: UUID, position: int) -> int:
    """Give how many records of the task the view knows to stand before the position. There may be more of them."""
    found = await ask_one(views, _VERSION_BEFORE, task_id=str(task_id), position=position)
    return found["version"] or 0 if found else 0
