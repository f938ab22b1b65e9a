"""Tasks: list one page, show one, tell what happened to it."""

from dataclasses import asdict
from uuid import UUID

from stepbus.projections.api.endpoint import Answer, Call
from stepbus.projections.api.models import tasks as m
from stepbus.projections.api.models.shape import parsed
from stepbus.projections.api.refusals import ApiRefusal, missing
from stepbus.projections.context import execution_context
from stepbus.projections.queries import steps as step_queries
from stepbus.projections.queries import tasks as queries
from stepbus.projections.queries.ask import Row


async def list_tasks(call: Call) -> Answer:
    """Give a page of tasks."""
    query: m.TaskList = call.query
    wanted = queries.TaskFilter(
        statuses=query.status,
        namespace=query.namespace,
        name=query.name,
        version=query.version,
        accepted_after_ms=query.created_after,
        accepted_before_ms=query.created_before,
    )
    page = await queries.list_tasks(call.api.views, wanted, queries.ORDERS[query.sort], query.cursor, query.limit)
    tasks = tuple(m.TaskSummary(**m.summary_of(row)) for row in page.rows)
    return Answer(m.TaskPage(tasks=tasks, next_cursor=page.next_cursor))


async def show_task(call: Call) -> Answer:
    """Give a task with its execution context."""
    row = await found_task(call)
    counts = await step_queries.counts(call.api.views, call.task_id)
    live = await call.api.operations.live_state(call.task_id)
    return Answer(
        m.Task(
            **m.summary_of(row),
            template_hash=row["template_hash"],
            request_id=row["request_id"],
            context=parsed(row["context"]),
            execution=execution_context(row["status"], counts),
            state=None if live is None else m.StateDigest(**asdict(live)),
        )
    )


async def show_timeline(call: Call) -> Answer:
    """Give a page of the attempts of a task."""
    await found_task(call)
    page = await queries.list_attempts(call.api.views, call.task_id, call.query.cursor, call.query.limit)
    attempts = tuple(map(m.attempt_of, page.rows))
    return Answer(m.Timeline(task_id=call.task_id, attempts=attempts, next_cursor=page.next_cursor))


async def show_history(call: Call) -> Answer:
    """Give a page of the events of a task."""
    await found_task(call)
    facts, cursor = await queries.list_history(call.api.views, call.task_id, call.query.cursor, call.query.limit)
    return Answer(m.History(task_id=call.task_id, events=tuple(map(m.event_of, facts)), next_cursor=cursor))


async def found_task(call: Call) -> Row:
    """Give the row of the task that the path names.

    Raises:
        ApiRefusal: 404, the view has no such task.
    """
    row = await queries.find_task(call.api.views, call.task_id)
    if row is None:
        raise unknown_task(call.task_id)
    return row


def unknown_task(task_id: UUID) -> ApiRefusal:
    """Give the refusal of a request for a task that isn't there."""
    return missing("task.unknown", f"expected a task that was accepted, found {task_id}")
