"""How numbers are spread."""

from bisect import bisect_left
from itertools import pairwise
from typing import Any

import numpy as np

_BINS = 20


def spread(numbers: "np.ndarray") -> dict[str, Any]:
    """Return how numbers are spread: bounds, mean, quartiles, and a histogram [(from, to, count)].

    Example: `spread(np.array([1, 2, 2, 9]))["median"]` is 2.
    """
    whole = numbers.dtype.kind in "iu"
    low, high = numbers.min().item(), numbers.max().item()
    ordered = np.sort(numbers)
    # Divided first: the sum of two doubles need be none.
    mean = float((ordered.astype(np.float64) / len(ordered)).sum())
    told = {"min": low, "max": high, "mean": mean, "whole": whole}
    told |= {name: _quantile(ordered, share) for name, share in (("low", 0.25), ("median", 0.5), ("high", 0.75))}
    # Where most numbers would be in the first bin, each is twice as wide as the one before.
    told["doubling"] = bool(whole and low >= 0 and high > _BINS * max(told["median"], 1))
    return told | {"histogram": _histogram(ordered, low, high, doubling=told["doubling"])}


def _quantile(ordered: "np.ndarray", share: float) -> float:
    """Return what a share of numbers is at most, between two of them in proportion."""
    place = share * (len(ordered) - 1)
    before, after = float(ordered[int(place)]), float(ordered[min(int(place) + 1, len(ordered) - 1)])
    return before if before == after else before * (1 - place % 1) + after * (place % 1)


def _histogram(ordered: "np.ndarray", low: float, high: float, *, doubling: bool) -> list[tuple[float, float, int]]:
    if low == high:
        return [(low, high, len(ordered))]
    if ordered.dtype.kind not in "iu":
        # Halves, as the distance of two doubles need be none.
        return _bins_of_doubles(ordered.astype(np.float64) / 2, low, high)
    if doubling:
        edges = [0, *(1 << power for power in range(int(high).bit_length() + 1))]
        edges = [edge for edge, after in zip(edges, [*edges[1:], edges[-1] + 1], strict=True) if after > low]
    else:
        # Each bin holds as many whole numbers: one that held more would stand out for that alone.
        step = -(-(int(high) - int(low) + 1) // _BINS)
        edges = list(range(int(low), int(high) + step + 1, step))
    below = [bisect_left(ordered, edge) for edge in edges]
    return [
        (start, after - 1, until - since)
        for (start, since), (after, until) in pairwise(zip(edges, below, strict=True))
        if start <= high
    ]


def _bins_of_doubles(halves: "np.ndarray", low: float, high: float) -> list[tuple[float, float, int]]:
    width = (high / 2 - low / 2) / _BINS
    if not width > 0:
        return [(low, high, len(halves))]
    places = np.clip(((halves - low / 2) / width).astype(np.int64), 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS).tolist()
    edges = [low * (1 - at / _BINS) + high * (at / _BINS) for at in range(_BINS + 1)]
    return [(edges[at], edges[at + 1], count) for at, count in enumerate(counts)]
