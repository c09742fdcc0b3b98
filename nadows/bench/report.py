"""A run for people: the table, the line that is printed each second, and the files.

Nothing is shown that the samples do not carry: a percentile with fewer than ten samples beyond it is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nadows.bench.engine import Progress, RunRecord
from nadows.bench.exports import index_page, junit, markdown
from nadows.bench.histogram import Histogram, enough_samples
from nadows.bench.histogram_files import hgrm, hlog
from nadows.bench.outcome import ALL, FOLLOW_UP, Clock, PhaseOutcome
from nadows.bench.page import page
from nadows.bench.quantities import show_ns
from nadows.bench.result import SCHEMA
from nadows.bench.thresholds import Judgement
from nadows.bench.verdict import Verdict
from nadows.errors import UsageError

__all__ = ["progress_line", "summary", "write_index", "write_report"]

_SHOWN: Final = (50.0, 90.0, 99.0, 99.9)
_ROWS: Final[tuple[tuple[str, str, Clock, str], ...]] = (
    ("response", ALL, "response", "bold"),
    ("service", ALL, "service", ""),
    ("lag", ALL, "lag", "dim"),
    ("fill", ALL, "event", "bold"),
    ("cancel", FOLLOW_UP, "response", ""),
)
_STYLES: Final = {
    "valid": "bold green",
    "interrupted": "bold yellow",
    "saturated": "bold yellow",
    "thresholds-failed": "bold red",
}


def progress_line(progress: Progress) -> str:
    """Return one line about the last second."""
    return (
        f"{progress.at_ns / 1e9:6.1f} s  {progress.phase:<8} sent {progress.sent:>6}  "
        f"done {progress.acked:>6}  failed {progress.failed:>4}  in flight {progress.in_flight:>4}  "
        f"p50 {show_ns(progress.p50):>8}  p99 {show_ns(progress.p99):>8}  "
        f"max {show_ns(progress.max):>8}  lag p99 {show_ns(progress.lag_p99):>8}"
    )


def summary(record: RunRecord, verdict: Verdict, judgements: Sequence[Judgement]) -> RenderableType:
    """Return tables and verdict for a terminal."""
    parts: list[RenderableType] = []
    for outcome in record.outcomes:
        if outcome.recorded:
            parts += [_heading(outcome), _latencies(outcome), *_remarks(outcome)]
    parts += [_threshold(each) for each in judgements]
    parts += [Text(_machine(record), style="dim"), *_verdict(verdict)]
    return Group(*parts)


def _heading(outcome: PhaseOutcome) -> Text:
    counts = outcome.counts()
    seconds = outcome.duration_ns / 1e9
    achieved = outcome.in_time / seconds if seconds else 0.0
    text = Text()
    text.append(f"{outcome.name}: {achieved:.1f} requests/s", style="bold")
    text.append(
        f" of {float(outcome.target_rate):g} for {seconds:.4g} s ({outcome.sent_ratio:.2%} of the schedule)\n"
        if outcome.target_rate
        else f" for {seconds:.4g} s, as the answers allowed (closed model)\n"
    )
    text.append(
        f"planned {counts.planned} = sent {counts.sent} + dropped {counts.dropped}; "
        f"sent = acked {counts.acked} + failed {counts.failed} + unfinished {counts.unfinished}"
    )
    return text


def _latencies(outcome: PhaseOutcome) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("latency")
    for name in (*(f"p{each:g}" for each in _SHOWN), "max", "samples"):
        table.add_column(name, justify="right")
    for label, operation, clock, style in _ROWS:
        histogram = outcome.histogram(operation, clock)
        if histogram.count:
            table.add_row(label, *_cells(histogram), style=style)
    return table


def _cells(histogram: Histogram) -> Iterable[str]:
    values = histogram.percentiles(_SHOWN)
    for each in _SHOWN:
        yield show_ns(values[each]) if enough_samples(histogram.count, each) else "-"
    yield show_ns(histogram.maximum)
    yield str(histogram.count)


def _remarks(outcome: PhaseOutcome) -> list[Text]:
    crossing, usage = outcome.crossing, outcome.usage
    cancels = outcome.counts(FOLLOW_UP)
    lines = []
    if crossing.accepted:
        fills = f"fills: {crossing.filled} of {crossing.accepted} accepted crossing orders seen on the stream"
        lines.append(f"{fills}; {cancels.acked} cancellations beside")
    if usage.wall_ns:
        venue = "" if usage.venue_cpu_ns is None else f", venue {usage.venue_cpu_ns / usage.wall_ns:.0%}"
        lines.append(
            f"CPU: generator {usage.generator_cpu_ns / usage.wall_ns:.0%}{venue} of a core; "
            f"stolen {usage.steal:.1%}, others {usage.other_cpu:.1%} of the machine"
        )
    errors = outcome.counts().errors + cancels.errors
    lines += [f"failed: {count} x {name}" for name, count in errors.most_common()]
    return [Text(line) for line in lines]


def _threshold(judgement: Judgement) -> Text:
    mark, style = ("met", "green") if judgement.ok else ("NOT MET", "bold red")
    reason = f" ({judgement.reason})" if judgement.reason else ""
    return Text(f"threshold {judgement.expr} in {judgement.phase}: {mark}{reason}", style=style)


def _machine(record: RunRecord) -> str:
    env = record.environment
    return (
        f"{env['cpu']}, {env['cores']} cores, load {env['load1']}; Python {env['python']}, {env['loop']}, "
        f"{env['transport']} {env['versions'].get(env['transport'], '')}, pacer {env['pacer']}"
    )


def _verdict(verdict: Verdict) -> list[Text]:
    style = _STYLES.get(verdict.state, "bold red")
    lines = [Text(f"note: {warning}", style="yellow") for warning in verdict.warnings]
    reasons = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    return [*lines, Text(f"verdict: {verdict.state}{reasons}", style=style)]


def write_report(folder: Path, record: RunRecord, result: dict[str, Any]) -> None:
    """Write ``result.json``, the page and the other forms of it, the histogram log, and distributions.

    Args:
        folder: Is made if it is missing; files in it with the same names are replaced.
        record: The run.
        result: What `nadows.bench.result.result_of` made of it.

    Raises:
        UsageError: If the folder cannot be written.
    """
    files = {
        "result.json": msgspec.json.format(msgspec.json.encode(result), indent=1).decode() + "\n",
        "latency.hlog": hlog(record.started_ns, record.intervals),
        "report.html": page(result),
        "report.md": markdown(result),
        "junit.xml": junit(result),
    }
    for outcome in record.outcomes:
        if outcome.recorded:
            files |= {
                f"{outcome.name}.{label}.hgrm": hgrm(histogram)
                for label, operation, clock, _ in _ROWS
                if (histogram := outcome.histogram(operation, clock)).count
            }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            folder.joinpath(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the report cannot be written to {folder}: {error}; give another --out") from error


def write_index(folder: Path) -> Path:
    """Write ``index.html`` over all reports of a folder, and return its path; what is no report is left out.

    Raises:
        UsageError: If it cannot be written.
    """
    results = []
    for file in sorted(folder.glob("*/result.json")):
        try:
            result = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError):
            continue
        if result.get("schema") == SCHEMA and "ci" in result:
            results.append((file.parent.name, result))
    path = folder / "index.html"
    try:
        path.write_text(index_page(results), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from error
    return path
