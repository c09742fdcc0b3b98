"""Distributions: every sample is kept, to three digits."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.distribution import HIGHEST_NS, Distribution, enough_samples
from nadows.errors import UsageError

samples = st.lists(st.integers(0, HIGHEST_NS), max_size=60)


def distribution_of(*values: int) -> Distribution:
    distribution = Distribution()
    distribution.record(values)
    return distribution


@given(samples, samples)
def test_merging_is_recording_together(first: list[int], second: list[int]) -> None:
    """A sum of distributions equals the distribution of all samples."""
    merged = Distribution.merged([distribution_of(*first), distribution_of(*second)])

    assert distribution_of(*first, *second) == merged


@given(
    st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=60), st.sampled_from([0, 1, 50, 99, 99.9, 100])
)
def test_percentile_is_the_samples_own(values: list[int], percentile: float) -> None:
    """A percentile is the sample of its rank, at most 0.1 % above, never over the maximum."""
    exact = sorted(values)[max(0, ceil(len(values) * percentile / 100) - 1)]

    found = distribution_of(*values).percentile(percentile)

    assert exact <= found <= min(exact + exact // 1000, max(values))


def test_extremes_are_exact() -> None:
    """Minimum, maximum, sum and the 100th percentile are those of the samples, not of their buckets."""
    distribution = distribution_of(700_001, 5_000_003)

    assert (700_001, 5_000_003, 5_700_004) == (distribution.minimum, distribution.maximum, distribution.total)
    assert 5_000_003 == distribution.percentile(100)
    assert 2_850_002.0 == distribution.mean


def test_empty_one_is_all_zeros() -> None:
    """Without a sample every number is 0, and adding nothing keeps the minimum of something."""
    empty, some = Distribution(), distribution_of(5, 7)
    some.add(empty)
    some.record([])

    assert (0, 0, 0, 0.0, 0) == (empty.minimum, empty.maximum, empty.count, empty.mean, empty.percentile(99))
    assert (5, 2) == (some.minimum, some.count)


@pytest.mark.parametrize("value", [-1, HIGHEST_NS + 1])
def test_sample_out_of_range_is_refused(value: int) -> None:
    """A sample that does not fit is an error and changes nothing; it never vanishes."""
    distribution = distribution_of(1)

    with pytest.raises(UsageError, match=f"got {value}"):
        distribution.record([3, value])

    assert distribution_of(1) == distribution


def test_a_minute_and_a_second_is_kept() -> None:
    """An answer after 61 s is in the tail like any other."""
    assert 61_000_000_000 == distribution_of(1, 61_000_000_000).percentile(100)


@pytest.mark.parametrize("percentile", [-0.1, 100.1])
def test_percentile_out_of_range_is_refused(percentile: float) -> None:
    """Percentiles lie between 0 and 100."""
    with pytest.raises(UsageError, match="between 0 and 100"):
        distribution_of(1).percentile(percentile)


def test_confidence_range_holds_the_percentile() -> None:
    """Of 60,000 samples the 99th percentile lies between ranks 98.92 % and 99.08 %."""
    low, high = distribution_of(*range(1, 60_001)).confidence(99)

    # Ranks 59351 and 59449, to the width of their buckets (32).
    assert 59_351 <= low <= 59_351 + 32
    assert 59_449 <= high <= 59_449 + 32


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=60), st.integers(0, 2500))
def test_count_within_a_limit(values: list[int], limit: int) -> None:
    """Samples not above a limit are counted exactly where buckets are one wide."""
    assert sum(value <= limit for value in values) == distribution_of(*values).count_within(limit)


def test_distributions_compare_only_with_their_like() -> None:
    """Comparing with anything else is left to the other side, so it is unequal."""
    assert distribution_of(1) != 1


@pytest.mark.parametrize(
    ("count", "percentile", "enough"),
    [(9_999, 99.9, False), (10_000, 99.9, True), (20, 50, True), (19, 50, False), (100_000, 99.99, True)],
)
def test_enough_samples(count: int, percentile: float, enough: bool) -> None:
    """A percentile needs ten samples beyond it: n >= 10 / (1 - p)."""
    assert enough is enough_samples(count, percentile)
