"""Comparing a live book with a snapshot of it, without interrupting it.

A snapshot names an instant at which our copy may not stand: it is taken between two batches, and travels on
another socket. But quantities are absolute. So whatever came since the asking is laid over the snapshot, and
then the two must be equal as deep as both are known: a difference is drift, which the chain of updates
cannot show (a last batch that was lost, a venue that says one thing and means another).

The same overlay also tells the book about levels below those that its own snapshot had reached.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from nadows.book import Book, Level, Side
from nadows.messages import BookDepth, MarketLiquidity

__all__ = ["Audit", "Verdict"]


class Verdict(enum.Enum):
    """What a comparison showed."""

    EQUAL = "equal"
    DRIFTED = "drifted"
    UNFIT = "unfit"
    """The snapshot is older than the first update that was kept: it proves nothing."""


class Audit:
    """One comparison.

    Args:
        book: A LIVE book.
        depth: Levels a side that are asked for.
        now_ns: When, on the caller's clock.
    """

    def __init__(self, book: Book, depth: int, now_ns: int) -> None:
        self.asked_ns = now_ns
        self._depth = depth
        self._stood_at = book.max_timestamp
        self._updates: list[BookDepth] = []
        self._snapshot: MarketLiquidity | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the snapshot is there."""
        return self._snapshot is not None

    def note(self, update: BookDepth) -> None:
        """Keep an update that the book has taken."""
        self._updates.append(update)

    def answered(self, snapshot: MarketLiquidity) -> None:
        """Take the snapshot."""
        self._snapshot = snapshot

    def verdict(self, book: Book) -> Verdict | None:
        """Compare; ``None`` while the book has not reached the snapshot's instant."""
        snapshot = self._snapshot
        if snapshot is None:
            return None
        if snapshot.timestamp < self._stood_at:
            return Verdict.UNFIT
        if book.max_timestamp < snapshot.timestamp:
            return None
        bids, asks = self._overlaid()
        equal = _same(book.bids, bids, is_bid=True) and _same(book.asks, asks, is_bid=False)
        return Verdict.EQUAL if equal else Verdict.DRIFTED

    def deepen(self, book: Book) -> None:
        """Give the book, found equal, the levels that this snapshot reaches further."""
        bids, asks = self._overlaid()
        for mine, theirs, sign in ((book.bids, bids, 1), (book.asks, asks, -1)):
            if mine.edge is None or (theirs.edge is not None and sign * theirs.edge >= sign * mine.edge):
                continue
            mine.load([(str(level.price), str(level.qty)) for level in theirs], theirs.edge)

    def _overlaid(self) -> tuple[Side, Side]:
        assert self._snapshot is not None
        bids, asks = Side(is_bid=True), Side(is_bid=False)
        bids.load(self._snapshot.bids, _edge(self._snapshot.bids, self._depth))
        asks.load(self._snapshot.asks, _edge(self._snapshot.asks, self._depth))
        for update in self._updates:
            if update.max_timestamp > self._snapshot.timestamp:
                bids.apply(update.bids)
                asks.apply(update.asks)
        return bids, asks


def _edge(levels: Iterable[tuple[str, str]], depth: int) -> int | None:
    prices = [int(price) for price, _ in levels]
    return prices[-1] if len(prices) >= depth else None


def _same(one: Side, other: Side, *, is_bid: bool) -> bool:
    """Whether two sides agree as deep as both are known."""
    edges = [edge for edge in (one.edge, other.edge) if edge is not None]
    if not edges:
        return list(one) == list(other)
    if is_bid:
        return _within(one, max(edges), 1) == _within(other, max(edges), 1)
    return _within(one, min(edges), -1) == _within(other, min(edges), -1)


def _within(side: Side, edge: int, sign: int) -> list[Level]:
    return [level for level in side if sign * level.price >= sign * edge]
