"""`stepbus template list`."""

from typing import Annotated

import typer

from stepbus.orchestrator.cli.moments import date_and_clock
from stepbus.orchestrator.cli.pages import Limit, all_of
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, table

app = typer.Typer(add_completion=False)


@app.command("list", cls=Verb)
def list_templates(
    *,
    namespace: Annotated[str | None, typer.Option(metavar="NAMESPACE", help="Of this namespace only.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the registered templates, each with its highest version."""
    with Api(url, api_key) as api:
        found = all_of(api, "templates", "templates", limit, namespace=namespace)
    rows = (
        (
            f"{one['namespace']}/{one['name']}",
            one["latest_version"],
            str(len(one["versions"])),
            str(one["versions"][0]["total_steps"]),
            date_and_clock(one["versions"][0]["registered_at_ms"]),
        )
        for one in found["templates"]
    )
    answer(found, lambda: table(("template", "latest", "versions", "steps", "registered"), rows), as_json=as_json)
