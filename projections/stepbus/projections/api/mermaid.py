"""A graph as Mermaid text, coloured by state."""

from collections.abc import Iterator

from stepbus.projections.api.models.steps import Graph

MEDIA_TYPE = "text/vnd.mermaid"

_COLOURS = {
    "pending": "fill:#eceff1,stroke:#90a4ae",
    "dispatched": "fill:#fff8e1,stroke:#ffb300",
    "in_progress": "fill:#e3f2fd,stroke:#1e88e5",
    "waiting_for_retry": "fill:#fff3e0,stroke:#fb8c00",
    "complete": "fill:#e8f5e9,stroke:#43a047",
    "error": "fill:#ffebee,stroke:#e53935",
    "cancelled": "fill:#f5f5f5,stroke:#757575,stroke-dasharray:4",
    "resolved_manually": "fill:#f1f8e9,stroke:#7cb342",
    "bypassed": "fill:#fafafa,stroke:#bdbdbd,stroke-dasharray:2",
}


def mermaid(graph: Graph) -> str:
    """Give the flowchart of a graph, from top to bottom. Names go in as quoted labels, so none of them is syntax."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    numbers = {node.step: number for number, node in enumerate(graph.nodes)}
    yield "flowchart TD"
    for node in graph.nodes:
        label = node.step if node.state is None else f"{node.step}<br/>{node.state}"
        shown = "" if node.state is None else f":::{node.state}"
        yield f'  s{numbers[node.step]}["{label}"]{shown}'
    for edge in graph.edges:
        yield f"  s{numbers[edge.source]} --> s{numbers[edge.target]}"
    for state in sorted({node.state for node in graph.nodes if node.state is not None}):
        yield f"  classDef {state} {_COLOURS[state]}"
