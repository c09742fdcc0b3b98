"""The report for people and other tools: complete without scripts, alone in its file, true to the result."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nadows.bench import page as pages
from nadows.bench.charts import Band, Line, percentile_chart, time_chart
from nadows.bench.engine import Progress, RunRecord
from nadows.bench.explain import explain
from nadows.bench.exports import index_page, junit, markdown
from nadows.bench.faults import Fault
from nadows.bench.page import page
from nadows.bench.report import write_index
from nadows.bench.result import result_of
from nadows.bench.scenario import LoadPhase, Scenario
from nadows.bench.thresholds import Threshold
from nadows.bench.verdict import judge
from nadows.errors import UsageError

from .outcomes import MS, kind_outcome, phase_outcome

SECOND = 10**9
VOID = {"meta", "br", "link", "img", "input"}


def progress(second: int) -> Progress:
    return Progress(second * SECOND, "steady", 1000, 998, 2, 3, MS, 2 * MS, 9 * MS, MS // 10)


def result(
    *faults: Fault, exprs: tuple[str, ...] = ("response.p99 < 10ms",), **changes: Any
) -> dict[str, Any]:
    outcome = phase_outcome(rest=kind_outcome([MS + n for n in range(500)], errors={"2008 <X>": 3}))
    settings: dict[str, Any] = {"about": "</script><b>", "name": "test"} | changes
    scenario = Scenario(phases=(LoadPhase("steady", outcome.target_rate, SECOND),), **settings)
    record = RunRecord(
        scenario,
        started_ns=1_700_000_000 * SECOND,
        outcomes=[outcome],
        series=[progress(1), progress(2)],
        faults=list(faults),
        environment={"cpu": "<fine>", "versions": {"a": "1"}},
        stats={"gateway_connects": 3},
    )
    judgements = [Threshold.parse(expr).judge(outcome) for expr in exprs]
    return result_of(record, judge([outcome], judgements), judgements, ["nadows", "bench", "<x>"])


class Balanced(HTMLParser):
    """Counts what is opened and closed, and keeps what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "data") and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value for name, value in attrs if name in ("src", "href", "data") and value]

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def test_page_loads_nothing_and_says_everything_without_scripts() -> None:
    """Markup is balanced, no address is in it, and every number stands in the text."""
    text = page(result(Fault("stall", 0, SECOND)))
    parsed = Balanced(text)

    assert [] == parsed.open
    assert [] == parsed.loaded
    assert not re.search(r"@import|url\(", text)
    said = " ".join(parsed.text)
    for part in (
        "valid",
        "exit code 0",
        "2.00 ms",
        "response.p99 < 10ms",
        "2008 <X>",
        "3 requests failed",
        "a 1",
    ):
        assert part in said
    assert "nadows bench <x>" in said
    assert 4 == text.count("<svg")


def test_what_is_shown_cannot_break_out() -> None:
    """Names and texts of a scenario are text, in the page and in its data."""
    text = page(result())

    assert "</script><b>" not in text.replace("\\u003c", "<")
    assert "&lt;fine&gt;" in text
    data = re.search(r'id="charts">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    charts = json.loads(data[1].replace("<\\/", "</"))
    assert ["percentiles-0", "latency", "rates", "flying"] == [chart["id"] for chart in charts]
    assert all(len(series["y"]) == len(chart["x"]) for chart in charts for series in chart["series"])


def test_data_of_a_chart_cannot_end_its_script() -> None:
    """Whatever a series may be called one day."""
    chart = pages._Chart("x", "", "<svg></svg>", [Line("</script><b>", "#000000", [(0.0, 1.0)])])

    assert 3 == pages._document("x", chart.html, [chart]).count("</script>")


def test_percentile_without_samples_is_no_column() -> None:
    """A thousand samples carry the 99th and not the 99.9th."""
    text = page(result())

    assert "<th>p99</th>" in text
    assert "<th>p99.9</th>" not in text


@pytest.mark.parametrize(
    ("state", "mood"), [("valid", "good"), ("saturated", "soso"), ("generator-limited", "bad")]
)
def test_verdict_has_a_colour(state: str, mood: str) -> None:
    """Green, amber or red, beside the word."""
    changed = result()
    changed["verdict"] |= {"state": state}

    assert f'class="verdict {mood}"' in page(changed)


def test_page_of_a_run_without_anything_is_a_page() -> None:
    """An interrupted run may hold no sample and no second."""
    empty = result(exprs=())
    empty["series"] = {
        key: [] if isinstance(value, list) else value for key, value in empty["series"].items()
    }
    empty["ci"] = dict.fromkeys(empty["ci"], None) | {"rps": 0.0, "error_rate": 0.0}
    phase = empty["phases"][0]
    phase["instrument"]["venue_cpu_pct"] = None
    phase["target_rps"] = 0.0

    assert [] == Balanced(page(empty)).open


def test_vendored_library_is_the_one_that_was_reviewed() -> None:
    """UPlot 1.6.32 as it is published, with its licence."""
    files = resources.files("nadows.bench").joinpath("vendor", "uplot")
    sums = {
        name: hashlib.sha256(files.joinpath(name).read_bytes()).hexdigest()[:16]
        for name in ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE")
    }

    assert {
        "uPlot.iife.min.js": "19c8d4c6ad88929a",
        "uPlot.min.css": "df630c6a8d6f8eea",
        "LICENSE": "8f989229699b4fe2",
    } == sums


def test_stall_is_explained_by_who_could_see_it() -> None:
    """An open model shows it in every request that was due, a closed one in one for each user."""
    stall = Fault("stall", 0, SECOND)
    (opened,) = explain(result(stall))
    closed = result(stall)
    closed["run"]["scenario"]["load"] |= {"model": "closed", "users": 8}
    first, second = explain(closed)

    assert opened.startswith(
        "The venue stood still for 1.00 s at 0.0 s. About 1000 requests were due meanwhile"
    )
    assert "(p99 2.00 ms)" in opened
    assert "8 of 1000 requests saw it" in first
    assert "coordinated omission" in first
    assert second.startswith("A closed model of 8 users")


def test_stall_outside_of_what_counts_is_explained_too() -> None:
    """During a warm-up nothing is measured that could be quoted."""
    late = Fault("stall", 5 * SECOND, SECOND)

    assert "About 0 requests were due" in explain(result(late))[0]


def test_cuts_are_explained() -> None:
    """How often, and what fell between."""
    (text,) = explain(result(Fault("disconnect", 1, 0), Fault("disconnect", 2, 0)))

    assert "cut 2 times; the clients connected 3 times" in text


def test_markdown_holds_verdict_table_and_thresholds() -> None:
    """For the summary of a build."""
    text = markdown(result(Fault("stall", 0, SECOND), exprs=("response.p99 < 10ms", "response.max < 1ns")))

    assert text.startswith("## test: thresholds-failed (exit code 99)\n")
    assert "| response | 1.00 ms | 2.00 ms | 2.00 ms | - | 2.00 ms | 1000 |" in text
    assert "- met: `response.p99 < 10ms` in steady\n- **NOT MET:** `response.max < 1ns` in steady" in text
    assert "The venue stood still" in text


def test_junit_has_a_case_for_the_instrument_and_each_threshold() -> None:
    """A build server shows which of them failed, and why."""
    suite = ElementTree.fromstring(junit(result(exprs=("response.p99 < 10ms", "response.p99.9 < 1s"))))

    assert ("3", "1") == (suite.get("tests"), suite.get("failures"))
    failures = {case.get("name"): failure.get("message") for case in suite for failure in case}
    assert {"response.p99.9 < 1s in steady": "1000 samples are too few for p99.9"} == failures


def test_fault_of_the_instrument_fails_its_case() -> None:
    """A schedule that was not kept is no matter of thresholds."""
    limited = result(exprs=())
    limited["verdict"] |= {"exit": 97, "reasons": ["too slow"]}

    suite = ElementTree.fromstring(junit(limited))

    assert ["instrument"] == [case.get("name") for case in suite for _ in case]


def test_index_lists_all_runs_with_trends(tmp_path: Path) -> None:
    """The newest first; what is no report is left out."""
    for name, content in (
        ("1_a", json.dumps(result())),
        ("2_b", json.dumps(result())),
        ("3_c", "{}"),
        ("4_d", "x"),
    ):
        tmp_path.joinpath(name).mkdir()
        tmp_path.joinpath(name, "result.json").write_text(content)

    text = write_index(tmp_path).read_text()

    parsed = Balanced(text)
    assert [] == parsed.open
    assert ["2_b/report.html", "1_a/report.html"] == parsed.loaded
    assert "2 runs" in " ".join(parsed.text)
    assert 1 == text.count("<svg")
    assert "<svg" not in index_page([("x", result())])


def test_index_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that is none is named."""
    with pytest.raises(UsageError, match="cannot be written"):
        write_index(tmp_path / "nowhere")


def test_clock_without_samples_is_no_row() -> None:
    """A mix of queries has no fills."""
    queries = result()
    queries["phases"][0]["ops"]["all"]["event"]["count"] = 0

    assert "| event |" not in markdown(queries)
    assert "| lag |" in markdown(queries)


def test_axes_have_round_numbers() -> None:
    """Seconds count up by ones, twos and fives; times go by decades."""
    lines = [Line("a <b>", "#123456", [(0.0, 2e6), (7.0, 3e8)]), Line("none", "#000000", [])]
    svg = time_chart("x & y", lines, is_time_axis=True, bands=[Band("stall", "#ff0000", 2, 3)])

    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert ["x & y", "1 ms", "10 ms", "100 ms", "1 s", "0 s", "2 s", "4 s", "6 s"] == texts[:9]
    assert ["a <b>", "none", "stall"] == texts[9:]


def test_percentile_axis_counts_nines() -> None:
    """What has fewer than ten samples beyond it is shaded, and nothing else."""
    line = Line("response", "#123456", [(1.0, 1e6), (10.0, 2e6), (1000.0, 9e6)])

    shaded = percentile_chart("x", [line], samples=1000, areas=[("#123456", [(1.0, 1e6, 2e6)])])
    sure = percentile_chart("x", [line], samples=100_000)

    for text in ("0 %", "90 %", "99 %", "99.9 %"):
        assert f">{text}</text>" in shaded
    assert "fewer than 10 samples" in shaded
    assert "fewer than 10 samples" not in sure


def test_chart_of_nothing_is_a_chart() -> None:
    """No division by zero where there is no second."""
    assert time_chart("x", [Line("a", "#000000", [])], is_time_axis=False).endswith("</svg>")
