"""The top of one product's book over time: spread, fair value, and where both are going.

`Quotes` takes ``best_bid_offer`` events, or the top of a `Book`, and keeps a moving window over them. Every
number is an exact integer, computed incrementally: an event costs the same however long the window is.

What is not known is not made up. A side without orders has no price, and then there is no spread and no mid;
after the connection was lost nothing is known until the next event, because the venue sends none on
subscribing; a mean covers only those parts of the window in which both sides had a price.

Source: protocol.md 2.5, best_bid_offer.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final, NamedTuple

from nadows.book import Book, Level
from nadows.desk import STREAMS, DeskEvent, Disconnected
from nadows.errors import UsageError
from nadows.messages import BestBidOffer
from nadows.units import NO_ASK, ONE_X18

__all__ = ["STALE_AFTER_NS", "WINDOW_NS", "Quotes", "SpreadTrend"]

WINDOW_NS: Final = 10_000_000_000
"""How far back a window looks if nothing else is said: 10 s."""
STALE_AFTER_NS: Final = 60_000_000_000
"""Without an event for a minute a quote is called stale; the venue sends events only on change."""

_BPS_X18: Final = 10_000 * ONE_X18


class SpreadTrend(enum.Enum):
    """The spread of now beside its mean over the window."""

    WIDENING = "widening"
    NARROWING = "narrowing"
    STEADY = "steady"
    """Exactly the mean."""


class _Span(NamedTuple):
    """A time in which the top did not change; it ends where the next one starts."""

    start_ns: int
    top: tuple[int, int] | None
    """Best bid and ask (x18); ``None`` while one of them is not known."""

    @property
    def spread(self) -> int:
        return self.top[1] - self.top[0] if self.top else 0


class _Window:
    """The spans of the last `window_ns`, with their sums kept up to date."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._now_ns: int | None = None
        self._spans: deque[_Span] = deque()
        # Over the spans that have ended, each at its full length: time known, and spread times time.
        self._known_ns = 0
        self._area = 0

    def change(self, top: tuple[int, int] | None, now_ns: int) -> None:
        """Start a new span, if *top* is not that of the present one."""
        self._advance(now_ns)
        if self._spans:
            if self._spans[-1].top == top:
                return
            self._count(self._spans[-1], now_ns, 1)
        self._spans.append(_Span(now_ns, top))

    def sums(self, now_ns: int) -> tuple[int, int]:
        """Time known within the window (ns), and the sum of spread times time over it (x18 ns)."""
        self._advance(now_ns)
        known_ns, area = self._known_ns, self._area
        if self._spans:
            first, last = self._spans[0], self._spans[-1]
            running_ns = now_ns - last.start_ns if last.top else 0
            outside_ns = max(now_ns - self.window_ns - first.start_ns, 0) if first.top else 0
            known_ns += running_ns - outside_ns
            area += running_ns * last.spread - outside_ns * first.spread
        return known_ns, area

    def oldest(self, now_ns: int) -> tuple[int, int] | None:
        """The top that stood when the window began, ``None`` if it was not known then."""
        self._advance(now_ns)
        if not self._spans or self._spans[0].start_ns > now_ns - self.window_ns:
            return None
        return self._spans[0].top

    def _advance(self, now_ns: int) -> None:
        """Drop the spans that ended before the window begins."""
        if self._now_ns is not None and now_ns < self._now_ns:
            raise UsageError(
                f"time ran back from {self._now_ns} to {now_ns} ns: give all times of one clock, in order"
            )
        self._now_ns = now_ns
        spans, begin_ns = self._spans, now_ns - self.window_ns
        while len(spans) > 1 and spans[1].start_ns <= begin_ns:
            gone = spans.popleft()
            self._count(gone, spans[0].start_ns, -1)

    def _count(self, span: _Span, end_ns: int, sign: int) -> None:
        if span.top:
            length_ns = sign * (end_ns - span.start_ns)
            self._known_ns += length_ns
            self._area += length_ns * span.spread


class Quotes:
    """Best bid and offer of one product, with a memory.

    All ``now_ns`` are of one clock that never runs back: the monotonic clock of the receiver when live, the
    venue's time in a replay. A method that gets an earlier one than the call before raises `UsageError`.

    Args:
        product_id: The venue's number of the product.
        window_ns: How far back means and momentum look.
        stale_after_ns: After how long without an event `is_stale` says so.

    Raises:
        UsageError: If a span of time is not positive.
    """

    def __init__(
        self, product_id: int, *, window_ns: int = WINDOW_NS, stale_after_ns: int = STALE_AFTER_NS
    ) -> None:
        for name, value in (("window_ns", window_ns), ("stale_after_ns", stale_after_ns)):
            if value <= 0:
                raise UsageError(f"{name} must be positive, got {value}")
        self.product_id = product_id
        self.stale_after_ns = stale_after_ns
        self.is_known = False
        """Whether the last word of the venue is at hand; a side may be empty nevertheless."""
        self.bid: Level | None = None
        """Best bid, ``None`` if there is none or it is not known."""
        self.ask: Level | None = None
        """Best ask, ``None`` if there is none or it is not known."""
        self.timestamp = 0
        """Venue time of what is known (ns); 0 if nothing is."""
        self.updates = 0
        """Events and books taken."""
        self.late = 0
        """Ignored, because something newer had been taken."""
        self.crossed = 0
        """Refused, because the bid was at or above the ask; the quote is then unknown."""
        self._updated_ns = 0
        self._window = _Window(window_ns)

    @property
    def window_ns(self) -> int:
        """How far back means and momentum look."""
        return self._window.window_ns

    # -- what it is told ---------------------------------------------------------------------

    def apply(self, event: DeskEvent, now_ns: int) -> bool:
        """Take an event; those of other types and products are passed over, so all of them may be given.

        A ``best_bid_offer`` older than one taken is ignored, one of the same instant is not. A lost
        subscription line makes everything unknown.

        Returns:
            Whether it was news.
        """
        if isinstance(event, BestBidOffer):
            if event.product_id != self.product_id:
                return False
            # An empty side is a sentinel: quantity 0, with price 0 for the bid and NO_ASK for the ask.
            bid = Level(int(event.bid_price), int(event.bid_qty))
            ask = Level(int(event.ask_price), int(event.ask_qty))
            return self._take(
                bid if bid.price and bid.qty else None,
                ask if ask.price != NO_ASK and ask.qty else None,
                int(event.timestamp),
                now_ns,
            )
        if isinstance(event, Disconnected) and event.line == STREAMS:
            self.lost(now_ns)
            return True
        return False

    def apply_book(self, book: Book, now_ns: int) -> bool:
        """Take the top of a book; one that is not LIVE makes everything unknown.

        Returns:
            Whether it was news: ``False`` if something newer had been taken, and for a book that is not LIVE.

        Raises:
            UsageError: If the book is another product's.
        """
        if book.product_id != self.product_id:
            raise UsageError(f"quotes of product {self.product_id} got the book of {book.product_id}")
        if not book.is_live:
            self.lost(now_ns)
            return False
        return self._take(book.best_bid, book.best_ask, book.max_timestamp, now_ns)

    def lost(self, now_ns: int) -> None:
        """Nothing is known from now on, until the next event; the window keeps what was."""
        self._window.change(None, now_ns)
        self.is_known, self.bid, self.ask, self.timestamp = False, None, None, 0

    # -- what it knows -----------------------------------------------------------------------

    @property
    def spread(self) -> int | None:
        """Best ask minus best bid (x18), ``None`` if a side is empty or unknown."""
        return self.ask.price - self.bid.price if self.bid and self.ask else None

    @property
    def spread_bps(self) -> int | None:
        """Spread in basis points of the mid price (x18, rounded down), ``None`` as for `spread`."""
        if not self.bid or not self.ask:
            return None
        twice_mid = self.bid.price + self.ask.price
        return 2 * (self.ask.price - self.bid.price) * _BPS_X18 // twice_mid

    @property
    def mid(self) -> int | None:
        """Middle of bid and ask (x18, rounded down), ``None`` as for `spread`."""
        return (self.bid.price + self.ask.price) // 2 if self.bid and self.ask else None

    @property
    def microprice(self) -> int | None:
        """Fair value: the mid weighted by the opposite quantities (x18, rounded down).

        ``None`` as for `spread`. More on the bid than on the ask pulls it up: the ask will be eaten first.
        """
        if not self.bid or not self.ask:
            return None
        weighted = self.bid.price * self.ask.qty + self.ask.price * self.bid.qty
        return weighted // (self.bid.qty + self.ask.qty)

    def known_ns(self, now_ns: int) -> int:
        """How much of the window both sides had a price: what `mean_spread` rests on (ns)."""
        return self._window.sums(now_ns)[0]

    def mean_spread(self, now_ns: int) -> int | None:
        """Mean of the spread over the window, weighted by time (x18, rounded down).

        ``None`` if it was not known for a single moment of it.
        """
        known_ns, area = self._window.sums(now_ns)
        return area // known_ns if known_ns else None

    def spread_deviation(self, now_ns: int) -> int | None:
        """Spread of now minus its mean (x18, rounded down); ``None`` if either is not known."""
        known_ns, area = self._window.sums(now_ns)
        spread = self.spread
        return (spread * known_ns - area) // known_ns if spread is not None and known_ns else None

    def spread_trend(self, now_ns: int) -> SpreadTrend | None:
        """Whether the spread is above or below its mean over the window; ``None`` if either is not known.

        Exact, also where the deviation is less than the last digit.
        """
        known_ns, area = self._window.sums(now_ns)
        spread = self.spread
        if spread is None or not known_ns:
            return None
        ahead = spread * known_ns - area
        if ahead == 0:
            return SpreadTrend.STEADY
        return SpreadTrend.WIDENING if ahead > 0 else SpreadTrend.NARROWING

    def momentum(self, now_ns: int) -> int | None:
        """Mid price of now minus that of a window ago (x18, signed, rounded down).

        ``None`` if either is not known, in particular until a whole window has been watched.
        """
        then = self._window.oldest(now_ns)
        if then is None or not self.bid or not self.ask:
            return None
        return (self.bid.price + self.ask.price - sum(then)) // 2

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the last event taken, ``None`` if nothing is known."""
        return now_ns - self._updated_ns if self.is_known else None

    def is_stale(self, now_ns: int) -> bool:
        """Whether nothing is known, or nothing was heard for `stale_after_ns`.

        The venue sends an event only when the top changes, so in a quiet market this is a reason to look at
        the book or to ping, not a proof.
        """
        age_ns = self.age_ns(now_ns)
        return age_ns is None or age_ns > self.stale_after_ns

    # -- inside ------------------------------------------------------------------------------

    def _take(self, bid: Level | None, ask: Level | None, timestamp: int, now_ns: int) -> bool:
        if timestamp < self.timestamp:
            self.late += 1
            return False
        if bid and ask and bid.price >= ask.price:
            self.crossed += 1
            self.lost(now_ns)
            return False
        self._window.change((bid.price, ask.price) if bid and ask else None, now_ns)
        self.is_known, self.bid, self.ask, self.timestamp = True, bid, ask, timestamp
        self._updated_ns = now_ns
        self.updates += 1
        return True
