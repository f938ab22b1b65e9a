"""The steps for the width and height at hand: a picture if the graph is small, else a list or a bar for each level.

A sketch is lines of pieces, each a text with a style; it knows no terminal, so it is as good for a pipe as for a board.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.looks import STEP, look_of
from stepbus.orchestrator.cli.drawing.picture import Picture, drawn

MOST_STEPS = 40
MOST_EDGES = 80
MOST_POINTS = 120
"""What is legible as a picture. A point is where a line passes a level on its way to one further on."""
_BAR = 32
_DONE_FIRST = tuple(reversed([state for state in STEP if state != "pending"]))
_DONE = ("complete", "resolved_manually", "bypassed")


@dataclass(frozen=True)
class Piece:
    """Text in one style, in the words of rich; "" is the terminal's own."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]
States = Mapping[str, str]


def sketch(graph: Graph, states: States | None, width: int, height: int | None = None) -> list[Line]:
    """Give the graph as lines that fit into the width, and into the height unless that is None.

    Without `states` the steps are those of a template. A list may be wider than the width where names are long.
    """
    if len(graph.depends_on) <= MOST_STEPS:
        picture = drawn(graph, width) if graph.edges <= MOST_EDGES and graph.points <= MOST_POINTS else None
        lines = list(_coloured(picture, states)) if picture is not None else list(_listed(graph, states))
        if height is None or len(lines) <= height:
            return lines
    return list(_banded(graph, states, max(1, height or 24)))


def plain(lines: Iterable[Line]) -> str:
    """Give the lines without their styles."""
    return "\n".join("".join(piece.text for piece in line).rstrip() for line in lines)


def bar(counts: Mapping[str, int], width: int = _BAR) -> Line:
    """Give a bar of so many columns, of which each state has its share; what is pending is the empty end."""
    total = sum(counts.values())
    pieces, drawn_to, seen = [], 0, 0
    for state in _DONE_FIRST:
        seen += counts.get(state, 0)
        end = round(width * seen / total) if total else 0
        if end > drawn_to:
            pieces.append(Piece("█" * (end - drawn_to), look_of(state).style))
        drawn_to = end
    return (*pieces, Piece("░" * (width - drawn_to), "dim"))


def tally(counts: Mapping[str, int]) -> Line:
    """Give how many steps are in each state that is worth a word, by its symbol."""
    shown = [state for state in _DONE_FIRST if counts.get(state) and state not in _DONE]
    return tuple(Piece(f"  {look_of(state).symbol}{counts[state]}", look_of(state).style) for state in shown)


def done(counts: Mapping[str, int]) -> int:
    """Give how many steps satisfy those that depend on them."""
    return sum(counts.get(state, 0) for state in _DONE)


def _coloured(picture: Picture, states: States | None) -> Iterator[Line]:
    for line in picture:
        pieces: list[Piece] = []
        for segment in line:
            if segment.step is None:
                pieces.append(Piece(segment.text, "dim"))
            else:
                pieces += _label(segment.step, states)
        yield tuple(pieces)


def _label(name: str, states: States | None) -> Line:
    look = look_of(None if states is None else states.get(name, "pending"))
    return Piece(f"{look.symbol} ", look.style), Piece(name, look.style)


def _listed(graph: Graph, states: States | None) -> Iterator[Line]:
    for number, level in enumerate(graph.levels, 1):
        yield (Piece(f"level {number}", "dim"),)
        for name in level:
            needed = graph.depends_on[name]
            yield (Piece("  "), *_label(name, states), *([Piece(f" ← {', '.join(needed)}", "dim")] if needed else []))


def _banded(graph: Graph, states: States | None, height: int) -> Iterator[Line]:
    levels = graph.levels
    size = -(-len(levels) // height)
    bands = [(first, levels[first : first + size]) for first in range(0, len(levels), size)]
    titles = [_title(first + 1, first + len(band)) for first, band in bands]
    widest = max(len(title) for title in titles)
    most = len(f"{max(sum(map(len, band)) for _, band in bands):,}")
    for title, (_, band) in zip(titles, bands, strict=True):
        names = [name for level in band for name in level]
        head = Piece(f"{title:<{widest}}  {len(names):>{most},} {'step ' if len(names) == 1 else 'steps'}  ", "dim")
        yield (head, *_content(names, states))


def _title(first: int, last: int) -> str:
    return f"level {first}" if first == last else f"levels {first}-{last}"


def _content(names: Sequence[str], states: States | None) -> Line:
    if len(names) == 1:
        return _label(names[0], states)
    if states is None:
        return (Piece(", ".join(names[:3]) + (", …" if len(names) > 3 else "")),)  # noqa: PLR2004 - a taste of the names
    counts = Counter(states.get(name, "pending") for name in names)
    return (*bar(counts), Piece(f"  {done(counts):,}/{len(names):,}"), *tally(counts))
