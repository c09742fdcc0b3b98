"""Tests of nadows.venue.ledger, nadows.venue.funding and nadows.venue.expiry: money, payments, time."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from nadows.signing import OrderType
from nadows.units import ONE_X18, to_x18
from nadows.venue.expiry import Expiry
from nadows.venue.ledger import Ledger
from nadows.venue.orders import LiveOrder
from nadows.venue.products import PRODUCTS
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, KBTC, SECOND, T0, Rig, Trader

ETH_PERP, SPOT = PRODUCTS[ETH], PRODUCTS[KBTC]
HOUR = 3600 * SECOND


def _ledger() -> Ledger:
    return Ledger({product_id: product.start_price for product_id, product in PRODUCTS.items()})


class TestConservation:
    """Nothing is made and nothing is lost."""

    @pytest.mark.parametrize("seed", range(3))
    def test_random_trading_conserves_money(self, seed: int) -> None:
        """Orders, cancels, batches and funding over all products leave every sum at zero."""
        rig = Rig()
        rng = Random(seed)
        traders = [Trader(rig, key=key) for key in (1, 2, 3)]
        kinds = list(OrderType)
        for step in range(400):
            trader = rng.choice(traders)
            product = PRODUCTS[rng.choice([1, 2, 3, 4, 5, 8])]
            tick, start = product.price_increment, product.start_price
            price = start + rng.randint(-12, 12) * tick
            steps = -(-110 * ONE_X18 * ONE_X18 // (price * product.size_increment)) + rng.randint(0, 50)
            amount = steps * product.size_increment * rng.choice((1, -1))
            trader.place(_text(price), _text(amount), product_id=product.product_id, kind=rng.choice(kinds))
            if step % 50 == 0:
                rig.skip(HOUR)
            if step % 20 == 0:
                trader.cancel_products()

        assert {} == rig.exchange.engine.ledger.imbalance()
        assert rig.exchange.engine.submission_idx > 1_000_100

    def test_a_lost_unit_is_found(self) -> None:
        """The check itself sees a single unit that is missing, on perps and on spot."""
        ledger = _ledger()
        account = ledger.open("0x" + "11" * 32)
        ledger.deposit(account, 0, 10)
        ledger.book(account, ETH_PERP, 1, -3, 0)
        account.spots[0] -= 1

        assert {
            "USDT0": -1,
            "ETH-PERP amount": 1,
            "ETH-PERP quote": -3,
        } == ledger.imbalance()


def _text(value: int) -> str:
    sign, value = ("-" if value < 0 else ""), abs(value)
    return f"{sign}{value // ONE_X18}.{value % ONE_X18:018d}"


@pytest.mark.parametrize(
    ("fills", "position", "entry", "closed", "pnl"),
    [
        ([(10, -100)], 10, 100, 0, 0),
        ([(10, -100), (10, -120)], 20, 220, 0, 0),
        ([(10, -100), (-4, 60)], 6, 60, 4, 20),
        ([(10, -100), (-10, 90)], 0, 0, 10, -10),
        ([(10, -100), (-15, 180)], -5, -60, 10, 20),
        ([(-10, 100), (10, -80)], 0, 0, 10, 20),
    ],
)
def test_positions_close_at_their_entry_cost(
    fills: list[tuple[int, int]], position: int, entry: int, closed: int, pnl: int
) -> None:
    """Opening adds to the entry cost, closing takes its part away and realizes the difference."""
    ledger = _ledger()
    account = ledger.open("0x" + "11" * 32)

    bookings = [ledger.book(account, ETH_PERP, base, quote, 0) for base, quote in fills]

    held = account.perps[ETH]
    assert (position, entry) == (held.amount, held.entry)
    assert (closed, pnl) == (bookings[-1].closed_amount, bookings[-1].realized_pnl)
    assert sum(quote for _, quote in fills) == held.v_quote


class TestHealth:
    """Weighted value."""

    def test_shorts_weigh_as_much_above_one_as_longs_below(self) -> None:
        """A long counts 0.98 of its price and a short 1.02, at maintenance 0.99 and 1.01."""
        ledger = _ledger()
        long, short = ledger.open("0x" + "11" * 32), ledger.open("0x" + "22" * 32)
        ledger.book(long, ETH_PERP, ONE_X18, -3000 * ONE_X18, 0)
        ledger.book(short, ETH_PERP, -ONE_X18, 3000 * ONE_X18, 0)

        for account in (long, short):
            assert -60 * ONE_X18 == ledger.health(account)
            assert -30 * ONE_X18 == ledger.health(account, maintenance=True)

    def test_a_supposed_trade_is_the_same_as_a_real_one(self) -> None:
        """Health after a trade can be asked for before it."""
        ledger = _ledger()
        account = ledger.open("0x" + "11" * 32)
        ledger.deposit(account, 0, 10_000 * ONE_X18)
        ledger.book(account, ETH_PERP, ONE_X18, -3000 * ONE_X18, 0)
        for product, base, quote in ((ETH_PERP, -2, 6500), (SPOT, 1, -9000), (SPOT, -1, 80_000)):
            supposed = ledger.health(
                account, product_id=product.product_id, base=base * ONE_X18, quote=quote * ONE_X18
            )
            ledger.book(account, product, base * ONE_X18, quote * ONE_X18, 0)

            assert supposed == ledger.health(account)
            assert ledger.health(account) == ledger.healths(account)[0].health


class TestFunding:
    """Rates and payments."""

    def test_the_rate_comes_every_20_seconds(self) -> None:
        """Each perpetual's rate is told, to all or to those of one product."""
        rig = Rig()
        rig.subscribe("funding_rate")

        frames = rig.advance(40 * SECOND)

        assert [2, 4, 8] * 2 == [frame["product_id"] for frame in frames]
        assert {str(10**14)} == {frame["funding_rate_x18"] for frame in frames}
        assert {str(T0 // SECOND + after) for after in (20, 40)} == {frame["update_time"] for frame in frames}

    @pytest.mark.parametrize(("as_strings", "kind"), [(False, int), (True, str)])
    def test_longs_pay_shorts_every_hour(self, as_strings: bool, kind: type) -> None:
        """An hour's share of the rate moves from the long to the short; the event tells how much."""
        rig = Rig(switches=Switches(funding_as_strings=as_strings))
        long, short = Trader(rig, key=1), Trader(rig, key=2)
        short.place("3000", "-2", kind=OrderType.POST_ONLY)
        long.place("3000", "2")
        rig.subscribe("funding_payment", product_id=ETH)
        before = [trader.perp()[1] for trader in (long, short)]

        frames = rig.skip(HOUR)

        (payment,) = frames
        # 1 bp a day on 3000, a 24th of it, on two units.
        per_unit = 3000 * ONE_X18 // 10_000 // 24
        assert [-2 * per_unit, 2 * per_unit] == [
            trader.perp()[1] - held for trader, held in zip((long, short), before, strict=True)
        ]
        assert str(2 * per_unit) == payment["payment_amount"]
        assert str(2 * ONE_X18) == payment["open_interest"]
        assert str(per_unit) == payment["cumulative_funding_long_x18"]
        assert kind is type(payment["timestamp"]) is type(payment["dt"])
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_remainders_of_rounding_go_to_the_venue(self) -> None:
        """A payment that cannot be divided costs the payer the unit that nobody receives."""
        ledger = _ledger()
        accounts = [ledger.open(f"0x{number:064x}") for number in range(2)]
        for account, base in zip(accounts, (1, -1), strict=True):
            ledger.book(account, ETH_PERP, base, 0, 0)

        paid = ledger.pay_funding(ETH_PERP, ONE_X18 // 3)

        assert [(accounts[0], 1, 1), (accounts[1], -1, 0)] == paid
        assert [-1, 0, 1] == [
            accounts[0].perps[ETH].v_quote,
            accounts[1].perps[ETH].v_quote,
            ledger.fees[ETH],
        ]
        assert {} == ledger.imbalance()

    def test_a_premium_lifts_the_rate_up_to_the_cap(self) -> None:
        """The rate follows the mark price over the oracle price, at most two percent."""
        rig = Rig()
        engine = rig.exchange.engine

        rates = []
        for oracle in ("2990", "2000", "3010", "5000"):
            engine.oracle[ETH] = to_x18(oracle)
            rig.advance(20 * SECOND)
            rates.append(engine.markets[ETH].funding_rate)

        premium = 10 * ONE_X18 * ONE_X18 // (2990 * ONE_X18)
        assert [premium + 10**14, to_x18("0.02")] == rates[:2]
        assert rates[2] < 0
        assert -to_x18("0.02") == rates[3]


class TestExpiry:
    """The watch over expirations."""

    def _order(self, expiration: int, digest: str, **options: Any) -> LiveOrder:
        account = _ledger().open("0x" + "11" * 32)
        return LiveOrder(
            account, ETH_PERP, price=1, amount=1, digest=digest, expiration=expiration, **options
        )

    def test_orders_expire_in_their_second(self) -> None:
        """Due are those at or before a second, by expiration, then by arrival."""
        expiry = Expiry()
        late, first, second = self._order(9, "a"), self._order(5, "b"), self._order(5, "c")
        for order in (late, first, second):
            expiry.add(order)

        assert (5, []) == (expiry.next_s(), expiry.due(4))
        assert [first, second] == expiry.due(8)
        assert [late] == expiry.due(9)
        assert (None, []) == (expiry.next_s(), expiry.due(99))

    def test_a_discarded_order_is_forgotten(self) -> None:
        """What left the book does not expire, and leaves nothing behind."""
        expiry = Expiry()
        order = self._order(5, "a")
        expiry.add(order)

        expiry.discard(order)
        expiry.discard(order)
        expiry.discard(self._order(6, "b"))

        assert expiry.next_s() is None


def test_tests_speak_of_products_that_exist() -> None:
    """The ids of protocol.md section 8 with the increments that were seen live."""
    assert ["USDT0", "KBTC", "BTC-PERP", "wETH", "ETH-PERP", "USDC", "SOL-PERP", "NLP"] == [
        product.symbol for product in PRODUCTS.values()
    ]
    assert [0, 1, 2, 3, 4, 5, 8, 11] == list(PRODUCTS)
    for product_id in (1, 2):
        product = PRODUCTS[product_id]
        assert (ONE_X18, 5 * 10**13, 100 * ONE_X18) == (
            product.price_increment,
            product.size_increment,
            product.min_size,
        )
