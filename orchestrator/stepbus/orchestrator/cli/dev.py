"""`stepbus dev`."""

from typing import Annotated

import typer

from stepbus.orchestrator.bootstrap import ROLES, Running
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, loaded
from stepbus.orchestrator.cli.process import LogLevel, serve_until_stopped
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, paired

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def dev(
    *,
    data: DataFolder = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="The setting `api_port`; 0 takes a free one.")
    ] = None,
    bus: Annotated[str | None, typer.Option(metavar="URL", help="The setting `bus`.")] = None,
    nats_port: Annotated[int | None, typer.Option(metavar="PORT", help="The setting `nats_port`.")] = None,
    config: Config = None,
    assignments: Set = None,
    log_level: LogLevel = "warning",
    as_json: AsJson = False,
) -> None:
    """Run everything in one process: SQLite, an embedded broker, coordinator, projections, API. Ctrl-C stops it.

    With --json, one line on stdout says that it is ready: {"ready": true, "api": URL, "bus": URL, "data": FOLDER}.
    """
    settings = loaded(config, assignments, data=data, api_port=port, bus=bus, nats_port=nats_port).settings
    serve_until_stopped(settings, ROLES, log_level, lambda process: _greet(process, settings, as_json=as_json))


def _greet(process: Running, settings: Settings, *, as_json: bool) -> None:
    data = str(settings.data.absolute())
    ready = {"ready": True, "api": process.api_url, "bus": process.bus_url, "data": data}
    hints = [
        ("API", process.api_url),
        ("bus", _explained(process.bus_url)),
        ("data", data),
        ("stop", "Ctrl-C; what is in hand is finished first"),
        *_next_steps(process.api_url),
    ]
    answer(ready, lambda: f"stepbus is ready\n{paired(hints)}", as_json=as_json)


def _next_steps(api_url: str | None) -> list[tuple[str, str]]:
    here = [] if api_url == DEFAULT_URL else [("then", f"export STEPBUS_URL={api_url}")]
    commands = ("stepbus template register FILE", "stepbus submit NAME --context '{}' --wait", "stepbus task list")
    return [*here, *(("then", command) for command in commands)]


def _explained(bus_url: str) -> str:
    if bus_url.startswith("memory:"):
        return f"{bus_url} (in this process only: pip install 'stepbus[nats]' for workers in other processes)"
    return bus_url
