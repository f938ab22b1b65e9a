"""`stepbus template`: check, register, show, graph, list."""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer

from stepbus.contracts.problems import Problem, Refused
from stepbus.contracts.template import TaskTemplate
from stepbus.contracts.template import check as checked
from stepbus.orchestrator.cli.documents import Environment, TemplateFile, TemplateText, read_template
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.mermaid import mermaid
from stepbus.orchestrator.cli.drawing.sketch import plain, sketch
from stepbus.orchestrator.cli.failure import Failure, line_of, listed
from stepbus.orchestrator.cli.moments import date_and_clock
from stepbus.orchestrator.cli.pages import Limit, all_of
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, paired, table

app = typer.Typer(no_args_is_help=True, help="Check, register, show, draw and list task templates.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the template.")]
Namespace = Annotated[str, typer.Option("--namespace", metavar="NAMESPACE", help="Namespace of the template.")]
Version = Annotated[str | None, typer.Option("--version", metavar="VERSION", help="The highest, unless given.")]
Drawing = Annotated[Literal["text", "mermaid", "json"], typer.Option("--format", help="How to draw.")]


@app.command(cls=Verb)
def check(file: TemplateFile, *, environment: Environment = None, as_json: AsJson = False) -> None:
    """Say whether a template can be registered, and all that is wrong with it.

    With --json: {"valid": bool, "errors": [{"code", "pointer", "line", "message"}]}.
    """
    source = read_template(file)
    try:
        template = checked(source.text, source.format, environment)
    except Refused as refused:
        answer({"valid": False, "errors": listed(refused.problems)}, "", as_json=as_json)
        if not as_json:
            _show_problems(refused.problems, source)
        raise typer.Exit(1) from refused
    answer({"valid": True, "errors": []}, lambda: _summary(template), as_json=as_json)


@app.command(cls=Verb)
def register(
    file: TemplateFile,
    *,
    environment: Environment = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Register a template, so that tasks of it can be submitted. The same content again changes nothing."""
    source = read_template(file)
    try:
        with Api(url, api_key) as api:
            receipt = api.send("templates", source.text, f"application/{source.format}", environment=environment)
    except Failure as failure:
        if as_json or not failure.problems:
            raise
        _show_problems(failure.problems, source)
        raise typer.Exit(1) from failure
    done = "was registered before" if receipt["repeated"] else "registered"
    shown = f"{done}: {receipt['namespace']}/{receipt['name']} {receipt['version']}"
    answer(receipt, shown, as_json=as_json)


@app.command(cls=Verb)
def show(
    name: Name,
    *,
    namespace: Namespace = "default",
    version: Version = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show a registered template: when and by whom it was registered, and its document."""
    with Api(url, api_key) as api:
        found = _registered(api, namespace, name, version)
    answer(found, lambda: _told(found), as_json=as_json)


@app.command(cls=Verb)
def graph(
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A template file, or the name of a registered one.")],
    *,
    drawing: Drawing = "text",
    namespace: Namespace = "default",
    version: Version = None,
    environment: Environment = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Draw the steps of a template and what depends on what. What is a file here is read; else it is a name."""
    if Path(what).is_file() or what == "-":
        source = read_template(Path(what))
        steps = checked(source.text, source.format, environment).canonical()["steps"]
    else:
        with Api(url, api_key) as api:
            steps = _registered(api, namespace, what, version)["template"]["steps"]
    typer.echo(drawn(Graph.of((step["name"], step.get("depends_on", ())) for step in steps), drawing, as_json=as_json))


@app.command("list", cls=Verb)
def list_templates(
    *,
    namespace: Annotated[str | None, typer.Option(metavar="NAMESPACE", help="Of this namespace only.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the registered templates."""
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


def drawn(graph: Graph, drawing: str, *, as_json: bool = False) -> str:
    """Give the graph as text as wide as the terminal, as Mermaid, or as JSON."""
    if as_json or drawing == "json":
        return orjson.dumps(
            {"steps": len(graph.depends_on), "levels": graph.levels, "depends_on": graph.depends_on}
        ).decode()
    if drawing == "mermaid":
        return mermaid(graph).rstrip("\n")
    return plain(sketch(graph, None, shutil.get_terminal_size((120, 40)).columns))


def _registered(api: Api, namespace: str, name: str, version: str | None) -> dict[str, Any]:
    if version is None:
        version = api.get(path_of("templates", namespace, name))["latest_version"]
    return api.get(path_of("templates", namespace, name, version))


def _told(found: dict[str, Any]) -> str:
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


def _summary(template: TaskTemplate) -> str:
    graph = Graph.of((step.name, step.depends_on) for step in template.steps)
    return paired(
        [
            ("valid", f"{template.namespace}/{template.name} {template.version}"),
            ("steps", f"{len(template.steps):,}"),
            ("edges", f"{graph.edges:,}"),
            ("roots", f"{len(graph.roots):,}"),
            ("levels", f"{len(graph.levels):,}"),
            ("hash", template.hash),
        ]
    )


def _show_problems(problems: tuple[Problem, ...], source: TemplateText) -> None:
    """Say each problem, and under it the line of the source that it is about."""
    for problem in problems:
        typer.echo(line_of(problem), err=True)
        if problem.line is not None:
            text = source.line(problem.line)
            number = f"{problem.line:>6} | "
            marked = " " * (len(number) + len(text) - len(text.lstrip())) + "^" * max(1, len(text.strip()))
            typer.echo(f"{number}{text}\n{marked}", err=True)
