"""A result for other readers: Markdown for a pull request, JUnit for a build server, an index of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final
from xml.etree import ElementTree

from nadows.bench.charts import Line, time_chart
from nadows.bench.explain import explain
from nadows.bench.page import style
from nadows.bench.quantities import show_ns

__all__ = ["index_page", "junit", "markdown"]

_CLOCKS: Final = ("response", "service", "lag", "event")
_SHOWN: Final = ("50", "90", "99", "99.9")


def markdown(result: Mapping[str, Any]) -> str:
    """Return a summary in Markdown."""
    run, verdict = result["run"], result["verdict"]
    lines = [f"## {run['scenario']['name']}: {verdict['state']} (exit code {verdict['exit']})", ""]
    lines += [f"- {text}" for text in (*verdict["reasons"], *verdict["warnings"], *explain(result))]
    for phase in result["phases"]:
        if not phase["recorded"]:
            continue
        rate = f" of {phase['target_rps']:g}" if phase["target_rps"] else ""
        sums = (
            f"sent {phase['sent']} of {phase['planned']}, failed {phase['failed']}, "
            f"unfinished {phase['unfinished']}"
        )
        lines += [
            "",
            f"**{phase['name']}**: {phase['achieved_rps']:.1f}{rate} requests a second, {sums}",
            "",
            "| | " + " | ".join(f"p{each}" for each in _SHOWN) + " | max | samples |",
            "|---" * (len(_SHOWN) + 3) + "|",
            *_clock_rows(phase["ops"]["all"]),
        ]
    if result["thresholds"]:
        lines.append("")
        lines += [f"- {_mark(each)} `{each['expr']}` in {each['phase']}" for each in result["thresholds"]]
    env = result["env"]
    about = ", ".join(str(env[key]) for key in ("cpu", "kernel", "loop") if key in env)
    return "\n".join([*lines, "", f"{about}; driver {run['driver']}; `{' '.join(run['command'])}`", ""])


def _clock_rows(clocks: Mapping[str, Any]) -> Iterator[str]:
    for name in _CLOCKS:
        entry = clocks.get(name)
        if entry is None or not entry["count"]:
            continue
        values = [entry["p"][each] for each in _SHOWN]
        cells = ["-" if value is None else show_ns(value) for value in values]
        yield f"| {name} | " + " | ".join([*cells, show_ns(entry["max"]), str(entry["count"])]) + " |"


def _mark(threshold: Mapping[str, Any]) -> str:
    return "met:" if threshold["ok"] else "**NOT MET:**"


def junit(result: Mapping[str, Any]) -> str:
    """Return JUnit XML: one test case for the instrument, and one for each threshold."""
    verdict, name = result["verdict"], result["run"]["scenario"]["name"]
    cases = [("instrument", "; ".join(verdict["reasons"]) if verdict["exit"] in (1, 97, 98, 130) else "")]
    cases += [
        (
            f"{each['expr']} in {each['phase']}",
            "" if each["ok"] else each["reason"] or f"value {each['value']}",
        )
        for each in result["thresholds"]
    ]
    suite = ElementTree.Element(
        "testsuite",
        name=f"nadows bench {name}",
        tests=str(len(cases)),
        failures=str(sum(bool(why) for _, why in cases)),
        timestamp=result["run"]["started"],
        time=f"{result['run']['duration_ns'] / 1e9:.3f}",
    )
    for case, why in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=f"bench.{name}", name=case)
        if why:
            ElementTree.SubElement(element, "failure", message=why)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def index_page(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return a page of all runs: trends by scenario, then a list, the newest first.

    Args:
        results: Each with the folder it is in; in order of time.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for _, result in results:
        by_name.setdefault(result["run"]["scenario"]["name"], []).append(result)
    trends = [_trend(name, runs) for name, runs in sorted(by_name.items()) if len(runs) > 1]
    rows = "".join(_index_row(folder, result) for folder, result in reversed(results))
    names = ("run", "verdict", "rate", "p50", "p99", "max", "failed")
    head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>nadows bench</title>\n<style>{style()}</style>\n</head>\n<body>\n<h1>nadows bench</h1>\n"
        f'<p class="dim">{len(results)} runs</p>\n{"".join(trends)}\n<h2>Runs</h2>'
        f'<div class="scroll"><table>{head}{rows}</table></div>\n</body>\n</html>\n'
    )


def _trend(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    def line(label: str, key: str, colour: str, dash: str = "") -> Line:
        points = [
            (float(number), value * 1e6)
            for number, run in enumerate(runs, 1)
            if (value := run["ci"][key]) is not None
        ]
        return Line(label, colour, points, dash)

    lines = [
        line("p50", "p50_ms", "#10a37f"),
        line("p99", "p99_ms", "#3b82f6"),
        line("max", "max_ms", "#e5484d", "4 3"),
    ]
    svg = time_chart(f"Response times of {name}, run by run", lines, is_time_axis=True, x_unit="")
    return (
        f"<h2>{escape(name)}</h2><figure>{svg}<figcaption>Response times, run by run.</figcaption></figure>"
    )


def _index_row(folder: str, result: Mapping[str, Any]) -> str:
    ci, state = result["ci"], result["verdict"]["state"]
    times = [ci["p50_ms"], ci["p99_ms"], ci["max_ms"]]
    cells = [
        f'<a href="{escape(folder)}/report.html">{escape(result["id"])}</a>',
        escape(state),
        f"{ci['rps']:g}/s",
        *("-" if value is None else show_ns(value * 1e6) for value in times),
        f"{ci['error_rate']:.2%}",
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
