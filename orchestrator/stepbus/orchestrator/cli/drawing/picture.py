"""The graph in characters, left to right or top down: lines of segments, each a step's label or a piece of line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.layers import Layer, placed
from stepbus.orchestrator.cli.drawing.tracks import STRAIGHT, Net, is_crowded, routed

UP, DOWN, BACK, ON = 1, 2, 4, 8
_SHAPES = dict(zip(range(16), " │││─┘┐┤─└┌├─┴┬┼", strict=True))
_MARK = 2
"""Columns of a label before the name: the symbol of the step's state, and a space."""
_GAP = 3
"""Columns between the labels of neighbours, drawn top down."""


@dataclass(frozen=True)
class Segment:
    """A run of characters of one line. The label of a step begins with a space for its symbol, and names the step."""

    text: str
    step: str | None = None


Picture = tuple[tuple[Segment, ...], ...]
Point = tuple[int, int]


class _Canvas:
    """Cells at (column, line), each with the strokes that meet in it, by the net that they belong to."""

    def __init__(self) -> None:
        self._strokes: dict[Point, dict[object, int]] = {}
        self._glyphs: dict[Point, str] = {}
        self._labels: dict[Point, str] = {}

    def stroke(self, start: Point, end: Point, net: object) -> None:
        """Draw a straight line between the middles of two cells."""
        (x, y), (end_x, end_y) = sorted((start, end))
        step, ahead, behind = ((1, 0), ON, BACK) if y == end_y else ((0, 1), DOWN, UP)
        while (x, y) != (end_x, end_y):
            self._add((x, y), net, ahead)
            x, y = x + step[0], y + step[1]
            self._add((x, y), net, behind)

    def glyph(self, point: Point, character: str) -> None:
        self._glyphs[point] = character

    def label(self, point: Point, name: str) -> None:
        self._labels[point] = name

    def lines(self) -> Picture:
        places = [*self._strokes, *self._glyphs, *self._labels]
        height = 1 + max((y for _, y in places), default=-1)
        return tuple(self._line(y) for y in range(height))

    def _add(self, point: Point, net: object, stroke: int) -> None:
        cell = self._strokes.setdefault(point, {})
        cell[net] = cell.get(net, 0) | stroke

    def _line(self, y: int) -> tuple[Segment, ...]:
        end = 1 + max((x for x, line in (*self._strokes, *self._glyphs, *self._labels) if line == y), default=-1)
        segments: list[Segment] = []
        text, x = "", 0
        while x < end:
            name = self._labels.get((x, y))
            if name is None:
                text, x = text + self._character((x, y)), x + 1
                continue
            segments += [Segment(text)] if text else []
            segments.append(Segment(" " * _MARK + name, name))
            text, x = "", x + _MARK + len(name)
        return (*segments, Segment(text)) if text else tuple(segments)

    def _character(self, point: Point) -> str:
        if point in self._glyphs:
            return self._glyphs[point]
        by_net = self._strokes.get(point, {})
        along = {net for net, strokes in by_net.items() if strokes & (BACK | ON)}
        across = {net for net, strokes in by_net.items() if strokes & (UP | DOWN)}
        if along and across and not along & across:
            return "│"  # lines that cross without meeting: one passes behind the other
        strokes = 0
        for one in by_net.values():
            strokes |= one
        return _SHAPES[strokes]


@lru_cache(maxsize=8)
def drawn(graph: Graph, width: int) -> Picture | None:
    """Give the picture of a graph that fits into the width: left to right if it can be, else top down, else None."""
    return next((picture for draw in (left_to_right, top_down) if width_of(picture := draw(graph)) <= width), None)


def width_of(picture: Picture) -> int:
    """Give the columns of the longest line."""
    return max((sum(len(segment.text) for segment in line) for line in picture), default=0)


def left_to_right(graph: Graph) -> Picture:
    """Give the picture with the roots on the left."""
    canvas = _Canvas()
    x = 0
    for layer, nets, latter in _routed(graph):
        end = x + max((_MARK + len(item.name) + 1 for item in layer if item.is_step), default=0)
        for item in layer:
            if item.is_step:
                canvas.label((x, item.row), item.name)
            if item.after:
                canvas.stroke((x + (_MARK + len(item.name) + 1) * item.is_step, item.row), (end, item.row), item)
        x = _channel(canvas, nets, latter, end, _Direction(lambda along, row: (along, row), spacing=2, arrow="▶"))
    return canvas.lines()


def top_down(graph: Graph) -> Picture:
    """Give the picture with the roots at the top."""
    canvas = _Canvas()
    widest = _MARK + max(map(len, graph.depends_on), default=0)
    half = (widest + _GAP + 1) // 2
    direction = _Direction(lambda along, row: (row * half + widest // 2, along), spacing=1, arrow="▼")
    y = 0
    for layer, nets, latter in _routed(graph):
        for item in layer:
            if item.is_step:
                x, _ = direction.turn(y, item.row)
                canvas.label((x - (_MARK + len(item.name)) // 2, y), item.name)
        y = _channel(canvas, nets, latter, y, direction)
    return canvas.lines()


def _routed(graph: Graph) -> Iterator[tuple[Layer, list[Net], Layer]]:
    """Give each layer with the nets that lead to the next, and the next; nothing follows the last."""
    layers = placed(graph, is_crowded)
    for former, latter in pairwise(layers):
        yield former, routed(former, latter), latter
    yield from ((layer, [], []) for layer in layers[-1:])


@dataclass(frozen=True)
class _Direction:
    """How the channel's two axes, along and row, lie on the canvas, and how far apart tracks, arrow and label are."""

    turn: Callable[[int, int], Point]
    spacing: int
    arrow: str


def _channel(canvas: _Canvas, nets: list[Net], latter: Layer, start: int, direction: _Direction) -> int:
    """Draw the nets between two layers, and give where on the way along the second layer begins."""
    turn = direction.turn
    tracks = 1 + max((net.track for net in nets), default=STRAIGHT)
    head = start + 1 + direction.spacing * tracks
    steps_at = {item.row for item in latter if item.is_step}
    following = head + direction.spacing if steps_at else head
    for net in nets:
        along = head if net.track == STRAIGHT else start + 1 + direction.spacing * net.track
        for row in net.sources:
            canvas.stroke(turn(start, row), turn(along, row), net)
        first, last = net.span
        canvas.stroke(turn(along, first), turn(along, last), net)
        for row in net.targets:
            if row in steps_at:
                canvas.stroke(turn(along, row), turn(head, row), net)
                canvas.glyph(turn(head, row), direction.arrow)
            else:
                canvas.stroke(turn(along, row), turn(following, row), net)
    return following
