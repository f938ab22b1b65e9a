"""Messages that changed nothing: list and show the quarantined, list the ignored answers."""

from stepbus.projections.api.endpoint import Answer, Call
from stepbus.projections.api.models import messages as m
from stepbus.projections.api.refusals import missing
from stepbus.projections.queries import messages as queries


async def list_quarantine(call: Call) -> Answer:
    """Give a page of quarantined messages."""
    query: m.QuarantineList = call.query
    page = await queries.list_quarantine(
        call.api.views, query.state, query.code, query.channel, query.cursor, query.limit
    )
    messages = tuple(map(m.summary_of, page.rows))
    return Answer(m.QuarantinePage(messages=messages, next_cursor=page.next_cursor))


async def show_quarantined(call: Call) -> Answer:
    """Give one quarantined message, whole."""
    message_id = call.path["message_id"]
    row = await queries.find_quarantined(call.api.views, message_id)
    if row is None:
        raise missing("quarantine.unknown", f"expected a message in quarantine, found {message_id}")
    return Answer(m.quarantined_of(row))


async def list_ignored(call: Call) -> Answer:
    """Give a page of ignored answers."""
    query: m.IgnoredList = call.query
    page = await queries.list_ignored(call.api.views, query.task_id, query.code, query.cursor, query.limit)
    answers = tuple(map(m.ignored_of, page.rows))
    return Answer(m.IgnoredPage(answers=answers, next_cursor=page.next_cursor))
