"""Random operations on a venue, after which no unit of money may be missing.

`make conservation` does a million; the tests run a short piece.
Everything goes in as signed frames, as from clients, but for what no client can do: prices and funding.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from decimal import Decimal
from random import Random

from nadows.signing import Appendix, OrderType, Subaccount
from nadows.units import ONE_X18, to_x18
from nadows.venue.liquidation import FINALIZE
from nadows.venue.products import PRODUCTS
from nadows.venue.switches import Switches
from tests.venue.rig import BTC, ETH, KBTC, MS, Json, Rig, Trader

START = {ETH: "3000", BTC: "95000", KBTC: "95000"}
SIZES = {ETH: ("0.1", "0.001"), BTC: ("0.004", "0.00005"), KBTC: ("0.004", "0.00005")}
"""Least amount worth 100 USDT0 with room for a fall, and the size increment."""


class World:
    """A venue, some traders, and what they do at random."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.rig = Rig(archive_capacity=1000, switches=Switches(nlp_lock_s=1))
        self.ledger = self.rig.exchange.engine.ledger
        self.traders = [Trader(self.rig, key) for key in range(1, 7)]
        for number, trader in enumerate(self.traders):
            trader.place("2900", "0.1")
            # From rich to poor, so that orders are also refused and accounts are also liquidated.
            trader.set_quote(str(100 * 6**number))
        self.outcomes: Counter[str] = Counter()
        self._actions = {
            self._place: 60,
            self._cancel: 8,
            self._transfer: 6,
            self._withdraw: 4,
            self._pool: 6,
            self._liquidate: 6,
            self._move_price: 5,
            self._fund: 1,
            self._deposit: 2,
            self._wait: 4,
        }

    def step(self) -> None:
        """Do one thing."""
        self.rig.now_ns += MS
        (action,) = self.random.choices(list(self._actions), list(self._actions.values()))
        answer = action(self.random.choice(self.traders))
        name = action.__name__.removeprefix("_")
        self.outcomes[f"{name} {answer.get('error_code', 'ok') if answer else 'ok'}"] += 1

    def check(self) -> None:
        """Find every unit."""
        assert {} == self.ledger.imbalance()

    def _place(self, trader: Trader) -> Json:
        draw = self.random
        product_id = draw.choice([ETH, ETH, BTC, KBTC])
        least, step = map(Decimal, SIZES[product_id])
        amount = (least + step * draw.randrange(2000)) * draw.choice([1, -1])
        tick = Decimal(PRODUCTS[product_id].price_increment) / ONE_X18
        price = Decimal(START[product_id]) + tick * draw.randrange(-30, 30)
        kind = draw.choice([*[OrderType.DEFAULT] * 4, OrderType.IOC, OrderType.FOK, OrderType.POST_ONLY])
        isolated = product_id != KBTC and draw.random() < 0.2
        taker = kind in (OrderType.IOC, OrderType.FOK)
        appendix = Appendix(
            order_type=kind,
            isolated=isolated,
            margin_x6=draw.randrange(1000) * 10**6 if isolated else 0,
            reduce_only=taker and draw.random() < 0.5,
            builder_id=4500 if draw.random() < 0.1 else 0,
            builder_fee_rate=0,
        )
        return trader.place(price, amount, product_id=product_id, appendix=appendix.value)

    def _cancel(self, trader: Trader) -> Json:
        return trader.cancel_products()

    def _transfer(self, trader: Trader) -> Json:
        other = self.random.choice(self.traders).sub
        if self.random.random() < 0.3:
            isolated = list(trader.account.isolated.values())
            if isolated:
                other = Subaccount.parse(isolated[0].subaccount)
        return trader.transfer(other, str(self.random.randrange(1, 200)))

    def _withdraw(self, trader: Trader) -> Json:
        if self.random.random() < 0.3:
            return trader.withdraw(KBTC, self.random.randrange(1, 10**6))
        return trader.withdraw(0, self.random.randrange(1, 10**8))

    def _pool(self, trader: Trader) -> Json:
        amount = str(self.random.randrange(1, 100))
        return trader.mint(amount) if self.random.random() < 0.5 else trader.burn(amount)

    def _liquidate(self, trader: Trader) -> Json:
        accounts = [account for account in self.ledger.accounts.values() if not account.house]
        victim = min(accounts, key=lambda account: self.ledger.health(account, maintenance=True))
        product_id = self.random.choice([*victim.perps, KBTC, FINALIZE])
        held = victim.balance(PRODUCTS[product_id])[0] if product_id in PRODUCTS else 0
        amount = str(Decimal(held) / ONE_X18)
        return trader.liquidate(Subaccount.parse(victim.subaccount), product_id, amount)

    def _move_price(self, trader: Trader) -> None:
        product_id = self.random.choice(list(START))
        start = to_x18(START[product_id])
        self.rig.exchange.engine.oracle[product_id] = start * self.random.randrange(90, 111) // 100

    def _fund(self, trader: Trader) -> None:
        for market in self.rig.exchange.engine.markets.values():
            market.funding_rate = self.random.randrange(-(10**16), 10**16)
        self.rig.exchange.pay_funding()

    def _deposit(self, trader: Trader) -> None:
        self.ledger.deposit(trader.account, 0, self.random.randrange(2000 * ONE_X18))

    def _wait(self, trader: Trader) -> None:
        self.rig.advance(300 * MS)


def main() -> int:
    """Do so many operations, and look every hundred; raises when money is missing."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    world = World(chosen.seed)
    for number in range(chosen.operations):
        world.step()
        if number % 100 == 0:
            world.check()
    world.check()
    for outcome, count in sorted(world.outcomes.items()):
        sys.stdout.write(f"{count:9} {outcome}\n")
    sys.stdout.write(f"{chosen.operations} operations, seed {chosen.seed}: every unit is where it belongs\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
