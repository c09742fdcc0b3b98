"""The house: seeded background trading that keeps the books alive, or quotes that stand still.

`Flow` draws arrivals from a Poisson process for each product. Each arrival is one of: a limit order at a
random distance from a hidden fair price, a cancel of a random house order, a market order, or a move of
the fair price. A move that leaves house quotes on the wrong side of it is at once traded against, as an
informed trader would; so trends arrive in the book as trades and not as teleporting quotes. The number
of resting orders is held near a target by making cancels likelier the more there are. Where users take
all that is near the fair price, the house quotes anew at once, as makers do.

Randomness comes from one generator for each product, and instants from the process itself rather than
from when somebody looked; so a run is the same however coarsely it is ticked. Floats appear only as
probabilities and times, never as prices or sizes.

`StandingQuotes` is the quiet alternative: a ladder that does not move. What a user takes from it is put
back in a transaction of its own, right after the user's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from nadows.signing import OrderType
from nadows.units import ONE_X18, round_down
from nadows.venue.engine import Engine
from nadows.venue.ledger import Account
from nadows.venue.market import Market, TradingStatus
from nadows.venue.orders import LiveOrder
from nadows.venue.products import Product

__all__ = ["HOUSE_MAKER", "HOUSE_TAKER", "Flow", "FlowPreset", "StandingQuotes"]

HOUSE_MAKER: Final = "0x" + "00" * 19 + "01" + b"maker".ljust(12, b"\0").hex()
HOUSE_TAKER: Final = "0x" + "00" * 19 + "02" + b"taker".ljust(12, b"\0").hex()
"""House accounts, two because orders of one account never meet. Nobody has a key for these addresses."""

_SHARES: Final = {1: 10, 2: 26, 3: 10, 4: 26, 5: 6, 8: 22}
"""How arrivals are spread over the products, in percent."""

_TARGET_ORDERS: Final = 700
"""Resting house orders a side; some 300 levels, as in the captured ETH data within 1 % of the price."""

_NEAR_TICKS: Final = 8
_FAR_TICKS: Final = 600
"""Mean distance of the orders that are meant to trade, and the furthest of the others."""

_REQUOTE_TICKS: Final = 12
"""A side that users have emptied to beyond this distance from the fair price is quoted anew at once."""

_REQUOTES: Final = 8
"""Orders of one requote at most; more would only be needed for a side that was swept whole."""

_FAIR_MOVE: Final = 0.02
_MARKET_ORDER: Final = 0.03
"""Share of arrivals that move the fair price, and that are market orders."""

_MEAN_REVERSION: Final = 0.02
"""Distance from the start price, as a part of it, at which the fair price always turns back."""


class FlowPreset(StrEnum):
    """How busy the house is."""

    OFF = "off"
    CALM = "calm"
    BUSY = "busy"
    STORM = "storm"

    @property
    def per_second(self) -> int:
        """Arrivals a second, over all products."""
        return _PER_SECOND[self]


_PER_SECOND: Final = {FlowPreset.OFF: 0, FlowPreset.CALM: 80, FlowPreset.BUSY: 600, FlowPreset.STORM: 4000}


def house_accounts(engine: Engine) -> tuple[Account, Account]:
    """Open the house's two accounts: the one that quotes and the one that takes."""
    return engine.ledger.open(HOUSE_MAKER, house=True), engine.ledger.open(HOUSE_TAKER, house=True)


def lot(product: Product, price: int) -> int:
    """Return the house's unit of size: about twice the smallest notional allowed, in whole steps."""
    steps = -(-2 * product.min_size * ONE_X18 // (price * product.size_increment))
    return steps * product.size_increment


@dataclass(slots=True)
class _Stream:
    """The process of one product."""

    market: Market
    rng: Random
    mean_ns: float
    due_ns: int
    fair: int
    """Fair price in ticks."""
    bids: list[LiveOrder]
    asks: list[LiveOrder]

    @property
    def product(self) -> Product:
        return self.market.product


class Flow:
    """Background trading on all products that are live."""

    def __init__(self, engine: Engine, preset: FlowPreset, rng: Random, now_ns: int) -> None:
        """Fill the books and schedule the first arrivals.

        Raises:
            ValueError: For `FlowPreset.OFF`, which is what `StandingQuotes` is for.
        """
        if preset is FlowPreset.OFF:
            raise ValueError("a flow needs a preset that flows; use StandingQuotes for none")
        self._engine = engine
        self._maker, self._taker = house_accounts(engine)
        self._streams: list[_Stream] = []
        self._by_product: dict[int, _Stream] = {}
        self._is_acting = True
        for product_id, market in engine.markets.items():
            own = Random(rng.getrandbits(64))
            if market.status is not TradingStatus.LIVE:
                continue
            mean_ns = 1e9 * 100 / (preset.per_second * _SHARES[product_id])
            fair = market.product.start_price // market.product.price_increment
            stream = _Stream(market, own, mean_ns, now_ns, fair, [], [])
            self._schedule(stream)
            self._streams.append(stream)
            for _ in range(_TARGET_ORDERS):
                self._add(stream, is_bid=True, now_ns=now_ns)
                self._add(stream, is_bid=False, now_ns=now_ns)
            market.forget_changes()
        self._by_product = {stream.product.product_id: stream for stream in self._streams}
        self._is_acting = False
        engine.after_user = self._after_user

    def next_deadline(self) -> int:
        """Return when the next arrival is due, ns."""
        return min(stream.due_ns for stream in self._streams)

    def step(self) -> None:
        """Let the next arrival happen, at its own instant."""
        stream = min(self._streams, key=_due)
        now_ns = stream.due_ns
        self._schedule(stream)
        self._is_acting = True
        self._arrive(stream, now_ns)
        self._is_acting = False

    def skip(self, now_ns: int) -> None:
        """Drop the arrivals due before *now_ns*: the process was stopped and does not make up for it."""
        for stream in self._streams:
            if stream.due_ns < now_ns:
                stream.due_ns = now_ns
                self._schedule(stream)

    def _schedule(self, stream: _Stream) -> None:
        stream.due_ns += 1 + int(-math.log(1.0 - stream.rng.random()) * stream.mean_ns)

    def _arrive(self, stream: _Stream, now_ns: int) -> None:
        draw = stream.rng.random()
        is_bid = stream.rng.random() < 0.5
        if draw < _FAIR_MOVE:
            self._move(stream, now_ns)
        elif draw < _FAIR_MOVE + _MARKET_ORDER:
            self._take(stream, is_bid, now_ns)
        else:
            resting = len(stream.bids if is_bid else stream.asks)
            if stream.rng.random() * (_TARGET_ORDERS + resting) < _TARGET_ORDERS:
                self._add(stream, is_bid, now_ns)
            else:
                self._cancel(stream, is_bid, now_ns)

    def _after_user(self, market: Market, now_ns: int) -> None:
        """Quote anew near the fair price where users have taken what was there.

        Arrivals alone come too rarely for that: a few hundred small market orders a second would pull the
        sides apart for as long as they last, while real makers come back within milliseconds.
        """
        if self._is_acting:
            return
        stream = self._by_product[market.product.product_id]
        tick = market.product.price_increment
        for is_bid in (True, False):
            for _ in range(_REQUOTES):
                best = market.book.side(is_bid).best
                if best is not None and abs(best.price // tick - stream.fair) <= _REQUOTE_TICKS:
                    break
                self._add(stream, is_bid, now_ns, near=True)

    def _add(self, stream: _Stream, is_bid: bool, now_ns: int, *, near: bool = False) -> None:
        rng, product = stream.rng, stream.product
        if near or rng.random() < 0.5:
            distance = int(-math.log(1.0 - rng.random()) * _NEAR_TICKS)
        else:
            distance = int(rng.random() * _FAR_TICKS)
        ticks = stream.fair - 1 - distance if is_bid else stream.fair + 1 + distance
        price = max(1, ticks) * product.price_increment
        # Orders further away are larger, as in the captured data.
        lots = 1 + int(-math.log(1.0 - rng.random()) * (3 + distance / 20))
        qty = lots * lot(product, price) + int(rng.random() * 10) * product.size_increment
        amount = qty if is_bid else -qty
        order = self._engine.house_order(self._maker, product, price, amount, OrderType.DEFAULT)
        self._engine.place(order, now_ns)
        if order.level is not None:
            (stream.bids if is_bid else stream.asks).append(order)

    def _cancel(self, stream: _Stream, is_bid: bool, now_ns: int) -> None:
        """Cancel a random resting order, dropping those met on the way that traded meanwhile."""
        orders = stream.bids if is_bid else stream.asks
        while orders:
            index = int(stream.rng.random() * len(orders))
            order = orders[index]
            orders[index] = orders[-1]
            orders.pop()
            if order.level is not None:
                self._engine.cancel(order, now_ns)
                return

    def _take(self, stream: _Stream, is_bid: bool, now_ns: int) -> None:
        best = stream.market.book.side(not is_bid).best
        if best is None:
            return
        lots = 1 + int(-math.log(1.0 - stream.rng.random()) * 2)
        reach = 20 * stream.product.price_increment
        price = best.price + reach if is_bid else max(stream.product.price_increment, best.price - reach)
        self._sweep(stream, is_bid, price, lots * lot(stream.product, best.price), now_ns)

    def _move(self, stream: _Stream, now_ns: int) -> None:
        product = stream.product
        start = product.start_price // product.price_increment
        pull = (start - stream.fair) / max(1.0, start * _MEAN_REVERSION)
        up = stream.rng.random() < 0.5 + pull / 2
        ticks = 1 + int(-math.log(1.0 - stream.rng.random()))
        stream.fair += ticks if up else -ticks
        fair = stream.fair * product.price_increment
        self._engine.oracle[product.product_id] = fair
        # Whoever knows the new price buys what is offered at or below it (or sells the other way).
        stale = stream.market.book.side(not up).depth(ticks + 2)
        qty = sum(offered for price, offered in stale if (price <= fair if up else price >= fair))
        if qty:
            self._sweep(stream, up, fair, qty, now_ns)

    def _sweep(self, stream: _Stream, is_bid: bool, price: int, qty: int, now_ns: int) -> None:
        amount = qty if is_bid else -qty
        order = self._engine.house_order(self._taker, stream.product, price, amount, OrderType.IOC)
        self._engine.place(order, now_ns)


def _due(stream: _Stream) -> int:
    return stream.due_ns


_LADDER_LEVELS: Final = 300
_HALF_SPREAD_TICKS: Final = 3


class StandingQuotes:
    """A ladder of house quotes around the start price that does not move by itself.

    300 levels a side, one tick apart, six ticks of spread; quantities grow with the distance. After a
    transaction that took from it, each level gets back what it lost, unless that would trade with a user's
    order; then it waits until that order is gone.
    """

    def __init__(self, engine: Engine, now_ns: int) -> None:
        self._engine = engine
        self._maker, _ = house_accounts(engine)
        self._targets: dict[int, dict[int, int]] = {}
        self._missing: dict[int, set[int]] = {}
        for product_id, market in engine.markets.items():
            if market.status is not TradingStatus.LIVE:
                continue
            self._targets[product_id] = _ladder(market.product)
            self._missing[product_id] = set(self._targets[product_id])
            self._restore(market, now_ns)
            market.forget_changes()
        engine.after_user = self._after_user

    def _after_user(self, market: Market, now_ns: int) -> None:
        targets = self._targets[market.product.product_id]
        book, missing = market.book, self._missing[market.product.product_id]
        missing.update(price for price in book.bids.changed if price in targets)
        missing.update(price for price in book.asks.changed if price in targets)
        if missing:
            self._restore(market, now_ns)

    def _restore(self, market: Market, now_ns: int) -> None:
        """Bring levels that may lack something back to their quantity, where no user stands in the way."""
        product = market.product
        targets, missing = self._targets[product.product_id], self._missing[product.product_id]
        for price in sorted(missing):
            target = targets[price]
            is_bid = target > 0
            if market.book.crosses(is_bid, price):
                continue
            missing.discard(price)
            level = market.book.side(is_bid).levels.get(price)
            resting = next((order for order in level or () if order.account is self._maker), None)
            lacking = abs(target) - (0 if resting is None else resting.leaves)
            if resting is not None and lacking:
                self._engine.refill(resting, lacking, now_ns)
            elif lacking:
                amount = lacking if is_bid else -lacking
                order = self._engine.house_order(self._maker, product, price, amount, OrderType.POST_ONLY)
                self._engine.place(order, now_ns)


def _ladder(product: Product) -> dict[int, int]:
    """Return what should rest at each price: positive bids, negative asks."""
    middle = round_down(product.start_price, product.price_increment)
    ladder: dict[int, int] = {}
    for index in range(_LADDER_LEVELS):
        distance = (_HALF_SPREAD_TICKS + index) * product.price_increment
        qty = (5 + index) * lot(product, middle)
        ladder[middle - distance] = qty
        ladder[middle + distance] = -qty
    return ladder
