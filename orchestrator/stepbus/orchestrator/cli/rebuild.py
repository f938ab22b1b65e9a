"""`stepbus rebuild`."""

import asyncio
from collections.abc import Sequence

import typer

from stepbus.orchestrator.bootstrap import RebuiltView, opened_store, opened_views, views_rebuilder
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def rebuild(
    *,
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Make the views anew from the log. Says of each whether it had been what the log says."""
    views = asyncio.run(_rebuilt(loaded(config, assignments, store=store, data=data).settings))
    document = [
        {
            "name": view.name,
            "rows": view.rows,
            "position": view.position,
            "digest_before": view.digest_before,
            "digest_after": view.digest_after,
            "same": view.digest_before == view.digest_after,
        }
        for view in views
    ]
    answer({"views": document}, lambda: _text(views), as_json=as_json)


async def _rebuilt(settings: Settings) -> Sequence[RebuiltView]:
    async with opened_store(settings) as store, opened_views(settings) as views:
        return await views_rebuilder()(store, views)


def _text(views: Sequence[RebuiltView]) -> str:
    rows = (
        (
            view.name,
            f"{view.rows:,}",
            str(view.position),
            "same as before" if view.digest_before == view.digest_after else "other than before",
        )
        for view in views
    )
    return table(("view", "rows", "position", "content"), rows)
