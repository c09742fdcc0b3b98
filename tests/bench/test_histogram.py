"""Histograms against the package they must agree with."""

from __future__ import annotations

import random
from math import ceil

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.histogram import HIGHEST_NS, Histogram, enough_samples
from nadows.errors import UsageError

samples = st.lists(st.integers(0, HIGHEST_NS), max_size=60)


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def peer_of(values: list[int]) -> HdrHistogram:
    peer = HdrHistogram(1, HIGHEST_NS, 3)
    for value in values:
        assert peer.record_value(value)
    return peer


@given(samples)
def test_blob_is_the_packages(values: list[int]) -> None:
    """The encoded form is byte for byte what the package makes of the same samples."""
    assert peer_of(values).encode().decode() == histogram_of(*values).encode()


@given(samples)
def test_blob_and_exact_bounds_give_it_back(values: list[int]) -> None:
    """With minimum, maximum and sum beside the blob nothing is lost on the way through a file."""
    histogram = histogram_of(*values)
    exact = {"min": histogram.minimum, "max": histogram.maximum, "sum": histogram.total}

    assert histogram == Histogram.decode(histogram.encode(), exact)


@given(samples, samples)
def test_merging_is_recording_together(first: list[int], second: list[int]) -> None:
    """A sum of histograms equals the histogram of all samples."""
    merged = Histogram.merged([histogram_of(*first), histogram_of(*second)])

    assert histogram_of(*first, *second) == merged


@given(
    st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=60), st.sampled_from([0, 1, 50, 99, 99.9, 100])
)
def test_percentile_is_the_samples_own(values: list[int], percentile: float) -> None:
    """A percentile is the sample of its rank, at most 0.1 % above, never over the maximum."""
    exact = sorted(values)[max(0, ceil(len(values) * percentile / 100) - 1)]

    found = histogram_of(*values).percentile(percentile)

    assert exact <= found <= min(exact + exact // 1000, max(values))


def test_percentiles_agree_with_the_package() -> None:
    """On a wide distribution the percentiles are those of the package's own scan."""
    rng = random.Random(1)
    values = [int(rng.lognormvariate(12, 2)) for _ in range(10_000)]
    wanted = [50, 90, 99, 99.9]

    expected = peer_of(values).get_percentile_to_value_dict(wanted)

    assert expected == histogram_of(*values).percentiles(wanted)


def test_extremes_are_exact() -> None:
    """Minimum, maximum, sum and the 100th percentile are those of the samples, not of their buckets."""
    histogram = histogram_of(700_001, 5_000_003)

    assert (700_001, 5_000_003, 5_700_004) == (histogram.minimum, histogram.maximum, histogram.total)
    assert 5_000_003 == histogram.percentile(100)
    assert 2_850_002.0 == histogram.mean


def test_empty_one_is_all_zeros() -> None:
    """Without a sample every number is 0, and adding nothing keeps the minimum of something."""
    empty, some = Histogram(), histogram_of(5, 7)
    some.add(empty)
    some.record([])

    assert (0, 0, 0, 0.0, 0) == (empty.minimum, empty.maximum, empty.count, empty.mean, empty.percentile(99))
    assert (5, 2) == (some.minimum, some.count)
    assert empty == Histogram.decode(empty.encode())


@pytest.mark.parametrize("value", [-1, HIGHEST_NS + 1])
def test_sample_out_of_range_is_refused(value: int) -> None:
    """A sample that does not fit is an error and changes nothing; it never vanishes."""
    histogram = histogram_of(1)

    with pytest.raises(UsageError, match=f"got {value}"):
        histogram.record([3, value])

    assert histogram_of(1) == histogram


def test_a_minute_and_a_second_is_kept() -> None:
    """An answer after 61 s is in the tail like any other."""
    assert 61_000_000_000 == histogram_of(1, 61_000_000_000).percentile(100)


@pytest.mark.parametrize("percentile", [-0.1, 100.1])
def test_percentile_out_of_range_is_refused(percentile: float) -> None:
    """Percentiles lie between 0 and 100."""
    with pytest.raises(UsageError, match="between 0 and 100"):
        histogram_of(1).percentile(percentile)


def test_confidence_range_holds_the_percentile() -> None:
    """Of 60,000 samples the 99th percentile lies between ranks 98.92 % and 99.08 %."""
    low, high = histogram_of(*range(1, 60_001)).confidence(99)

    # Ranks 59351 and 59449, to the width of their buckets (32).
    assert 59_351 <= low <= 59_351 + 32
    assert 59_449 <= high <= 59_449 + 32


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=60), st.integers(0, 2500))
def test_count_within_a_limit(values: list[int], limit: int) -> None:
    """Samples not above a limit are counted exactly where buckets are one wide."""
    assert sum(value <= limit for value in values) == histogram_of(*values).count_within(limit)


def test_histograms_compare_only_with_their_like() -> None:
    """Comparing with anything else is left to the other side, so it is unequal."""
    assert histogram_of(1) != 1


@pytest.mark.parametrize("blob", ["", "HISTFAAAA", "not base64 \N{EURO SIGN}"])
def test_damaged_blob_is_refused(blob: str) -> None:
    """Whatever the codec stumbles over comes out as one typed error."""
    with pytest.raises(UsageError, match="not an encoded histogram"):
        Histogram.decode(blob)


def test_foreign_settings_are_refused() -> None:
    """Blobs with other buckets do not add up with ours."""
    with pytest.raises(UsageError, match="equal settings"):
        Histogram.decode(HdrHistogram(1, 60_000, 2).encode().decode())


def test_decoding_without_the_exact_bounds_gives_those_of_the_buckets() -> None:
    """A blob alone knows minimum, maximum and sum to one part in a thousand."""
    decoded = Histogram.decode(histogram_of(700_000).encode())

    assert 700_000 == pytest.approx(decoded.minimum, rel=0.001)
    assert 700_000 == pytest.approx(decoded.maximum, rel=0.001)
    assert 700_000 == pytest.approx(decoded.mean, rel=0.001)


@pytest.mark.parametrize(
    ("count", "percentile", "enough"),
    [(9_999, 99.9, False), (10_000, 99.9, True), (20, 50, True), (19, 50, False), (100_000, 99.99, True)],
)
def test_enough_samples(count: int, percentile: float, enough: bool) -> None:
    """A percentile needs ten samples beyond it: n >= 10 / (1 - p)."""
    assert enough is enough_samples(count, percentile)
