"""Durations and rates as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from nadows.errors import UsageError

__all__ = ["TIME_UNITS", "parse_duration", "parse_rate", "show_duration", "show_ns"]

TIME_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in each unit of time."""

MAX_RATE: Final = 1_000_000
"""Requests a second; far beyond any generator in Python, so whatever is above is a slip of the hand."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)", re.ASCII).fullmatch
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([km]?)", re.ASCII | re.IGNORECASE).fullmatch
_THOUSANDS: Final = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_duration(text: str, what: str = "duration") -> int:
    """Read a duration such as ``30s``, ``250ms`` or ``1.5m`` as ns.

    Raises:
        UsageError: If it is not one, or longer than a week.
    """
    found = _DURATION(text.strip())
    if found is None:
        raise UsageError(
            f"{what} {text!r} is no duration: write a number and a unit, such as 30s, 250ms or 2m"
        )
    duration_ns = int(Fraction(found[1]) * TIME_UNITS[found[2]])
    if duration_ns > 7 * 24 * TIME_UNITS["h"]:
        raise UsageError(f"{what} {text!r} is longer than a week; run something shorter")
    return duration_ns


def show_duration(duration_ns: int) -> str:
    """Write a duration exactly, in the largest unit that divides it: the inverse of `parse_duration`."""
    if not duration_ns:
        return "0s"
    unit = next(unit for unit, size in reversed(TIME_UNITS.items()) if duration_ns % size == 0)
    return f"{duration_ns // TIME_UNITS[unit]}{unit}"


def parse_rate(value: str | int | float, what: str = "rate") -> Fraction:
    """Read a rate in requests a second: ``1000``, ``0.5``, ``1e3``, ``2k``.

    Raises:
        UsageError: If it is not a number, not above 0, or above a million.
    """
    found = _RATE(str(value).strip())
    rate = Fraction(found[1]) * _THOUSANDS[found[2].lower()] if found else Fraction(0)
    if not 0 < rate <= MAX_RATE:
        raise UsageError(
            f"{what} {value} is no rate: give requests a second above 0 and up to {MAX_RATE}, such as 1000"
        )
    return rate


def show_ns(value_ns: float) -> str:
    """Write a time with three significant digits in the unit that fits: ``412 us``, ``1.52 ms``."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        # 999.9 us would be rounded to "1000 us"; it belongs to the next unit.
        if value_ns >= 0.9995 * size:
            scaled = value_ns / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{value_ns:.0f} ns"
