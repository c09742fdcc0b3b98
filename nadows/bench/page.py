"""The report as one HTML file: readable without scripts, offline, on light and dark, wide and narrow.

Everything is drawn beforehand as SVG. Where scripts run, uPlot (MIT, in ``vendor/``, inlined) takes the place
of the charts, so that one can zoom by dragging and read values under the pointer; where they do not, nothing
is missing but that. Made from a result as ``result.json`` holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from math import log10
from typing import Any, Final

import msgspec

from nadows.bench.charts import Band, Line, percentile_chart, time_chart
from nadows.bench.explain import explain
from nadows.bench.histogram import Histogram
from nadows.bench.outcome import ALL, FOLLOW_UP
from nadows.bench.quantities import show_ns

__all__ = ["page", "style"]

_RESPONSE, _SERVICE, _LAG, _EVENT = "#3b82f6", "#10a37f", "#d98a1f", "#b05ce0"
_RED, _GREY = "#e5484d", "#8a8f98"
_CLOCKS: Final = (
    ("response", _RESPONSE, ""),
    ("service", _SERVICE, "6 3"),
    ("lag", _LAG, "2 3"),
    ("event", _EVENT, "9 3 2 3"),
)
_PERCENTILES: Final = ("50", "90", "99", "99.9", "99.99")
_POINTS_A_DECADE: Final = 16
_GOOD: Final = frozenset({"valid"})
_SOSO: Final = frozenset({"saturated", "interrupted"})


class _Chart:
    """A chart in both of its forms."""

    def __init__(self, name: str, caption: str, svg: str, lines: Sequence[Line], **options: bool) -> None:
        self.html = f'<figure id="{name}">{svg}<figcaption>{caption}</figcaption></figure>'
        xs = sorted({x for line in lines for x, _ in line.points})
        self.data: dict[str, Any] = {
            "id": name,
            "x": xs,
            "series": [
                {
                    "name": line.name,
                    "colour": line.colour,
                    "dash": line.dash,
                    "y": [dict(line.points).get(x) for x in xs],
                }
                for line in lines
            ],
            **options,
        }


def page(result: Mapping[str, Any]) -> str:
    """Return the whole page."""
    recorded = [phase for phase in result["phases"] if phase["recorded"]]
    charts = [*map(_percentiles, range(len(recorded)), recorded), *_over_time(result)]
    percentile_charts, time_charts = charts[: len(recorded)], charts[len(recorded) :]
    title = escape(result["run"]["scenario"]["name"])
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="dim">{escape(result["run"]["scenario"]["about"])}</p>',
        _origin(result),
        _verdict(result),
        _cards(result["ci"]),
        *(f"<p>{escape(text)}</p>" for text in explain(result)),
    ]
    for phase, chart in zip(recorded, percentile_charts, strict=True):
        parts += [f"<h2>{escape(phase['name'])}</h2>", _counts(phase), chart.html, _operations(phase)]
    parts += ["<h2>Over time</h2>", *(chart.html for chart in time_charts)]
    parts += [_thresholds(result["thresholds"]), _errors(recorded), _instrument(recorded), _about(result)]
    return _document(f"{title} - nadows bench", "\n".join(part for part in parts if part), charts)


def style() -> str:
    """Return the style sheet of all pages."""
    return _asset("assets", "report.css")


def _asset(*path: str) -> str:
    return resources.files("nadows.bench").joinpath(*path).read_text(encoding="utf-8")


def _document(title: str, body: str, charts: Sequence[_Chart]) -> str:
    css = _asset("vendor", "uplot", "uPlot.min.css") + style()
    library, script = _asset("vendor", "uplot", "uPlot.iife.min.js"), _asset("assets", "report.js")
    # Inside a script element nothing is escaped, but a closing tag would end it.
    data = msgspec.json.encode([chart.data for chart in charts]).decode().replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{css}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="charts">{data}</script>\n'
        f"<script>{library}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


# -- parts -----------------------------------------------------------------------------------------


def _origin(result: Mapping[str, Any]) -> str:
    run = result["run"]
    return (
        f'<p class="dim">{escape(run["started"][:19].replace("T", " "))} UTC &middot; '
        f"driver {run['driver']} &middot; signing {run['sign']} &middot; "
        f"nadows {escape(result['tool']['version'])}</p>"
    )


def _verdict(result: Mapping[str, Any]) -> str:
    verdict = result["verdict"]
    mood = "good" if verdict["state"] in _GOOD else "soso" if verdict["state"] in _SOSO else "bad"
    lines = [*verdict["reasons"], *verdict["warnings"]]
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        f'<div class="verdict {mood}"><strong>{escape(verdict["state"])}</strong> '
        f'<span class="dim">exit code {verdict["exit"]}</span>{said}</div>'
    )


def _cards(ci: Mapping[str, Any]) -> str:
    cards = [("requests/s", f"{ci['rps']:g}")]
    for name, key in (
        ("response p50", "p50_ms"),
        ("response p99", "p99_ms"),
        ("response p99.9", "p999_ms"),
        ("response max", "max_ms"),
        ("fill p99", "fill_p99_ms"),
        ("lag p99", "lag_p99_ms"),
    ):
        if ci[key] is not None:
            cards.append((name, show_ns(ci[key] * 1e6)))
    cards.append(("failed", f"{ci['error_rate']:.3g}" if not ci["error_rate"] else f"{ci['error_rate']:.2%}"))
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in cards)
        + "</div>"
    )


def _counts(phase: Mapping[str, Any]) -> str:
    rate = f" of {phase['target_rps']:g}" if phase["target_rps"] else ""
    return (
        f"<p>{phase['achieved_rps']:.1f}{rate} requests a second for {phase['duration_ns'] / 1e9:g} s. "
        f"Planned {phase['planned']} = sent {phase['sent']} + dropped {phase['dropped']}; "
        f"sent = acked {phase['acked']} + failed {phase['failed']} + unfinished {phase['unfinished']}.</p>"
    )


def _percentiles(number: int, phase: Mapping[str, Any]) -> _Chart:
    lines, areas = [], []
    clocks = phase["ops"]["all"]
    for name, colour, dash in _CLOCKS:
        if name not in clocks or not clocks[name]["count"] or not clocks[name]["max"]:
            continue
        histogram = Histogram.decode(clocks[name]["hdr"], clocks[name])
        levels = _levels(histogram.count)
        values = histogram.percentiles([level for _, level in levels])
        lines.append(Line(name, colour, [(x, float(values[level])) for x, level in levels], dash))
        if name == "response":
            areas.append((colour, _confidence(histogram, levels)))
    samples = clocks["response"]["count"]
    caption = (
        "Latency by percentile; each nine takes as much room as the one before. Response counts from the "
        "schedule, service from sending, lag is the generator's own lateness, event the fill on the stream. "
        "The shade around the response is its 95 % range."
    )
    svg = percentile_chart(f"Latency by percentile of {phase['name']}", lines, samples=samples, areas=areas)
    return _Chart(f"percentiles-{number}", caption, svg, lines, percentiles=True, times=True)


def _levels(count: int) -> list[tuple[float, float]]:
    """Return (1 / (1 - p), p in percent), evenly spaced in nines, as far as there are samples."""
    last = round(log10(max(count, 10)) * _POINTS_A_DECADE)
    spots = [10 ** (step / _POINTS_A_DECADE) for step in range(last + 1)]
    return [(x, round(100 - 100 / x, 10)) for x in spots]


def _confidence(
    histogram: Histogram, levels: Iterable[tuple[float, float]]
) -> list[tuple[float, float, float]]:
    known = [(x, level) for x, level in levels if 10 * x <= histogram.count and 0 < level < 100]
    ranges = [(x, histogram.confidence(level)) for x, level in known]
    return [(x, float(low), float(high)) for x, (low, high) in ranges]


def _over_time(result: Mapping[str, Any]) -> Iterator[_Chart]:
    series = result["series"]
    seconds = [at / 1e9 for at in series["t"]]

    def line(name: str, key: str, colour: str, dash: str = "") -> Line:
        return Line(name, colour, [*zip(seconds, map(float, series[key]), strict=True)], dash)

    def positive(line: Line) -> Line:
        return Line(line.name, line.colour, [(x, y) for x, y in line.points if y > 0], line.dash)

    bands = [*_bands(result)]
    latency = [
        positive(line("p50", "p50", _SERVICE)),
        positive(line("p99", "p99", _RESPONSE)),
        positive(line("max", "max", _RED, "4 3")),
        positive(line("lag p99", "lag_p99", _LAG, "2 3")),
    ]
    rates = [
        line("sent", "sent", _RESPONSE),
        line("answered", "done", _SERVICE, "6 3"),
        line("failed", "err", _RED),
    ]
    flying = [line("in flight", "inflight", _EVENT)]
    for name, caption, lines, times in (
        ("latency", "Response times of each second, and the generator's lateness.", latency, True),
        ("rates", "Requests of each second.", rates, False),
        ("flying", "Requests in flight at the end of each second.", flying, False),
    ):
        svg = time_chart(caption, lines, is_time_axis=times, bands=bands)
        yield _Chart(name, caption, svg, lines, percentiles=False, times=times)


def _bands(result: Mapping[str, Any]) -> Iterator[Band]:
    begin_ns = 0
    for phase in result["phases"]:
        if not phase["recorded"]:
            yield Band("not counted", _GREY, begin_ns / 1e9, (begin_ns + phase["duration_ns"]) / 1e9)
        begin_ns += phase["duration_ns"]
    for fault in result["run"]["faults"]:
        yield Band(fault["kind"], _RED, fault["at_ns"] / 1e9, (fault["at_ns"] + fault["length_ns"]) / 1e9)


def _operations(phase: Mapping[str, Any]) -> str:
    entries = [
        (f'{operation} <span class="dim">{clock}</span>', entry[clock])
        for operation, entry in _listed(phase)
        for clock in ("response", "service", "lag", "event", "error_latency")
        if clock in entry and entry[clock]["count"]
    ]
    # A percentile that nothing has enough samples for is no column.
    said = [each for each in _PERCENTILES if any(entry["p"][each] is not None for _, entry in entries)]
    head = ["", *(f"p{each}" for each in said), "max", "samples"]
    return _table(head, [[name, *_distribution(entry, said)] for name, entry in entries])


def _listed(phase: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the whole schedule, and the operations and kinds that are not the same as what is above them."""
    ops, kinds = phase["ops"], phase["kinds"]
    whole = ops[ALL]
    yield ALL, whole
    for name, entry in [*ops.items(), *(each for each in kinds.items() if each[0] not in ops)]:
        if name not in (ALL, FOLLOW_UP) and entry["sent"] != whole["sent"]:
            yield name, entry
    if FOLLOW_UP in ops:
        yield FOLLOW_UP, ops[FOLLOW_UP]


def _distribution(entry: Mapping[str, Any], percentiles: Sequence[str]) -> Iterator[str]:
    for percentile in percentiles:
        value = entry["p"][percentile]
        if value is None:
            yield '<span class="dim">-</span>'
        else:
            low, high = entry["ci95"][percentile]
            yield f"{show_ns(value)}<small>{show_ns(low)} .. {show_ns(high)}</small>"
    yield show_ns(entry["max"])
    yield str(entry["count"])


def _thresholds(thresholds: Sequence[Mapping[str, Any]]) -> str:
    if not thresholds:
        return ""
    rows = [
        f"<tr><td>{escape(each['expr'])}</td><td>{escape(each['phase'])}</td>"
        f'<td class="{"good" if each["ok"] else "bad"}">{"met" if each["ok"] else "not met"}</td>'
        f"<td>{escape(each['reason'] or '')}</td></tr>"
        for each in thresholds
    ]
    return f'<h2>Thresholds</h2><div class="scroll"><table class="left">{"".join(rows)}</table></div>'


def _errors(phases: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [escape(phase["name"]), escape(name), str(count)]
        for phase in phases
        for what in ("errors", "drops")
        for name, count in phase[what].items()
    ]
    return "<h2>Failed and dropped</h2>" + _table(["phase", "why", "how many"], rows) if rows else ""


def _instrument(phases: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "phase",
        "schedule sent",
        "late",
        "by own fault",
        "generator CPU",
        "venue CPU",
        "others",
        "stolen",
    ]
    rows = []
    for phase in phases:
        each = phase["instrument"]
        venue = "-" if each["venue_cpu_pct"] is None else f"{each['venue_cpu_pct']:.0f} %"
        rows.append(
            [
                *(escape(phase["name"]), f"{each['sent_ratio']:.2%}", f"{each['late_pct']} %"),
                *(f"{each['late_busy_pct']} %", f"{each['cpu_pct']:.0f} %", venue),
                *(f"{each['other_cpu_pct']} %", f"{each['steal_pct']} %"),
            ]
        )
    return (
        "<h2>The instrument</h2><p>Late is what was sent more than 1 ms after it was due. CPU is of one "
        "core; others and stolen are of the whole machine.</p>" + _table(head, rows)
    )


def _about(result: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{escape(str(key))}</td><td class="wrap">{escape(_plain(value))}</td></tr>'
        for key, value in result["env"].items()
    )
    scenario = msgspec.json.format(msgspec.json.encode(result["run"]["scenario"]), indent=2).decode()
    return (
        f'<h2>Environment</h2><div class="scroll"><table class="left">{rows}</table></div>'
        f"<h2>How to run it again</h2><pre>{escape(' '.join(result['run']['command']))}</pre>"
        f"<details><summary>The whole scenario</summary><pre>{escape(scenario)}</pre></details>"
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heading = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{heading}</tr>{body}</table></div>'
