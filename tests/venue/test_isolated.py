"""Tests of isolated positions: margin that comes with an order and goes back with the position."""

from __future__ import annotations

import json

import pytest

from nadows.messages import IsolatedPositions
from nadows.messages.wire import decode
from nadows.signing import Appendix, OrderType, Subaccount
from nadows.units import ONE_X18, to_x18
from tests.venue.rig import BTC, ETH, MS, Json, Rig, Trader

MILLION = 1_000_000 * ONE_X18


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def appendix(margin: int = 250, kind: OrderType = OrderType.DEFAULT, *, reduce_only: bool = False) -> int:
    return Appendix(isolated=True, margin_x6=margin * 10**6, order_type=kind, reduce_only=reduce_only).value


def positions(rig: Rig, trader: Trader) -> list[Json]:
    rows: list[Json] = rig.query("isolated_positions", subaccount=trader.sub.hex)["data"][
        "isolated_positions"
    ]
    return rows


def child_of(rig: Rig, trader: Trader) -> Subaccount:
    (position,) = positions(rig, trader)
    return Subaccount.parse(position["subaccount"])


class TestLife:
    """From the first order to the last."""

    def test_a_resting_order_holds_its_margin(self, rig: Rig, trader: Trader) -> None:
        """The margin leaves the cross account with the order and comes back with its cancel."""
        digest = trader.place("2990", "0.1", appendix=appendix())["data"]["digest"]

        assert MILLION - 250 * ONE_X18 == trader.account.spots[0]
        (position,) = positions(rig, trader)
        assert str(250 * ONE_X18) == position["quote_balance"]["balance"]["amount"]
        assert position["subaccount"].endswith("0004" + "00" + b"iso".hex())
        assert trader.sub.hex[:54] == position["subaccount"][:54]

        trader.cancel(digest)

        assert MILLION == trader.account.spots[0]
        assert [] == positions(rig, trader)
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_open_and_close(self, rig: Rig, trader: Trader) -> None:
        """The position is not the cross account's; closed, all its money goes there."""
        trader.place("3010", "0.1", appendix=appendix())
        (position,) = positions(rig, trader)
        assert str(to_x18("0.1")) == position["base_balance"]["balance"]["amount"]
        assert {} == trader.account.perps

        answer = trader.place("2990", "-0.1", appendix=appendix(0, OrderType.IOC, reduce_only=True))

        assert "success" == answer["status"]
        assert [] == positions(rig, trader)
        assert MILLION - to_x18("1") < trader.account.spots[0] < MILLION
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_the_isolated_subaccount_closes_itself(self, rig: Rig, trader: Trader) -> None:
        """It may send reduce-only orders of its product, and nothing else."""
        trader.place("3010", "0.1", appendix=appendix())
        own = Trader(rig)
        own.sub = child_of(rig, trader)
        closing = {"appendix": Appendix(order_type=OrderType.IOC, reduce_only=True).value}

        assert 2088 == own.place("2990", "-0.1")["error_code"]
        assert 2081 == own.place("2990", "-0.1", appendix=appendix())["error_code"]
        assert 2082 == own.place("94000", "-0.01", product_id=BTC, **closing)["error_code"]
        assert "success" == own.place("2990", "-0.1", **closing)["status"]
        assert [] == positions(rig, trader)
        assert 2024 == own.place("2990", "-0.1", **closing)["error_code"]

    @pytest.mark.parametrize("kind", [OrderType.IOC, OrderType.FOK, OrderType.POST_ONLY])
    def test_a_refused_order_leaves_nothing_behind(self, rig: Rig, trader: Trader, kind: OrderType) -> None:
        """The margin is back at once."""
        price = "3010" if kind is OrderType.POST_ONLY else "2950"

        assert trader.place(price, "0.1", appendix=appendix(kind=kind))["error_code"] in (2008, 2031, 2056)
        assert (MILLION, []) == (trader.account.spots[0], positions(rig, trader))

    def test_margin_moves_between_the_two(self, rig: Rig, trader: Trader) -> None:
        """Transfers add margin and take it back; nobody else gets any, and none is withdrawn."""
        trader.place("3010", "0.1", appendix=appendix())
        child = child_of(rig, trader)
        own = Trader(rig)
        own.sub = child

        assert "success" == trader.transfer(child, "50")["status"]
        assert str(300 * ONE_X18) == positions(rig, trader)[0]["quote_balance"]["balance"]["amount"]
        assert "success" == own.transfer(trader.sub, "50")["status"]
        assert 2050 == own.transfer(Subaccount.of(trader.signer.address, "b"), "5")["error_code"]
        assert 2050 == Trader(rig, 2).transfer(child, "5")["error_code"]
        assert 2050 == own.withdraw(0, 1)["error_code"]
        missing = Subaccount.parse(child.hex[:54] + "0002" + child.hex[58:])
        assert 2024 == trader.transfer(missing, "5")["error_code"]


class TestRules:
    """What isolated orders are refused for."""

    def test_margin_must_carry_the_position(self, trader: Trader) -> None:
        """Health is that of the isolated subaccount: 2 % of the notional here."""
        assert 2006 == trader.place("3010", "1", appendix=appendix(50))["error_code"]
        assert "success" == trader.place("3010", "1", appendix=appendix(70))["status"]

    def test_the_cross_account_must_carry_the_margin(self, trader: Trader) -> None:
        """Its initial health must not fall below zero for it."""
        assert 2006 == trader.place("3010", "1", appendix=appendix(1_000_001))["error_code"]

    def test_borrowing_margin(self, rig: Rig, trader: Trader) -> None:
        """With borrow_margin false the USDT0 must be there, whatever else could back it."""
        trader.place("95100", "5", product_id=1)
        trader.set_quote("100")

        assert 2017 == trader.place("3010", "1", appendix=appendix(), borrow_margin=False)["error_code"]
        assert "success" == trader.place("3010", "1", appendix=appendix())["status"]

    def test_similar_names_collide(self, rig: Rig) -> None:
        """The name keeps six bytes of the parent's."""
        first, second = Trader(rig, name="default"), Trader(rig, name="default2")
        first.place("2990", "0.1", appendix=appendix())

        assert 2087 == second.place("2990", "0.1", appendix=appendix())["error_code"]

    def test_isolated_only_markets(self, rig: Rig, trader: Trader) -> None:
        """They refuse cross orders, and say so in `symbols`."""
        rig.exchange.engine.markets[ETH].isolated_only = True

        assert 2122 == trader.place("2990", "0.1")["error_code"]
        assert "success" == trader.place("2990", "0.1", appendix=appendix())["status"]
        assert rig.query("symbols")["data"]["symbols"]["ETH-PERP"]["isolated_only"] is True

    def test_nobody_opens_one_by_its_name(self, rig: Rig) -> None:
        """Signing for such a name, or asking for it, funds nothing."""
        name = "0x" + Trader(rig).signer.address[2:].lower() + "64656661756c00040069736f"
        own = Trader(rig)
        own.sub = Subaccount.parse(name)

        assert 2024 == own.place("2990", "0.1")["error_code"]
        assert rig.query("subaccount_info", subaccount=name)["data"]["exists"] is False


class TestShown:
    """How streams, queries and archive tell of it."""

    def test_events_are_the_parents(self) -> None:
        """Orders and fills are the sender's; balances are marked as isolated."""
        told: list[bytes] = []
        rig = Rig(journal=told.append)
        trader = Trader(rig)
        trader.place("3010", "0.1", appendix=appendix())

        events = [event for event in map(json.loads, told) if event.get("subaccount") == trader.sub.hex]
        changes = [
            (event["isolated"], event["product_id"], event["reason"])
            for event in events
            if event["type"] == "position_change"
        ]
        assert [
            (False, 0, "deposit_collateral"),
            (False, 0, "transfer_quote"),
            (True, 0, "transfer_quote"),
            (True, ETH, "match_orders"),
        ] == changes
        assert ["fill"] == [event["type"] for event in events if event["type"] != "position_change"]

    def test_the_archive_tells_them_apart(self, rig: Rig, trader: Trader) -> None:
        """Filters and members of matches, orders and events."""
        trader.place("3010", "0.1", appendix=appendix())
        trader.place("3010", "0.2")
        who = {"subaccounts": [trader.sub.hex]}

        (match,) = rig.archive("matches", isolated=True, **who)["matches"]
        (order,) = rig.archive("orders", isolated=True, **who)["orders"]
        event = rig.archive("events", isolated=True, **who)["events"][0]

        assert (True, str(250 * ONE_X18)) == (match["isolated"], match["margin"])
        assert order["isolated"] is True
        assert (True, ETH) == (event["isolated"], event["isolated_product_id"])
        assert 1 == len(rig.archive("matches", isolated=False, **who)["matches"])

    def test_the_client_reads_it(self, rig: Rig, trader: Trader) -> None:
        """The shape is that of the client's type; health is the isolated one."""
        trader.place("3010", "0.1", appendix=appendix())
        rows = positions(rig, trader)

        read = decode(json.dumps({"isolated_positions": rows}), IsolatedPositions)

        (position,) = read.isolated_positions
        assert 0 < position.healths[0].health < 250 * ONE_X18
        assert position.base_balance.balance.v_quote_balance < 0

    def test_how_much_fits(self, rig: Rig, trader: Trader) -> None:
        """`max_order_size` of an isolated order looks at the isolated margin."""
        trader.place("3010", "0.1", appendix=appendix())
        ask = {"sender": trader.sub.hex, "product_id": ETH, "price_x18": str(3000 * ONE_X18)}

        def size(**flags: str) -> int:
            answer = rig.query("max_order_size", direction="long", **ask, **flags)
            return int(answer["data"]["max_order_size"])

        assert to_x18("3") < size(isolated="true") < to_x18("5") < size()

    def test_the_subaccounts_are_listed(self, rig: Rig, trader: Trader) -> None:
        """With what they are."""
        trader.place("3010", "0.1", appendix=appendix())

        rows = rig.archive("subaccounts", address=trader.signer.address)["subaccounts"]

        assert [False, True] == [row["isolated"] for row in rows]
        assert rig.now_ns // 10**9 == int(rows[1]["created_at"]) == rig.now_ms * MS // 10**9


def test_reducing_more_than_there_is(rig: Rig, trader: Trader) -> None:
    """Reduce-only looks at the isolated position, not at the cross one."""
    trader.place("3010", "0.1", appendix=appendix())
    trader.place("3010", "5")

    order = appendix(0, OrderType.IOC, reduce_only=True)
    assert 2064 == trader.place("2990", "-0.2", appendix=order)["error_code"]
    assert BTC not in trader.account.perps
