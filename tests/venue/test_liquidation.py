"""Tests of nadows.venue.liquidation: who loses positions, to whom, at what price, and who pays the rest."""

from __future__ import annotations

import json

import pytest

from nadows.messages import Liquidation, decode_stream
from nadows.signing import Appendix, Subaccount
from nadows.units import ONE_X18, mul_x18, to_x18
from nadows.venue.ledger import INSURANCE
from nadows.venue.liquidation import FINALIZE
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, KBTC, SECOND, Json, Rig, Trader

DISCOUNT = to_x18("0.002")
"""A fifth of what the maintenance weight of ETH-PERP takes off."""


@pytest.fixture
def rig() -> Rig:
    return Rig(switches=Switches(liquidation_sweep_ms=0))


@pytest.fixture
def victim(rig: Rig) -> Trader:
    """Somebody with a long position of ten and too little behind it."""
    trader = Trader(rig, 1)
    trader.place("3010", "10")
    trader.set_quote("250")
    return trader


@pytest.fixture
def other(rig: Rig) -> Trader:
    """Somebody with money."""
    return Trader(rig, 2)


class TestPerps:
    """Taking over a position."""

    def test_price_and_insurance(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """The oracle price less the discount; half of the discount goes to the fund."""
        before = victim.perp()

        answer = other.liquidate(victim.sub, ETH, "4")

        assert ("success", "execute_liquidate_subaccount") == (answer["status"], answer["request_type"])
        price = 3000 * ONE_X18 - mul_x18(3000 * ONE_X18, DISCOUNT)
        assert (before[0] - to_x18("4"), before[1] + 4 * price) == victim.perp()
        assert (to_x18("4"), -4 * price) == other.perp()
        fee = 4 * (3000 * ONE_X18 - price) // 2
        assert [INSURANCE + fee, 1_000_000 * ONE_X18 - fee] == [
            rig.exchange.engine.ledger.insurance,
            other.account.spots[0],
        ]
        assert str(INSURANCE + fee) == rig.query("insurance")["data"]["insurance"]
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_it_is_told(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """On the stream of liquidations, as balances of both, and in the archive."""
        told: list[bytes] = []
        rig.exchange.engine.feed.journal = told.append
        other.liquidate(victim.sub, ETH, "10")

        events = [decode_stream(frame) for frame in told]
        (liquidation,) = [event for event in events if isinstance(event, Liquidation)]
        assert ((ETH,), victim.sub.hex, other.sub.hex, to_x18("10")) == (
            liquidation.product_ids,
            liquidation.liquidatee,
            liquidation.liquidator,
            liquidation.amount,
        )
        reasons = {json.loads(frame).get("reason") for frame in told}
        assert "liquidate_subaccount" in reasons
        kinds = [row["event_type"] for row in rig.archive("events", subaccounts=[victim.sub.hex])["events"]]
        assert "liquidate_subaccount" == kinds[0]

    def test_open_orders_go_first(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """They could still trade the balances."""
        trader = Trader(rig, 3)
        trader.place("2900", "1")
        trader.place("3010", "10")
        trader.set_quote("250")

        other.liquidate(trader.sub, ETH, "10")

        assert [] == rig.query("subaccount_orders", sender=trader.sub.hex, product_id=ETH)["data"]["orders"]

    @pytest.mark.parametrize(
        ("product_id", "amount", "code"),
        [
            (0, "1", 2045),
            (11, "1", 2045),
            (99, "1", 2045),
            (ETH, "0", 2047),
            (ETH, "-1", 2047),
            (ETH, "11", 2047),
            (ETH, "0.0001", 2046),
            (2, "1", 2047),
            (FINALIZE, "0", 2051),
        ],
    )
    def test_refused(self, victim: Trader, other: Trader, product_id: int, amount: str, code: int) -> None:
        """Wrong products, amounts and signs."""
        assert code == other.liquidate(victim.sub, product_id, amount)["error_code"]

    def test_the_healthy_are_left_alone(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """Above initial health 2044, between the two healths 2042, unknown 2042, oneself 2045."""
        stranger = Subaccount.parse("0x" + "77" * 32)
        assert 2042 == other.liquidate(stranger, ETH, "1")["error_code"]
        assert 2045 == victim.liquidate(victim.sub, ETH, "1")["error_code"]
        victim.set_quote("500")
        assert 2042 == other.liquidate(victim.sub, ETH, "1")["error_code"]
        victim.set_quote("5000")
        assert 2044 == other.liquidate(victim.sub, ETH, "1")["error_code"]

    def test_a_liquidator_must_carry_it(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """Its own initial health must not fall below zero."""
        other.place("2990", "0.1")
        other.set_quote("100")

        assert 2043 == other.liquidate(victim.sub, ETH, "10")["error_code"]

    def test_spreads_are_not_simulated(self, victim: Trader, other: Trader) -> None:
        """They say so."""
        assert 4001 == other.liquidate(victim.sub, ETH, "1", spread=True)["error_code"]


class TestSpot:
    """Tokens held and tokens owed."""

    def test_what_is_held(self, rig: Rig, other: Trader) -> None:
        """The token goes at a discount, the quote comes."""
        victim = Trader(rig, 1)
        victim.place("95100", "1", product_id=KBTC)
        victim.set_quote("-91000")

        assert "success" == other.liquidate(victim.sub, KBTC, "1")["status"]

        price = 95_000 * ONE_X18 * 99 // 100
        assert [0, price - 91_000 * ONE_X18] == [victim.account.spots[KBTC], victim.account.spots[0]]
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_what_is_owed_comes_last(self, rig: Rig, other: Trader) -> None:
        """Liabilities wait until perpetuals and assets are gone."""
        victim = Trader(rig, 1)
        victim.place("94900", "-1", product_id=KBTC)
        victim.place("3010", "1")
        victim.set_quote("98000")

        assert 2048 == other.liquidate(victim.sub, KBTC, "-1")["error_code"]
        assert "success" == other.liquidate(victim.sub, ETH, "1")["status"]
        assert "success" == other.liquidate(victim.sub, KBTC, "-1")["status"]
        assert {} == rig.exchange.engine.ledger.imbalance()


class TestFinalization:
    """The fund pays what is left of a debt."""

    def test_the_fund_pays(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """Afterwards the account has nothing and owes nothing."""
        victim.set_quote("-1000")
        other.liquidate(victim.sub, ETH, "10")
        before = rig.exchange.engine.ledger.insurance

        assert "success" == other.liquidate(victim.sub, FINALIZE, "0")["status"]

        account = victim.account
        assert (0, {}) == (account.spots[0], account.perps)
        assert rig.exchange.engine.ledger.insurance < before - 1000 * ONE_X18
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_the_fund_has_an_end(self, rig: Rig, victim: Trader, other: Trader) -> None:
        """What it cannot pay stays owed."""
        victim.set_quote("-1000000")
        other.liquidate(victim.sub, ETH, "10")
        other.liquidate(victim.sub, FINALIZE, "0")

        assert 0 == rig.exchange.engine.ledger.insurance
        assert victim.account.spots[0] < -400_000 * ONE_X18
        assert {} == rig.exchange.engine.ledger.imbalance()


class TestSweep:
    """The house liquidates by itself."""

    def test_everything_goes(self) -> None:
        """Perpetuals, tokens, debts, and the fund pays the rest, within a second."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("3010", "10")
        trader.place("94900", "-1", product_id=KBTC)
        trader.place("3005", "1", product_id=3)
        trader.place("2900", "1")
        trader.set_quote("5000")

        rig.advance(SECOND)

        account = trader.account
        assert {0: 0, 1: 0, 3: 0} == account.spots
        assert {} == account.perps
        assert not any(account.orders.values())
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_the_healthy_are_left_alone(self) -> None:
        """Nothing happens to anybody else."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("3010", "10")
        before = trader.perp()

        rig.advance(2 * SECOND)

        assert before == trader.perp()

    def test_isolated_margin_protects_the_rest(self) -> None:
        """A liquidated isolated position takes its margin with it and nothing else."""
        rig = Rig()
        trader = Trader(rig)
        trader.place("3010", "1", appendix=Appendix(isolated=True, margin_x6=70 * 10**6).value)
        rig.exchange.engine.oracle[ETH] = 2900 * ONE_X18

        rig.advance(SECOND)

        positions: list[Json] = rig.query("isolated_positions", subaccount=trader.sub.hex)["data"][
            "isolated_positions"
        ]
        assert [] == positions
        assert (1_000_000 - 70) * ONE_X18 == trader.account.spots[0]
        assert {} == rig.exchange.engine.ledger.imbalance()
