"""Tests of nadows.venue.flow: a market that lives, repeats itself, and one that stands still."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from random import Random

import pytest

from nadows.signing import OrderType
from nadows.units import ONE_X18, to_x18
from nadows.venue.archive import Archive
from nadows.venue.engine import Engine
from nadows.venue.exchange import Exchange, ExchangeOptions
from nadows.venue.feed import Feed
from nadows.venue.flow import Flow, FlowPreset, StandingQuotes
from nadows.venue.market import TradingStatus
from nadows.venue.products import PRODUCTS, tradable
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, MS, SECOND, T0, V2, Rig, Trader


def _journal_hash(seconds: int, tick_ns: int, *, seed: int = 7, preset: FlowPreset = FlowPreset.BUSY) -> str:
    digest = hashlib.sha256()
    exchange = Exchange(ExchangeOptions(flow=preset), seed=seed, now_ns=T0, journal=digest.update)
    for now_ns in range(T0, T0 + seconds * SECOND + 1, tick_ns):
        exchange.tick(now_ns)
    return digest.hexdigest()


def test_a_minute_repeats_itself() -> None:
    """Two runs of one seed give the same events to the last byte, however coarsely they are ticked."""
    first = _journal_hash(60, 50 * MS)

    assert first == _journal_hash(60, SECOND)


def test_another_seed_is_another_market() -> None:
    """The seed decides what happens."""
    assert _journal_hash(2, SECOND, seed=1) != _journal_hash(2, SECOND, seed=2)


@pytest.mark.parametrize("preset", [FlowPreset.CALM, FlowPreset.BUSY, FlowPreset.STORM])
def test_a_living_market_is_two_sided_deep_and_tight(preset: FlowPreset) -> None:
    """After ten seconds every book is deep, has a spread of some ticks, and has moved and traded."""
    rig = Rig(flow=preset)
    engine = rig.exchange.engine
    before = {product_id: market.book.bids.depth() for product_id, market in engine.markets.items()}

    rig.advance(10 * SECOND)

    for product_id, market in engine.markets.items():
        top, tick = market.top(), market.product.price_increment
        assert 1 <= (top.ask_price - top.bid_price) // tick <= 40
        assert len(market.book.bids) > 100
        assert len(market.book.asks) > 100
        assert before[product_id] != market.book.bids.depth()
        assert abs(engine.oracle[product_id] - market.product.start_price) < market.product.start_price // 20
    assert engine.submission_idx > 1_000_000 + preset.per_second
    assert {} == engine.ledger.imbalance()


def test_the_preset_is_the_rate() -> None:
    """`busy` makes several hundred level changes a second over all products."""
    changes = 0
    rig = Rig(flow=FlowPreset.BUSY)
    for product in tradable():
        rig.subscribe("book_depth", product_id=product.product_id)

    for frame in rig.advance(10 * SECOND):
        changes += len(frame["bids"]) + len(frame["asks"])

    assert 300 <= changes / 10 <= 1500


def test_the_number_of_orders_stays_near_its_target() -> None:
    """Cancels balance arrivals, so that the book neither drains nor grows."""
    rig = Rig(flow=FlowPreset.STORM)
    book = rig.exchange.engine.markets[ETH].book

    rig.advance(15 * SECOND)

    for side in (book.bids, book.asks):
        assert 300 < sum(1 for level in side.levels.values() for _ in level) < 1200


def test_house_orders_are_valid() -> None:
    """The house keeps to the increments that it asks of others."""
    rig = Rig(flow=FlowPreset.BUSY)
    rig.advance(2 * SECOND)

    for market in rig.exchange.engine.markets.values():
        for side in (market.book.bids, market.book.asks):
            for price, qty in side.depth():
                assert 0 == price % market.product.price_increment
                assert 0 == qty % market.product.size_increment


def test_every_order_ends_once() -> None:
    """No order of a stormy market is heard of after it was filled whole or cancelled."""
    ended: set[str] = set()
    updates = 0

    def journal(frame: bytes) -> None:
        nonlocal updates
        event = json.loads(frame)
        if event["type"] == "order_update":
            updates += 1
            assert event["digest"] not in ended
            if event["amount"] == "0":
                ended.add(event["digest"])

    rig = Rig(flow=FlowPreset.STORM, journal=journal)
    rig.advance(5 * SECOND)

    assert updates > 10_000
    assert len(ended) > 5_000


def test_users_resting_orders_are_hit() -> None:
    """A user who quotes the best price gets filled by the flow."""
    rig = Rig(flow=FlowPreset.STORM)
    trader = Trader(rig)
    trader.watch()
    engine = rig.exchange.engine
    for _ in range(20):
        top = engine.markets[ETH].top()
        price = top.bid_price + PRODUCTS[ETH].price_increment
        if price < top.ask_price:
            trader.place(f"{price / ONE_X18:.1f}", "0.1", kind=OrderType.POST_ONLY)
        rig.exchange.tick(rig.now_ns + 200 * MS)
        rig.now_ns += 200 * MS

    fills = [frame for frame in rig.take() if frame.get("type") == "fill"]

    assert fills
    assert not any(fill["is_taker"] for fill in fills)


def test_the_house_quotes_anew_what_users_take() -> None:
    """However many small orders users send, the touch stays near the fair price."""
    rig = Rig(flow=FlowPreset.BUSY)
    trader = Trader(rig)
    book = rig.exchange.engine.markets[ETH].book
    for number in range(400):
        rig.send(
            V2,
            trader.sign(
                "3300" if number % 2 else "2700", "1" if number % 2 else "-1", kind=OrderType.IOC
            ).frame,
        )

    assert book.bids.best is not None
    assert book.asks.best is not None
    assert book.asks.best.price - book.bids.best.price <= 24 * PRODUCTS[ETH].price_increment


def test_skipping_drops_what_was_due() -> None:
    """A flow that was stopped goes on from now, without catching up."""
    rig = Rig(flow=FlowPreset.BUSY)
    before = rig.exchange.engine.submission_idx

    rig.exchange.skip(T0 + 3600 * SECOND)

    assert rig.exchange.engine.submission_idx == before + 1
    assert T0 + 3600 * SECOND < rig.exchange.next_deadline() < T0 + 3601 * SECOND
    rig.exchange.skip(T0 + 3600 * SECOND)
    rig.advance(3602 * SECOND)
    assert rig.exchange.engine.submission_idx > before


def test_skipping_a_still_venue_realigns_its_timers() -> None:
    """Without a flow only the timers move on."""
    rig = Rig()

    rig.exchange.skip(T0 + 3600 * SECOND)

    assert T0 + 3600 * SECOND + 50 * MS == rig.exchange.next_deadline()


def _engine() -> Engine:
    return Engine(Feed(), Archive(), Switches(), T0)


def test_a_flow_needs_a_preset_that_flows() -> None:
    """`off` is for standing quotes."""
    with pytest.raises(ValueError, match="StandingQuotes"):
        Flow(_engine(), FlowPreset.OFF, Random(1), T0)


@pytest.mark.parametrize("preset", [FlowPreset.OFF, FlowPreset.BUSY])
def test_a_product_that_is_not_tradable_is_left_alone(preset: FlowPreset) -> None:
    """The house does not quote where trading is closed."""
    engine = _engine()
    engine.markets[ETH].status = TradingStatus.NOT_TRADABLE
    if preset is FlowPreset.OFF:
        StandingQuotes(engine, T0)
    else:
        Flow(engine, preset, Random(1), T0)

    assert [] == engine.markets[ETH].book.bids.depth()
    assert engine.markets[2].book.bids.depth()


class TestStandingQuotes:
    """The ladder."""

    def test_it_has_depth_and_a_spread_of_several_ticks(self) -> None:
        """300 levels a side, six ticks apart, each larger than the one before it."""
        book = Rig().exchange.engine.markets[ETH].book

        assert [300, 300] == [len(book.bids), len(book.asks)]
        assert to_x18("0.6") == book.asks.prices()[0] - book.bids.prices()[0]
        assert all(near[1] < far[1] for near, far in pairwise(book.asks.depth()))

    def test_it_does_not_move_by_itself(self) -> None:
        """Nothing happens without users."""
        rig = Rig()
        rig.subscribe("book_depth", product_id=ETH)

        assert [] == rig.advance(60 * SECOND)

    @pytest.mark.parametrize("amount", ["0.1", "1.5", "-0.1", "-40"])
    def test_what_a_user_takes_comes_back(self, amount: str) -> None:
        """After the taker's transaction each level has its quantity again, in a later transaction."""
        rig = Rig()
        book = rig.exchange.engine.markets[ETH].book
        before = (book.bids.depth(), book.asks.depth())
        rig.subscribe("best_bid_offer", product_id=ETH)

        frames = rig.send(V2, Trader(rig).sign("3100" if amount[0] != "-" else "2900", amount).frame)

        assert before == (book.bids.depth(), book.asks.depth())
        tops = [frame for frame in frames if frame.get("type") == "best_bid_offer"]
        assert int(tops[0]["timestamp"]) < int(tops[-1]["timestamp"])

    def test_it_waits_while_a_user_stands_in_the_way(self) -> None:
        """A level that would trade with a user's order comes back when that order is gone."""
        rig = Rig()
        trader = Trader(rig)
        book = rig.exchange.engine.markets[ETH].book
        before = book.asks.depth()
        order = trader.sign("3000.3", "1")

        placed = rig.ask(V2, order.frame)
        meanwhile = book.asks.qty_at(to_x18("3000.3"))
        rig.advance(SECOND)
        trader.cancel(order.digest)

        assert "success" == placed["status"]
        assert 0 == meanwhile
        assert before == book.asks.depth()

    def test_two_runs_are_equal(self) -> None:
        """Nothing in it is random."""
        assert [m.book.asks.depth() for m in Rig(seed=1).exchange.engine.markets.values()] == [
            m.book.asks.depth() for m in Rig(seed=2).exchange.engine.markets.values()
        ]
