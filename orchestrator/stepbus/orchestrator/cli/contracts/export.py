"""`stepbus contracts export`."""

from pathlib import Path
from typing import Annotated

import typer

from stepbus.contracts.export import schema_files
from stepbus.orchestrator.cli.contracts.agreed import Templates, agreed
from stepbus.orchestrator.cli.remote import ApiKey, Url
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it is not there.")],
    *,
    template: Templates = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write the JSON Schemas of every message, and of each handler's input, result and error.

    With --json: {"folder": DIR, "files": [PATH]}.
    """
    files = schema_files(*agreed(template, url, api_key))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    answer({"folder": str(folder), "files": sorted(files)}, f"{len(files)} schemas are in {folder}", as_json=as_json)
