"""Steps: list one page, show one with what blocks it, draw the graph."""

from starlette.responses import Response

from stepbus.projections.api.endpoint import Answer, Call
from stepbus.projections.api.handlers.tasks import found_task
from stepbus.projections.api.mermaid import MEDIA_TYPE, mermaid
from stepbus.projections.api.models import steps as m
from stepbus.projections.api.models.shape import parsed
from stepbus.projections.api.models.tasks import attempt_of
from stepbus.projections.api.refusals import missing
from stepbus.projections.queries import steps as queries
from stepbus.projections.queries.blockers import blockers
from stepbus.projections.queries.tasks import list_attempts

_MOST_ATTEMPTS = 100


async def list_steps(call: Call) -> Answer:
    """Give a page of the steps of a task."""
    task = await found_task(call)
    query: m.StepList = call.query
    page = await queries.list_steps(call.api.views, call.task_id, query.state, query.cursor, query.limit)
    waiting: dict[str, list[str]] = {}
    if page.rows:
        first, last = page.rows[0]["ordinal"], page.rows[-1]["ordinal"]
        waiting = await queries.open_dependencies(call.api.views, call.task_id, first, last)
    steps = tuple(m.Step(**m.step_of(row, task["status"], waiting.get(row["step"], ()))) for row in page.rows)
    return Answer(m.StepPage(task_id=call.task_id, steps=steps, next_cursor=page.next_cursor))


async def show_step(call: Call) -> Answer:
    """Give a step with everything there is to know of it."""
    task = await found_task(call)
    views, name = call.api.views, call.path["step"]
    row = await queries.find_step(views, call.task_id, name)
    if row is None:
        raise missing("step.unknown", f"expected a step of task {call.task_id}, found {name!r}")
    waiting = await queries.open_dependencies(views, call.task_id, row["ordinal"], row["ordinal"])
    depends_on, dependents = await queries.neighbours(views, row["template_hash"], name)
    in_the_way = await blockers(views, call.task_id, row["template_hash"], name) if row["state"] == "pending" else ()
    attempts = await list_attempts(views, call.task_id, None, _MOST_ATTEMPTS, step=name)
    return Answer(
        m.StepDetail(
            **m.step_of(row, task["status"], waiting.get(name, ())),
            task_id=call.task_id,
            depends_on=tuple(depends_on),
            dependents=tuple(dependents),
            blockers=tuple(m.Blocker(**found) for found in in_the_way),
            result=parsed(row["result"]),
            attempts=tuple(map(attempt_of, attempts.rows)),
        )
    )


async def show_graph(call: Call) -> Answer | Response:
    """Give the graph of a task, each step with its state."""
    row = await found_task(call)
    nodes, edges = await queries.task_graph(call.api.views, call.task_id, row["template_hash"])
    return drawn(call, f"{row['namespace']}/{row['name']} {row['version']}", nodes, edges)


def drawn(call: Call, title: str, nodes: queries.Rows, edges: queries.Rows) -> Answer | Response:
    """Give a graph in the form that the request asks for."""
    graph = m.Graph(
        title=title, nodes=tuple(m.Node(**node) for node in nodes), edges=tuple(m.Edge(**edge) for edge in edges)
    )
    if call.query.format == "mermaid":
        return Response(mermaid(graph), media_type=MEDIA_TYPE)
    return Answer(graph)
