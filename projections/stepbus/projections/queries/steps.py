"""Steps: their states, what each waits for, and the graph they form."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from stepbus.orchestrator.ports import Value, ViewStore
from stepbus.projections.queries.ask import Row, ask, ask_one
from stepbus.projections.queries.paging import Conditions, Order, Page, page

_STEP = """SELECT s.task_id, s.step, s.ordinal, s.state, s.attempt, s.max_attempts, s.dispatched_at_ms,
    s.heartbeat_at_ms, s.deadline_at_ms, s.retry_at_ms, s.ended_at_ms, s.worker, s.progress, s.error_code,
    s.error_message, s.error, s.reason, p.level, p.description, p.handler, p.queue, p.timeout_ms, p.skippable,
    p.template_hash
    FROM view_steps s
    JOIN view_step_tasks t ON t.task_id = s.task_id
    JOIN view_plan_steps p ON p.template_hash = t.template_hash AND p.ordinal = s.ordinal"""
_COUNTS = "SELECT state, COUNT(*) AS steps FROM view_steps WHERE task_id = :task_id GROUP BY state"
_OPEN_DEPENDENCIES = """SELECT s.step, d.step AS dependency
    FROM view_steps s
    CROSS JOIN view_step_tasks t
    JOIN view_plan_edges e ON e.template_hash = t.template_hash AND e.step = s.step
    JOIN view_steps d ON d.task_id = s.task_id AND d.step = e.depends_on
    WHERE s.task_id = :task_id AND t.task_id = s.task_id AND s.state = 'pending'
        AND s.ordinal BETWEEN :first AND :last
        AND d.state NOT IN ('complete', 'resolved_manually', 'bypassed')
    ORDER BY s.ordinal, d.ordinal"""
_NODES = """SELECT p.step, p.level, s.state, p.handler, p.queue
    FROM view_step_tasks t
    JOIN view_plan_steps p ON p.template_hash = t.template_hash
    JOIN view_steps s ON s.task_id = t.task_id AND s.step = p.step
    WHERE t.task_id = :task_id ORDER BY p.ordinal"""
_PLAN_NODES = """SELECT step, level, NULL AS state, handler, queue
    FROM view_plan_steps WHERE template_hash = :template_hash ORDER BY ordinal"""
_EDGES = """SELECT depends_on AS source, step AS target
    FROM view_plan_edges WHERE template_hash = :template_hash ORDER BY depends_on, step"""
_ABOVE = """SELECT depends_on FROM view_plan_edges
    WHERE template_hash = :template_hash AND step = :step ORDER BY depends_on"""
_BELOW = """SELECT step FROM view_plan_edges
    WHERE template_hash = :template_hash AND depends_on = :step ORDER BY step"""

Rows = Sequence[Row]


async def counts(views: ViewStore, task_id: UUID) -> dict[str, int]:
    """Give how many steps of a task are in each state."""
    return {row["state"]: row["steps"] for row in await ask(views, _COUNTS, task_id=str(task_id))}


async def list_steps(views: ViewStore, task_id: UUID, states: Sequence[str], cursor: str | None, limit: int) -> Page:
    """Give a page of the steps of a task, in the order of its template."""
    conditions = Conditions()
    conditions.add("s.task_id = :task_id", task_id=str(task_id))
    if states:
        values: dict[str, Value] = {f"state_{number}": state for number, state in enumerate(states)}
        conditions.add(f"s.state IN ({', '.join(f':{name}' for name in values)})", **values)
    return await page(views, _STEP, conditions, Order("ordinal", ("s.ordinal",), (int,)), cursor, limit)


async def find_step(views: ViewStore, task_id: UUID, step: str) -> Row | None:
    """Give all that the view knows of one step, its result included."""
    sql = _STEP.replace("SELECT ", "SELECT s.result, ", 1) + " WHERE s.task_id = :task_id AND s.step = :step"
    return await ask_one(views, sql, task_id=str(task_id), step=step)


async def open_dependencies(views: ViewStore, task_id: UUID, first: int, last: int) -> dict[str, list[str]]:
    """Give, for the pending steps from one place in the template to another, the steps that each waits for."""
    found: dict[str, list[str]] = defaultdict(list)
    for pair in await ask(views, _OPEN_DEPENDENCIES, task_id=str(task_id), first=first, last=last):
        found[pair["step"]].append(pair["dependency"])
    return found


async def neighbours(views: ViewStore, template_hash: str, step: str) -> tuple[list[str], list[str]]:
    """Give the steps that a step depends on, and those that depend on it."""
    above = await ask(views, _ABOVE, template_hash=template_hash, step=step)
    below = await ask(views, _BELOW, template_hash=template_hash, step=step)
    return [found["depends_on"] for found in above], [found["step"] for found in below]


async def task_graph(views: ViewStore, task_id: UUID, template_hash: str) -> tuple[Rows, Rows]:
    """Give the nodes of a task's graph with their states, and its edges."""
    nodes = await ask(views, _NODES, task_id=str(task_id))
    return nodes, await ask(views, _EDGES, template_hash=template_hash)


async def plan_graph(views: ViewStore, template_hash: str) -> tuple[Rows, Rows]:
    """Give the nodes of a template's graph, and its edges."""
    nodes = await ask(views, _PLAN_NODES, template_hash=template_hash)
    return nodes, await ask(views, _EDGES, template_hash=template_hash)
