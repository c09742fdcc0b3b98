"""Tests of nadows.venue.rules and nadows.venue.authority: what an order must be, and the code otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nadows.network import MAINNET
from nadows.signing import Appendix, OrderType, Signer, Trigger, sign_order
from nadows.units import ONE_X18, to_x18
from nadows.venue.market import TradingStatus
from nadows.venue.products import PRODUCTS
from nadows.venue.rules import MAX_OPEN_ORDERS
from nadows.venue.switches import Switches
from tests.venue.rig import BTC, ETH, KBTC, MS, NEVER, SECOND, T0, V2, Rig, Trader

NOW_MS = T0 // MS


@dataclass(frozen=True)
class Case:
    """An order that breaks one rule."""

    name: str
    code: int
    price: str = "2990"
    amount: str = "0.1"
    options: dict[str, Any] | None = None


CASES = [
    Case("price between two increments", 2000, price="2990.05"),
    Case("amount between two increments", 2001, amount="0.1005"),
    Case("amount zero", 2002, amount="0"),
    Case("expired a second ago", 2004, options={"expiration": T0 // SECOND}),
    Case("price under a fifth of the oracle price", 2007, price="599.9", amount="1"),
    Case("price over five times the oracle price", 2007, price="15000.1"),
    Case("price zero", 2007, price="0"),
    Case("price negative", 2007, price="-3000"),
    Case("receive time passed", 2011, options={"nonce": (NOW_MS - 1) << 20}),
    Case("receive time over 100 s ahead", 2012, options={"nonce": (NOW_MS + 100_001) << 20}),
    Case("no such product", 2015, options={"product_id": 6}),
    Case("the quote has no market", 2015, options={"product_id": 0}),
    Case("spot_leverage false on a perp", 2019, options={"spot_leverage": False}),
    Case("reduce-only that rests", 2067, options={"appendix": 2049}),
    Case("reduce-only without a position", 2064, options={"appendix": 2561}),
    Case("isolated on spot", 2083, "94990", "0.002", {"appendix": 257, "product_id": KBTC}),
    Case("isolated, and nothing to reduce", 2085, options={"appendix": 1 << 8 | 1 << 9 | 1 << 11 | 1}),
    Case("isolated and a trigger order", 2084, options={"appendix": 257 | 1 << 12}),
    Case("isolated without margin", 2006, options={"appendix": 257}),
    Case("notional under 100 USDT0", 2094, amount="0.033"),
    Case("appendix version 0", 2095, options={"appendix": 0}),
    Case("reserved bits of the appendix", 2038, options={"appendix": 1 | 1 << 20}),
    Case("trigger order at the gateway", 2097, options={"appendix": Appendix(trigger=Trigger.PRICE).value}),
    Case("unknown builder", 2118, options={"appendix": Appendix(builder_id=7, builder_fee_rate=1).value}),
    Case("builder rate without a builder", 2118, options={"appendix": 1 | 1 << 38}),
    Case("post-only that crosses", 2008, price="3001", options={"kind": OrderType.POST_ONLY}),
    Case("more than the health allows", 2006, amount="25000"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.name}")
def test_an_order_that_breaks_a_rule_is_refused_with_its_code(case: Case) -> None:
    """Each admission rule of protocol.md 3.10 answers with its own code and changes nothing."""
    rig = Rig()
    trader = Trader(rig)

    answer = trader.place(case.price, case.amount, **(case.options or {}))

    assert ("failure", case.code) == (answer["status"], answer["error_code"])
    assert {} == rig.exchange.engine.orders


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"expiration": T0 // SECOND + 1},
        {"nonce": NOW_MS << 20},
        {"nonce": (NOW_MS + 100_000) << 20},
        {"amount": "0.034"},
        {"price": "600", "amount": "1"},
        {"kind": OrderType.POST_ONLY},
        {"appendix": Appendix(builder_id=4500, builder_fee_rate=10).value},
        {"spot_leverage": True},
    ],
    ids=str,
)
def test_an_order_at_the_edge_of_a_rule_is_accepted(options: dict[str, Any]) -> None:
    """The limits themselves are allowed."""
    trader = Trader(Rig())
    order = {"price": "2990", "amount": "0.1"} | options

    answer = trader.place(order.pop("price"), order.pop("amount"), **order)

    assert "success" == answer["status"]


def test_the_oracle_band_is_a_switch() -> None:
    """With the narrow band an order 30 % away is refused."""
    trader = Trader(Rig(switches=Switches(oracle_band_percent=(80, 120))))

    assert 2007 == trader.place("2100", "0.1")["error_code"]
    assert "success" == trader.place("2400", "0.1")["status"]


def test_the_same_order_twice_is_refused() -> None:
    """A digest is accepted once, also when its order is gone (2013)."""
    rig = Rig()
    trader = Trader(rig)
    order = trader.sign("2990", "0.1")
    assert "success" == rig.ask(V2, order.frame)["status"]

    again = rig.ask(V2, order.frame)
    trader.cancel(order.digest)
    after = rig.ask(V2, order.frame)

    assert [2013, 2013] == [again["error_code"], after["error_code"]]


def test_a_digest_is_forgotten_when_its_receive_time_has_passed() -> None:
    """The receive window takes over from the memory of digests, which stays small."""
    rig = Rig()
    trader = Trader(rig)
    order = trader.sign("2990", "0.1")
    rig.ask(V2, order.frame)
    rig.advance(100 * SECOND)

    assert 2011 == rig.ask(V2, order.frame)["error_code"]
    trader.place("2990", "0.1")


def test_a_refused_order_may_be_sent_again() -> None:
    """Only what was accepted counts as a duplicate."""
    rig = Rig()
    trader = Trader(rig)
    order = trader.sign("2990", "0.1")
    market = rig.exchange.engine.markets[ETH]
    market.status = TradingStatus.NOT_TRADABLE

    refused = rig.ask(V2, order.frame)
    market.status = TradingStatus.LIVE
    accepted = rig.ask(V2, order.frame)

    assert 2069 == refused["error_code"]
    assert "success" == accepted["status"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s: s[:-2], 2027),
        (lambda s: "", 2027),
        (lambda s: s[:-2] + "05", 2034),
        (lambda s: "0x" + "ff" * 64 + "1b", 2035),
        (lambda s: s[:-2] + ("1b" if s.endswith("1c") else "1c"), 2028),
    ],
    ids=["too short", "empty", "v of 5", "unrecoverable", "another signer"],
)
def test_a_bad_signature_is_refused(change: Callable[[str], str], code: int) -> None:
    """What is wrong with a signature decides the code."""
    rig = Rig()
    order = Trader(rig).sign("2990", "0.1")

    answer = rig.ask(V2, order.frame.decode().replace(order.signature, change(order.signature)))

    assert code == answer["error_code"]
    assert change(order.signature) == answer["signature"]


def test_a_signature_without_0x_is_accepted() -> None:
    """Clients with hexbytes 1.x send it so."""
    rig = Rig()
    order = Trader(rig).sign("2990", "0.1")

    answer = rig.ask(V2, order.frame.decode().replace(order.signature, order.signature[2:]))

    assert "success" == answer["status"]


def test_a_signature_for_another_chain_or_product_is_refused() -> None:
    """The domain binds an order to its chain and its product (2028)."""
    rig = Rig()
    trader = Trader(rig)
    foreign = sign_order(
        trader.signer, MAINNET.domain, ETH, trader.sub, to_x18(2990), to_x18("0.1"), NEVER, trader.nonce(), 1
    )
    moved = trader.sign("2990", "0.1").frame.decode().replace('"product_id":4', '"product_id":2')

    assert 2028 == rig.ask(V2, foreign.frame)["error_code"]
    assert 2028 == rig.ask(V2, moved)["error_code"]


def test_numbers_beyond_the_signed_types_are_refused() -> None:
    """A price that does not fit int128 is no valid message (2038)."""
    rig = Rig()
    frame = Trader(rig).sign("2990", "0.1").frame.decode()

    answer = rig.ask(V2, frame.replace(str(to_x18(2990)), str(2**127)))

    assert 2038 == answer["error_code"]


def test_a_sender_that_is_no_subaccount_is_refused() -> None:
    """A sender of the wrong length is no valid message (2038), the zero address no signer (2029)."""
    rig = Rig()
    trader = Trader(rig)
    frame = trader.sign("2990", "0.1").frame.decode()

    short = rig.ask(V2, frame.replace(trader.sub.hex, trader.sub.hex[:-2]))
    zero = rig.ask(V2, frame.replace(trader.sub.hex, "0x" + "00" * 32))

    assert [2038, 2029] == [short["error_code"], zero["error_code"]]


class TestReduceOnly:
    """Reduce-only orders take from a position and never turn it."""

    def _long(self) -> Trader:
        trader = Trader(Rig())
        trader.place("3010", "0.5")
        return trader

    @pytest.mark.parametrize(
        ("amount", "code"), [("-0.2", None), ("-0.5", None), ("-0.501", 2064), ("0.1", 2064)]
    )
    def test_amounts(self, amount: str, code: int | None) -> None:
        """Up to the whole position may be sold, and nothing bought."""
        trader = self._long()

        answer = trader.place("2990" if amount[0] == "-" else "3010", amount, appendix=2561)

        assert code == answer.get("error_code")


class TestLimits:
    """Limits on how much may be open."""

    def test_open_orders(self) -> None:
        """500 orders of a subaccount may rest in a product; the next is refused, one elsewhere is not."""
        rig = Rig()
        trader = Trader(rig)
        for index in range(MAX_OPEN_ORDERS):
            assert "success" == trader.place("2990", "0.1", id=index)["status"]

        assert 2005 == trader.place("2990", "0.1")["error_code"]
        assert "success" == trader.place("3010", "0.1", kind=OrderType.IOC)["status"]
        assert "success" == trader.place("94000", "0.01", product_id=BTC)["status"]

    def test_open_interest(self) -> None:
        """What would lift the open interest over its cap is refused; what lowers it is not."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("3010", "0.5")
        ledger = rig.exchange.engine.ledger
        ledger.open_interest[ETH] = (PRODUCTS[ETH].max_open_interest or 0) * ONE_X18 // (3000 * ONE_X18)

        assert 2070 == trader.place("3010", "0.1")["error_code"]
        assert "success" == trader.place("2990", "-0.1")["status"]


class TestSpot:
    """Spot products and borrowing."""

    def test_selling_without_the_token(self) -> None:
        """With leverage, the default, one may sell what one borrows; without it one may not (2017)."""
        trader = Trader(Rig())

        borrowed = trader.place("94990", "-0.002", product_id=KBTC)
        refused = trader.place("94990", "-0.002", product_id=KBTC, spot_leverage=False)

        assert "success" == borrowed["status"]
        assert 2017 == refused["error_code"]

    def test_buying_and_selling_without_leverage(self) -> None:
        """Without leverage one may buy for what one has and sell what one bought."""
        trader = Trader(Rig())

        bought = trader.place("95010", "0.002", product_id=KBTC, spot_leverage=False)
        sold = trader.place("94990", "-0.002", product_id=KBTC, spot_leverage=False)
        too_dear = trader.place("94000", "11", product_id=KBTC, spot_leverage=False)

        assert ["success", "success"] == [bought["status"], sold["status"]]
        assert 2017 == too_dear["error_code"]


class TestHealth:
    """Initial health bounds what may be opened, not what may be closed."""

    def test_a_reducing_order_passes_with_no_health_left(self) -> None:
        """An order that improves health is accepted however bad health is."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("3100", "10")
        account = rig.exchange.engine.ledger.accounts[trader.sub.hex]
        rig.exchange.engine.ledger.deposit(account, 0, -999_900 * ONE_X18)

        opening = trader.place("3010", "1")
        closing = trader.place("2990", "-1")

        assert 2006 == opening["error_code"]
        assert "success" == closing["status"]

    @pytest.mark.parametrize(("price", "amount"), [("14000", "0.1"), ("700", "-0.2")])
    def test_a_generous_limit_is_judged_by_where_the_market_is(self, price: str, amount: str) -> None:
        """A market order with a far limit is not refused for a price it will not get."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("2990", "0.1")
        account = rig.exchange.engine.ledger.accounts[trader.sub.hex]
        rig.exchange.engine.ledger.deposit(account, 0, -999_900 * ONE_X18)

        assert "success" == trader.place(price, amount)["status"]

    def test_an_empty_book_is_judged_by_the_limit(self) -> None:
        """Where nobody quotes, the limit is what counts."""
        rig = Rig()
        trader = Trader(rig)
        book = rig.exchange.engine.markets[ETH].book
        rig.exchange.engine.after_user = None
        for side in (book.bids, book.asks):
            for order in [order for level in side.levels.values() for order in level]:
                book.remove(order)

        assert "success" == trader.place("3100", "1")["status"]
        assert "success" == trader.place("3200", "-1")["status"]


class TestLinkedSigner:
    """Another key may sign for a subaccount once it is linked."""

    def test_an_order_of_a_stranger_is_refused(self) -> None:
        """Without a link only the wallet's own key is accepted."""
        trader = Trader(Rig())

        assert 2028 == trader.place("2990", "0.1", signer=Signer(b"\x09" * 32))["error_code"]
