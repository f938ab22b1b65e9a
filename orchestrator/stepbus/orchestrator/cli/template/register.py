"""`stepbus template register`."""

from typing import Annotated

import typer

from stepbus.orchestrator.cli.documents import Environment, TemplateFile, read_template
from stepbus.orchestrator.cli.failure import Failure, show_problems
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of, shown_by
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def register(
    file: TemplateFile,
    *,
    environment: Environment = None,
    force: Annotated[
        bool, typer.Option("--force", help="Register it even if nobody serves it, or open tasks can't live with it.")
    ] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register a template, so that tasks of it can be submitted. The same content again changes nothing."""
    source = read_template(file)
    try:
        with Api(url, api_key) as api:
            receipt = api.send(
                "templates", source.text, f"application/{source.format}", environment=environment, force=force or None
            )
            registered = path_of("templates", receipt["namespace"], receipt["name"], receipt["version"])
            shown_by(api, registered, receipt["position"])
    except Failure as failure:
        if as_json or not failure.problems:
            raise
        show_problems(failure.problems, source.line)
        raise typer.Exit(1) from failure
    done = "was registered before" if receipt["repeated"] else "registered"
    answer(receipt, f"{receipt['namespace']}/{receipt['name']} {receipt['version']} {done}", as_json=as_json)
