"""The text formats, read back with the package's own reader."""

from __future__ import annotations

from pathlib import Path

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from nadows.bench.histogram import HIGHEST_NS, Histogram
from nadows.bench.histogram_files import LoggedInterval, hgrm, hlog

STARTED_NS = 1_795_000_000_250_000_000


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def test_log_is_read_by_the_package(tmp_path: Path) -> None:
    """Tags, start times and counts survive the package's reader; empty intervals are left out."""
    intervals = [
        LoggedInterval("response.place_order", STARTED_NS, 10**9, histogram_of(700_000, 800_000)),
        LoggedInterval("lag.place_order", STARTED_NS, 10**9, Histogram()),
        LoggedInterval("warmup.response.place_order", STARTED_NS + 10**9, 10**9, histogram_of(5)),
    ]
    path = tmp_path / "run.hlog"
    path.write_text(hlog(STARTED_NS, intervals))

    reader = HistogramLogReader(str(path), HdrHistogram(1, HIGHEST_NS, 3))
    read = list(iter(reader.get_next_interval_histogram, None))
    reader.close()

    assert STARTED_NS // 10**6 == reader.get_start_time_sec() * 1000
    assert [("response.place_order", 2), ("warmup.response.place_order", 1)] == [
        (each.get_tag(), each.get_total_count()) for each in read
    ]
    assert [STARTED_NS // 10**6, STARTED_NS // 10**6 + 1000] == [each.get_start_time_stamp() for each in read]


def test_log_gives_the_exact_maximum_in_milliseconds() -> None:
    """0.7 ms is written as such (the package's own writer says 0)."""
    line = hlog(STARTED_NS, [LoggedInterval("a", STARTED_NS, 10**9, histogram_of(700_000))]).splitlines()[-1]

    assert ["Tag=a", "0.000", "1.000", "0.700000"] == line.split(",")[:4]


def test_distribution_lists_percentiles_in_milliseconds() -> None:
    """Value, share, running count and 1/(1-share), five lines to each halving, up to 100 %."""
    lines = hgrm(histogram_of(*range(1_000_000, 101_000_000, 1_000_000))).splitlines()
    rows = [[float(cell) for cell in line.split()] for line in lines[2:-3]]

    assert ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"] == lines[0].split()
    assert [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75] == [row[1] for row in rows[:11]]
    assert [1.0, 0.0, 1.0, 1.0] == [round(cell, 3) for cell in rows[0]]
    assert [50.004, 0.5, 50.0, 2.0] == [round(cell, 3) for cell in rows[5]]
    assert [100.0, 1.0, 100.0] == rows[-1]
    assert lines[-3].startswith("#[Mean    =       50.500, StdDeviation   =       28.86")
    assert "#[Max     =      100.000, TotalCount     =          100]" == lines[-2]
    assert "#[Buckets =           32, SubBuckets     =         2048]" == lines[-1]


def test_distribution_of_nothing_is_only_a_summary() -> None:
    """An empty histogram gives no rows and no division by zero."""
    lines = hgrm(Histogram()).splitlines()

    assert 5 == len(lines)
    assert "#[Mean    =        0.000, StdDeviation   =        0.000]" == lines[2]
