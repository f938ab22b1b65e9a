"""`stepbus verify`."""

import asyncio
from dataclasses import asdict

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
    answer(asdict(report), lambda: _text(report), as_json=as_json)
    if report.found:
        raise typer.Exit(1)


async def _verified(settings: Settings) -> Report:
    async with opened_store(settings) as store:
        return await verified(store)


def _text(report: Report) -> str:
    read = f"{report.tasks:,} tasks, {report.events:,} events in {report.records:,} records"
    if not report.found:
        return f"{read}: every invariant holds"
    rows = ((one.invariant, str(one.stream), str(one.position), one.message) for one in report.violations)
    more = report.found - len(report.violations)
    return "\n".join(
        [
            table(("invariant", "stream", "position", "what was found"), rows),
            *([f"and {more:,} more"] if more else []),
            f"{read}: {report.found:,} violations",
        ]
    )
