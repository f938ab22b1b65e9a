"""What is seen of a task while it runs: its graph, how far it is, and what happened last. In the words of rich."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.looks import TASK
from stepbus.orchestrator.cli.drawing.sketch import Line, Piece, bar, done, sketch, tally

_LATEST = 8
_FRAME = 5
"""Lines of the board that are neither graph nor events: title, progress, and the empty ones between."""
_LEAST = 3


@dataclass(frozen=True)
class Scene:
    """What the board shows. `states` has the state of every step; `latest` the events, each as a line, oldest first."""

    title: str
    status: str
    elapsed: str
    graph: Graph
    states: Mapping[str, str]
    latest: Sequence[Line] = ()


def board(scene: Scene, width: int, height: int) -> Group:
    """Give the whole board, no larger than the terminal as far as that can be."""
    latest = scene.latest[-min(_LATEST, max(_LEAST, height // 3)) :]
    steps = sketch(scene.graph, scene.states, width, max(_LEAST, height - _FRAME - len(latest)))
    return coloured([*heading(scene), (), *steps, (), *latest])


def heading(scene: Scene) -> list[Line]:
    """Give title and progress."""
    counts = Counter(scene.states.values())
    finished, total = done(counts), len(scene.states)
    percent = 100 * finished // total if total else 0
    title = (
        Piece(f"{scene.title}  "),
        Piece(scene.status, TASK.get(scene.status, "")),
        Piece(f"  {scene.elapsed}", "dim"),
    )
    progress = Piece(f"  {finished:,}/{total:,} steps  {percent} %")
    return [title, (*bar(counts), progress, *tally(counts))]


def coloured(lines: Iterable[Line]) -> Group:
    """Give the lines as rich prints them: none is wrapped."""
    return Group(
        *(
            Text.assemble(*((piece.text, piece.style) for piece in line), no_wrap=True, overflow="ellipsis")
            for line in lines
        )
    )
