"""Bars of one market: forming and finished, in all granularities at once."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["GRANULARITIES", "Bar", "Candles"]

GRANULARITIES: Final = (60, 300, 900, 3600, 7200, 14400, 86400, 604800, 2419200)
"""Lengths of a bar in seconds. Source: protocol.md 2.4."""

_HISTORY: Final = 500
"""Bars kept for each granularity: as many as one archive query may ask for."""


class Bar:
    """One bar; prices, volume and its value in x18, *start* in seconds."""

    __slots__ = ("close", "high", "low", "open", "start", "submission_idx", "value", "volume")

    def __init__(self, start: int, price: int) -> None:
        self.start = start
        self.open = self.high = self.low = self.close = price
        self.volume = self.value = 0
        self.submission_idx = 0


class Candles:
    """All bars of one market."""

    __slots__ = ("_bars",)

    def __init__(self) -> None:
        self._bars: dict[int, deque[Bar]] = {g: deque(maxlen=_HISTORY) for g in GRANULARITIES}

    def add(self, now_s: int, price: int, qty: int, value: int, submission_idx: int) -> None:
        """Count one trade, worth *value*, in the forming bars, starting new ones where it is time."""
        for granularity, bars in self._bars.items():
            start = now_s - now_s % granularity
            if not bars or bars[-1].start != start:
                bars.append(Bar(start, price))
            bar = bars[-1]
            bar.close = price
            if price > bar.high:
                bar.high = price
            elif price < bar.low:
                bar.low = price
            bar.volume += qty
            bar.value += value
            bar.submission_idx = submission_idx

    def forming(self, granularity: int) -> Bar | None:
        """Return the newest bar, or ``None`` before the first trade."""
        bars = self._bars[granularity]
        return bars[-1] if bars else None

    def history(self, granularity: int, max_time_s: int | None, limit: int) -> list[Bar]:
        """Return at most *limit* bars that start no later than *max_time_s*, newest first."""
        chosen = [b for b in reversed(self._bars[granularity]) if max_time_s is None or b.start <= max_time_s]
        return chosen[:limit]
