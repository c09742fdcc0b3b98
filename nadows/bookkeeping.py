"""Keeping books right: when to ask for a snapshot, when to compare, when to start over, when to poll.

`Bookkeeper` holds the books of a desk and decides for each what is to be asked of the venue. It asks through
a function that may say "not now" (rate limits), and tells what happens as events.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from nadows import messages
from nadows.audit import Audit, Verdict
from nadows.book import Book, BookState
from nadows.errors import NadowsError
from nadows.messages import BookDepth, MarketLiquidity, Query, Reply
from nadows.pacing import Backoff
from nadows.session import OnReply, checked
from nadows.timings import Timings

__all__ = ["Ask", "BookChanged", "BookDrifted", "BookGapped", "BookNews", "BookPolled", "Bookkeeper"]

Ask = Callable[[Query, int, OnReply], int]
"""Asks the gateway on the client's own account, given the clock (ns); returns 0, or how long to wait (ns)
if it is not the time for it."""

_RETRY_NS: Final = 100_000_000
_RETRY_CAP_NS: Final = 5_000_000_000
_LOW_DEPTH: Final = 4
"""When less than one in so many of the levels asked for is left, more are asked for."""


class BookChanged(NamedTuple):
    """A book went to another state; prices are known only while it is LIVE."""

    product_id: int
    state: BookState


class BookGapped(NamedTuple):
    """A book had to be given up: an update was missed, or what came cannot be."""

    product_id: int
    known_until: int
    """Venue time up to which it was complete (ns)."""


class BookDrifted(NamedTuple):
    """A comparison found a LIVE book to differ from the venue's; it was given up."""

    product_id: int
    known_until: int
    """Venue time at which it stood (ns)."""


class BookPolled(NamedTuple):
    """A book that is POLLED was asked for and came, perhaps unchanged."""

    product_id: int
    timestamp: int
    """Venue time at which it stands (ns)."""


BookNews = BookChanged | BookGapped | BookDrifted | BookPolled


@dataclass(slots=True)
class _Care:
    """What is going on for one book."""

    retry: Backoff
    connection: int = 0
    """Counts connections, so that an answer asked for before the present one is not taken."""
    in_flight: bool = False
    not_before_ns: int = 0
    polled_ns: int = 0
    """When the snapshot was asked for that a POLLED book holds."""
    audit: Audit | None = None
    audit_due_ns: int = 0
    deepen_not_before_ns: int = 0
    """When an audit may be asked for early, because little of the book is known."""


class Bookkeeper:
    """The books of a desk.

    Args:
        ask: Asks the gateway.
        tell: Takes what happens.
        is_subscribed: Whether the depth stream of a product is acknowledged on the present connection;
            updates are complete only from there on.
        rng: Source of jitter.
        depth: Levels a side to ask for, and so how deep a snapshot proves the book.
        timings: How long to wait for what.
    """

    def __init__(
        self,
        ask: Ask,
        tell: Callable[[BookNews], None],
        is_subscribed: Callable[[int], bool],
        rng: random.Random,
        depth: int,
        timings: Timings,
    ) -> None:
        self.books: dict[int, Book] = {}
        self.snapshots = 0
        self.failed_snapshots = 0
        self.audits = 0
        self.drifts = 0
        self.polls = 0
        """Snapshots asked for while there are no updates; counted in `snapshots` too."""
        self.is_up = False
        """Whether the gateway can be asked."""
        self.is_polling = False
        """Whether books that get no updates are asked for again and again."""
        self._ask = ask
        self._tell = tell
        self._is_subscribed = is_subscribed
        self._rng = rng
        self._depth = depth
        self._timings = timings
        self._care: dict[int, _Care] = {}
        self._now_ns = 0

    # -- what happens -------------------------------------------------------------------------

    def add(self, product: int, *, connected: bool) -> None:
        """Begin to keep a book."""
        book = self.books.setdefault(product, Book(product))
        retry = Backoff(self._rng, base_ns=_RETRY_NS, cap_ns=_RETRY_CAP_NS)
        self._care[product] = _Care(retry)
        if connected:
            book.subscribed()

    def drop(self, product: int) -> None:
        """Stop keeping it; it goes STALE."""
        self._care.pop(product, None)
        self._lose(self.books[product])

    def connected(self) -> None:
        """A new subscription socket: every book starts over."""
        for product, care in self._care.items():
            care.connection += 1
            care.in_flight = False
            care.audit = None
            care.retry.reset()
            care.not_before_ns = care.deepen_not_before_ns = 0
            # From here on every update is kept, also those that come before the acknowledgement.
            self.books[product].subscribed()
            self._tell(BookChanged(product, BookState.SYNCING))

    def lost(self) -> None:
        """The subscription socket is gone: every book is STALE."""
        for book in self.books.values():
            self._lose(book)

    def apply(self, update: BookDepth, now_ns: int) -> None:
        """Take an update."""
        book = self.books.get(update.product_id)
        if book is None:
            return
        before, gaps, known_until = book.state, book.gaps, book.max_timestamp
        after = book.apply(update)
        if book.gaps > gaps:
            self._tell(BookGapped(update.product_id, known_until))
        if after is not before:
            self._tell(BookChanged(update.product_id, after))
            self.tend(now_ns)
        care = self._care.get(update.product_id)
        if care is not None and care.audit is not None:
            care.audit.note(update)
            self._judge(book, care)

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tend` has something to do (ns)."""
        return min(
            (due for product, care in self._care.items() for due in self._due(product, care)), default=None
        )

    def tend(self, now_ns: int) -> None:
        """Ask for whatever is due."""
        self._now_ns = now_ns
        for product, care in tuple(self._care.items()):
            book = self.books[product]
            if book.state is BookState.POLLED and now_ns >= self._too_old_ns(care):
                self._lose(book)
            if self._wants_snapshot(product, care) and now_ns >= care.not_before_ns:
                self._ask_snapshot(product, care)
            elif care.audit is not None:
                if now_ns >= care.audit.asked_ns + self._timings.audit_patience_ns:
                    self._give_up_audit(book, care)
            elif self._may_audit(product, care) and now_ns >= self._audit_due(book, care):
                self._ask_audit(book, care)

    # -- inside -------------------------------------------------------------------------------

    def _lose(self, book: Book) -> None:
        care = self._care.get(book.product_id)
        if care is not None:
            care.audit = None
            # The pause was one between tries to join; the first poll need not wait for it.
            care.not_before_ns = 0
        if book.state is not BookState.STALE:
            book.lost()
            self._tell(BookChanged(book.product_id, book.state))

    def _wants_snapshot(self, product: int, care: _Care) -> bool:
        if not self.is_up or care.in_flight:
            return False
        book = self.books[product]
        return self._is_polled(book) or (book.needs_snapshot and self._is_subscribed(product))

    def _is_polled(self, book: Book) -> bool:
        return self.is_polling and book.state in (BookState.STALE, BookState.POLLED)

    def _may_audit(self, product: int, care: _Care) -> bool:
        return self.is_up and self.books[product].is_live and not care.in_flight

    def _audit_due(self, book: Book, care: _Care) -> int:
        enough = self._depth // _LOW_DEPTH
        low = any(side.edge is not None and side.known_count < enough for side in (book.bids, book.asks))
        return min(care.audit_due_ns, care.deepen_not_before_ns) if low else care.audit_due_ns

    def _due(self, product: int, care: _Care) -> list[int]:
        if self.books[product].state is BookState.POLLED:
            wanted = [care.not_before_ns] if self._wants_snapshot(product, care) else []
            return [self._too_old_ns(care), *wanted]
        if self._wants_snapshot(product, care):
            return [care.not_before_ns]
        if care.audit is not None:
            return [care.audit.asked_ns + self._timings.audit_patience_ns]
        if self._may_audit(product, care):
            return [self._audit_due(self.books[product], care)]
        return []

    def _ask_snapshot(self, product: int, care: _Care) -> None:
        connection, asked_ns = care.connection, self._now_ns
        polled = self._is_polled(self.books[product])

        def on_reply(reply: Reply | NadowsError) -> None:
            if self._care.get(product) is not care or care.connection != connection:
                # Asked for on an earlier connection or subscription: it may miss what came between.
                return
            care.in_flight = False
            self._load(product, care, reply, asked_ns)

        care.in_flight = True
        wait_ns = self._ask(self._query(product), self._now_ns, on_reply)
        if wait_ns:
            care.in_flight = False
            care.not_before_ns = self._now_ns + wait_ns
            return
        # The pause until the next try counts from the asking, so that answers which never join
        # cannot turn into a storm of snapshots.
        care.not_before_ns = self._now_ns + (self._poll_pause_ns() if polled else care.retry.next())
        self.snapshots += 1
        self.polls += polled

    @property
    def _poll_every_ns(self) -> int:
        return max(self._timings.poll_ns, self._timings.poll_weight_ns * len(self._care))

    def _poll_pause_ns(self) -> int:
        # Spread by a quarter, so that neither books nor clients ask in step.
        every_ns = self._poll_every_ns
        return every_ns - every_ns // 4 + self._rng.randrange(every_ns // 2 + 1)

    def _too_old_ns(self, care: _Care) -> int:
        return care.polled_ns + self._poll_every_ns + self._timings.poll_patience_ns

    def _load(self, product: int, care: _Care, reply: Reply | NadowsError, asked_ns: int) -> None:
        book = self.books[product]
        if not (book.needs_snapshot or self._is_polled(book)):
            return
        before = book.state
        try:
            book.load(_snapshot(reply), depth=self._depth)
        except NadowsError:
            # Refused, lost, broken, or older than what is known: the next try is already timed.
            self.failed_snapshots += 1
            return
        if book.is_live:
            care.retry.reset()
            care.audit_due_ns = self._now_ns + self._timings.audit_ns
        if book.state is not BookState.POLLED:
            self._tell(BookChanged(product, book.state))
            return
        care.polled_ns = asked_ns
        if before is not BookState.POLLED:
            self._tell(BookChanged(product, BookState.POLLED))
        self._tell(BookPolled(product, book.max_timestamp))

    def _ask_audit(self, book: Book, care: _Care) -> None:
        audit = Audit(book, self._depth, self._now_ns)

        def on_reply(reply: Reply | NadowsError) -> None:
            if care.audit is not audit:
                return
            try:
                audit.answered(_snapshot(reply))
            except NadowsError:
                care.audit = None
                return
            self._judge(book, care)

        care.audit = audit
        wait_ns = self._ask(self._query(book.product_id), self._now_ns, on_reply)
        # Spread, so that many books are not compared in one breath.
        pause_ns = wait_ns or self._timings.audit_ns // 2 + self._rng.randrange(self._timings.audit_ns)
        care.audit_due_ns = self._now_ns + pause_ns
        # A pause of its own: a book that breaks meanwhile must not wait for it.
        care.deepen_not_before_ns = self._now_ns + (wait_ns or _RETRY_CAP_NS)
        if wait_ns:
            care.audit = None
        else:
            self.audits += 1

    def _judge(self, book: Book, care: _Care) -> None:
        if care.audit is None:
            return
        if not book.is_live:
            care.audit = None
            return
        verdict = care.audit.verdict(book)
        if verdict is Verdict.EQUAL:
            care.audit.deepen(book)
        if verdict is not None:
            care.audit = None
        if verdict is Verdict.DRIFTED:
            self._drifted(book)

    def _give_up_audit(self, book: Book, care: _Care) -> None:
        behind = care.audit is not None and care.audit.is_answered
        care.audit = None
        if behind and book.is_live:
            # The venue's book has moved on, and no update has said so.
            self._drifted(book)

    def _drifted(self, book: Book) -> None:
        self.drifts += 1
        known_until = book.max_timestamp
        book.distrust()
        self._care[book.product_id].not_before_ns = 0
        self._tell(BookDrifted(book.product_id, known_until))
        self._tell(BookChanged(book.product_id, book.state))

    def _query(self, product: int) -> Query:
        return messages.MarketLiquidityQuery(product_id=product, depth=self._depth)


def _snapshot(reply: Reply | NadowsError) -> MarketLiquidity:
    data = messages.reply_data(checked(reply), "query_market_liquidity")
    assert isinstance(data, MarketLiquidity)
    return data
