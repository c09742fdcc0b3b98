"""One product's market: its book, what the feed has been told of it, its prices and bars."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from nadows.units import NO_ASK
from nadows.venue.candles import Candles
from nadows.venue.matching import OrderBook
from nadows.venue.orders import LiveOrder
from nadows.venue.products import Product

__all__ = ["DepthBatch", "Market", "Top", "TradingStatus"]


class TradingStatus(StrEnum):
    """Whether orders are taken, as `symbols` spells it (protocol.md 5.5)."""

    LIVE = "live"
    POST_ONLY = "post_only"
    """Orders that rest and do not take."""
    REDUCE_ONLY = "reduce_only"
    """Reduce-only orders."""
    SOFT_REDUCE_ONLY = "soft_reduce_only"
    """Orders that reduce a position, whether they say so or not."""
    NOT_TRADABLE = "not_tradable"


class Top(NamedTuple):
    """Best prices and their quantities; an empty side has the venue's sentinels (protocol.md 2.5)."""

    bid_price: int
    bid_qty: int
    ask_price: int
    ask_qty: int


class DepthBatch(NamedTuple):
    """The levels that changed since the last batch, and the instants (ns) that chain them."""

    last_max_ns: int
    min_ns: int
    max_ns: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class Market:
    """State of one market. Instants are ns on the engine's clock.

    Attributes:
        isolated_only: Whether orders must bring margin of their own (2122).
        changed_ns: The last change of the book: what a snapshot is as of.
        last_price: Price of the newest trade, x18; the start price before the first.
        funding_rate: Current 24 h rate, x18.
        trades: How many there were.
        traded: Their sizes together, x18.
        traded_value: Their values together, x18.
    """

    def __init__(self, product: Product, now_ns: int) -> None:
        self.product = product
        self.status = TradingStatus.LIVE
        self.isolated_only = False
        self.book: OrderBook[LiveOrder] = OrderBook()
        self.candles = Candles()
        self.changed_ns = now_ns
        self.last_price = product.start_price
        self.funding_rate = 0
        self.trades = self.traded = self.traded_value = 0
        self._told = self.top()
        self._first_ns: int | None = None
        self._last_max_ns = 0

    def top(self) -> Top:
        """Return the best bid and ask as they are now."""
        bid, ask = self.book.bids.best, self.book.asks.best
        return Top(
            0 if bid is None else bid.price,
            0 if bid is None else bid.qty,
            NO_ASK if ask is None else ask.price,
            0 if ask is None else ask.qty,
        )

    def mark_price(self, oracle: int) -> int:
        """Return the middle of the book, or *oracle* where a side is empty; x18."""
        top = self.top()
        return (top.bid_price + top.ask_price) // 2 if top.bid_qty and top.ask_qty else oracle

    def touch(self, ts: int) -> None:
        """Note that the transaction at *ts* changed the book."""
        self.changed_ns = ts
        if self._first_ns is None:
            self._first_ns = ts

    def new_top(self) -> Top | None:
        """Return the top if it is another than the one returned last, else ``None``."""
        top = self.top()
        if top == self._told:
            return None
        self._told = top
        return top

    def take_batch(self) -> DepthBatch | None:
        """Return the changes since the last call and chain them on; ``None`` when there are none.

        The chain goes on whether or not anybody listens, as it counts what the venue has published for
        the product and not what one client received.
        """
        if self._first_ns is None:
            return None
        bids, asks = self.book.drain_changes()
        batch = DepthBatch(self._last_max_ns, self._first_ns, self.changed_ns, bids, asks)
        self._last_max_ns = self.changed_ns
        self._first_ns = None
        return batch

    def forget_changes(self) -> None:
        """Take the present book for what everybody knows: the state that a venue starts with."""
        self.book.drain_changes()
        self._first_ns = None
        self._told = self.top()
