"""Do two sets of runs differ? The Mann-Whitney test, exact as far as it matters.

Percentiles of repeated runs are few, skewed, and hold outliers that belong to the matter; ranks need no
assumption about any of that. Up to `EXACT` runs the distribution of the rank sum is counted out, ties
included; beyond, the normal approximation, corrected for ties, is good to a tenth of itself.

Source: H. B. Mann and D. R. Whitney, Ann. Math. Statist. 18 (1947) 50-60.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb, erfc, sqrt
from typing import Final

from nadows.errors import UsageError

__all__ = ["mann_whitney"]

EXACT: Final = 40
"""Values of both sides together up to which all arrangements are counted."""


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Return how likely ranks so far apart are by chance: the two-sided p-value, 0 to 1.

    Raises:
        UsageError: If a side is empty.
    """
    if not first or not second:
        raise UsageError("a rank test needs values on both sides")
    ranks = _doubled_ranks([*first, *second])
    size, total = len(first), len(ranks)
    observed = sum(ranks[:size])
    if total > EXACT:
        return _approximate(ranks, size, observed)
    sums = _sums(ranks, size)
    ways = comb(total, size)
    below = sum(count for rank_sum, count in sums.items() if rank_sum <= observed)
    above = sum(count for rank_sum, count in sums.items() if rank_sum >= observed)
    return min(1.0, 2 * min(below, above) / ways)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Rank values from 1 up, equal ones by the mean of their ranks; doubled, so that they stay whole."""
    ordered = sorted(values)
    first = {value: ordered.index(value) for value in set(values)}
    counts = Counter(values)
    return [2 * first[value] + counts[value] + 1 for value in values]


def _sums(ranks: Sequence[int], size: int) -> Counter[int]:
    """Count, for each sum, the ways to choose *size* of the ranks."""
    ways: list[Counter[int]] = [Counter({0: 1}), *(Counter[int]() for _ in range(size))]
    for rank in ranks:
        for chosen in range(size, 0, -1):
            for rank_sum, count in ways[chosen - 1].items():
                ways[chosen][rank_sum + rank] += count
    return ways[size]


def _approximate(ranks: Sequence[int], size: int, observed: int) -> float:
    total, other = len(ranks), len(ranks) - size
    mean = sum(ranks) * size / total
    squares = sum((rank - sum(ranks) / total) ** 2 for rank in ranks)
    # Of a sum drawn without putting back; ties are in the squares.
    variance = squares / total * size * other / (total - 1)
    if not variance:
        return 1.0
    # Half a rank towards the middle, since sums are whole: one, in doubled ranks.
    distance = max(0.0, abs(observed - mean) - 1)
    return erfc(distance / sqrt(variance) / sqrt(2))
