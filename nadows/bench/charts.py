"""Charts as inline SVG: nothing is loaded, nothing is run, and every colour is readable on light and dark.

Presentation attributes and no style sheet: build servers strip style sheets from reports, and the picture
must survive that. Axes and text take the colour of the page (``currentColor``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

from nadows.bench.quantities import show_ns

__all__ = ["Band", "Line", "percentile_chart", "time_chart"]

_WIDTH: Final = 760
_HEIGHT: Final = 260
_LEFT: Final = 62
_RIGHT: Final = 12
_TOP: Final = 24
_BOTTOM: Final = 30
_TICKS: Final = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One series."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dash: str = ""
    """As SVG writes it; empty for a solid line."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of the x axis that something is to be said about."""

    name: str
    colour: str
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps values to pixels."""

    low: float
    high: float
    first_px: float
    last_px: float
    is_log: bool = False

    def at(self, value: float) -> float:
        low, high = (log10(self.low), log10(self.high)) if self.is_log else (self.low, self.high)
        place = log10(max(value, self.low)) if self.is_log else value
        share = (min(place, high) - low) / (high - low)
        return self.first_px + share * (self.last_px - self.first_px)


def time_chart(
    title: str,
    lines: Sequence[Line],
    *,
    is_time_axis: bool,
    bands: Sequence[Band] = (),
    areas: Sequence[tuple[str, Sequence[tuple[float, float, float]]]] = (),
    x_unit: str = " s",
) -> str:
    """Draw series over the seconds of a run.

    Args:
        title: What it shows, for those who cannot see it.
        lines: Their x in seconds, their y in ns or in whatever is counted.
        is_time_axis: Whether y is nanoseconds, on a logarithmic axis; else it counts from 0.
        bands: Stalls, phases that do not count.
        areas: Colour and (x, low, high) of ranges.
        x_unit: What x is counted in.
    """
    xs = [x for line in lines for x, _ in line.points]
    x_axis = _Axis(min(xs, default=0.0), max([*xs, min(xs, default=0.0) + 1e-9]), _LEFT, _WIDTH - _RIGHT)
    ticks = [(x, f"{x:g}{x_unit}") for x in _round_ticks(x_axis.low, x_axis.high)]
    return _draw(title, lines, x_axis, ticks, is_time_axis=is_time_axis, bands=bands, areas=areas)


def percentile_chart(
    title: str,
    lines: Sequence[Line],
    *,
    samples: int,
    areas: Sequence[tuple[str, Sequence[tuple[float, float, float]]]] = (),
) -> str:
    """Draw values over percentiles, where each nine takes as much room as the one before.

    Args:
        title: What it shows, for those who cannot see it.
        lines: Their x is ``1 / (1 - p)``, from 1; their y is ns.
        samples: How many there are; beyond a tenth of that a percentile says nothing, which is shaded.
        areas: See `time_chart`.
    """
    furthest = max(10.0, *(x for line in lines for x, _ in line.points))
    x_axis = _Axis(1.0, furthest, _LEFT, _WIDTH - _RIGHT, is_log=True)
    ticks = [(10.0**nines, _percent(nines)) for nines in range(floor(log10(furthest)) + 1)]
    unsure = [Band("fewer than 10 samples beyond", "#888888", max(1.0, samples / 10), furthest)]
    bands = unsure if samples / 10 < furthest else []
    return _draw(title, lines, x_axis, ticks, is_time_axis=True, bands=bands, areas=areas)


def _percent(nines: int) -> str:
    return "0 %" if not nines else f"{100 - 100 / 10**nines:.10g} %"


def _draw(
    title: str,
    lines: Sequence[Line],
    x_axis: _Axis,
    x_ticks: Iterable[tuple[float, str]],
    *,
    is_time_axis: bool,
    bands: Sequence[Band],
    areas: Sequence[tuple[str, Sequence[tuple[float, float, float]]]],
) -> str:
    values = [y for line in lines for _, y in line.points]
    y_axis, y_ticks = _time_axis(values) if is_time_axis else _count_axis(values)
    head = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg" '
        'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
    )
    parts = [head, f"<title>{escape(title)}</title>"]
    parts += [_band(band, x_axis) for band in bands]
    parts += [_grid_y(y, text, y_axis) for y, text in y_ticks]
    parts += [_grid_x(x, text, x_axis) for x, text in x_ticks]
    parts += [_area(colour, points, x_axis, y_axis) for colour, points in areas]
    parts += [_polyline(line, x_axis, y_axis) for line in lines if line.points]
    return "".join(parts) + _legend(lines, bands) + "</svg>"


def _time_axis(values: Sequence[float]) -> tuple[_Axis, list[tuple[float, str]]]:
    positive = [value for value in values if value > 0] or [1e6]
    low, high = 10 ** floor(log10(min(positive))), 10 ** ceil(log10(max(positive) * 1.0001))
    # Below a microsecond there is nothing to see here.
    low = min(max(low, 1_000), high / 10)
    axis = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, is_log=True)
    decades = range(round(log10(low)), round(log10(high)) + 1)
    return axis, [(10.0**decade, _tick_ns(10**decade)) for decade in decades]


def _tick_ns(value: int) -> str:
    """Write a power of ten without the digits that it does not have."""
    number, unit = show_ns(value).split()
    return f"{float(number):g} {unit}"


def _count_axis(values: Sequence[float]) -> tuple[_Axis, list[tuple[float, str]]]:
    most = max([*values, 1.0]) * 1.05
    axis = _Axis(0.0, most, _HEIGHT - _BOTTOM, _TOP)
    return axis, [(value, f"{value:g}") for value in _round_ticks(0.0, most)]


def _round_ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers from *low* to *high*."""
    rough = (high - low) / _TICKS
    scale: float = 10 ** floor(log10(rough))
    step = next(nice * scale for nice in (1, 2, 5, 10) if nice * scale >= rough)
    first = ceil(low / step)
    return [round(number * step, 9) for number in range(first, floor(high / step) + 1)]


def _grid_y(value: float, text: str, axis: _Axis) -> str:
    y = axis.at(value)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
        f'stroke-opacity="0.15"/><text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _grid_x(value: float, text: str, axis: _Axis) -> str:
    x = axis.at(value)
    anchor = "end" if x > _WIDTH - _RIGHT - 12 else "middle"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="currentColor" '
        f'stroke-opacity="0.08"/><text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" '
        f'text-anchor="{anchor}">{text}</text>'
    )


def _band(band: Band, axis: _Axis) -> str:
    first, last = axis.at(max(band.first, axis.low)), axis.at(min(band.last, axis.high))
    return (
        f'<rect x="{first:.1f}" y="{_TOP}" width="{max(last - first, 1.5):.1f}" '
        f'height="{_HEIGHT - _BOTTOM - _TOP}" fill="{band.colour}" fill-opacity="0.16"/>'
    )


def _area(colour: str, points: Sequence[tuple[float, float, float]], x_axis: _Axis, y_axis: _Axis) -> str:
    there = [f"{x_axis.at(x):.1f},{y_axis.at(high):.1f}" for x, _, high in points]
    back = [f"{x_axis.at(x):.1f},{y_axis.at(low):.1f}" for x, low, _ in reversed(points)]
    return f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity="0.2"/>'


def _polyline(line: Line, x_axis: _Axis, y_axis: _Axis) -> str:
    points = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line.points)
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="1.8" '
        f'stroke-linejoin="round"{dash}/>'
    )


def _legend(lines: Sequence[Line], bands: Sequence[Band]) -> str:
    parts, x = [], float(_LEFT)
    for line in lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<line x1="{x:.0f}" x2="{x + 22:.0f}" y1="10" y2="10" stroke="{line.colour}" '
            f'stroke-width="2.5"{dash}/><text x="{x + 27:.0f}" y="14">{escape(line.name)}</text>'
        )
        x += 27 + _text_width(line.name) + 18
    named: dict[str, Band] = {band.name: band for band in bands}
    for band in named.values():
        parts.append(
            f'<rect x="{x:.0f}" y="4" width="22" height="12" fill="{band.colour}" fill-opacity="0.3"/>'
            f'<text x="{x + 27:.0f}" y="14">{escape(band.name)}</text>'
        )
        x += 27 + _text_width(band.name) + 18
    return "".join(parts)


def _text_width(text: str) -> float:
    return 6.6 * len(text)
