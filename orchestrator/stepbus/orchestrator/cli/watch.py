"""`stepbus task watch`: the board in a terminal, a line an event elsewhere."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.console import Console
from rich.live import Live

from stepbus.orchestrator.cli.drawing.board import Scene, board
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.sketch import Line, plain
from stepbus.orchestrator.cli.happenings import Event, followed, step_state_after, task_status_after, told
from stepbus.orchestrator.cli.moments import lasting
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson

_KEPT = 50
_REFRESHES = 8


@dataclass
class Story:
    """A task as its events have told it so far."""

    title: str
    graph: Graph
    states: dict[str, str]
    status: str = "pending"
    began_ms: int | None = None
    latest_ms: int = 0
    latest: tuple[Line, ...] = ()

    @classmethod
    def begun(cls, title: str, graph: Graph) -> "Story":
        """Give the story before its first event."""
        return cls(title, graph, dict.fromkeys(graph.depends_on, "pending"))

    def hear(self, event: Event) -> None:
        """Take the next event."""
        self.began_ms = self.began_ms or event["at_ms"]
        self.latest_ms = event["at_ms"]
        self.status = task_status_after(event) or self.status
        state = step_state_after(event)
        if state is not None:
            self.states[event["step"]] = state
        self.latest = (*self.latest, told(event))[-_KEPT:]

    def elapsed(self, now_ms: int) -> str:
        """Give how long the task has been running, or ran."""
        if self.began_ms is None:
            return ""
        return lasting(max(0, (now_ms if self.status == "in_progress" else self.latest_ms) - self.began_ms))


def watch(
    task_id: Annotated[UUID, typer.Argument(metavar="TASK", help="Id of the task.")],
    *,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Watch a task until it is at rest: graph, progress and events. The exit code is 0 if it is complete.

    In a pipe, and with --json, each event is a line as it happens, from the task's first on.
    """
    with Api(url, api_key) as api:
        events = followed(api, str(task_id))
        if as_json:
            status = _lines(events, as_json=True)
        elif sys.stdout.isatty():
            status = _board(_story(api, task_id), events)
        else:
            status = _lines(events, as_json=False)
    if status != "complete":
        raise typer.Exit(1)


def _lines(events: Iterator[Event], *, as_json: bool) -> str | None:
    status = None
    for event in events:
        typer.echo(orjson.dumps(event).decode() if as_json else plain([told(event)]))
        sys.stdout.flush()
        status = task_status_after(event) or status
    return status


def _story(api: Api, task_id: UUID) -> Story:
    shown: dict[str, Any] = api.get(path_of("tasks", task_id, "graph"))
    needed: dict[str, list[str]] = {node["step"]: [] for node in shown["nodes"]}
    for edge in shown["edges"]:
        needed[edge["target"]].append(edge["source"])
    return Story.begun(f"{shown['title']}  {task_id}", Graph.of(needed.items()))


def _board(story: Story, events: Iterator[Event]) -> str:
    console = Console()

    def scene() -> Any:
        elapsed = story.elapsed(round(time.time() * 1000))
        now = Scene(story.title, story.status, elapsed, story.graph, dict(story.states), story.latest)
        return board(now, console.width, console.height - 1)

    with Live(get_renderable=scene, console=console, refresh_per_second=_REFRESHES):
        for event in events:
            story.hear(event)
    return story.status
