"""`stepbus config`."""

import typer

from stepbus.orchestrator.cli.configured import Config, Set, loaded
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def config(*, config: Config = None, assignments: Set = None, as_json: AsJson = False) -> None:
    """Show every setting: its value, and where it comes from. Secrets are masked."""
    shown = loaded(config, assignments).shown()
    rows = [
        (name, "" if setting["value"] is None else str(setting["value"]), setting["source"], setting["description"])
        for name, setting in shown.items()
    ]
    answer(shown, lambda: table(("setting", "value", "from", "what it is"), rows), as_json=as_json)
