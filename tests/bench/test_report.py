"""A run on the terminal, in result.json and in the folder."""

from __future__ import annotations

import io
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from rich.console import Console

from nadows.bench.engine import Progress, RunRecord
from nadows.bench.histogram import HIGHEST_NS, Histogram
from nadows.bench.histogram_files import LoggedInterval
from nadows.bench.outcome import PhaseOutcome
from nadows.bench.report import progress_line, summary, write_report
from nadows.bench.result import result_of, run_id
from nadows.bench.scenario import Scenario
from nadows.bench.scenario_file import build
from nadows.bench.thresholds import Threshold
from nadows.bench.verdict import judge
from nadows.errors import UsageError

from .outcomes import MS, histogram_of, kind_outcome, phase_outcome

STARTED_NS = 1_795_000_000_250_000_000
PROGRESS = Progress(10**9, "steady", 1000, 998, 1, 3, 2 * MS, 9 * MS, 12 * MS, MS // 10)


def record_of(*outcomes: PhaseOutcome) -> RunRecord:
    return RunRecord(
        scenario=Scenario.from_flags(duration="1s", warmup="0s"),
        started_ns=STARTED_NS,
        wall_ns=1_200_000_000,
        outcomes=list(outcomes) or [phase_outcome(cancel_product_orders=kind_outcome([5 * MS] * 20))],
        intervals=[LoggedInterval("steady.response.rest", STARTED_NS, 10**9, histogram_of(MS, 2 * MS))],
        series=[PROGRESS],
        environment={
            "cpu": "a fine one",
            "cores": 2,
            "load1": 0.5,
            "python": "3.11.7",
            "loop": "uvloop",
            "transport": "websockets",
            "versions": {"websockets": "17.4"},
            "pacer": "timerfd",
        },
        stats={"book_updates": 5},
        connect_ns=[7],
    )


def result_for(record: RunRecord, *exprs: str) -> dict[str, Any]:
    judgements = [Threshold.parse(expr).judge(record.outcomes[0]) for expr in exprs]
    return result_of(record, judge(record.outcomes, judgements), judgements, ["nadows", "bench"])


def shown(record: RunRecord, *exprs: str) -> str:
    judgements = [Threshold.parse(expr).judge(record.outcomes[0]) for expr in exprs]
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(record, judge(record.outcomes, judgements), judgements), soft_wrap=True)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_result_is_plain_json_with_the_agreed_keys() -> None:
    """The keys that tools rely on are there, and the whole survives JSON."""
    result = result_for(record_of(), "response.p99 < 10ms")

    assert result == json.loads(json.dumps(result))
    keys = "schema tool id verdict ci run env phases series thresholds client connect_ns"
    assert set(keys.split()) == set(result)
    assert ("valid", 0) == (result["verdict"]["state"], result["verdict"]["exit"])
    threshold = result["thresholds"][0]
    assert pytest.approx(2 * MS, rel=0.001) == threshold.pop("value")
    assert {"expr": "response.p99 < 10ms", "phase": "steady", "ok": True, "reason": None} == threshold
    assert "2026-11-18T11:06:40.250000Z" == result["run"]["started"]
    assert [1000] == result["series"]["sent"]


def test_result_accounts_for_every_request() -> None:
    """Planned = sent + dropped, sent = acked + failed + unfinished; cancellations are counted beside."""
    phase = result_for(record_of())["phases"][0]

    assert (1000, 1000, 0) == (phase["planned"], phase["sent"], phase["dropped"])
    assert phase["sent"] == phase["acked"] + phase["failed"] + phase["unfinished"]
    assert {"accepted": 500, "filled": 500, "missing": 0} == phase["crossing"]
    assert {"all", "place_order", "cancel_product_orders"} == set(phase["ops"])
    assert 1000 == phase["ops"]["place_order"]["response"]["count"]
    assert (500, 500) == tuple(phase["kinds"][kind]["sent"] for kind in ("cross", "rest"))
    assert "event" not in phase["kinds"]["rest"]


def test_percentiles_without_ten_samples_beyond_are_null() -> None:
    """Of 1000 samples the 99th percentile says something, the 99.9th does not."""
    response = result_for(record_of())["phases"][0]["ops"]["place_order"]["response"]

    assert response["p"]["99"] == pytest.approx(2 * MS, rel=0.001)
    assert response["p"]["99.9"] is None
    assert {"50", "90", "99"} == set(response["ci95"])
    assert (MS, 2 * MS, 1500 * MS) == (response["min"], response["max"], response["sum"])


def test_histograms_of_the_result_are_complete() -> None:
    """From the blob and the exact bounds beside it the same distribution is read."""
    record = record_of()
    entry = result_for(record)["phases"][0]["ops"]["place_order"]["response"]

    assert record.outcomes[0].histogram("place_order", "response") == Histogram.decode(entry["hdr"], entry)


def test_scenario_of_the_result_can_be_run_again() -> None:
    """What was done is in the result as a scenario."""
    record = record_of()

    assert record.scenario == build(result_for(record)["run"]["scenario"], "result")


def test_failures_have_their_own_distribution() -> None:
    """Refused requests are in the response and, apart, in error_latency."""
    outcome = phase_outcome(rest=kind_outcome([MS] * 500, errors={"2008 X": 12}))

    phase = result_for(record_of(outcome))["phases"][0]

    assert {"2008 X": 12} == phase["errors"]
    assert 12 == phase["ops"]["place_order"]["error_latency"]["count"]
    assert 0.012 == result_for(record_of(outcome))["ci"]["error_rate"]


def test_phase_in_which_nothing_happened_is_all_zeros() -> None:
    """An interrupted run may hold phases that never began."""
    empty = PhaseOutcome(name="steady", target_rate=Fraction(1000), duration_ns=0)

    result = result_for(record_of(empty))

    assert (0, 0.0, None) == (
        result["phases"][0]["sent"],
        result["ci"]["rps"],
        result["phases"][0]["instrument"]["cpu_us_per_request"],
    )
    assert result["ci"]["p99_ms"] is None


def test_venue_that_is_not_ours_has_no_cpu_share() -> None:
    """What is not known is null, not zero."""
    record = record_of()
    record.outcomes[0].usage.venue_cpu_ns = None

    assert result_for(record)["phases"][0]["instrument"]["venue_cpu_pct"] is None
    assert "venue" not in shown(record).split("CPU:")[1].splitlines()[0]


def test_name_of_a_run_tells_when_and_what() -> None:
    """Folders sort by time; two runs of one second differ."""
    first, second = record_of(), record_of()
    second.started_ns += 1

    assert re.fullmatch(r"20261118T110640Z_bench_[0-9a-f]{4}", run_id(first))
    assert run_id(first) != run_id(second)


def test_table_shows_clocks_counts_and_verdict() -> None:
    """A person sees the rate, the sums, a row for each clock, and one word at the end."""
    text = shown(record_of(), "rate >= 995rps", "response.p99.9 < 1s")

    assert "steady: 1000.0 requests/s of 1000 for 1 s (100.00% of the schedule)" in text
    assert "planned 1000 = sent 1000 + dropped 0; sent = acked 1000 + failed 0 + unfinished 0" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:1].isalpha()}
    assert ["response", "1.00", "ms", "2.00", "ms", "2.00", "ms", "-", "2.00", "ms", "1000"] == rows[
        "response"
    ]
    assert ["service", "lag", "fill", "cancel"] == [
        row for row in rows if row in ("service", "lag", "fill", "cancel")
    ]
    assert "fills: 500 of 500 accepted crossing orders seen on the stream; 20 cancellations beside" in text
    assert "CPU: generator 40%, venue 45% of a core" in text
    assert "threshold rate >= 995rps in steady: met" in text
    assert "threshold response.p99.9 < 1s in steady: NOT MET (1000 samples are too few for p99.9)" in text
    assert "a fine one, 2 cores, load 0.5; Python 3.11.7, uvloop, websockets 17.4, pacer timerfd" in text
    assert text.rstrip().splitlines()[-1].startswith("verdict: thresholds-failed: steady: threshold")


def test_table_names_failures_and_warns() -> None:
    """Failures are listed by name; what to bear in mind comes before the verdict."""
    outcome = phase_outcome(rest=kind_outcome([MS] * 500, errors={"2008 X": 3}))
    warmup = phase_outcome()
    warmup.recorded = False

    text = shown(record_of(warmup, outcome))

    assert 1 == text.count("requests/s of 1000")
    assert "failed: 3 x 2008 X" in text
    assert ["note: steady: 3 requests failed: 2008 X (3)", "verdict: valid"] == text.rstrip().splitlines()[
        -2:
    ]


def test_closed_phase_has_no_rate_to_keep() -> None:
    """Where users wait for answers, the rate is a result."""
    outcome = phase_outcome()
    outcome.target_rate = Fraction(0)

    assert "steady: 1000.0 requests/s for 1 s, as the answers allowed" in shown(record_of(outcome))


def test_phase_that_never_began_is_shown_without_rates() -> None:
    """No division by zero in the table either."""
    text = shown(record_of(PhaseOutcome(name="steady", target_rate=Fraction(5), duration_ns=0)))

    assert "steady: 0.0 requests/s of 5 for 0 s" in text
    assert "CPU:" not in text


def test_progress_is_one_line() -> None:
    """Each second says what was sent and answered, and how late it all was."""
    line = progress_line(PROGRESS)

    for part in ("1.0 s", "steady", "1000", "998", "p50  2.00 ms", "p99  9.00 ms", "lag p99   100 us"):
        assert part in line


def test_report_is_read_by_other_tools(tmp_path: Path) -> None:
    """The folder holds JSON, a histogram log that the package reads, and a distribution for each clock."""
    record = record_of()
    folder = tmp_path / "a" / "b"
    result = result_for(record)

    write_report(folder, record, result)
    write_report(folder, record, result)

    assert result == json.loads(folder.joinpath("result.json").read_text())
    reader = HistogramLogReader(str(folder / "latency.hlog"), HdrHistogram(1, HIGHEST_NS, 3))
    read = reader.get_next_interval_histogram()
    reader.close()
    assert ("steady.response.rest", 2) == (read.get_tag(), read.get_total_count())
    clocks = ("response", "service", "lag", "fill", "cancel")
    assert {f"steady.{clock}.hgrm" for clock in clocks} == {path.name for path in folder.glob("*.hgrm")}


def test_report_of_a_warm_up_is_not_written(tmp_path: Path) -> None:
    """Distributions are of what was measured."""
    record = record_of()
    record.outcomes[0].recorded = False

    write_report(tmp_path, record, result_for(record))

    assert [] == list(tmp_path.glob("*.hgrm"))


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the way is named, with the remedy."""
    tmp_path.joinpath("taken").write_text("")

    with pytest.raises(UsageError, match=r"cannot be written to .*taken.*give another --out"):
        write_report(tmp_path / "taken", record_of(), result_for(record_of()))
