"""How long something took, counted in fixed ranges: histograms of many hours can be added up. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

# Eight ranges for each doubling: a quantile is at most 10 % off.
RANGES_PER_DOUBLING = 8
SHORTEST_SECONDS, LONGEST_SECONDS = 0.05, 3600.0


def range_of(seconds: float) -> int:
    """The number of the range that `seconds` lies in. Shorter and longer ones are in the first and the last range."""
    bounded = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
    return math.floor(math.log2(bounded) * RANGES_PER_DOUBLING)


def quantile_seconds(histogram: Counter[int], share: float) -> float | None:
    """The time in seconds within which `share` (0 to 1) of all were; None of an empty histogram."""
    total = histogram.total()
    if not total:
        return None
    wanted = share * total
    below = 0
    for number, count in sorted(histogram.items()):
        if below + count >= wanted:
            part = max(0.0, wanted - below) / count
            return float(2 ** ((number + part) / RANGES_PER_DOUBLING))
        below += count
    raise AssertionError("the last range reaches every share")


def count_ranges(durations_seconds: Iterable[float]) -> Counter[int]:
    return Counter(range_of(seconds) for seconds in durations_seconds)
