"""`stepbus template graph`."""

import shutil
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer

from stepbus.contracts.template import check
from stepbus.orchestrator.cli.documents import STDIN, Environment, read_template
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.mermaid import mermaid
from stepbus.orchestrator.cli.drawing.sketch import plain, sketch
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url
from stepbus.orchestrator.cli.template.registered import Namespace, Version, registered
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def graph(
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A template file, or the name of a registered one.")],
    *,
    form: Annotated[Literal["text", "mermaid", "json"], typer.Option("--format", help="How to draw.")] = "text",
    namespace: Namespace = "default",
    version: Version = None,
    environment: Environment = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Draw the steps of a template and what depends on what. A file that is here is read; else it is a name.

    With --json, the same as --format json: {"steps", "levels", "depends_on"}.
    """
    file = Path(what)
    if file == STDIN or file.is_file() or "." in what or "/" in what:  # no name has these
        source = read_template(file)
        document = check(source.text, source.format, environment).canonical()
    else:
        with Api(url, api_key) as api:
            document = registered(api, namespace, what, version)["template"]
    steps = Graph.of((step["name"], step.get("depends_on", ())) for step in document["steps"])
    typer.echo(_drawn(steps, "json" if as_json else form))


def _drawn(graph: Graph, form: str) -> str:
    if form == "json":
        shown = {"steps": len(graph.depends_on), "levels": graph.levels, "depends_on": graph.depends_on}
        return orjson.dumps(shown).decode()
    if form == "mermaid":
        return mermaid(graph).rstrip("\n")
    return plain(sketch(graph, None, shutil.get_terminal_size((120, 40)).columns))
