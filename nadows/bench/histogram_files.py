"""The two text formats of HdrHistogram, written so that its own tools read them.

The package ``hdrhistogram`` 0.10.8 writes both wrongly (start times raise, maxima are floored to whole units,
no tags, an unscaled deviation) and takes half a second for a ``.hgrm``, so they are written here; its reader
reads them back in the tests.

Source: HdrHistogram, HistogramLogWriter.java (log format 1.3) and outputPercentileDistribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from math import sqrt
from typing import Final, NamedTuple

from nadows.bench.histogram import Histogram

__all__ = ["LoggedInterval", "hgrm", "hlog"]

_MS: Final = 1_000_000
_TICKS_PER_HALF: Final = 5
"""Lines for each halving of the distance to 100 %, as HdrHistogram's own default."""


class LoggedInterval(NamedTuple):
    """What was measured in one stretch of time."""

    tag: str
    """What it is, for example ``response.place_order``."""
    start_ns: int
    """Since the epoch."""
    length_ns: int
    histogram: Histogram


def hlog(started_ns: int, intervals: Iterable[LoggedInterval]) -> str:
    """Write intervals as a histogram log (``.hlog``).

    Args:
        started_ns: Beginning of the run, since the epoch; the lines give their start relative to it.
        intervals: Those without a sample are left out.
    """
    started = started_ns / 10**9
    when = datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds")
    lines = [
        "#[Histogram log format version 1.3]",
        # Viewers take the maximum in whatever unit they are told; nothing in the format says which it is.
        "#[UNITS: start s, length s, max ms, recorded values ns]",
        f"#[StartTime: {started:.3f} (seconds since epoch), {when}]",
        f"#[BaseTime: {started:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    lines += [
        f"Tag={each.tag},{(each.start_ns - started_ns) / 10**9:.3f},{each.length_ns / 10**9:.3f},"
        f"{each.histogram.maximum / _MS:.6f},{each.histogram.encode()}"
        for each in intervals
        if each.histogram.count
    ]
    return "\n".join(lines) + "\n"


def hgrm(histogram: Histogram) -> str:
    """Write a percentile distribution in milliseconds (``.hgrm``)."""
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    lines += _distribution(histogram)
    mean = histogram.mean
    squares = sum(((b.low + b.high) / 2 - mean) ** 2 * b.samples for b in histogram.buckets())
    deviation = sqrt(squares / histogram.count) if histogram.count else 0.0
    lines += [
        f"#[Mean    = {mean / _MS:12.3f}, StdDeviation   = {deviation / _MS:12.3f}]",
        f"#[Max     = {histogram.maximum / _MS:12.3f}, TotalCount     = {histogram.count:12d}]",
        f"#[Buckets = {histogram.ENCODED_BUCKETS:12d}, SubBuckets     = {histogram.SUB_BUCKETS:12d}]",
    ]
    return "\n".join(lines) + "\n"


def _distribution(histogram: Histogram) -> Iterator[str]:
    """Walk the buckets once, writing a line whenever the next tick of the percentile axis is passed."""
    passed, level = 0, Fraction(0)
    for bucket in histogram.buckets():
        passed += bucket.samples
        reached = Fraction(passed, histogram.count)
        value = min(bucket.high, histogram.maximum) / _MS
        while level <= reached < 1:
            yield f"{value:12.6f} {float(level):.12f} {passed:10d} {float(1 / (1 - level)):14.2f}"
            level = _next_tick(level)
    if histogram.count:
        yield f"{histogram.maximum / _MS:12.6f} {1.0:.12f} {histogram.count:10d}"


def _next_tick(level: Fraction) -> Fraction:
    """Five steps to each halving of what is left: 0, 10, 20 .. 50, 55, 60 .. 75, 77.5 .. %."""
    halvings = (1 / (1 - level)).__floor__().bit_length() - 1
    return level + Fraction(1, 2 ** (halvings + 1) * _TICKS_PER_HALF)
