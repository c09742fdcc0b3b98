"""Quotes: exact numbers over a moving window, and nothing that is not known."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.book import Book, Level
from nadows.desk import GATEWAY, STREAMS, Disconnected
from nadows.errors import UsageError
from nadows.messages import BestBidOffer, MarketLiquidity
from nadows.quotes import Quotes, SpreadTrend
from nadows.units import NO_ASK, X18, Nanos

E18 = 10**18
WINDOW = 100

Top = tuple[int, int]


def bbo(
    bid: int, ask: int, *, bid_qty: int = 1, ask_qty: int = 1, timestamp: int = 0, product_id: int = 4
) -> BestBidOffer:
    """An event in the smallest units, so that sums can be checked by hand."""
    return BestBidOffer(
        timestamp=Nanos(timestamp),
        product_id=product_id,
        bid_price=X18(bid),
        bid_qty=X18(bid_qty),
        ask_price=X18(ask),
        ask_qty=X18(ask_qty),
    )


NO_BID = {"bid": 0, "bid_qty": 0, "ask": 101}
NO_OFFER = {"bid": 99, "ask": NO_ASK, "ask_qty": 0}


def quotes_of(*tops: tuple[int, Top]) -> Quotes:
    """Quotes that were told these tops at these times."""
    quotes = Quotes(4, window_ns=WINDOW)
    for now_ns, (bid, ask) in tops:
        quotes.apply(bbo(bid, ask, timestamp=now_ns), now_ns)
    return quotes


def numbers(quotes: Quotes) -> list[int | None]:
    return [quotes.spread, quotes.spread_bps, quotes.mid, quotes.microprice]


def over_time(quotes: Quotes, now_ns: int) -> list[object]:
    return [quotes.mean_spread(now_ns), quotes.spread_deviation(now_ns), quotes.spread_trend(now_ns)]


def test_nothing_is_known_at_first() -> None:
    """Without an event there is no number, and the quote is stale."""
    quotes = Quotes(4)

    assert not quotes.is_known
    assert [None] * 4 == numbers(quotes)
    assert [None] * 3 == over_time(quotes, 5)
    assert (0, None, None) == (quotes.known_ns(5), quotes.momentum(5), quotes.age_ns(5))
    assert quotes.is_stale(5)


def test_numbers_of_one_quote() -> None:
    """Spread, its basis points, mid and fair value follow from the two sides."""
    quotes = Quotes(4)
    quotes.apply(bbo(99 * E18, 101 * E18, bid_qty=3 * E18, ask_qty=E18), 7)

    assert (Level(99 * E18, 3 * E18), Level(101 * E18, E18)) == (quotes.bid, quotes.ask)
    assert [2 * E18, 200 * E18, 100 * E18, 100 * E18 + E18 // 2] == numbers(quotes)
    assert 0 == quotes.age_ns(7)
    assert not quotes.is_stale(7)


@pytest.mark.parametrize(
    ("event", "bid", "ask"),
    [
        (bbo(**NO_BID), None, Level(101, 1)),
        (bbo(**NO_OFFER), Level(99, 1), None),
        (bbo(0, NO_ASK, bid_qty=0, ask_qty=0), None, None),
        pytest.param(bbo(99, 101, bid_qty=0), None, Level(101, 1), id="nothing at the bid's price"),
        pytest.param(bbo(99, 101, ask_qty=0), Level(99, 1), None, id="nothing at the ask's price"),
        pytest.param(bbo(0, 101), None, Level(101, 1), id="a bid without a price"),
        pytest.param(bbo(99, NO_ASK), Level(99, 1), None, id="an ask without a price"),
    ],
)
def test_empty_side_has_no_price(event: BestBidOffer, bid: Level | None, ask: Level | None) -> None:
    """The sentinels of an empty side are never taken for prices; what is not empty is still told."""
    quotes = Quotes(4)

    assert quotes.apply(event, 1)

    assert (True, bid, ask) == (quotes.is_known, quotes.bid, quotes.ask)
    assert [None] * 4 == numbers(quotes)
    assert [None] * 3 == over_time(quotes, 9)
    assert quotes.momentum(9 + quotes.window_ns) is None
    assert not quotes.is_stale(9)


def test_mean_is_weighted_by_time() -> None:
    """A spread counts as long as it stood: 30 ns of 2 and 10 ns of 6 are 3 on average."""
    quotes = quotes_of((0, (99, 101)), (30, (97, 103)))

    assert [3, 3, SpreadTrend.WIDENING] == over_time(quotes, 40)
    assert 40 == quotes.known_ns(40)


def test_window_moves_on() -> None:
    """What is older than the window counts no more, to the nanosecond."""
    quotes = quotes_of((0, (99, 101)), (30, (97, 103)))

    assert 100 == quotes.known_ns(110)
    assert (20 * 2 + 80 * 6) // 100 == quotes.mean_spread(110)
    assert [6, 0, SpreadTrend.STEADY] == over_time(quotes, 130)
    assert [6, 0, SpreadTrend.STEADY] == over_time(quotes, 10**12)


def test_narrowing_is_told_below_the_last_digit() -> None:
    """The trend is exact where the rounded mean equals the spread."""
    quotes = quotes_of((0, (98, 101)), (1, (99, 101)))

    assert [2, -1, SpreadTrend.NARROWING] == over_time(quotes, 100)


def test_moment_of_the_first_quote_has_no_mean() -> None:
    """No time has passed yet, so there is nothing to compare with."""
    quotes = quotes_of((50, (99, 101)))

    assert [None] * 3 == over_time(quotes, 50)
    assert [2, 0, SpreadTrend.STEADY] == over_time(quotes, 51)


def test_time_without_both_sides_is_left_out() -> None:
    """A mean covers what was known, and says how much that was."""
    quotes = quotes_of((0, (99, 101)))
    quotes.apply(bbo(**NO_BID), 10)
    quotes.apply(bbo(95, 105), 30)

    assert 20 == quotes.known_ns(40)
    assert 6 == quotes.mean_spread(40)
    assert 90 == quotes.known_ns(120)


def test_momentum_is_the_change_of_the_mid() -> None:
    """Signed, against the mid that stood one window ago; unknown until a window has been watched."""
    quotes = quotes_of((0, (99, 101)), (60, (89, 91)), (70, (109, 111)))

    assert quotes.momentum(99) is None
    assert 10 == quotes.momentum(100)
    assert 10 == quotes.momentum(159)
    assert 20 == quotes.momentum(160)
    assert 0 == quotes.momentum(170)


def test_momentum_needs_both_ends() -> None:
    """If the mid of now or that of a window ago is not known, neither is the change."""
    quotes = quotes_of((0, (99, 101)))
    quotes.apply(bbo(**NO_OFFER), 50)

    assert quotes.momentum(120) is None
    quotes.apply(bbo(99, 101), 140)
    assert quotes.momentum(160) is None
    assert 0 == quotes.momentum(240)


def test_half_a_digit_is_rounded_down() -> None:
    """A mid between two digits, and a change by half a digit, are rounded towards minus infinity."""
    quotes = quotes_of((0, (99, 101)), (10, (98, 101)))

    assert 99 == quotes.mid
    assert -1 == quotes.momentum(100)


def test_equal_top_is_no_change() -> None:
    """A new quantity changes the fair value and the age, and starts nothing new in the window."""
    quotes = quotes_of((0, (99, 101)))

    assert quotes.apply(bbo(99, 101, bid_qty=9), 20)

    assert (2, 2) == (quotes.mean_spread(40), quotes.updates)
    assert 20 == quotes.age_ns(40)
    assert 1 == len(quotes._window._spans)


def test_window_forgets() -> None:
    """Memory holds the changes of one window and no more."""
    quotes = quotes_of(*((now, (99 - now % 2, 101)) for now in range(0, 10_000, 10)))

    assert WINDOW // 10 + 1 >= len(quotes._window._spans)


def test_older_event_is_ignored() -> None:
    """What comes late, as over a second line, changes nothing; an event of the same instant does."""
    quotes = Quotes(4)
    quotes.apply(bbo(99, 101, timestamp=10), 1)

    assert not quotes.apply(bbo(1, 2, timestamp=9), 2)
    assert (1, 2) == (quotes.late, quotes.spread)
    assert quotes.apply(bbo(98, 101, timestamp=10), 3)
    assert (10, 3) == (quotes.timestamp, quotes.spread)


@pytest.mark.parametrize("ask", [99, 98])
def test_crossed_quote_is_refused(ask: int) -> None:
    """No venue's book is crossed: the quote is counted and everything is unknown until the next."""
    quotes = quotes_of((0, (99, 101)))

    assert not quotes.apply(bbo(99, ask, timestamp=10), 10)

    assert (1, False, None) == (quotes.crossed, quotes.is_known, quotes.spread)
    assert 10 == quotes.known_ns(50)


def test_what_is_not_meant_is_passed_over() -> None:
    """All events of a client may be given; other products, types and lines change nothing."""
    quotes = quotes_of((0, (99, 101)))

    assert not quotes.apply(bbo(1, 2, product_id=2), 1)
    assert not quotes.apply(Disconnected(GATEWAY, "cut"), 1)

    assert (True, 2, 1) == (quotes.is_known, quotes.spread, quotes.updates)


def test_lost_line_makes_it_unknown() -> None:
    """Until the next event nothing is known: the venue sends none on subscribing."""
    quotes = quotes_of((50, (99, 101)))

    assert quotes.apply(Disconnected(STREAMS, "cut"), 60)

    assert not quotes.is_known
    assert quotes.is_stale(60)
    assert [None] * 4 == numbers(quotes)
    assert 2 == quotes.mean_spread(80)
    # A venue that was restarted may begin its clock anew.
    assert quotes.apply(bbo(98, 101, timestamp=1), 90)
    assert (10 + 5, 3) == (quotes.known_ns(95), quotes.spread)


def test_stale_by_time() -> None:
    """After the limit without an event the flag is up; the next event takes it down."""
    quotes = Quotes(4, stale_after_ns=30)
    quotes.apply(bbo(99, 101), 0)

    assert not quotes.is_stale(30)
    assert quotes.is_stale(31)
    quotes.apply(bbo(99, 101), 40)
    assert not quotes.is_stale(70)


def live_book(bid: int, ask: int, taken: int) -> Book:
    book = Book(4)
    book.subscribed()
    levels = MarketLiquidity(
        bids=((str(bid), "5"),), asks=((str(ask), "7"),), product_id=4, timestamp=Nanos(taken)
    )
    book.load(levels)
    return book


def test_a_book_can_feed_it() -> None:
    """The top of a LIVE book is a quote at the book's time; a book that is not LIVE ends what was known."""
    quotes = Quotes(4)
    book = live_book(99, 101, taken=100)

    assert quotes.apply_book(book, 1)
    assert (Level(99, 5), Level(101, 7), 100) == (quotes.bid, quotes.ask, quotes.timestamp)
    assert not quotes.apply_book(live_book(1, 2, taken=99), 2)
    assert (1, 2) == (quotes.late, quotes.spread)
    book.lost()
    assert not quotes.apply_book(book, 3)
    assert not quotes.is_known


def test_book_of_another_product_is_refused() -> None:
    """Prices of two products in one window would be nonsense."""
    with pytest.raises(UsageError, match="product 2 got the book of 4"):
        Quotes(2).apply_book(live_book(99, 101, taken=1), 1)


@pytest.mark.parametrize("name", ["window_ns", "stale_after_ns"])
def test_spans_of_time_must_be_positive(name: str) -> None:
    """A window of nothing has no mean."""
    with pytest.raises(UsageError, match=f"{name} must be positive, got 0"):
        Quotes(4, **{name: 0})


def test_time_does_not_run_back() -> None:
    """The window has forgotten what came before; an earlier time is a mistake, and changes nothing."""
    quotes = quotes_of((50, (99, 101)))

    with pytest.raises(UsageError, match="time ran back from 50 to 49 ns"):
        quotes.apply(bbo(1, 2, timestamp=60), 49)
    assert (2, 1, 50) == (quotes.spread, quotes.updates, quotes.timestamp)


tops = st.one_of(st.none(), st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda t: (t[0], sum(t))))
steps = st.lists(st.tuples(st.integers(0, 60), tops), min_size=1, max_size=30)


@given(steps, st.lists(st.integers(0, 60), max_size=3))
def test_windows_are_what_a_count_by_nanosecond_gives(
    told: list[tuple[int, Top | None]], waits: list[int]
) -> None:
    """At every moment the sums equal those of looking at each nanosecond of the window."""
    quotes = Quotes(4, window_ns=WINDOW)
    stood: list[Top | None] = []  # by nanosecond
    top: Top | None = None
    for wait, after in [*told, *((wait, None) for wait in waits)]:
        stood += [top] * wait
        top = after
        now_ns = len(stood)
        if after is None:
            quotes.lost(now_ns)
        else:
            quotes.apply(bbo(*after), now_ns)
        seen = [each for each in stood[-WINDOW:] if each is not None]
        spreads = [ask - bid for bid, ask in seen]
        mean = Fraction(sum(spreads), len(spreads)) if spreads else None
        deviation = None if mean is None or after is None else after[1] - after[0] - mean
        then = stood[-WINDOW] if len(stood) >= WINDOW else None
        moved = None if then is None or after is None else Fraction(sum(after) - sum(then), 2)

        assert len(seen) == quotes.known_ns(now_ns)
        assert quotes.mean_spread(now_ns) == (None if mean is None else mean.__floor__())
        assert quotes.spread_deviation(now_ns) == (None if deviation is None else deviation.__floor__())
        assert quotes.momentum(now_ns) == (None if moved is None else moved.__floor__())
        trend = quotes.spread_trend(now_ns)
        if deviation is None:
            assert trend is None
        else:
            signs = {SpreadTrend.WIDENING: 1, SpreadTrend.NARROWING: -1, SpreadTrend.STEADY: 0}
            assert (deviation > 0) - (deviation < 0) == signs[trend]  # type: ignore[index]


@given(st.integers(1, 10**22), st.integers(1, 10**22), st.integers(1, 10**22), st.integers(1, 10**22))
def test_numbers_are_those_of_fractions(bid: int, width: int, bid_qty: int, ask_qty: int) -> None:
    """Each number is the exact one, rounded down; the fair value lies between bid and ask."""
    quotes = Quotes(4)
    ask = bid + width
    quotes.apply(bbo(bid, ask, bid_qty=bid_qty, ask_qty=ask_qty), 0)

    mid = Fraction(bid + ask, 2)
    fair = Fraction(bid * ask_qty + ask * bid_qty, bid_qty + ask_qty)
    assert [width, (width / mid * 10**22).__floor__(), mid.__floor__(), fair.__floor__()] == numbers(quotes)
    assert quotes.microprice is not None
    assert bid <= quotes.microprice <= ask
