"""Why a step can't run, all the way up: the steps that would have to move first, and don't wait for another step."""

from collections.abc import Sequence
from uuid import UUID

from stepbus.orchestrator.ports import ViewStore
from stepbus.projections.queries.ask import Row, ask

MOST = 20

# UNION, not UNION ALL: a step that is reached on many ways is walked once, so a dense graph costs its edges.
_ROOTS = """WITH RECURSIVE waiting (step) AS (
        SELECT CAST(:step AS TEXT)
        UNION
        SELECT e.depends_on
        FROM waiting w
        JOIN view_steps s ON s.task_id = :task_id AND s.step = w.step AND s.state = 'pending'
        JOIN view_plan_edges e ON e.template_hash = :template_hash AND e.step = w.step
    )
    SELECT s.step, s.state FROM waiting w
    JOIN view_steps s ON s.task_id = :task_id AND s.step = w.step
    WHERE s.state NOT IN ('pending', 'complete', 'resolved_manually', 'bypassed')
    ORDER BY s.ordinal LIMIT :most"""


async def blockers(views: ViewStore, task_id: UUID, template_hash: str, step: str) -> Sequence[Row]:
    """Give the first few steps above this one that the wait ends with, and the state of each."""
    return await ask(views, _ROOTS, task_id=str(task_id), template_hash=template_hash, step=step, most=MOST)
