"""What was measured in nanoseconds, to three significant digits, in a few kilobytes.

The buckets are those of HdrHistogram with a lowest value of 1 ns and three digits, so that `nadows.bench` can
write its files. Counts are kept sparse, by bucket index: a second of a run touches some hundreds of the
33,000 buckets, so that adding, merging and percentiles stay cheap. Beside the buckets the exact minimum,
maximum and sum are carried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import isqrt
from typing import Final, NamedTuple, Self

from nadows.errors import UsageError

__all__ = ["HIGHEST_NS", "SUB_BITS", "TAIL_SAMPLES", "Bucket", "Distribution", "enough_samples"]

HIGHEST_NS: Final = 3_600_000_000_000
"""Largest sample: an hour, which HdrHistogram's encoded form holds. A larger one is refused, never lost."""
TAIL_SAMPLES: Final = 10
"""Samples that must lie beyond a percentile before it says anything."""

SUB_BITS: Final = 11
"""2 * 10**3 values need 2048 sub-buckets."""
_HALF_BITS: Final = SUB_BITS - 1
_Z95: Final = Fraction(196, 100)


class Bucket(NamedTuple):
    """Samples that the distribution cannot tell apart."""

    low: int
    """Smallest value that falls into it."""
    high: int
    """Largest value that falls into it."""
    samples: int


def _index(value: int) -> int:
    shift = max(0, value.bit_length() - SUB_BITS)
    return (shift << _HALF_BITS) + (value >> shift)


def _bounds(index: int) -> tuple[int, int]:
    shift = max(0, (index >> _HALF_BITS) - 1)
    low = (index - (shift << _HALF_BITS)) << shift
    return low, low + (1 << shift) - 1


def enough_samples(count: int, percentile: float) -> bool:
    """Say whether *count* samples leave ten beyond *percentile* (0 to 100)."""
    return count * (100 - Fraction(str(percentile))) >= TAIL_SAMPLES * 100


class Distribution:
    """A distribution of nanoseconds."""

    __slots__ = ("_counts", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.minimum = 0
        """Exact; 0 while empty."""
        self.maximum = 0
        """Exact; 0 while empty."""
        self.total = 0
        """Exact sum."""

    def record(self, values: Sequence[int]) -> None:
        """Add samples.

        Args:
            values: Nanoseconds, each from 0 to `HIGHEST_NS`.

        Raises:
            UsageError: If one is outside; nothing is added then.
        """
        if not values:
            return
        low, high = min(values), max(values)
        if low < 0 or high > HIGHEST_NS:
            wrong = low if low < 0 else high
            raise UsageError(f"a sample must lie between 0 and {HIGHEST_NS} ns, got {wrong}")
        # A comprehension and the counter's own loop in C: this is what measuring costs most.
        self._counts.update(
            [
                (shift << _HALF_BITS) + (value >> shift)
                if (shift := value.bit_length() - SUB_BITS) > 0
                else value
                for value in values
            ]
        )
        self._extend(low, high)
        self.count += len(values)
        self.total += sum(values)

    def add(self, other: Distribution) -> None:
        """Add all samples of *other*; nothing is lost by merging."""
        if not other.count:
            return
        self._counts.update(other._counts)
        self._extend(other.minimum, other.maximum)
        self.count += other.count
        self.total += other.total

    @classmethod
    def merged(cls, parts: Iterable[Distribution]) -> Self:
        """Return the sum of *parts*."""
        whole = cls()
        for part in parts:
            whole.add(part)
        return whole

    def _extend(self, low: int, high: int) -> None:
        self.minimum = min(self.minimum, low) if self.count else low
        self.maximum = max(self.maximum, high)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return (self._counts, self.minimum, self.maximum, self.total) == (
            other._counts,
            other.minimum,
            other.maximum,
            other.total,
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, compared by value

    @property
    def mean(self) -> float:
        """Exact mean; 0 while empty."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> Iterator[Bucket]:
        """Iterate over the buckets that hold something, ascending."""
        for index in sorted(self._counts):
            low, high = _bounds(index)
            yield Bucket(low, high, self._counts[index])

    def percentiles(self, wanted: Iterable[float]) -> dict[float, int]:
        """Return values at percentiles, 0 to 100, to the precision of the buckets; the 100th is exact.

        Raises:
            UsageError: If a percentile is outside 0 to 100.
        """
        ranks: dict[float, int] = {}
        for each in wanted:
            share = Fraction(str(each)) / 100
            if not 0 <= share <= 1:
                raise UsageError(f"a percentile lies between 0 and 100, got {each}")
            ranks[each] = -(-share.numerator * self.count // share.denominator)
        at = self._values_at(set(ranks.values()))
        return {each: at[rank] for each, rank in ranks.items()}

    def percentile(self, percentile: float) -> int:
        """Return the value at one percentile; see `percentiles`."""
        return self.percentiles((percentile,))[percentile]

    def confidence(self, percentile: float) -> tuple[int, int]:
        """Return the range in which the percentile lies with 95 % confidence.

        Order statistics: ranks ``n p +- 1.96 sqrt(n p (1 - p))``. Latencies of one run hang together, so the
        true range is wider; repeated runs are the better measure.
        """
        share = Fraction(str(percentile)) / 100
        variance = self.count * share * (1 - share) * _Z95 * _Z95
        spread = isqrt(int(variance)) + 1
        middle = int(self.count * share)
        low, high = max(1, middle - spread), min(self.count, middle + spread)
        at = self._values_at({low, high})
        return at[low], at[high]

    def count_within(self, limit: int) -> int:
        """Count the samples that are not above *limit* (ns), to the precision of the buckets."""
        if limit >= self.maximum:
            return self.count
        last = _index(limit)
        return sum(count for index, count in self._counts.items() if index <= last)

    def _values_at(self, ranks: set[int]) -> dict[int, int]:
        """Find the values at *ranks* (1 is the smallest sample; lower ones count as 1) in one pass."""
        found: dict[int, int] = {}
        todo = sorted(ranks)
        passed = position = 0
        for bucket in self.buckets():
            passed += bucket.samples
            while position < len(todo) and todo[position] <= passed:
                # The first and the last sample are known exactly; a bucket's bound may lie beyond them.
                found[todo[position]] = max(self.minimum, min(bucket.high, self.maximum))
                position += 1
        return found | dict.fromkeys(todo[position:], self.maximum)
