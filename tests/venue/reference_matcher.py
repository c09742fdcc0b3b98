"""A deliberately simple matcher, and random operations that it and the venue's must agree on.

`make matching` does a million operations; the tests run a short piece.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from random import Random

from nadows.signing import OrderType
from nadows.units import ONE_X18
from nadows.venue.archive import Archive, Match
from nadows.venue.engine import Engine
from nadows.venue.feed import Feed
from nadows.venue.ledger import Account
from nadows.venue.orders import LiveOrder
from nadows.venue.products import PRODUCTS
from nadows.venue.refusal import Refusal
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, MS, T0

Trade = tuple[str, str, int, int]
"""Taker, maker, price, quantity."""

OWNERS = 4
LEVELS = 12
"""Prices that orders may have: few, so that they meet."""
MOST_OPEN = 40


@dataclass
class Resting:
    """An order as the reference keeps it."""

    digest: str
    owner: int
    is_bid: bool
    price: int
    leaves: int


class Reference:
    """One list in the order of arrival; everything is found by looking through all of it."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []

    def place(self, order: Resting, kind: OrderType) -> tuple[int, list[Trade]]:
        """Return the code of the refusal (0 for none) and the trades."""
        facing = self._facing(order)
        if kind is OrderType.POST_ONLY and facing:
            return 2008, []
        others = [each for each in facing if each.owner != order.owner]
        if kind is OrderType.FOK and sum(each.leaves for each in others) < order.leaves:
            return 2031, []
        trades = []
        for maker in facing:
            if not order.leaves:
                break
            if maker.owner == order.owner:
                self.orders.remove(maker)
                continue
            qty = min(maker.leaves, order.leaves)
            trades.append((order.digest, maker.digest, maker.price, qty))
            maker.leaves -= qty
            order.leaves -= qty
            if not maker.leaves:
                self.orders.remove(maker)
        if order.leaves and kind in (OrderType.DEFAULT, OrderType.POST_ONLY):
            self.orders.append(order)
        return (2056 if kind is OrderType.IOC and not trades else 0), trades

    def cancel(self, digest: str) -> None:
        """Take an order out."""
        self.orders = [each for each in self.orders if each.digest != digest]

    def side(self, is_bid: bool) -> list[tuple[int, str, int]]:
        """Return (price, digest, quantity) of one side, best first, oldest first within a price."""
        # Sorting keeps the order of arrival among equals.
        mine = sorted(
            (each for each in self.orders if each.is_bid is is_bid),
            key=lambda each: -each.price if is_bid else each.price,
        )
        return [(each.price, each.digest, each.leaves) for each in mine]

    def _facing(self, order: Resting) -> list[Resting]:
        found = [
            each
            for each in self.orders
            if each.is_bid is not order.is_bid
            and (each.price <= order.price if order.is_bid else each.price >= order.price)
        ]
        return sorted(found, key=lambda each: each.price if order.is_bid else -each.price)


class _Trades(Archive):
    """Keeps the trades of the last operation only."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[Trade] = []

    def record(self, match: Match) -> None:
        qty = abs(match.taker.booking.base)
        self.last.append((match.taker.order.digest, match.maker.order.digest, match.maker.order.price, qty))


class Pair:
    """The venue's engine and the reference, given the same operations."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.trades = _Trades()
        self.engine = Engine(Feed(), self.trades, Switches(), T0)
        self.reference = Reference()
        self.accounts: list[Account] = [
            self.engine.ledger.open(f"0x{number:064x}", house=True) for number in range(OWNERS)
        ]
        self.open: dict[str, LiveOrder] = {}
        self.traded = 0
        self._now_ns = T0

    def step(self) -> None:
        """Do one random operation on both, and compare trades and books."""
        self._now_ns += MS
        if self.open and (len(self.open) > MOST_OPEN or self.random.random() < 0.3):
            self._cancel(self.random.choice(list(self.open)))
        else:
            self._place()
        self._compare_books()

    def _place(self) -> None:
        draw = self.random
        kind = draw.choice([*[OrderType.DEFAULT] * 5, OrderType.IOC, OrderType.FOK, OrderType.POST_ONLY])
        owner, is_bid = draw.randrange(OWNERS), draw.random() < 0.5
        price, qty = (3000 + draw.randrange(LEVELS)) * ONE_X18, draw.randrange(1, 20) * ONE_X18
        amount = qty if is_bid else -qty
        order = self.engine.house_order(self.accounts[owner], PRODUCTS[ETH], price, amount, kind)
        self.trades.last = []
        expected = self.reference.place(Resting(order.digest, owner, is_bid, price, qty), kind)
        code = 0
        try:
            self.engine.place(order, self._now_ns)
        except Refusal as refusal:
            code = refusal.code
        assert expected == (code, self.trades.last)
        self.traded += len(self.trades.last)
        self.open[order.digest] = order
        self.open = {digest: each for digest, each in self.open.items() if each.level is not None}

    def _cancel(self, digest: str) -> None:
        self.reference.cancel(digest)
        self.engine.cancel(self.open.pop(digest), self._now_ns)

    def _compare_books(self) -> None:
        book = self.engine.markets[ETH].book
        for is_bid in (True, False):
            side = book.side(is_bid)
            rows = [
                (price, order.digest, order.leaves) for price in side.prices() for order in side.levels[price]
            ]
            expected = self.reference.side(is_bid)
            assert expected == rows
            totals: dict[int, int] = {}
            for price, _, leaves in expected:
                totals[price] = totals.get(price, 0) + leaves
            assert list(totals.items()) == side.depth()


def main() -> int:
    """Compare so many operations; raises at the first difference."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    pair = Pair(chosen.seed)
    for _ in range(chosen.operations):
        pair.step()
    done = f"{chosen.operations} operations, {pair.traded} trades, seed {chosen.seed}"
    sys.stdout.write(f"{done}: every trade and book equal\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
