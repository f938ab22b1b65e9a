"""The graph as a Mermaid flowchart, for a page that renders it. Source: mermaid.js.org/syntax/flowchart.html."""

from collections.abc import Iterator, Mapping

from stepbus.orchestrator.cli.drawing.graph import Graph

_FILL = {
    "dispatched": "#fff3bf",
    "in_progress": "#ffe066",
    "waiting_for_retry": "#eebefa",
    "complete": "#b2f2bb",
    "resolved_manually": "#99e9f2",
    "bypassed": "#99e9f2",
    "error": "#ffc9c9",
    "cancelled": "#dee2e6",
}


def mermaid(graph: Graph, states: Mapping[str, str] | None = None) -> str:
    """Give the flowchart; steps whose state is known are filled with its colour."""
    return "\n".join(_lines(graph, states or {})) + "\n"


def _lines(graph: Graph, states: Mapping[str, str]) -> Iterator[str]:
    # A step's name may be a word of Mermaid's own ("end"), so ids are numbers and names are quoted labels.
    ids = {name: f"s{number}" for number, name in enumerate(graph.depends_on)}
    yield "flowchart TD"
    for name, identifier in ids.items():
        yield f'    {identifier}["{name}"]'
    for name, needed in graph.depends_on.items():
        for source in needed:
            yield f"    {ids[source]} --> {ids[name]}"
    for state, fill in _FILL.items():
        members = [identifier for name, identifier in ids.items() if states.get(name) == state]
        if members:
            yield f"    classDef {state} fill:{fill}"
            yield f"    class {','.join(members)} {state}"
