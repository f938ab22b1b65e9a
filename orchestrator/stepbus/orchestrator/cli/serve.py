"""`stepbus serve`."""

from typing import Annotated

import typer

from stepbus.orchestrator.bootstrap import ROLES, Running
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.process import LogLevel, serve_until_stopped
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, paired

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def serve(
    *,
    roles: Annotated[str, typer.Option(metavar="ROLE,…", help="Which roles this process has.")] = ",".join(ROLES),
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    log_level: LogLevel = "info",
    as_json: AsJson = False,
) -> None:
    """Run one or more roles against the configured store and bus, until SIGINT or SIGTERM; then drain.

    Several coordinators may share one log: whatever they do, each step is decided once. With --json, one line on stdout
    says that it is ready: {"ready": true, "roles": [...], "api": URL or null, "bus": URL}.
    """
    chosen = _chosen(roles)
    settings = loaded(config, assignments, store=store, data=data).settings
    serve_until_stopped(settings, chosen, log_level, lambda process: _greet(process, chosen, as_json=as_json))


def _chosen(roles: str) -> list[str]:
    chosen = [role.strip() for role in roles.split(",") if role.strip()]
    unknown = [role for role in chosen if role not in ROLES]
    if unknown or not chosen:
        found = f"found {unknown[0]!r}" if unknown else "found none"
        raise typer.BadParameter(f"expected roles among {', '.join(ROLES)}, {found}", param_hint="--roles")
    return chosen


def _greet(process: Running, roles: list[str], *, as_json: bool) -> None:
    ready = {"ready": True, "roles": roles, "api": process.api_url, "bus": process.bus_url}
    shown = [("roles", ", ".join(roles)), ("API", process.api_url), ("bus", process.bus_url)]
    answer(ready, lambda: f"stepbus is ready\n{paired(shown)}", as_json=as_json)
