"""Histograms against the package they must agree with."""

from __future__ import annotations

import random

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.histogram import HIGHEST_NS, Histogram
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


def test_percentiles_agree_with_the_package() -> None:
    """On a wide distribution the percentiles are those of the package's own scan."""
    rng = random.Random(1)
    values = [int(rng.lognormvariate(12, 2)) for _ in range(10_000)]
    wanted = [50, 90, 99, 99.9]

    expected = peer_of(values).get_percentile_to_value_dict(wanted)

    assert expected == histogram_of(*values).percentiles(wanted)


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


def test_empty_one_survives_the_way() -> None:
    """A histogram without a sample is encoded and decoded like any other."""
    assert Histogram() == Histogram.decode(Histogram().encode())
