"""The order book of one product, built from a snapshot and the updates that follow it.

The venue sends changed levels in batches of 50 ms and no snapshot; whoever wants a book must
subscribe, keep what arrives, ask for ``market_liquidity``, and join the two without a hole
(protocol.md 2.5). `Book` is that recipe as a machine without I/O:

* a book is LIVE only while it provably equals the venue's; in any other state it refuses to
  give prices (`BookNotLive`) instead of giving wrong ones;
* a snapshot that comes while there are no updates makes it POLLED: the venue's book at one instant, read
  only by who asks for that (`Book.serves_polled`) and looks at its age;
* an update that does not follow the one received before it, or that leaves the book crossed,
  takes the book back to SYNCING; `needs_snapshot` says so to whoever can ask for one;
* a snapshot holds a limited number of levels. Below its deepest one the market is unknown, and
  stays marked so (`Side.edge`).

State changes (the table that the machine follows and the tests enumerate) are in `TRANSITIONS`.
"""

from __future__ import annotations

import enum
import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from nadows.errors import BookGap, BookNotLive
from nadows.messages import BookDepth, MarketLiquidity
from nadows.units import ONE_X18

__all__ = ["TRANSITIONS", "Book", "BookEvent", "BookState", "Level", "Side", "Slippage", "Sweep"]

MAX_PENDING: Final = 2_000
"""Updates kept while a snapshot is awaited: 100 s at one batch each 50 ms.

Older ones are useless to any snapshot that is still coming.
"""


class BookState(enum.Enum):
    """What a book knows."""

    SYNCING = "syncing"
    """Subscribed; waits for a snapshot that joins the updates."""
    LIVE = "live"
    """Equal to the venue's book at `Book.max_timestamp`, as far as the snapshot was deep."""
    POLLED = "polled"
    """Not subscribed, or the connection is lost, but asked for time and again: equal to the venue's book at
    `Book.max_timestamp`, as far as the snapshot was deep, and out of date since."""
    STALE = "stale"
    """Not subscribed, or the connection is lost: whatever was known is out of date."""


class BookEvent(enum.Enum):
    """What can happen to a book."""

    SUBSCRIBED = "subscribed"
    JOINED = "joined"
    """A snapshot came that joins the updates, if there are any."""
    BROKEN = "broken"
    """A hole in the chain of updates, a crossed book, or a side traded through to its unknown part."""
    LOST = "lost"
    """The connection or the subscription ended."""


TRANSITIONS: Final[dict[tuple[BookState, BookEvent], BookState]] = {
    (BookState.STALE, BookEvent.SUBSCRIBED): BookState.SYNCING,
    (BookState.STALE, BookEvent.JOINED): BookState.POLLED,
    (BookState.STALE, BookEvent.BROKEN): BookState.STALE,
    (BookState.STALE, BookEvent.LOST): BookState.STALE,
    (BookState.POLLED, BookEvent.SUBSCRIBED): BookState.SYNCING,
    (BookState.POLLED, BookEvent.JOINED): BookState.POLLED,
    (BookState.POLLED, BookEvent.BROKEN): BookState.STALE,
    (BookState.POLLED, BookEvent.LOST): BookState.STALE,
    (BookState.SYNCING, BookEvent.SUBSCRIBED): BookState.SYNCING,
    (BookState.SYNCING, BookEvent.JOINED): BookState.LIVE,
    (BookState.SYNCING, BookEvent.BROKEN): BookState.SYNCING,
    (BookState.SYNCING, BookEvent.LOST): BookState.STALE,
    (BookState.LIVE, BookEvent.SUBSCRIBED): BookState.SYNCING,
    (BookState.LIVE, BookEvent.JOINED): BookState.LIVE,
    (BookState.LIVE, BookEvent.BROKEN): BookState.SYNCING,
    (BookState.LIVE, BookEvent.LOST): BookState.STALE,
}
"""Every change of state: what each event makes of a book in each state."""
_WITHOUT_UPDATES: Final = (BookState.STALE, BookState.POLLED)


class Level(NamedTuple):
    """One price and what rests there (both x18)."""

    price: int
    qty: int


class Sweep(NamedTuple):
    """What a market order of some size would meet."""

    qty: int
    """How much of the size the known levels fill (x18)."""
    notional: int
    """Its price times quantity, in units of 10**-36 (exact: a product of two x18 numbers)."""
    worst_price: int
    """Price of the last level touched (x18); 0 if nothing was touched."""
    complete: bool
    """Whether the whole size fits into levels that are known."""

    @property
    def avg_price(self) -> int:
        """Average price (x18, rounded down); 0 if nothing fills."""
        return self.notional // self.qty if self.qty else 0


class Slippage(NamedTuple):
    """What a market order of some size would cost against the mid price; both rounded up."""

    price: int
    """Average price paid above the mid, or received below it (x18)."""
    bps: int
    """The same in basis points of the mid price (x18)."""
    complete: bool
    """Whether the whole size fits into levels that are known; else the cost is that of the part that does."""


class Side:
    """One side of a book.

    Quantities are kept under the price exactly as the venue wrote it, because a batch mostly changes
    levels that exist, and then no number has to be read; prices are read only when a level appears or
    goes, into a sorted list. Measured on the real data of `shared/market` (71 levels a batch): 18 us a
    batch, against 33 us with integers throughout and 31 us with strings and a tracked best.
    """

    __slots__ = ("_is_bid", "_prices", "_qty", "edge")

    def __init__(self, is_bid: bool) -> None:
        self._is_bid = is_bid
        self._qty: dict[str, str] = {}
        self._prices: list[int] = []  # ascending, of both sides
        self.edge: int | None = None
        """Deepest price that the snapshot proved (x18); ``None`` if it showed the whole side."""

    def __len__(self) -> int:
        return len(self._prices)

    def load(self, levels: Iterable[tuple[str, str]], edge: int | None) -> None:
        """Replace everything; *levels* are (price, quantity) texts as on the wire."""
        self._qty = {price: qty for price, qty in levels if qty != "0"}
        self._prices = sorted(map(int, self._qty))
        self.edge = edge

    def apply(self, levels: Iterable[tuple[str, str]]) -> None:
        """Set each price to its new absolute quantity; quantity "0" removes it."""
        held, prices = self._qty, self._prices
        for price, qty in levels:
            if qty == "0":
                if held.pop(price, None) is not None:
                    del prices[bisect_left(prices, int(price))]
            else:
                if price not in held:
                    insort(prices, int(price))
                held[price] = qty

    @property
    def best(self) -> Level | None:
        """Best level, ``None`` if the side is empty."""
        if not self._prices:
            return None
        price = self._prices[-1 if self._is_bid else 0]
        return Level(price, int(self._qty[str(price)]))

    @property
    def best_price(self) -> int | None:
        """Best price (x18), ``None`` if the side is empty."""
        if not self._prices:
            return None
        return self._prices[-1 if self._is_bid else 0]

    def _known(self) -> list[int]:
        """Prices within the proved depth, best first."""
        prices = self._prices
        if self._is_bid:
            start = 0 if self.edge is None else bisect_left(prices, self.edge)
            return prices[start:][::-1]
        return prices[:] if self.edge is None else prices[: bisect_right(prices, self.edge)]

    def _levels(self, prices: list[int]) -> list[Level]:
        return list(map(Level, prices, map(int, map(self._qty.__getitem__, map(str, prices)))))

    def __iter__(self) -> Iterator[Level]:
        """Levels within the proved depth, best first."""
        return iter(self._levels(self._known()))

    def top(self, depth: int) -> list[Level]:
        """The best *depth* levels within the proved depth, best first."""
        if depth <= 0:
            return []
        prices = self._prices
        near = prices[-depth:][::-1] if self._is_bid else prices[:depth]
        edge = self.edge
        if edge is not None:
            near = [price for price in near if (price >= edge if self._is_bid else price <= edge)]
        return self._levels(near)

    @property
    def is_exhausted(self) -> bool:
        """Whether trading ate through all that the snapshot proved: then even the best price is a guess."""
        if self.edge is None:
            return False
        best = self.best_price
        return best is None or (best < self.edge if self._is_bid else best > self.edge)

    @property
    def known_count(self) -> int:
        """How many levels are held within the proved depth."""
        if self.edge is None:
            return len(self._prices)
        if self._is_bid:
            return len(self._prices) - bisect_left(self._prices, self.edge)
        return bisect_right(self._prices, self.edge)

    def beyond(self) -> int:
        """How many levels are held that lie below the proved depth (seen changing, neighbours unknown)."""
        return len(self._prices) - self.known_count


class Book:
    """The book of one product.

    Args:
        product_id: The venue's number of the product.
    """

    def __init__(self, product_id: int) -> None:
        self.product_id = product_id
        self.state = BookState.STALE
        self.bids = Side(is_bid=True)
        self.asks = Side(is_bid=False)
        self.max_timestamp = 0
        """Venue time up to which the book is complete (ns); 0 before the first snapshot."""
        self.updates = 0
        """Updates applied since the book was made."""
        self.gaps = 0
        """Times that the book, or what it kept for the next snapshot, had to be given up
        (`BookEvent.BROKEN`).
        """
        self.repeats = 0
        """Updates ignored because they, or newer ones, had been received already."""
        self.serves_polled = False
        """Whether prices may be read while POLLED, too; for who looks at `state` and `age_ns` as well."""
        self._pending: list[BookDepth] = []
        self._last_received: int | None = None

    # -- what a session tells it -------------------------------------------------------------

    def subscribed(self) -> None:
        """Start over: the subscription is confirmed and updates are about to arrive."""
        self._pending.clear()
        self._last_received = None
        self._move(BookEvent.SUBSCRIBED)

    def lost(self) -> None:
        """The connection or the subscription is gone; nothing may be read until the next snapshot joins."""
        self._pending.clear()
        self._last_received = None
        self._move(BookEvent.LOST)

    @property
    def needs_snapshot(self) -> bool:
        """Whether the book waits for a ``market_liquidity`` answer."""
        return self.state is BookState.SYNCING

    def apply(self, update: BookDepth) -> BookState:
        """Take the next update, in the order received.

        While SYNCING the update is kept for the snapshot. A hole in the chain, a crossed book, or a side
        traded through to where the snapshot did not reach takes the book back to SYNCING (counted in `gaps`);
        the update that showed a hole is kept, being the first of the next chain. An update that is not
        newer than one received before is ignored.

        Returns:
            The state after the update.

        Source: protocol.md 2.5, book_depth, recipe steps 3 and 4.
        """
        if self.state in _WITHOUT_UPDATES:
            return self.state
        last = self._last_received
        if last is not None:
            if update.max_timestamp <= last:
                self.repeats += 1
                return self.state
            if update.last_max_timestamp != last:
                return self._break(update)
        elif self.state is BookState.LIVE and update.last_max_timestamp > self.max_timestamp:
            # The first update since subscribing; something between the snapshot and it was never sent to us.
            return self._break(update)
        self._last_received = int(update.max_timestamp)
        if self.state is BookState.SYNCING:
            self._keep(update)
        elif update.max_timestamp > self.max_timestamp:
            self._apply_levels(update)
            if not self._is_sound:
                return self._break(None)
        return self.state

    def load(self, snapshot: MarketLiquidity, depth: int | None = None) -> None:
        """Replace the book by a snapshot, then catch up with the updates kept since subscribing.

        Without a subscription the book becomes POLLED, and never goes back in time while it is that.

        Args:
            snapshot: Answer to ``market_liquidity``; (price, quantity) texts, best first.
            depth: How many levels a side were asked for. A side that came back with fewer is known in
                full; otherwise its deepest level becomes the edge of what is known. ``None``: the
                snapshot is the whole book.

        Raises:
            BookGap: If the snapshot is older than the first update kept (or than what was received and could
                not be kept), so that something between is missing. The book is unchanged, its updates stay
                kept: ask for another snapshot.

        Source: protocol.md 2.5, book_depth, recipe steps 2 and 3.
        """
        taken = int(snapshot.timestamp)
        # What was received and not kept must be in the snapshot, else it is lost.
        needed = int(self._pending[0].last_max_timestamp) if self._pending else self._last_received or 0
        if self.state in _WITHOUT_UPDATES:
            needed = self.max_timestamp
        if taken < needed:
            raise BookGap(self.product_id, expected=taken, got=needed)
        self.bids.load(snapshot.bids, _edge(snapshot.bids, depth))
        self.asks.load(snapshot.asks, _edge(snapshot.asks, depth))
        self.max_timestamp = taken
        pending, self._pending = self._pending, []
        for update in pending:
            # One that straddles the snapshot is safe: its quantities are absolute.
            if update.max_timestamp > taken:
                self._apply_levels(update)
        if self._is_sound:
            self._move(BookEvent.JOINED)
        else:
            self._break(None)

    def distrust(self) -> None:
        """Give up a LIVE book that was found to differ from the venue's; the chain of updates goes on."""
        self.gaps += 1
        self._move(BookEvent.BROKEN)

    # -- what it knows -----------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether it provably equals the venue's book, so that prices may be read."""
        return self.state is BookState.LIVE

    @property
    def is_readable(self) -> bool:
        """Whether prices are given: if LIVE, or POLLED and `serves_polled`."""
        return self.state is BookState.LIVE or (self.serves_polled and self.state is BookState.POLLED)

    def age_ns(self, now_ns: int) -> int:
        """Return how long ago the venue changed the book last, as far as is known here; 0 at least.

        Args:
            now_ns: By a clock that goes with the venue's, which is a wall clock (ns since 1970).
        """
        return max(now_ns - self.max_timestamp, 0)

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask, which no venue's book can be."""
        bid, ask = self.bids.best_price, self.asks.best_price
        return bid is not None and ask is not None and bid >= ask

    @property
    def best_bid(self) -> Level | None:
        """Best bid, ``None`` if there is none. Raises `BookNotLive`."""
        self._must_be_live()
        return self.bids.best

    @property
    def best_ask(self) -> Level | None:
        """Best ask, ``None`` if there is none. Raises `BookNotLive`."""
        self._must_be_live()
        return self.asks.best

    @property
    def spread(self) -> int | None:
        """Best ask minus best bid (x18), ``None`` if a side is empty. Raises `BookNotLive`."""
        bid, ask = self.best_bid, self.best_ask
        return ask.price - bid.price if bid and ask else None

    @property
    def microprice(self) -> int | None:
        """Mid weighted by the opposite quantities (x18, rounded down), ``None`` if a side is empty.

        Raises `BookNotLive`.
        """
        bid, ask = self.best_bid, self.best_ask
        if not bid or not ask:
            return None
        return (bid.price * ask.qty + ask.price * bid.qty) // (bid.qty + ask.qty)

    def levels(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best *depth* bids and asks within the known depth, best first.

        Raises:
            BookNotLive: Unless the book is LIVE, or POLLED and `serves_polled`.
        """
        self._must_be_live()
        return self.bids.top(depth), self.asks.top(depth)

    def sweep(self, amount: int) -> Sweep:
        """Say what a market order would meet: *amount* > 0 buys from the asks, < 0 sells to the bids (x18).

        Raises:
            BookNotLive: Unless the book is LIVE, or POLLED and `serves_polled`.
        """
        self._must_be_live()
        left, notional, worst = abs(amount), 0, 0
        for level in self.asks if amount > 0 else self.bids:
            if not left:
                break
            taken = min(left, level.qty)
            notional += taken * level.price
            left -= taken
            worst = level.price
        return Sweep(qty=abs(amount) - left, notional=notional, worst_price=worst, complete=not left)

    def liquidity(self, distance: int) -> tuple[int, int]:
        """Quantity bid and offered within *distance* of the mid price.

        Args:
            distance: Fraction of the mid price (x18): ``10**16`` is one percent.

        Returns:
            Bid and ask quantity (x18); both 0 if a side is empty.

        Raises:
            BookNotLive: Unless the book is LIVE, or POLLED and `serves_polled`.
        """
        bid, ask = self.best_bid, self.best_ask
        if not bid or not ask:
            return 0, 0
        # Twice the mid, so that halving loses nothing.
        twice_mid = bid.price + ask.price
        reach = twice_mid * distance // ONE_X18
        near_bids = (level.qty for level in self.bids if 2 * level.price >= twice_mid - reach)
        near_asks = (level.qty for level in self.asks if 2 * level.price <= twice_mid + reach)
        return sum(near_bids), sum(near_asks)

    def imbalance(self, depth: int) -> int | None:
        """Bid minus ask quantity over their sum, of the best *depth* levels within the known depth.

        Returns:
            From -1 (only asks) to 1 (only bids), x18, rounded towards 0 so that a mirrored book has the
            mirrored number; ``None`` if there is no such level on either side.

        Raises:
            BookNotLive: Unless the book is LIVE, or POLLED and `serves_polled`.
        """
        bids, asks = (sum(level.qty for level in side) for side in self.levels(depth))
        if not bids + asks:
            return None
        share = abs(bids - asks) * ONE_X18 // (bids + asks)
        return share if bids > asks else -share

    def slippage(self, amount: int) -> Slippage | None:
        """Say what a market order would cost: *amount* > 0 buys from the asks, < 0 sells to the bids (x18).

        Returns:
            ``None`` if a side is empty, so that there is no mid, or if *amount* is 0.

        Raises:
            BookNotLive: Unless the book is LIVE, or POLLED and `serves_polled`.
        """
        bid, ask = self.best_bid, self.best_ask
        if not bid or not ask or not amount:
            return None
        swept = self.sweep(amount)
        twice_mid = bid.price + ask.price
        # Twice the cost (10**-36), halved only at the end: a mid between two digits loses nothing.
        ahead = 2 * swept.notional - twice_mid * swept.qty
        cost = ahead if amount > 0 else -ahead
        return Slippage(
            price=-(-cost // (2 * swept.qty)),
            bps=-(-cost * 10_000 * ONE_X18 // (twice_mid * swept.qty)),
            complete=swept.complete,
        )

    def digest(self) -> str:
        """Hash of state, time and every level held (sha-256, hex): equal books have equal digests."""
        parts = [f"{self.product_id}:{self.state.value}:{self.max_timestamp}"]
        for side in (self.bids, self.asks):
            parts.append(f"|{side.edge}")
            parts += (f";{price}={side._qty[str(price)]}" for price in side._prices)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    # -- inside ------------------------------------------------------------------------------

    def _move(self, event: BookEvent) -> None:
        self.state = TRANSITIONS[self.state, event]

    @property
    def _is_sound(self) -> bool:
        return not (self.is_crossed or self.bids.is_exhausted or self.asks.is_exhausted)

    def _must_be_live(self) -> None:
        if self.state is not BookState.LIVE and not self.is_readable:
            raise BookNotLive(
                f"book of product {self.product_id} is {self.state.name}: its prices are not known now"
            )

    def _apply_levels(self, update: BookDepth) -> None:
        self.bids.apply(update.bids)
        self.asks.apply(update.asks)
        self.max_timestamp = int(update.max_timestamp)
        self.updates += 1

    def _keep(self, update: BookDepth) -> None:
        if len(self._pending) >= MAX_PENDING:
            del self._pending[0]
        self._pending.append(update)

    def _break(self, first: BookDepth | None) -> BookState:
        """Give up what is known; *first* starts the next chain."""
        self.gaps += 1
        self._pending.clear()
        if first is not None:
            self._pending.append(first)
            self._last_received = int(first.max_timestamp)
        self._move(BookEvent.BROKEN)
        return self.state


def _edge(levels: tuple[tuple[str, str], ...], depth: int | None) -> int | None:
    return int(levels[-1][0]) if depth is not None and levels and len(levels) >= depth else None
