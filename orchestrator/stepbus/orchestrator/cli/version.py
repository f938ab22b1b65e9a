"""`stepbus version`."""

from importlib.metadata import version as installed
from platform import python_version

import typer

from stepbus.orchestrator.cli.verb import AsJson, Verb, answer

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def version(*, as_json: AsJson = False) -> None:
    """Show the version of stepbus."""
    found = installed("stepbus")
    answer({"stepbus": found, "python": python_version()}, f"stepbus {found}", as_json=as_json)
