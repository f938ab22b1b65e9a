"""`stepbus verify`."""

import asyncio

import typer

from stepbus.orchestrator.bootstrap import opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table
from stepbus.orchestrator.runtime.verify import Report
from stepbus.orchestrator.runtime.verify import verify as verified

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def verify(
    *,
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Check the invariants of every task, from the log alone. The exit code is 1 if one is violated."""
    report = asyncio.run(_verified(loaded(config, assignments, store=store, data=data).settings))
    violations = [
        {
            "invariant": violation.invariant,
            "task_id": None if violation.task_id is None else str(violation.task_id),
            "position": violation.position,
            "message": violation.message,
        }
        for violation in report.violations
    ]
    document = {"tasks": report.tasks, "events": report.events, "violations": violations}
    answer(document, lambda: _text(report, violations), as_json=as_json)
    if violations:
        raise typer.Exit(1)


async def _verified(settings: Settings) -> Report:
    async with opened_store(settings) as store:
        return await verified(store)


def _text(report: Report, violations: list[dict[str, object]]) -> str:
    if not violations:
        return f"{report.tasks:,} tasks, {report.events:,} events: every invariant holds"
    head = ("invariant", "task_id", "position", "message")
    return table(head, ([str(violation[name] or "") for name in head] for violation in violations))
