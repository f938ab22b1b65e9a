"""Where the lines run between two neighbouring layers, so that no two can be taken for one.

Between the layers lies a channel of tracks. The lines into all targets that have the same sources are one net: each
source runs along its row to the net's track, the track joins their rows, and each target is reached along its own
row. A net from one source straight to one target needs no track.

On a row where both a source and a target stand, the source's runs must end before the target's begins. That orders the
tracks; where the order is a circle the channel is crowded, and the layers must not share rows.

Source: A. Hashimoto, J. Stevens, "Wire routing by optimizing channel assignment within large apertures" (1971).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from stepbus.orchestrator.cli.drawing.layers import Item, Layer

STRAIGHT = -1


@dataclass(frozen=True)
class Net:
    """The rows that one bundle of lines joins; `track` is its place in the channel from 0, or STRAIGHT."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    track: int

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last row that the track passes."""
        rows = (*self.sources, *self.targets)
        return min(rows), max(rows)


def is_crowded(former: Layer, latter: Layer) -> bool:
    """Say whether the lines between the layers cannot be told apart where they stand now."""
    nets = _nets(former, latter)
    try:
        TopologicalSorter(_order(nets)).prepare()
    except CycleError:
        return True
    return False


def routed(former: Layer, latter: Layer) -> list[Net]:
    """Give the nets between two layers, each on its track.

    Raises:
        graphlib.CycleError: the channel is crowded.
    """
    nets = _nets(former, latter)
    order = _order(nets)
    sequence = _fewest_crossings(nets, list(TopologicalSorter(order).static_order()), order)
    taken: list[list[tuple[int, int]]] = []
    track_of: dict[int, int] = {}
    for index in sequence:
        first, last = nets[index].span
        track = max((track_of[before] + 1 for before in order[index] if before in track_of), default=0)
        while track < len(taken) and any(first <= end and start <= last for start, end in taken[track]):
            track += 1
        while len(taken) <= track:
            taken.append([])
        taken[track].append((first, last))
        track_of[index] = track
    return [Net(net.sources, net.targets, track_of.get(index, STRAIGHT)) for index, net in enumerate(nets)]


def _nets(former: Layer, latter: Layer) -> list[Net]:
    place = {id(item): index for index, item in enumerate(former)}
    by_sources: dict[tuple[int, ...], list[Item]] = {}
    for target in latter:
        if target.before:
            by_sources.setdefault(tuple(sorted(place[id(source)] for source in target.before)), []).append(target)
    return [
        Net(tuple(former[index].row for index in sources), tuple(target.row for target in targets), STRAIGHT)
        for sources, targets in by_sources.items()
    ]


def _is_straight(net: Net) -> bool:
    return net.sources == net.targets and len(net.sources) == 1


def _order(nets: Sequence[Net]) -> dict[int, set[int]]:
    """Give, for each net that needs a track, the nets whose tracks must come before."""
    bent = {index: net for index, net in enumerate(nets) if not _is_straight(net)}
    return {
        index: {other for other, source in bent.items() if other != index and set(source.sources) & set(net.targets)}
        for index, net in bent.items()
    }


def _fewest_crossings(nets: Sequence[Net], sequence: list[int], order: Mapping[int, set[int]]) -> list[int]:
    """Exchange neighbours in the sequence for as long as that saves crossings and the order allows it."""
    improved = True
    while improved:
        improved = False
        for place in range(len(sequence) - 1):
            first, second = sequence[place : place + 2]
            may_change = first not in order[second]
            if may_change and _crossings(nets[second], nets[first]) < _crossings(nets[first], nets[second]):
                sequence[place : place + 2] = second, first
                improved = True
    return sequence


def _crossings(first: Net, second: Net) -> int:
    """Count where the lines of two nets cross if the first has the earlier track."""
    inside_first = sum(1 for row in second.sources if first.span[0] < row < first.span[1] and row not in first.sources)
    inside_second = sum(
        1 for row in first.targets if second.span[0] < row < second.span[1] and row not in second.targets
    )
    return inside_first + inside_second
