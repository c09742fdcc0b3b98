"""The book: joins snapshot and updates without a hole, and says what it does not know."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from fractions import Fraction
from math import ceil, trunc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nadows.book import MAX_PENDING, TRANSITIONS, Book, BookEvent, BookState, Level, Slippage
from nadows.errors import BookGap, BookNotLive
from nadows.messages import BookDepth, MarketLiquidity
from nadows.units import Nanos

E18 = 10**18

Levels = Iterable[tuple[int, int]]


def wire(levels: Levels) -> tuple[tuple[str, str], ...]:
    """Levels as (price, quantity) texts; whole units in, x18 out."""
    return tuple((str(price * E18), str(qty * E18)) for price, qty in levels)


def update(
    last: int, newest: int, bids: Levels = (), asks: Levels = (), oldest: int | None = None
) -> BookDepth:
    return BookDepth(
        last_max_timestamp=Nanos(last),
        min_timestamp=Nanos(newest if oldest is None else oldest),
        max_timestamp=Nanos(newest),
        product_id=4,
        bids=wire(bids),
        asks=wire(asks),
    )


def snapshot(taken: int, bids: Levels = ((99, 1),), asks: Levels = ((101, 1),)) -> MarketLiquidity:
    return MarketLiquidity(bids=wire(bids), asks=wire(asks), product_id=4, timestamp=Nanos(taken))


def live_book(
    bids: Levels = ((99, 1), (98, 2)), asks: Levels = ((101, 1), (102, 2)), depth: int | None = None
) -> Book:
    book = Book(4)
    book.subscribed()
    book.load(snapshot(100, bids, asks), depth)
    return book


def prices(book: Book, depth: int = 10) -> tuple[list[int], list[int]]:
    bids, asks = book.levels(depth)
    return [level.price // E18 for level in bids], [level.price // E18 for level in asks]


def test_new_book_knows_nothing() -> None:
    """A book that is not subscribed is STALE, ignores updates, and refuses every question about prices."""
    book = Book(4)

    assert BookState.STALE is book.apply(update(0, 10))
    assert not book.needs_snapshot
    for ask in (
        lambda: book.best_bid,
        lambda: book.best_ask,
        lambda: book.spread,
        lambda: book.microprice,
        lambda: book.levels(1),
        lambda: book.sweep(E18),
        lambda: book.liquidity(E18),
        lambda: book.imbalance(1),
        lambda: book.slippage(E18),
    ):
        with pytest.raises(BookNotLive, match="product 4 is STALE"):
            ask()


def test_snapshot_alone_makes_it_live() -> None:
    """In a quiet market no update comes; the snapshot is the book."""
    book = live_book()

    assert book.is_live
    assert Level(99 * E18, E18) == book.best_bid
    assert Level(101 * E18, E18) == book.best_ask
    assert 100 == book.max_timestamp


def test_pending_updates_are_dropped_or_applied_by_time() -> None:
    """Updates up to the snapshot's instant are in it already.

    Newer ones, and one that straddles, are applied.
    """
    book = Book(4)
    book.subscribed()
    book.apply(update(0, 90, bids=[(99, 7)]))
    book.apply(update(90, 110, bids=[(98, 5)], oldest=95))
    book.apply(update(110, 120, asks=[(101, 0)]))

    assert book.needs_snapshot
    book.load(snapshot(100, bids=[(99, 1), (97, 1)], asks=[(101, 1), (103, 1)]))

    assert ([99, 98, 97], [103]) == prices(book)
    assert E18 == book.best_bid.qty if book.best_bid else False
    assert 120 == book.max_timestamp


@pytest.mark.parametrize(
    ("received", "taken", "joins"),
    [
        pytest.param([], 50, True, id="nothing received"),
        pytest.param([(40, 60)], 50, True, id="straddles"),
        pytest.param([(50, 60)], 50, True, id="follows exactly"),
        pytest.param([(51, 60)], 50, False, id="one missing between"),
        pytest.param([(0, 60)], 50, True, id="first the server ever sent"),
        pytest.param([(40, 45)], 50, True, id="all older"),
    ],
)
def test_snapshot_must_join_the_updates(received: list[tuple[int, int]], taken: int, joins: bool) -> None:
    """A snapshot older than the first update kept leaves a hole: refused, and the updates stay kept."""
    book = Book(4)
    book.subscribed()
    for last, newest in received:
        book.apply(update(last, newest, bids=[(95, 1)]))

    if joins:
        book.load(snapshot(taken))
        assert book.is_live
        return
    with pytest.raises(BookGap):
        book.load(snapshot(taken))
    assert book.needs_snapshot
    book.load(snapshot(taken + 10))
    assert book.is_live


def test_first_update_after_a_snapshot_must_not_follow_an_unseen_one() -> None:
    """If the first update since subscribing follows one newer than the snapshot, one is missing."""
    book = live_book()

    assert BookState.SYNCING is book.apply(update(101, 110, bids=[(98, 9)]))
    assert 1 == book.gaps
    book.load(snapshot(105))
    assert book.is_live
    assert 110 == book.max_timestamp


def test_first_update_after_a_snapshot_may_follow_an_older_one() -> None:
    """The update before it was sent before we subscribed and is in the snapshot."""
    book = live_book()

    assert BookState.LIVE is book.apply(update(90, 110, bids=[(97, 9)]))
    assert ([99, 98, 97], [101, 102]) == prices(book)


def test_hole_in_the_chain_resyncs() -> None:
    """An update that does not follow the one before ends LIVE and starts the next chain."""
    book = live_book()
    book.apply(update(0, 110))
    book.apply(update(110, 120))

    assert BookState.SYNCING is book.apply(update(121, 130, bids=[(98, 0)]))
    with pytest.raises(BookNotLive):
        book.levels(1)
    assert 1 == book.gaps

    book.apply(update(130, 140, bids=[(96, 4)]))
    book.load(snapshot(125, bids=[(99, 1), (98, 2)]))
    assert ([99, 96], [101]) == prices(book)


def test_chain_holds_across_updates_older_than_the_snapshot() -> None:
    """The chain is over updates received, also those that the snapshot made superfluous."""
    book = Book(4)
    book.subscribed()
    book.apply(update(0, 90))
    book.load(snapshot(100))

    assert BookState.LIVE is book.apply(update(90, 95))
    assert 100 == book.max_timestamp
    assert BookState.SYNCING is book.apply(update(96, 110))


def test_hole_while_syncing_restarts_the_chain() -> None:
    """A hole among the updates kept makes everything before it useless."""
    book = Book(4)
    book.subscribed()
    book.apply(update(0, 90))
    book.apply(update(95, 110))

    assert 1 == book.gaps
    with pytest.raises(BookGap):
        book.load(snapshot(94))
    book.load(snapshot(95))
    assert book.is_live


def test_repeats_are_ignored() -> None:
    """An update received again, or late, changes nothing and is counted."""
    book = live_book()
    first = update(0, 110, bids=[(98, 0)])
    book.apply(first)
    book.apply(update(110, 120, bids=[(98, 3)]))

    assert BookState.LIVE is book.apply(first)
    assert ([99, 98], [101, 102]) == prices(book)
    assert 1 == book.repeats


def test_crossed_update_resyncs() -> None:
    """A book that would be crossed is not served; a snapshot not older than what was received heals it."""
    book = live_book()

    assert BookState.SYNCING is book.apply(update(0, 110, bids=[(101, 1)]))
    assert 1 == book.gaps
    with pytest.raises(BookGap):
        book.load(snapshot(105))
    book.load(snapshot(110))
    assert book.is_live


def test_crossed_snapshot_is_not_taken() -> None:
    """A snapshot that is crossed itself leaves the book SYNCING."""
    book = Book(4)
    book.subscribed()
    book.load(snapshot(100, bids=[(101, 1)]))

    assert book.needs_snapshot
    assert 1 == book.gaps


def test_loss_and_new_subscription_forget_everything() -> None:
    """After a disconnect the old chain means nothing; the next subscription starts from a snapshot."""
    book = live_book()
    book.lost()

    assert BookState.STALE is book.state
    assert BookState.STALE is book.apply(update(100, 110))
    book.subscribed()
    assert book.needs_snapshot
    book.apply(update(500, 510))
    book.load(snapshot(505))
    assert book.is_live


def test_pending_is_bounded() -> None:
    """A snapshot that never comes must not fill the memory; the oldest updates go first."""
    book = Book(4)
    book.subscribed()
    for instant in range(MAX_PENDING + 10):
        book.apply(update(instant, instant + 1))

    with pytest.raises(BookGap):
        book.load(snapshot(5))
    book.load(snapshot(10))
    assert MAX_PENDING + 10 == book.max_timestamp


def test_edge_of_what_a_snapshot_proved() -> None:
    """A side as long as the depth asked for is known down to its last level.

    Deeper ones are held but not shown.
    """
    book = live_book(depth=2)
    book.apply(update(0, 110, bids=[(90, 5)], asks=[(120, 5)]))

    assert ([99, 98], [101, 102]) == prices(book)
    assert (1, 1) == (book.bids.beyond(), book.asks.beyond())
    assert [99, 98] == [level.price // E18 for level in book.bids]
    assert [101, 102] == [level.price // E18 for level in book.asks]
    assert (3, 3) == (len(book.bids), len(book.asks))


def test_short_side_is_known_whole() -> None:
    """A side shorter than the depth asked for has no edge."""
    book = live_book(depth=3)
    book.apply(update(0, 110, bids=[(90, 5)]))

    assert [99, 98, 90] == prices(book)[0]
    assert 0 == book.bids.beyond()


@pytest.mark.parametrize("deeper", [True, False], ids=["unknown level left", "nothing left"])
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_eating_through_the_known_part_resyncs(side: str, deeper: bool) -> None:
    """When all that the snapshot proved is gone, even the best price is a guess."""
    book = live_book(depth=2)
    gone, beyond = ([(99, 0), (98, 0)], (90, 5)) if side == "bids" else ([(101, 0), (102, 0)], (120, 5))
    levels = [*gone, beyond] if deeper else gone

    after = book.apply(update(0, 110, bids=levels) if side == "bids" else update(0, 110, asks=levels))

    assert BookState.SYNCING is after


def test_empty_sides() -> None:
    """A side without levels has no best; nothing is made up."""
    book = live_book(bids=[], asks=[])

    assert (None, None, None, None) == (book.best_bid, book.best_ask, book.spread, book.microprice)
    assert ([], []) == book.levels(5)
    assert (0, 0) == book.liquidity(E18)
    assert (0, 0, False) == (book.sweep(E18).qty, book.sweep(E18).avg_price, book.sweep(E18).complete)


def test_removing_an_unknown_level_is_harmless() -> None:
    """The venue may remove levels that lie deeper than the snapshot."""
    book = live_book()
    book.apply(update(0, 110, bids=[(50, 0)]))

    assert book.is_live


def test_no_levels_asked_for() -> None:
    """Depth 0 is an empty answer, not everything."""
    assert ([], []) == live_book().levels(0)


def test_questions_about_the_market() -> None:
    """Spread, microprice, sweep and liquidity follow from the levels exactly."""
    book = live_book(bids=[(99, 3), (98, 2)], asks=[(101, 1), (103, 2)])

    assert 2 * E18 == book.spread
    # (99*1 + 101*3) / 4
    assert 1005 * E18 // 10 == book.microprice
    bought = book.sweep(2 * E18)
    assert (2 * E18, (101 + 103) * E18 * E18, 103 * E18, True) == tuple(bought)
    assert 102 * E18 == bought.avg_price
    assert 101 * E18 == book.sweep(E18).worst_price
    sold = book.sweep(-9 * E18)
    assert (5 * E18, 98 * E18, False) == (sold.qty, sold.worst_price, sold.complete)
    assert (3 * E18, E18) == book.liquidity(E18 // 100)
    assert (5 * E18, 3 * E18) == book.liquidity(E18 // 20)


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        pytest.param(0, None, id="nothing looked at"),
        pytest.param(1, E18 // 2, id="3 against 1"),
        pytest.param(2, -(E18 // 4), id="3 against 5"),
        pytest.param(9, E18 // 3, id="10 against 5"),
    ],
)
def test_imbalance(depth: int, expected: int | None) -> None:
    """The share by which bids outweigh asks among the best levels; negative where asks do."""
    book = live_book(bids=[(99, 3), (97, 7)], asks=[(101, 1), (102, 4)])
    if depth == 2:
        book.apply(update(100, 110, bids=[(98, 0), (97, 0)]))

    assert expected == book.imbalance(depth)


def test_imbalance_of_a_side_alone() -> None:
    """With one side empty the other is all there is; with both empty nothing can be said."""
    assert E18 == live_book(asks=()).imbalance(5)
    assert -E18 == live_book(bids=()).imbalance(5)
    assert live_book(bids=(), asks=()).imbalance(5) is None


def test_imbalance_looks_no_deeper_than_is_known() -> None:
    """Levels below the snapshot's deepest one do not count, whatever was seen there."""
    book = live_book(depth=2)
    book.apply(update(100, 110, bids=[(90, 50)]))

    assert 0 == book.imbalance(9)


def test_slippage() -> None:
    """A size costs its average price against the mid, on either side, and says where the book ends."""
    book = live_book(bids=[(99, 1), (98, 1)], asks=[(101, 1), (104, 3)])

    assert Slippage(price=E18, bps=100 * E18, complete=True) == book.slippage(E18)
    assert Slippage(price=3 * E18, bps=300 * E18, complete=True) == book.slippage(3 * E18)
    assert Slippage(price=3 * E18 + E18 // 4, bps=325 * E18, complete=False) == book.slippage(9 * E18)
    assert Slippage(price=3 * E18 // 2, bps=150 * E18, complete=True) == book.slippage(-2 * E18)


def test_slippage_needs_a_mid_and_a_size() -> None:
    """Without both sides there is nothing to compare with; nothing costs nothing."""
    assert live_book(bids=()).slippage(E18) is None
    assert live_book(asks=()).slippage(E18) is None
    assert live_book().slippage(0) is None


quantities = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(bids=quantities, asks=quantities, amount=st.integers(-60, 60), depth=st.integers(1, 6))
def test_size_and_weight_are_those_of_fractions(
    bids: list[int], asks: list[int], amount: int, depth: int
) -> None:
    """Slippage is never understated, never off by a whole digit, and the mirrored book mirrors both."""
    below, above = (
        [(100 + sign * (i + 1), qty) for i, qty in enumerate(side)] for sign, side in ((-1, bids), (1, asks))
    )
    book = live_book(below, above)
    mirror = live_book([(200 - p, q) for p, q in above], [(200 - p, q) for p, q in below])

    prices = [price for price, qty in (above if amount > 0 else below) for _ in range(qty)][: abs(amount)]
    found = book.slippage(amount * E18)
    if found is None:
        assert amount == 0
    else:
        cost = abs(Fraction(sum(prices), len(prices)) - 100)
        assert (ceil(cost * E18), ceil(cost * 100 * E18)) == (found.price, found.bps)
        assert (abs(amount) == len(prices)) is found.complete
    assert found == mirror.slippage(-amount * E18)

    n, m = sum(bids[:depth]), sum(asks[:depth])
    weight = book.imbalance(depth)
    assert weight == trunc(Fraction(n - m, n + m) * E18)
    assert weight == -(mirror.imbalance(depth) or 0)


def test_a_snapshot_without_updates_is_polled() -> None:
    """The venue's book at one instant: not LIVE, read only by who asked for it, with its age."""
    book = Book(4)
    book.load(snapshot(100), depth=3)
    assert (BookState.POLLED, False, False) == (book.state, book.is_live, book.is_readable)
    with pytest.raises(BookNotLive, match="POLLED"):
        book.levels(1)

    book.serves_polled = True
    assert book.best_bid is not None
    assert book.is_readable
    assert (50, 0) == (book.age_ns(150), book.age_ns(99))
    book.apply(update(100, 110))
    assert (BookState.POLLED, 100, 0) == (book.state, book.max_timestamp, book.updates)


def test_a_polled_book_never_goes_back_in_time() -> None:
    """An answer that is older than what was known is refused, also what was known while LIVE."""
    book = live_book()
    known = book.max_timestamp
    book.lost()
    with pytest.raises(BookGap):
        book.load(snapshot(known - 1))
    assert BookState.STALE is book.state
    book.load(snapshot(known))
    book.load(snapshot(known + 5))
    with pytest.raises(BookGap):
        book.load(snapshot(known + 4))
    assert (BookState.POLLED, known + 5) == (book.state, book.max_timestamp)


def test_a_polled_book_that_cannot_be_is_stale() -> None:
    """A crossed snapshot is no book, with updates or without."""
    book = Book(4)
    book.load(snapshot(100, bids=[(102, 1)], asks=[(101, 1)]))
    assert (BookState.STALE, 1) == (book.state, book.gaps)


def test_a_polled_book_starts_over_when_the_stream_is_back() -> None:
    """Subscribed first, the snapshot after: what was polled is no part of the chain."""
    book = Book(4)
    book.serves_polled = True
    book.load(snapshot(100))
    book.subscribed()
    assert not book.is_readable
    book.apply(update(110, 120))
    with pytest.raises(BookGap):
        book.load(snapshot(105))
    book.load(snapshot(115))
    assert (BookState.LIVE, 120) == (book.state, book.max_timestamp)


def test_digest_tells_books_apart() -> None:
    """Equal books have equal digests; any level, the time, the state or the edge makes a difference."""
    book, same = live_book(), live_book()
    assert book.digest() == same.digest()

    others = [live_book(depth=2), live_book(bids=[(99, 1), (98, 3)])]
    later, lost = live_book(), live_book()
    later.apply(update(0, 110))
    lost.lost()
    assert 5 == len({b.digest() for b in (book, *others, later, lost)})


def test_every_pair_of_state_and_event_is_decided() -> None:
    """The table leaves nothing out, and only a book that joined updates becomes LIVE."""
    assert set(itertools.product(BookState, BookEvent)) == set(TRANSITIONS)
    assert {
        (BookState.SYNCING, BookEvent.JOINED),
        (BookState.LIVE, BookEvent.JOINED),
    } == {pair for pair, after in TRANSITIONS.items() if after is BookState.LIVE}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), delay=st.integers(0, 8), lost=st.integers(-1, 30), start=st.integers(0, 5))
def test_a_live_book_is_the_venues_book(seed: int, delay: int, lost: int, start: int) -> None:
    """Whatever update is lost and whenever snapshots come.

    A LIVE book equals the venue's at its timestamp.
    """
    rng = random.Random(seed)
    truth: dict[int, dict[str, dict[int, int]]] = {}
    bids = {99 - i: rng.randint(1, 9) for i in range(9)}
    asks = {101 + i: rng.randint(1, 9) for i in range(9)}
    book, now, last, due, pending = Book(4), 0, 0, -1, snapshot(0)
    for step in range(40):
        now += rng.randint(1, 5)
        changes: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
        for name, side, base in (("bids", bids, 91), ("asks", asks, 101)):
            for _ in range(rng.randint(0, 3)):
                # 99 -> 100 and 9 -> 10 digits apart: where books keyed by text go wrong.
                price, qty = base + rng.randint(0, 8), rng.choice([0, 0, 1, 2, 3])
                changes[name][price] = qty
                side.pop(price, None)
                if qty:
                    side[price] = qty
        truth[now] = {"bids": dict(bids), "asks": dict(asks)}
        if step == start:
            book.subscribed()
        if step >= start and step != lost:
            book.apply(update(last, now, changes["bids"].items(), changes["asks"].items()))
        last = now
        if book.needs_snapshot and due < 0:
            due, pending = step + delay, snapshot(now, bids.items(), asks.items())
        if due == step:
            due = -1
            try:
                book.load(pending)
            except BookGap:
                continue
        if book.is_live:
            held = {
                name: {level.price // E18: level.qty // E18 for level in side}
                for name, side in (("bids", book.bids), ("asks", book.asks))
            }
            assert truth[book.max_timestamp] == held
