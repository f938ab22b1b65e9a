"""Messages that changed nothing: the quarantined, and the ignored answers."""

from uuid import UUID

from stepbus.orchestrator.ports import ViewStore
from stepbus.projections.queries.ask import Row, ask_one
from stepbus.projections.queries.paging import Conditions, Order, Page, page

_NEWEST = Order("newest", ("position",), (int,), descending=True)
_QUARANTINED = """SELECT message_id, position, state, channel, code, pointer, reason, request_id, quarantined_at_ms,
    resubmitted_at_ms, resubmitted_by, resubmissions FROM view_quarantine"""
_IGNORED = """SELECT position, record_index, task_id, step, attempt, code, reason, answer_type, worker, at_ms
    FROM view_ignored"""


async def list_quarantine(
    views: ViewStore, state: str | None, code: str | None, channel: str | None, cursor: str | None, limit: int
) -> Page:
    """Give a page of quarantined messages without their bodies, the newest first."""
    conditions = Conditions()
    conditions.equal(state=state, code=code, channel=channel)
    return await page(views, _QUARANTINED, conditions, _NEWEST, cursor, limit)


async def find_quarantined(views: ViewStore, message_id: UUID) -> Row | None:
    """Give one quarantined message, whole."""
    sql = "SELECT * FROM view_quarantine WHERE message_id = :message_id"
    return await ask_one(views, sql, message_id=str(message_id))


async def list_ignored(
    views: ViewStore, task_id: UUID | None, code: str | None, cursor: str | None, limit: int
) -> Page:
    """Give a page of ignored answers, the newest first."""
    conditions = Conditions()
    conditions.equal(task_id=None if task_id is None else str(task_id), code=code)
    order = Order("newest", ("position", "record_index"), (int, int), descending=True)
    return await page(views, _IGNORED, conditions, order, cursor, limit)
