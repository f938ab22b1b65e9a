"""Figures of several runs: the median with its spread, and percentiles."""

import math
from collections.abc import Sequence
from statistics import median


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float] | None:
    """Give median, minimum and maximum, rounded; None of no values."""
    if not values:
        return None
    named = {"median": median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in named.items()}


def percentiles(values: Sequence[float], digits: int = 3) -> dict[str, float] | None:
    """Give p50, p95 and p99 by nearest rank: each is a value that was found; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    return {f"p{share}": round(ordered[_rank(len(ordered), share)], digits) for share in (50, 95, 99)}


def ratio(value: float | None, limit: float | None) -> float | None:
    """Give the value as a share of the limit."""
    return round(value / limit, 3) if value is not None and limit else None


def _rank(count: int, share: int) -> int:
    return max(0, math.ceil(count * share / 100) - 1)
