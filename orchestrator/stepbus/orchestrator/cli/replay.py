"""`stepbus replay`."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer

from stepbus.orchestrator.bootstrap import opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, table
from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.runtime.replay import Replayed
from stepbus.orchestrator.runtime.replay import replay as replayed

app = typer.Typer(add_completion=False)

MATCH, DIFFERS, NOT_COMPARED = "match", "differs", "not compared"


@app.command(cls=Verb)
def replay(  # noqa: PLR0913 - one parameter an option
    task_id: Annotated[UUID | None, typer.Argument(metavar="[TASK]", help="Id of the task.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every task.")] = False,
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Fold the history of a task, or of all, and compare with the coordinator's state.

    Where no API answers, or it knows no such task, nothing is compared. The exit code is 1 if a state differs.
    """
    if (task_id is None) != everything:
        raise typer.BadParameter("expected either a TASK or --all", param_hint="TASK")
    settings = loaded(config, assignments, store=store, data=data).settings
    with Api(url, api_key) as api:
        found = asyncio.run(_compared(settings, task_id, _Live(api)))
    if task_id is not None and not found:
        raise Failure("task.unknown", f"expected a task in the log, found no event of {task_id}")
    rows = (
        (task["task_id"], task["template"], task["status"], f"{task['events']:,}", task["digest"][:16], task["live"])
        for task in found
    )
    answer(
        {"tasks": found},
        lambda: table(("task", "template", "status", "events", "digest", "live state"), rows),
        as_json=as_json,
    )
    if any(task["live"] == DIFFERS for task in found):
        raise typer.Exit(1)


class _Live:
    """The states in the coordinator's memory, as far as an API answers."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._is_there = True

    def state(self, task_id: UUID) -> dict[str, Any] | None:
        """Give the state of a task; None if nobody knows it."""
        if not self._is_there:
            return None
        try:
            state: dict[str, Any] | None = self._api.get(path_of("tasks", task_id))["state"]
        except Failure as failure:
            self._is_there = failure.code != "api.unreachable"
            return None
        return state


async def _compared(settings: Settings, task_id: UUID | None, live: _Live) -> list[dict[str, Any]]:
    async with opened_store(settings) as store:
        return [await _compare(store, task, live) async for task in replayed(store, task_id)]


async def _compare(store: EventStore, task: Replayed, live: _Live) -> dict[str, Any]:
    """Compare one task; fold it again for as long as it moves on between the two looks."""
    state = live.state(task.task_id)
    seen = None
    while state is not None and state["events"] != task.events and seen != (task.events, state["events"]):
        seen = task.events, state["events"]
        async for again in replayed(store, task.task_id):
            task = again
        state = live.state(task.task_id)
    verdict = NOT_COMPARED if state is None else MATCH if state["digest"] == task.digest else DIFFERS
    return {
        "task_id": str(task.task_id),
        "template": task.name,
        "status": task.status,
        "events": task.events,
        "digest": task.digest,
        "live": verdict,
    }
