"""Medians with their spread, and percentiles that were found."""

import pytest

from stepbus.orchestrator.bench.figures import percentiles, ratio, spread


def test_a_spread_is_median_least_and_most() -> None:
    assert spread([30.04, 10.06, 20.0, 40.0]) == {"median": 25.0, "min": 10.1, "max": 40.0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], (7, 7, 7)),
        ([2, 1], (1, 2, 2)),
        (range(1, 101), (50, 95, 99)),
        (range(1, 1001), (500, 950, 990)),
    ],
)
def test_a_percentile_is_a_value_that_was_found(values: list[float], expected: tuple[float, ...]) -> None:
    found = percentiles(values)

    assert found is not None
    assert tuple(found.values()) == expected
    assert list(found) == ["p50", "p95", "p99"]


def test_of_nothing_nothing_is_said() -> None:
    assert spread([]) is None
    assert percentiles([]) is None


@pytest.mark.parametrize(("value", "limit", "share"), [(1.0, 3.0, 0.333), (None, 3.0, None), (1.0, None, None)])
def test_a_ratio_needs_both_of_its_sides(value: float | None, limit: float | None, share: float | None) -> None:
    assert ratio(value, limit) == share
