"""Tests of nadows.venue.engine: the events of a transaction, in their order, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from nadows.network import TESTNET
from nadows.signing import OrderType, sign_cancel_orders
from nadows.units import ONE_X18, to_x18
from nadows.venue.ledger import Ledger
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, KBTC, MS, NEVER, SECOND, T0, V2, Rig, Trader


def _updates(frames: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Pick (remaining amount, reason) of the order updates."""
    return [(f["amount"], f["reason"]) for f in frames if f.get("type") == "order_update"]


def _x(text: str) -> str:
    return str(int(to_x18(text)))


def _empty(rig: Rig, product_id: int = ETH) -> None:
    """Take the house out of a market, so that only the test's orders are in it."""
    rig.exchange.engine.after_user = None
    book = rig.exchange.engine.markets[product_id].book
    for side in (book.bids, book.asks):
        for price in side.prices():
            for order in side.levels[price]:
                book.remove(order)
    rig.exchange.engine.markets[product_id].forget_changes()


@pytest.fixture
def rig() -> Rig:
    """A venue whose ETH book is empty."""
    rig = Rig()
    _empty(rig)
    return rig


@pytest.fixture
def maker(rig: Rig) -> Trader:
    """Somebody with three asks of 0.1 at 3000."""
    maker = Trader(rig, key=2)
    for _ in range(3):
        maker.place("3000", "-0.1")
    return maker


@pytest.fixture
def taker(rig: Rig, maker: Trader) -> Trader:
    """Somebody who watches own events."""
    taker = Trader(rig, key=1)
    taker.watch()
    return taker


class TestSequences:
    """The sequences of protocol.md 2.5."""

    def test_a_limit_order_that_crosses_and_then_rests(self, rig: Rig, taker: Trader) -> None:
        """Fills come first, then placed with what is left, all at one instant."""
        frames = rig.send(V2, taker.sign("3000", "1").frame)

        expected = [
            (_x("0.9"), "filled"),
            (_x("0.8"), "filled"),
            (_x("0.7"), "filled"),
            (_x("0.7"), "placed"),
        ]
        assert expected == _updates(frames)
        assert 1 == len({f["timestamp"] for f in frames if f.get("type") == "order_update"})

    def test_a_limit_order_filled_on_entry_is_never_placed(self, rig: Rig, taker: Trader) -> None:
        """The last update of an order filled at once is (0, filled)."""
        frames = rig.send(V2, taker.sign("3000", "0.2").frame)

        assert [(_x("0.1"), "filled"), ("0", "filled")] == _updates(frames)

    def test_an_ioc_order_filled_in_part(self, rig: Rig, taker: Trader) -> None:
        """The rest of an IOC order is cancelled, and the execute is a success."""
        frames = rig.send(V2, taker.sign("3000", "0.5", kind=OrderType.IOC).frame)

        expected = [(_x("0.4"), "filled"), (_x("0.3"), "filled"), (_x("0.2"), "filled"), ("0", "cancelled")]
        assert expected == _updates(frames)
        assert "success" == frames[-1]["status"]

    def test_an_ioc_order_filled_whole(self, rig: Rig, taker: Trader) -> None:
        """An IOC order that fills ends with (0, filled)."""
        frames = rig.send(V2, taker.sign("3000", "0.2", kind=OrderType.IOC).frame)

        assert [(_x("0.1"), "filled"), ("0", "filled")] == _updates(frames)

    @pytest.mark.parametrize(
        ("kind", "price", "code"), [(OrderType.IOC, "2990", 2056), (OrderType.FOK, "3000", 2031)]
    )
    def test_an_order_that_may_not_rest_and_does_not_trade(
        self, rig: Rig, taker: Trader, kind: OrderType, price: str, code: int
    ) -> None:
        """IOC without a cross and FOK without enough: (0, cancelled) besides the failure, and no trade."""
        frames = rig.send(V2, taker.sign(price, "0.5", kind=kind).frame)

        assert [("0", "cancelled")] == _updates(frames)
        assert ("failure", code) == (frames[-1]["status"], frames[-1]["error_code"])
        assert to_x18("0.3") == rig.exchange.engine.markets[ETH].book.asks.qty_at(to_x18("3000"))

    def test_a_fok_order_that_fills(self, rig: Rig, taker: Trader) -> None:
        """FOK trades when the whole amount is there."""
        frames = rig.send(V2, taker.sign("3000", "0.3", kind=OrderType.FOK).frame)

        assert ("0", "filled") == _updates(frames)[-1]

    def test_a_resting_order_that_is_hit(self, rig: Rig) -> None:
        """A resting order is placed, then filled piece by piece."""
        owner, other = Trader(rig, key=1), Trader(rig, key=2)
        owner.watch()
        placed = rig.send(V2, owner.sign("3000", "1").frame)

        hit = rig.send(V2, other.sign("3000", "-0.4").frame)

        assert [(_x("1"), "placed")] == _updates(placed)
        assert [(_x("0.6"), "filled")] == _updates(hit)

    def test_a_user_cancel(self, rig: Rig) -> None:
        """A cancel ends with (0, cancelled)."""
        owner = Trader(rig)
        owner.watch()
        order = owner.sign("3000", "1")
        rig.send(V2, order.frame)

        request = sign_cancel_orders(
            owner.signer, TESTNET.domain, owner.sub, [ETH], [order.digest], owner.nonce()
        )
        frames = rig.send(V2, request.frame)

        assert [("0", "cancelled")] == _updates(frames)

    def test_expiry(self, rig: Rig) -> None:
        """An order is cancelled in the second of its expiration, and not before."""
        owner = Trader(rig)
        owner.watch()
        owner.place("3000", "1", expiration=T0 // SECOND + 5)
        rig.take()

        before = rig.advance(5 * SECOND - 1)
        after = rig.advance(1)

        assert [] == _updates(before)
        assert [("0", "cancelled")] == _updates(after)
        assert {} == rig.exchange.engine.orders

    def test_self_trade_prevention_cancels_the_resting_order(self, rig: Rig, taker: Trader) -> None:
        """An own order in the way is cancelled, and the new one goes on to others."""
        own = taker.sign("2999", "-0.1")
        rig.send(V2, own.frame)

        frames = rig.send(V2, taker.sign("3000", "0.2").frame)

        updates = [f for f in frames if f.get("type") == "order_update"]
        assert own.digest == updates[0]["digest"]
        assert [("0", "cancelled"), (_x("0.1"), "filled"), ("0", "filled")] == _updates(frames)

    def test_an_unhealthy_maker_is_cancelled_when_it_would_match(self, rig: Rig) -> None:
        """A maker whose fill would leave it without initial health is taken out instead of traded with."""
        poor, rich = Trader(rig, key=1), Trader(rig, key=2)
        poor.watch()
        poor.place("3000", "-300")
        account = rig.exchange.engine.ledger.accounts[poor.sub.hex]
        rig.exchange.engine.ledger.deposit(account, 0, -999_000 * ONE_X18)
        rig.take()

        frames = rig.send(V2, rich.sign("3000", "300").frame)

        assert [("0", "cancelled")] == _updates(frames)
        assert 300 * ONE_X18 == rig.exchange.engine.markets[ETH].book.bids.qty_at(to_x18("3000"))

    def test_a_fok_order_does_not_count_on_makers_that_cannot_pay(self, rig: Rig) -> None:
        """FOK is refused, with nothing traded, when the book holds enough only on paper."""
        poor, rich = Trader(rig, key=1), Trader(rig, key=2)
        poor.place("3000", "-200")
        poor.place("3000", "-200")
        account = rig.exchange.engine.ledger.accounts[poor.sub.hex]
        rig.exchange.engine.ledger.deposit(account, 0, -985_000 * ONE_X18)

        answer = rich.place("3000", "300", kind=OrderType.FOK)
        smaller = rich.place("3000", "200", kind=OrderType.FOK)

        assert 2031 == answer["error_code"]
        assert "success" == smaller["status"]


class TestMatchEvents:
    """What one match tells, and in which order (protocol.md 9.2)."""

    def test_the_order_of_events(self, rig: Rig) -> None:
        """Trade, fill, order_update and position_change of both sides, then the new top, then the depth."""
        owner, other = Trader(rig, key=1), Trader(rig, key=2)
        rig.send(V2, other.sign("3000", "-0.1").frame)
        rig.advance(50 * MS)
        for type_ in ("trade", "best_bid_offer", "book_depth"):
            rig.subscribe(type_, product_id=ETH)
        for type_ in ("fill", "position_change"):
            rig.subscribe(type_, subaccount=owner.sub.hex)
            rig.subscribe(type_, subaccount=other.sub.hex)
        owner.authenticate()
        rig.subscribe("order_update", subaccount=owner.sub.hex)

        frames = rig.send(V2, owner.sign("3000", "0.1").frame)
        later = rig.advance(50 * MS)

        types = [f["type"] for f in frames if "type" in f]
        assert [
            "trade", "fill", "fill", "order_update", "position_change", "position_change", "best_bid_offer",
        ] == types  # fmt: skip
        assert ["book_depth"] == [f["type"] for f in later]
        assert 1 == len({f["timestamp"] for f in frames if "type" in f})
        assert frames[0]["timestamp"] == later[0]["max_timestamp"]

    def test_both_fills_share_their_index_and_matches_differ_in_it(self, rig: Rig, taker: Trader) -> None:
        """(submission_idx, order_digest) is unique; the two sides of a match have the same index."""
        rig.subscribe("fill", subaccount=Trader(rig, key=2).sub.hex)

        frames = rig.send(V2, taker.sign("3000", "0.2").frame)

        fills = [(f["submission_idx"], f["is_taker"]) for f in frames if f.get("type") == "fill"]
        first = fills[0][0]
        assert [(first, True), (first, False), (first + 1, True), (first + 1, False)] == fills

    def test_a_fill_says_what_was_traded(self, rig: Rig, taker: Trader) -> None:
        """All fifteen members of a fill, with the client's id."""
        order = taker.sign("3001", "0.25", id=9)

        frames = rig.send(V2, order.frame)

        fill = next(f for f in frames if f.get("type") == "fill")
        assert {
            "type": "fill",
            "timestamp": fill["timestamp"],
            "product_id": ETH,
            "subaccount": taker.sub.hex,
            "order_digest": order.digest,
            "appendix": "1",
            "filled_qty": _x("0.1"),
            "remaining_qty": _x("0.15"),
            "original_qty": _x("0.25"),
            "price": _x("3000"),
            "is_taker": True,
            "is_bid": True,
            # 300 of notional at 3.5 bp for a buyer: 300 / (1 - 0.00035) - 300.
            "fee": str(300 * ONE_X18 * ONE_X18 // (ONE_X18 - 35 * 10**13) - 300 * ONE_X18),
            "submission_idx": rig.exchange.engine.submission_idx - 2,
            "id": 9,
        } == fill

    def test_a_position_is_signed_and_its_quote_holds_the_fees(self, rig: Rig, taker: Trader) -> None:
        """v_quote is minus what was paid, fees included."""
        frames = rig.send(V2, taker.sign("3000", "0.1").frame)

        change = next(f for f in frames if f.get("type") == "position_change")
        fill = next(f for f in frames if f.get("type") == "fill")
        assert _x("0.1") == change["amount"]
        assert str(-300 * ONE_X18 - int(fill["fee"])) == change["v_quote_amount"]
        assert "match_orders" == change["reason"]

    def test_a_spot_match_changes_two_balances(self) -> None:
        """A spot fill tells of the token and of USDT0, both without virtual quote."""
        rig = Rig()
        trader = Trader(rig)
        trader.watch()

        frames = rig.send(V2, trader.sign("95010", "0.002", product_id=KBTC).frame)

        changes = [f for f in frames if f.get("type") == "position_change"]
        assert [KBTC, 0] == [c["product_id"] for c in changes]
        assert ["0", "0"] == [c["v_quote_amount"] for c in changes]
        assert _x("0.002") == changes[0]["amount"]

    def test_the_top_is_told_on_change_only(self, rig: Rig, maker: Trader) -> None:
        """An order behind the best price does not move the top."""
        rig.subscribe("best_bid_offer", product_id=ETH)

        behind = rig.send(V2, maker.sign("3001", "-0.1").frame)
        ahead = rig.send(V2, maker.sign("2999", "-0.1").frame)

        assert ["success"] == [f["status"] for f in behind]
        assert {
            "type": "best_bid_offer",
            "timestamp": ahead[0]["timestamp"],
            "product_id": ETH,
            "bid_price": "0",
            "bid_qty": "0",
            "ask_price": _x("2999"),
            "ask_qty": _x("0.1"),
        } == ahead[0]

    def test_an_emptied_side_has_the_sentinel(self, rig: Rig, taker: Trader) -> None:
        """An empty ask side is 2**127 - 1 with quantity zero."""
        rig.subscribe("best_bid_offer", product_id=ETH)

        frames = rig.send(V2, taker.sign("3000", "0.3").frame)

        top = next(f for f in frames if f.get("type") == "best_bid_offer")
        assert (str(2**127 - 1), "0") == (top["ask_price"], top["ask_qty"])

    def test_the_forming_bars_are_told_on_every_trade(self, rig: Rig, taker: Trader) -> None:
        """A bar has the seconds of its start as text, and the volume so far."""
        rig.subscribe("latest_candlestick", product_id=ETH, granularity=60)

        frames = rig.send(V2, taker.sign("3000", "0.2").frame)

        bars = [f for f in frames if f.get("type") == "latest_candlestick"]
        assert [_x("0.1"), _x("0.2")] == [bar["volume"] for bar in bars]
        assert str(T0 // SECOND) == bars[0]["timestamp"]
        assert _x("3000") == bars[0]["open_x18"]

    def test_nothing_is_written_for_nobody(self, rig: Rig) -> None:
        """Without subscribers only the answer leaves."""
        frames = rig.send(V2, Trader(rig).sign("3000", "0.1").frame)

        assert ["success"] == [f["status"] for f in frames]


class TestSwitches:
    """Open questions of the protocol, either way."""

    def _match(self, switches: Switches, *, amount: str = "-0.1") -> list[dict[str, Any]]:
        rig = Rig(switches=switches)
        trader = Trader(rig)
        trader.watch()
        rig.subscribe("latest_candlestick", product_id=ETH, granularity=60)
        return rig.send(V2, trader.sign("2999", amount).frame)

    def test_signed_quantities(self) -> None:
        """Quantities of a sell are positive, or negative by switch."""
        for signed in (False, True):
            frames = self._match(Switches(signed_quantities=signed))
            fill = next(f for f in frames if f.get("type") == "fill")
            update = next(f for f in frames if f.get("type") == "order_update")
            assert signed is fill["filled_qty"].startswith("-")
            assert signed is update["filled_qty"].startswith("-")

    def test_submission_idx(self) -> None:
        """The index of a fill is a number, or text by switch."""
        for text in (False, True):
            frames = self._match(Switches(submission_idx_as_string=text))
            fill = next(f for f in frames if f.get("type") == "fill")
            assert (str if text else int) is type(fill["submission_idx"])

    def test_fill_members_of_order_updates(self) -> None:
        """filled_qty and filled_price are there, or not by switch."""
        for there in (False, True):
            frames = self._match(Switches(fill_fields_in_order_update=there))
            update = next(f for f in frames if f.get("type") == "order_update")
            assert there is ("filled_qty" in update) is ("filled_price" in update)

    def test_candle_time(self) -> None:
        """The time of a bar is text in seconds, or a number in ms by switch."""
        for numeric, expected in ((False, str(T0 // SECOND)), (True, T0 // MS)):
            frames = self._match(Switches(numeric_candle_time=numeric))
            bar = next(f for f in frames if f.get("type") == "latest_candlestick")
            assert expected == bar["timestamp"]

    def test_own_matches_can_be_refused(self) -> None:
        """With the switch on an order that meets one's own is refused (2073), and others are not."""
        rig = Rig(switches=Switches(own_match_is_refused=True))
        _empty(rig)
        own, other = Trader(rig, key=1), Trader(rig, key=2)
        own.place("3000", "-0.1")
        other.place("2999", "-0.1")

        small = own.place("3000", "0.1")
        other.place("2999", "-0.1")
        large = own.place("3000", "0.2")

        assert "success" == small["status"]
        assert 2073 == large["error_code"]


def test_every_transaction_has_a_later_instant() -> None:
    """The engine's clock goes on even when the venue's stands still."""
    rig = Rig()
    engine = rig.exchange.engine
    first = engine.stamp(T0)

    assert [first + 1, first + 2] == [engine.stamp(T0), engine.stamp(T0 - 5)]
    assert T0 + SECOND == engine.stamp(T0 + SECOND)


def test_a_vanished_order_leaves_no_trace_among_the_open_ones(rig: Rig, taker: Trader) -> None:
    """Filled and cancelled orders are gone from every list."""
    first = taker.place("2990", "0.1", expiration=NEVER)["data"]["digest"]
    engine = rig.exchange.engine
    assert first in engine.orders

    taker.cancel(first)

    assert first not in engine.orders
    assert {} == engine.ledger.accounts[taker.sub.hex].orders[ETH]


def test_a_filled_maker_is_open_no_more(rig: Rig, maker: Trader, taker: Trader) -> None:
    """A resting order that fills whole leaves the lists of open orders, and the watch over expirations."""
    engine = rig.exchange.engine

    taker.place("3000", "0.2")

    assert 1 == len(engine.orders) == len(engine.ledger.accounts[maker.sub.hex].orders[ETH])
    assert 1 == len(engine.expiry.due(NEVER))


def test_a_ledger_knows_its_accounts() -> None:
    """An account is opened once."""
    ledger = Ledger({})
    account = ledger.open("0x" + "11" * 32)

    assert account is ledger.account("0x" + "11" * 32)
    with pytest.raises(ValueError, match="exists already"):
        ledger.open("0x" + "11" * 32)


def test_streams_are_told_once_to_a_connection_that_reaches_them_twice(rig: Rig, taker: Trader) -> None:
    """A fill subscribed to for all products and for one comes once."""
    rig.subscribe("fill", subaccount=taker.sub.hex, product_id=ETH)

    frames = rig.send(V2, taker.sign("3000", "0.1").frame)

    assert 1 == sum(f.get("type") == "fill" for f in frames)
