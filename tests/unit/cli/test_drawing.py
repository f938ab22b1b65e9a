"""A picture of a graph shows every dependency, and none that isn't there."""

from collections.abc import Callable, Iterable, Iterator
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.mermaid import mermaid
from stepbus.orchestrator.cli.drawing.picture import Picture, drawn, left_to_right, top_down, width_of
from stepbus.orchestrator.cli.drawing.sketch import bar, plain, sketch

WIDE = 10_000
DIAMOND = Graph.of([("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c"))])
UP, DOWN, LEFT, RIGHT = (0, -1), (0, 1), (-1, 0), (1, 0)
WAYS = {
    "│": {UP, DOWN},
    "─": {LEFT, RIGHT},
    "┌": {DOWN, RIGHT},
    "┐": {DOWN, LEFT},
    "└": {UP, RIGHT},
    "┘": {UP, LEFT},
    "├": {UP, DOWN, RIGHT},
    "┤": {UP, DOWN, LEFT},
    "┬": {DOWN, LEFT, RIGHT},
    "┴": {UP, LEFT, RIGHT},
    "┼": {UP, DOWN, LEFT, RIGHT},
}
Cell = tuple[int, int]


class Reader:
    """Follows the lines of a picture as an eye would: on, or around a corner, and never back against the arrows."""

    def __init__(self, picture: Picture, forward: Cell) -> None:
        self.forward = forward
        self.back = (-forward[0], -forward[1])
        self.cells: dict[Cell, str] = {}
        self.steps: dict[Cell, str] = {}
        self.exits: dict[str, Cell] = {}
        for y, line in enumerate(picture):
            x = 0
            for segment in line:
                for offset, character in enumerate(segment.text):
                    self.cells[x + offset, y] = character
                    if segment.step is not None:
                        self.steps[x + offset, y] = segment.step
                if segment.step is not None:
                    length = len(segment.text)
                    self.exits[segment.step] = (x + length + 1, y) if forward == RIGHT else (x + length // 2, y + 1)
                x += len(segment.text)

    def edges(self) -> set[tuple[str, str]]:
        return {(step, target) for step, start in self.exits.items() for target in self.reached_from(start)}

    def reached_from(self, start: Cell) -> Iterator[str]:
        open_ways, seen = [(start, self.forward)], set()
        while open_ways:
            cell, way = open_ways.pop()
            if (cell, way) in seen:
                continue
            seen.add((cell, way))
            character = self.cells.get(cell, " ")
            if character in "▶▼":
                yield self.steps[self.target_of(cell)]
            open_ways += [((cell[0] + turn[0], cell[1] + turn[1]), turn) for turn in self.ways_on(character, way)]

    def target_of(self, arrow: Cell) -> Cell:
        return (arrow[0] + 2, arrow[1]) if self.forward == RIGHT else (arrow[0], arrow[1] + 1)

    def ways_on(self, character: str, way: Cell) -> Iterable[Cell]:
        if character == "│" and way in {LEFT, RIGHT}:
            return (way,)  # the line passes behind the other
        came_from = (-way[0], -way[1])
        ways = WAYS.get(character, set())
        return [turn for turn in ways if turn not in (came_from, self.back)] if came_from in ways or not ways else []


def edges_of(graph: Graph) -> set[tuple[str, str]]:
    return {(needed, name) for name, all_needed in graph.depends_on.items() for needed in all_needed}


def text(graph: Graph, width: int = WIDE) -> str:
    return plain(sketch(graph, None, width))


def drawing(picture: str) -> str:
    return dedent(picture).strip("\n")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = [f"s{number}" for number in range(draw(st.integers(1, 14)))]
    needed = [
        st.lists(st.sampled_from(names[:index] or names), unique=True, max_size=3 if index else 0)
        for index in range(len(names))
    ]
    return Graph.of((name, draw(some)) for name, some in zip(names, needed, strict=True))


@given(graphs())
def test_left_to_right_the_lines_are_the_dependencies(graph: Graph) -> None:
    assert Reader(left_to_right(graph), RIGHT).edges() == edges_of(graph)


@given(graphs())
def test_top_down_the_lines_are_the_dependencies(graph: Graph) -> None:
    assert Reader(top_down(graph), DOWN).edges() == edges_of(graph)


@given(graphs())
def test_every_step_is_shown_once(graph: Graph) -> None:
    for picture in (left_to_right(graph), top_down(graph)):
        assert sorted(segment.step for line in picture for segment in line if segment.step) == sorted(graph.depends_on)


def test_a_small_graph_runs_from_left_to_right() -> None:
    assert text(DIAMOND) == drawing(
        """
             ┌─▶ ● b ─┐
        ● a ─┤        ├─▶ ● d
             └─▶ ● c ─┘
        """
    )


def test_a_graph_too_long_for_the_width_runs_from_top_to_bottom() -> None:
    assert text(DIAMOND, width=20) == drawing(
        """
           ● a
         ┌──┴──┐
         ▼     ▼
        ● b   ● c
         └──┬──┘
            ▼
           ● d
        """
    )


def test_a_fork_is_not_mistaken_for_a_meeting() -> None:
    apart = Graph.of([("a", ()), ("b", ()), ("x", ("a",)), ("y", ("a", "b"))])
    together = Graph.of([("a", ()), ("b", ()), ("x", ("a", "b")), ("y", ("a", "b"))])

    assert text(together) == drawing(
        """
        ● a ─┬─▶ ● x
             │
        ● b ─┴─▶ ● y
        """
    )
    assert text(apart) == drawing(
        """
             ┌────▶ ● x
        ● a ─┤
             └──┐
        ● b ─┐  │
             └──┴─▶ ● y
        """
    )


def test_a_graph_that_can_be_drawn_without_crossings_is() -> None:
    graph = Graph.of(
        [
            ("check", ()),
            ("reserve", ("check",)),
            ("authorise", ("check",)),
            ("screen", ("check",)),
            ("approve", ("reserve", "authorise", "screen")),
            ("pack", ("approve",)),
            ("label", ("approve",)),
            ("dispatch", ("pack", "label")),
            ("capture", ("authorise", "dispatch")),
            ("confirm", ("capture", "label")),
        ]
    )

    assert "─│─" not in text(graph)


def test_the_same_graph_is_always_drawn_the_same() -> None:
    steps = [
        (f"s{number}", [f"s{other}" for other in range(number) if (number * other) % 3 == 1]) for number in range(12)
    ]

    assert left_to_right(Graph.of(steps)) == left_to_right(Graph.of(steps))


def test_a_line_over_several_levels_is_straight() -> None:
    graph = Graph.of([("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ("c", "a"))])

    assert text(graph) == drawing(
        """
             ┌─▶ ● b ─▶ ● c ─┐
        ● a ─┤               ├─▶ ● d
             └───────────────┘
        """
    )


def test_a_graph_too_wide_for_any_picture_is_a_list() -> None:
    assert text(DIAMOND, width=8) == drawing(
        """
        level 1
          ● a
        level 2
          ● b ← a
          ● c ← a
        level 3
          ● d ← b, c
        """
    )


def all_before(number: int) -> Iterable[int]:
    return range(number)


def last_and_fifth_last(number: int) -> Iterable[int]:
    return {max(0, number - 1), max(0, number - 5)} if number else ()


@pytest.mark.parametrize("needed", [all_before, last_and_fifth_last])
def test_a_graph_too_dense_for_the_eye_is_a_list(needed: Callable[[int], Iterable[int]]) -> None:
    graph = Graph.of((f"s{number}", [f"s{other}" for other in needed(number)]) for number in range(40))

    assert text(graph).startswith("level 1\n  ● s0\nlevel 2\n  ● s1 ← s0\n")


def test_a_large_graph_is_a_bar_for_each_level() -> None:
    fan = [f"w{number}" for number in range(200)]
    graph = Graph.of([("root", ()), *((name, ("root",)) for name in fan), ("join", fan)])
    states = {"root": "complete", **dict.fromkeys(fan[:100], "complete"), **dict.fromkeys(fan[100:150], "error")}

    assert plain(sketch(graph, states, 100)) == drawing(
        """
        level 1    1 step   ✓ root
        level 2  200 steps  ████████████████████████░░░░░░░░  100/200  ✗50
        level 3    1 step   ○ join
        """
    )
    assert "level 2  200 steps  w0, w1, w2, …" in text(graph)


def test_a_deep_graph_takes_no_more_lines_than_there_are() -> None:
    chain = Graph.of((f"s{number}", (f"s{number - 1}",) if number else ()) for number in range(3_700))

    lines = sketch(chain, {}, width=80, height=10)

    assert len(lines) == 10
    assert plain(lines).endswith("0/370")


def test_a_picture_higher_than_the_terminal_is_a_bar_for_each_level() -> None:
    assert len(sketch(DIAMOND, {}, width=80, height=3)) == 3
    assert len(sketch(DIAMOND, {}, width=20, height=6)) == 3


def test_states_are_told_by_symbol_and_by_style() -> None:
    lines = sketch(DIAMOND, {"a": "complete", "b": "error"}, width=80)

    styles = {piece.text: piece.style for line in lines for piece in line}
    assert styles["✓ "] == "green"
    assert styles["✗ "] == "bold red"
    assert "○ c" in plain(lines)


def test_no_steps_make_no_picture() -> None:
    assert sketch(Graph.of([]), None, 80) == []


@pytest.mark.parametrize(
    ("counts", "filled"),
    [({}, 0), ({"pending": 3}, 0), ({"complete": 1, "pending": 3}, 8), ({"complete": 1, "error": 1}, 32)],
)
def test_a_bar_is_always_as_wide_as_asked(counts: dict[str, int], filled: int) -> None:
    drawn_bar = plain([bar(counts, 32)])

    assert len(drawn_bar) == 32
    assert drawn_bar.count("█") == filled


def test_levels_are_the_longest_way_from_a_root() -> None:
    graph = Graph.of([("d", ("a", "c")), ("a", ()), ("b", ("a",)), ("c", ("b",))])

    assert graph.levels == (("a",), ("b",), ("c",), ("d",))
    assert graph.roots == ("a",)
    assert graph.edges == 4


def test_a_mermaid_flowchart_quotes_names_and_colours_states() -> None:
    graph = Graph.of([("start", ()), ("end", ("start",))])

    assert (
        mermaid(graph, {"start": "complete"})
        == drawing(
            """
        flowchart TD
            s0["start"]
            s1["end"]
            s0 --> s1
            classDef complete fill:#b2f2bb
            class s0 complete
        """
        )
        + "\n"
    )


def test_the_narrower_picture_is_taken_only_if_it_fits() -> None:
    needed = width_of(top_down(DIAMOND))

    assert drawn(DIAMOND, needed) == top_down(DIAMOND)
    assert drawn(DIAMOND, needed - 1) is None
