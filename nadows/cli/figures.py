"""How figures and instants are written for people, and in which colours."""

from __future__ import annotations

from typing import Final

from nadows.units import format_x18

__all__ = ["ALERT", "BUY", "FAINT", "SELL", "clock", "fixed", "span"]

BUY: Final = "green"
SELL: Final = "red"
FAINT: Final = "bright_black"
ALERT: Final = "bold yellow"


def fixed(value: int, decimals: int) -> str:
    """Write fixed point with at least so many decimals, and all that it has: nothing is rounded away."""
    text = format_x18(value)
    whole, _, part = text.partition(".")
    return f"{whole}.{part.ljust(decimals, '0')}" if decimals or part else whole


def clock(timestamp_ns: int) -> str:
    """Write an instant as time of day, UTC, in milliseconds."""
    millis = timestamp_ns // 1_000_000 % 86_400_000
    seconds, millis = divmod(millis, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"


def span(ns: int) -> str:
    """Write a length of time as short as it is of use."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000)):
        if ns >= 10 * size:
            return f"{ns // size} {unit}"
    return f"{ns / 1_000_000:.1f} ms"
