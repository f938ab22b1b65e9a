"""`stepbus template check`."""

import typer

from stepbus.contracts.problems import Refused
from stepbus.contracts.template import TaskTemplate, edge_findings
from stepbus.contracts.template import check as checked
from stepbus.orchestrator.cli.documents import Environment, TemplateFile, read_template
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.failure import listed, show_problems
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, paired

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def check(file: TemplateFile, *, environment: Environment = None, as_json: AsJson = False) -> None:
    """Say whether a template can be registered, and all that is wrong with it.

    With --json: {"valid": bool, "errors": [{"code", "pointer", "line", "message"}]}; "warnings" alike if there are any.
    """
    source = read_template(file)
    try:
        template = checked(source.text, source.format, environment)
    except Refused as refused:
        answer({"valid": False, "errors": listed(refused.problems)}, "", as_json=as_json)
        if not as_json:
            show_problems(refused.problems, source.line)
        raise typer.Exit(1) from refused
    warnings = edge_findings(template).warnings
    said = {"warnings": listed(warnings)} if warnings else {}
    answer({"valid": True, "errors": []} | said, lambda: _summary(template), as_json=as_json)
    if not as_json:
        show_problems(warnings, source.line, "warning")


def _summary(template: TaskTemplate) -> str:
    graph = Graph.of((step.name, step.depends_on) for step in template.steps)
    return paired(
        [
            ("valid", f"{template.namespace}/{template.name} {template.version}"),
            ("steps", f"{len(template.steps):,}"),
            ("edges", f"{graph.edges:,}"),
            ("roots", f"{len(graph.roots):,}"),
            ("levels", f"{len(graph.levels):,}"),
        ]
    )
