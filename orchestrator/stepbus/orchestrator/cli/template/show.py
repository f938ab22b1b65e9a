"""`stepbus template show`."""

from typing import Annotated, Any

import typer

from stepbus.orchestrator.cli.moments import date_and_clock
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url
from stepbus.orchestrator.cli.template.registered import Namespace, Version, registered
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, paired, table

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the template.")],
    *,
    namespace: Namespace = "default",
    version: Version = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a registered template: when and by whom it was registered, and its steps; with --json the whole document."""
    with Api(url, api_key) as api:
        found = registered(api, namespace, name, version)
    answer(found, lambda: _described(found), as_json=as_json)


def _described(found: dict[str, Any]) -> str:
    steps = found["template"]["steps"]
    head = paired(
        [
            ("template", f"{found['namespace']}/{found['name']} {found['version']}"),
            ("description", found["description"]),
            ("registered", f"{date_and_clock(found['registered_at_ms'])} by {found['actor']}"),
            ("hash", found["template_hash"]),
            ("steps", f"{len(steps):,}"),
        ]
    )
    rows = ((step["name"], step["handler"], step["queue"], ", ".join(step.get("depends_on", ()))) for step in steps)
    return f"{head}\n\n{table(('step', 'handler', 'queue', 'depends on'), rows)}"
