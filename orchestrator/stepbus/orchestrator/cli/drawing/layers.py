"""Who stands where: steps in layers, the order within a layer, and the row of each.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures" (1981):
an edge over several layers passes each of them as a point of its own; the order comes from barycentres. Rows come
from an isotonic regression, the nearest rows to where the neighbours stand that keep the order and the distance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import floor
from random import Random

from stepbus.orchestrator.cli.drawing.graph import Graph

_STARTS = 12
_SWEEPS = 8
_PULLS = (8, 2, 1)
_WIDEST_GAP = 3


@dataclass(eq=False)
class Item:
    """A step, or the point at which the line that leaves a step passes a layer (`is_step` is false).

    Shape: `row` counts in half slots: two items of a layer are at least two rows apart, and all rows of a layer are
    even or all are odd. `height` is where the item would like to stand, in rows, before that is demanded.
    """

    name: str
    is_step: bool
    row: int = 0
    height: float = 0.0
    before: list["Item"] = field(default_factory=list)
    after: list["Item"] = field(default_factory=list)


Layer = list[Item]
Crowded = Callable[[Layer, Layer], bool]


def placed(graph: Graph, is_crowded: Crowded) -> list[Layer]:
    """Give the layers with every item in its row; row 0 is the first.

    `is_crowded` says of two neighbouring layers that lines between them cannot be drawn apart if their rows coincide;
    the second is then set half a slot off.
    """
    layers = _ordered(_with_forks(_layers_of(graph)))
    for layer in layers:
        for index, item in enumerate(layer):
            item.height = 2.0 * index
    for _ in range(_SWEEPS):
        for layer in layers[1:]:
            _lift(layer, lambda item: item.before)
        for layer in reversed(layers[:-1]):
            _lift(layer, lambda item: item.after)
    for layer in layers[:1]:
        _settle(layer, (0, 1))
    for former, layer in pairwise(layers):
        parity = former[0].row % 2
        _lift(layer, lambda item: item.before)
        _settle(layer, (parity, 1 - parity))
        if is_crowded(former, layer):
            _settle(layer, (1 - parity,))
    _close_gaps([item for layer in layers for item in layer])
    return layers


def _layers_of(graph: Graph) -> list[Layer]:
    layers: list[Layer] = [[Item(name, is_step=True) for name in level] for level in graph.levels]
    by_name = {item.name: item for layer in layers for item in layer}
    passing: dict[tuple[str, int], Item] = {}
    for name, needed in graph.depends_on.items():
        for source in needed:
            item = by_name[source]
            for level in range(graph.level_of[source] + 1, graph.level_of[name]):
                point = passing.get((source, level))
                if point is None:
                    point = passing[source, level] = Item(source, is_step=False)
                    layers[level].append(point)
                    _join(item, point)
                item = point
            _join(item, by_name[name])
    return layers


def _join(source: Item, target: Item) -> None:
    source.after.append(target)
    target.before.append(source)


def _with_forks(layers: list[Layer]) -> list[Layer]:
    """Put a layer of points between two where a line forks and one of its branches meets lines of others.

    Drawn in one place, fork and meeting would look like a way from those others into all the branches.
    """
    result = layers[:1]
    for latter in layers[1:]:
        nets = _targets_by_sources(latter)
        if any(len(targets) != len(source.after) for sources, targets in nets for source in sources):
            result.append([point for sources, targets in nets for point in _forked(sources, targets)])
        result.append(latter)
    return result


def _targets_by_sources(latter: Layer) -> list[tuple[Layer, Layer]]:
    nets: dict[frozenset[Item], Layer] = {}
    for target in latter:
        if target.before:
            nets.setdefault(frozenset(target.before), []).append(target)
    return [(targets[0].before, targets) for targets in nets.values()]


def _forked(sources: Layer, targets: Layer) -> Layer:
    points = [Item(source.name, is_step=False, before=[source], after=list(targets)) for source in sources]
    for source, point in zip(sources, points, strict=True):
        source.after = [*(item for item in source.after if item not in targets), point]
    for target in targets:
        target.before = list(points)
    return points


def _ordered(layers: list[Layer]) -> list[Layer]:
    """Give the order with the fewest crossings that is found from the given one, and from some by repeatable chance."""
    chance = Random(0)  # noqa: S311 - for the eye, no secret
    best, fewest = layers, _crossings(layers)
    for start in range(_STARTS):
        if fewest == 0:
            break
        tried = [chance.sample(layer, len(layer)) if start else list(layer) for layer in layers]
        for sweep in range(_SWEEPS):
            _sweep(tried, is_forward=sweep % 2 == 0)
            found = _crossings(tried)
            if found < fewest:
                best, fewest = [list(layer) for layer in tried], found
    return best


def _sweep(layers: list[Layer], *, is_forward: bool) -> None:
    if is_forward:
        for former, layer in pairwise(layers):
            _sort_by(layer, former, lambda item: item.before)
    else:
        for layer, latter in reversed(list(pairwise(layers))):
            _sort_by(layer, latter, lambda item: item.after)


def _sort_by(layer: Layer, other: Layer, neighbours: Callable[[Item], Sequence[Item]]) -> None:
    place = {id(item): index for index, item in enumerate(other)}
    own = {id(item): index for index, item in enumerate(layer)}

    def centre(item: Item) -> float:
        there = neighbours(item)
        return sum(place[id(neighbour)] for neighbour in there) / len(there) if there else own[id(item)]

    layer.sort(key=centre)


def _crossings(layers: list[Layer]) -> int:
    crossings = 0
    for former, latter in pairwise(layers):
        place = {id(item): index for index, item in enumerate(latter)}
        ends = [
            place[id(target)] for source in former for target in sorted(source.after, key=lambda one: place[id(one)])
        ]
        crossings += sum(1 for index, end in enumerate(ends) for later in ends[index + 1 :] if later < end)
    return crossings


def _lift(layer: Layer, neighbours: Callable[[Item], Sequence[Item]]) -> None:
    """Move the items of a layer to the middle of their neighbours, as far as order and distance let them."""
    wanted: list[float] = []
    weights: list[int] = []
    for item in layer:
        pulls = [(_pull(item, neighbour), neighbour.height) for neighbour in neighbours(item)] or [(1, item.height)]
        weights.append(sum(pull for pull, _ in pulls))
        wanted.append(sum(pull * height for pull, height in pulls) / weights[-1])
    for item, height in zip(layer, _apart(wanted, weights), strict=True):
        item.height = height


def _pull(one: Item, other: Item) -> int:
    """Give how much it counts that two neighbours stand at one height: most for a long line, which is best straight."""
    return _PULLS[one.is_step + other.is_step]


def _apart(wanted: Sequence[float], weights: Sequence[int]) -> list[float]:
    """Give the heights nearest to the wanted ones that rise by two at least.

    Source: pool adjacent violators (M. Ayer et al. 1955), on heights less what their place asks for.
    """
    pools: list[tuple[float, int, int]] = []
    for index, (want, weight) in enumerate(zip(wanted, weights, strict=True)):
        pool = (weight * (want - 2 * index), weight, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            former = pools.pop()
            pool = (former[0] + pool[0], former[1] + pool[1], former[2] + pool[2])
        pools.append(pool)
    bases = [total / weight for total, weight, count in pools for _ in range(count)]
    return [base + 2 * index for index, base in enumerate(bases)]


def _settle(layer: Layer, parities: Sequence[int]) -> None:
    """Set the rows nearest to the heights, all even (0) or all odd (1), the first of equally near ones."""
    choices = [[2 * floor((item.height - parity) / 2 + 0.5) + parity for item in layer] for parity in parities]
    rows = min(choices, key=lambda rows: sum(abs(row - item.height) for row, item in zip(rows, layer, strict=True)))
    for item, row in zip(layer, rows, strict=True):
        item.row = row
        item.height = row


def _close_gaps(items: Sequence[Item]) -> None:
    """Let row 0 be the first, and no more than three rows lie between two that are in use; even stays even."""
    shift, former = 0, None
    for row, group in groupby(sorted(items, key=lambda item: item.row), key=lambda item: item.row):
        if former is None:
            shift = row
        elif row - former > _WIDEST_GAP:
            shift += (row - former - _WIDEST_GAP + 1) // 2 * 2
        former = row
        for item in group:
            item.row -= shift
