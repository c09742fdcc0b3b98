"""What a listener gets, in which order, and what is left when it is too slow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.book import BookState
from nadows.desk import BookChanged, DepthGap, DeskEvent, Disconnected, Reconnected
from nadows.errors import UsageError
from nadows.inbox import Inbox, Interest, Lane, Overflow, Tally, Wakeup, lane_of
from nadows.messages import (
    EVENTS,
    AllBbo,
    BestBidOffer,
    BookDepth,
    Fill,
    FundingRate,
    LatestCandlestick,
    Liquidation,
    OrderUpdate,
    PositionChange,
    Stream,
    Trade,
    UnknownEvent,
)
from nadows.session import Restored
from nadows.units import X18, Millis, Nanos, StrInt

ONE = X18(1)
OWN, OTHER = "0x" + "aa" * 32, "0x" + "bb" * 32
LOST = Disconnected("subscriptions", "gone")
BACK = Reconnected("subscriptions", 5)


def trade(product_id: int = 2, at: int = 1) -> Trade:
    return Trade(Nanos(at), product_id, ONE, ONE, ONE, True)


def fill(index: int = 1, product_id: int = 2, subaccount: str = OWN) -> Fill:
    return Fill(
        Nanos(1), product_id, subaccount, "0x01", StrInt(1), ONE, ONE, ONE, ONE, False, True, ONE, index
    )


def update(product_id: int = 2) -> OrderUpdate:
    return OrderUpdate(Nanos(1), product_id, "0x01", ONE, "placed")


def depth(product_id: int = 2, at: int = 1) -> BookDepth:
    return BookDepth(Nanos(at - 1), Nanos(at), Nanos(at), product_id, (), ())


def candle(granularity: int, at: int = 1) -> LatestCandlestick:
    return LatestCandlestick(at, 2, granularity, ONE, ONE, ONE, ONE, ONE)


def liquidation(*product_ids: int) -> Liquidation:
    return Liquidation(Nanos(1), product_ids, OTHER, OWN, ONE, ONE)


def position(subaccount: str = OWN) -> PositionChange:
    return PositionChange(Nanos(1), 2, subaccount, False, ONE, ONE, "match_orders")


def bbo(at: int = 1) -> BestBidOffer:
    return BestBidOffer(Nanos(at), 2, ONE, ONE, ONE, ONE)


ALL_BBO = AllBbo(Millis(1), {})
STRANGE = UnknownEvent("novelty", b'{"type":"novelty","product_id":2}')


def drain(inbox: Inbox) -> list[DeskEvent]:
    return [inbox.pop() for _ in range(len(inbox))]


# -- order ----------------------------------------------------------------------------------------


def test_every_type_has_its_lane() -> None:
    """Own events go first, market data last; what happens to the connection keeps its place."""
    private = {kind for kind in EVENTS.values() if lane_of(kind) is Lane.PRIVATE}
    market = {kind for kind in EVENTS.values() if lane_of(kind) is Lane.MARKET}

    assert {Fill, OrderUpdate, PositionChange} == private
    assert set(EVENTS.values()) - private == market
    assert Lane.MARKET is lane_of(UnknownEvent) is lane_of(BookChanged)
    assert Lane.CONNECTION is lane_of(Disconnected) is lane_of(Restored)


def test_own_events_overtake_market_data_of_their_wakeup() -> None:
    """A fill is delivered at once, the trades that came before it when the wake-up ends."""
    wakeup = Wakeup()
    assert [fill(1)] == list(wakeup.take([trade(2), fill(1), trade(4)]))
    assert wakeup.is_holding
    assert [update()] == list(wakeup.take([depth(), update()]))

    assert [trade(2), trade(4), depth()] == wakeup.rest()
    assert not wakeup.is_holding
    assert [] == wakeup.rest()


def test_connection_event_ends_the_wakeup() -> None:
    """What came before a loss is delivered before it, so that nobody applies old data to a new connection."""
    wakeup = Wakeup()

    assert [fill(1), trade(2), LOST] == list(wakeup.take([trade(2), fill(1), LOST, trade(4)]))
    assert [trade(4)] == wakeup.rest()


# -- filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interest", "wanted", "unwanted"),
    [
        (Interest(), [trade(), fill(), LOST, STRANGE], []),
        (Interest([Stream.trade(2)]), [trade(2), LOST, DepthGap(4, 1)], [trade(4), fill(), STRANGE]),
        (Interest(types=["fill", Disconnected]), [fill(), LOST], [trade(), BACK]),
        (
            Interest(products=[2]),
            [trade(2), liquidation(1, 2), ALL_BBO, LOST, STRANGE, BookChanged(2, BookState.LIVE)],
            [trade(4), liquidation(3, 4), BookChanged(4, BookState.LIVE), DepthGap(4, 1)],
        ),
        (
            Interest(subaccounts=[OWN.upper().replace("0X", "0x")]),
            [fill(), position(), update(), trade()],
            [fill(subaccount=OTHER), position(OTHER)],
        ),
        (
            Interest([Stream.fill(OWN), Stream.trade(2)], types=[Fill], products=[2], subaccounts=[OWN]),
            [fill()],
            [fill(product_id=4), fill(subaccount=OTHER), trade(2), LOST],
        ),
    ],
)
def test_filters(interest: Interest, wanted: list[DeskEvent], unwanted: list[DeskEvent]) -> None:
    """An event must pass every filter that is given; a filter on what it does not name lets it pass."""
    assert wanted == [event for event in (*wanted, *unwanted) if interest.wants(event)]


def test_misspelt_type_is_refused() -> None:
    """A filter that could never match is a mistake, not a silence."""
    with pytest.raises(UsageError, match=r"'fills' is no type of event: .*order_update, trade"):
        Interest(types=["fills"])


# -- the bound ------------------------------------------------------------------------------------


def test_below_the_bound_nothing_is_lost() -> None:
    """Until the bound is reached every event waits, however many are alike."""
    inbox = Inbox(3)
    events: list[DeskEvent] = [trade(2, 1), trade(2, 2), depth(2)]

    assert [True] * 3 == [inbox.put(event) for event in events]
    assert not inbox.is_conflating
    assert events == drain(inbox)
    with pytest.raises(IndexError):
        inbox.pop()


def test_market_data_makes_room_for_its_newest() -> None:
    """At the bound, of each kind and product the newest stays; everything else stays, in order."""
    tally = Tally()
    inbox = Inbox(6, tally=tally)
    events: list[DeskEvent] = [trade(2, 1), fill(1), trade(4, 1), trade(2, 2), LOST, bbo(1)]
    for event in (*events, trade(2, 3), fill(2), bbo(2)):
        assert inbox.put(event)

    assert inbox.is_conflating
    assert 6 == len(inbox)
    assert [fill(1), trade(4, 1), LOST, trade(2, 3), fill(2), bbo(2)] == drain(inbox)
    assert 3 == inbox.conflated == tally.conflated
    assert not inbox.is_conflating


def test_conflating_ends_when_everything_is_taken() -> None:
    """Part of the way down it goes on; from empty every event counts again."""
    inbox = Inbox(2)
    for at in (1, 2, 3):
        inbox.put(trade(2, at))
    inbox.put(trade(4, 1))
    assert trade(2, 3) == inbox.pop()
    inbox.put(trade(2, 4))
    inbox.put(trade(2, 5))
    assert [trade(4, 1), trade(2, 5)] == drain(inbox)

    inbox.put(trade(2, 6))
    inbox.put(trade(2, 7))
    assert [trade(2, 6), trade(2, 7)] == drain(inbox)


def test_each_kind_is_kept_apart() -> None:
    """Bars of different lengths, liquidations of different products do not stand for each other."""
    inbox = Inbox(1)
    kept: list[DeskEvent] = [
        candle(60),
        candle(300),
        liquidation(1, 2),
        liquidation(4),
        ALL_BBO,
        FundingRate(Nanos(1), 2, ONE, StrInt(1)),
        BookChanged(2, BookState.LIVE),
        BookChanged(4, BookState.LIVE),
    ]
    for event in kept * 3:
        assert inbox.put(event)

    assert kept == drain(inbox)
    assert 2 * len(kept) == inbox.conflated


def test_depth_leaves_a_gap_that_says_so() -> None:
    """Changes of a book cannot stand for one another: a marker says that they are missing, and how many."""
    tally = Tally()
    inbox = Inbox(3, tally=tally)
    for event in (depth(2, 1), depth(4, 1), depth(2, 2), depth(2, 3), depth(4, 2), depth(8, 1)):
        assert inbox.put(event)

    assert [DepthGap(2, 3), DepthGap(4, 2), depth(8, 1)] == drain(inbox)
    assert 5 == inbox.depth_dropped == tally.depth_dropped
    assert 0 == inbox.conflated


@pytest.mark.parametrize("event", [fill(9), update(), LOST, STRANGE])
def test_private_events_are_never_dropped(event: DeskEvent) -> None:
    """When nothing can make room the listener is cut off, once and for all, and what it had is complete."""
    tally = Tally()
    inbox = Inbox(2, tally=tally)
    inbox.put(fill(1))
    inbox.put(fill(2))

    assert not inbox.put(event)
    assert inbox.has_overflowed
    assert not inbox.put(trade())
    assert [fill(1), fill(2)] == drain(inbox)
    assert not inbox.put(trade())
    assert 1 == tally.overflowed


def test_market_data_never_cuts_a_listener_off() -> None:
    """Its newest is held beyond the bound: there are only so many kinds and products."""
    inbox = Inbox(2)
    for event in (fill(1), fill(2), trade(2, 1), trade(4, 1), trade(2, 2)):
        assert inbox.put(event)

    assert [fill(1), fill(2), trade(4, 1), trade(2, 2)] == drain(inbox)


def test_keep_private_holds_what_is_not_market_data() -> None:
    """By explicit choice the bound is for market data alone."""
    inbox = Inbox(2, Overflow.KEEP_PRIVATE)
    for index in range(5):
        assert inbox.put(fill(index))
        assert inbox.put(trade(2, index))

    assert [*(fill(index) for index in range(5)), trade(2, 4)] == drain(inbox)


def test_raise_drops_nothing() -> None:
    """Where completeness is asked for, one event too many cuts the listener off, market data or not."""
    inbox = Inbox(2, Overflow.RAISE)
    inbox.put(trade(2, 1))
    inbox.put(trade(2, 2))

    assert not inbox.put(trade(2, 3))
    assert [trade(2, 1), trade(2, 2)] == drain(inbox)


def test_unbounded_by_choice() -> None:
    """Without a bound everything waits."""
    inbox = Inbox(None)
    events = [trade(2, at) for at in range(10_000)]
    for event in events:
        inbox.put(event)

    assert events == drain(inbox)


def test_bound_must_be_positive() -> None:
    """A listener that may hold nothing would get nothing."""
    with pytest.raises(UsageError, match="at least one"):
        Inbox(0)


def test_listener_that_never_comes_costs_no_memory() -> None:
    """Places of events that made room are given back."""
    inbox = Inbox(10)
    for at in range(10_000):
        inbox.put(trade(2, at))

    assert 1 == len(inbox)
    assert len(inbox._queue) <= 70


EVENT = st.one_of(
    st.builds(trade, st.sampled_from([2, 4]), st.integers(1, 9)),
    st.builds(depth, st.sampled_from([2, 4]), st.integers(1, 9)),
    st.builds(fill, st.integers(1, 9)),
)


@given(
    st.integers(1, 6),
    st.sampled_from([Overflow.CONFLATE, Overflow.KEEP_PRIVATE]),
    st.lists(st.one_of(EVENT, st.just("pop"))),
)
def test_nothing_is_lost_uncounted(maxlen: int, overflow: Overflow, steps: list[DeskEvent | str]) -> None:
    """What went in came out, made room and was counted, or is named by a gap; own events keep their order."""
    inbox = Inbox(maxlen, overflow)
    put: list[DeskEvent] = []
    got: list[DeskEvent] = []
    for step in steps:
        if not isinstance(step, str):
            if inbox.put(step):
                put.append(step)
        elif len(inbox):
            got.append(inbox.pop())
    got += drain(inbox)

    gaps = [event for event in got if isinstance(event, DepthGap)]
    assert len(put) == len(got) - len(gaps) + inbox.conflated + inbox.depth_dropped
    assert inbox.depth_dropped == sum(gap.dropped for gap in gaps)
    assert [e for e in put if isinstance(e, Fill)] == [e for e in got if isinstance(e, Fill)]
    for kind in (Trade, BookDepth):
        for product in (2, 4):
            newest = [e for e in put if isinstance(e, kind) and e.product_id == product][-1:]
            last = [e for e in got if isinstance(e, kind | DepthGap) and e.product_id == product]
            last = [e for e in last if kind is BookDepth or isinstance(e, kind)][-1:]
            assert newest == last or (last and isinstance(last[0], DepthGap))
