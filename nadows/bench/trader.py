"""One connection of the load: a client, what it asks, and what of it rests in the book.

What a request does:

cross
    An immediate-or-cancel order of the smallest size, priced through the book so that it must fill. Buys and
    sells alternate, so the position never exceeds one of them.
rest
    A post-only order away from the market, on alternating sides. Unless the mix cancels orders itself,
    everything that rests is cancelled with one request after every fifty of them, so neither the book nor the
    venue's limit of 500 open orders ever fills up. The cancellation goes out right behind the fiftieth order
    and does not wait for its answer: on one connection the venue takes them in that order, so the bound holds
    however long it stalls. It is due when that order was, but counted apart (`FOLLOW_UP`).
cancel_and_place, cancel_orders
    Replace or cancel one of the orders that rest: the oldest, the newest, or one at random. A few are placed
    before the run, and a mix cancels as many as it rests, so there always is one.
query_*
    Ask the gateway.
connect
    Another client of another wallet, from nothing to authenticated and subscribed; then it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from nadows import messages
from nadows.bench.outcome import QUERIES, Kind
from nadows.bench.scenario import Which
from nadows.client import Client
from nadows.errors import UsageError
from nadows.messages import Query
from nadows.products import Product
from nadows.signing import Appendix, OrderType, SignedOrder
from nadows.units import round_down, round_up

__all__ = ["QUOTES", "Trader"]

MAX_RESTING: Final = 50
"""Resting orders between two cancellations."""
QUOTES: Final = 16
"""Orders that rest before the run, if its mix replaces or cancels orders."""

_CROSS_PERMILLE: Final = 50
"""How far beyond the best price a crossing order is priced: it is a market order with a safety limit."""
_REST_PERMILLE: Final = 20
"""How far from the market an order rests: the flow moves less in the time until it is cancelled."""
_REST_LEVELS: Final = 16
"""Resting orders are spread over so many price levels a side."""
_PRICE_MARGIN: Final = 5
"""The size is the smallest that is accepted also if the price falls by a fifth."""
_DEPTH: Final = 25
"""Levels a side that are asked for."""

_CROSS: Final = Appendix(order_type=OrderType.IOC)
_REST: Final = Appendix(order_type=OrderType.POST_ONLY)


class Trader:
    """One connection of the load.

    Args:
        client: Connected, with its private streams.
        product: What to trade; its book must be live.
        which: For each kind that replaces or cancels, which of the resting orders it takes.
        rng: Draws, where that is one at random.
        is_quoting: Whether orders are replaced or cancelled one by one, and not cleared every fifty.
        connect: Makes another connection, and ends it.
    """

    def __init__(
        self,
        client: Client,
        product: Product,
        *,
        which: dict[Kind, Which] | None = None,
        rng: Random | None = None,
        is_quoting: bool = False,
        connect: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.client = client
        self.product = product
        self._which = which or {}
        self._rng = rng or Random(0)
        self._is_quoting = is_quoting
        self._connect = connect
        self._book = client.desk.books[product.product_id]
        self._crosses = 0
        self._rests = 0
        self._resting: list[str] = []
        bid = self._book.best_bid
        if bid is None:
            raise UsageError(f"{product.symbol} has no bid; the load needs a market to trade in")
        self._size = product.min_size(bid.price - bid.price // _PRICE_MARGIN)
        self._buy_through = self._sell_through = self._bid_rest = self._ask_rest = 0
        self.book_moved()

    def book_moved(self) -> None:
        """Follow the market; a book that is not live, or one-sided, leaves the prices as they are."""
        if not self._book.is_live:
            return
        bid, ask = self._book.best_bid, self._book.best_ask
        if bid is None or ask is None:
            return
        tick = self.product.tick
        self._buy_through = round_up(ask.price + ask.price * _CROSS_PERMILLE // 1000, tick)
        self._sell_through = round_down(bid.price - bid.price * _CROSS_PERMILLE // 1000, tick)
        self._bid_rest = round_down(bid.price - bid.price * _REST_PERMILLE // 1000, tick)
        self._ask_rest = round_up(ask.price + ask.price * _REST_PERMILLE // 1000, tick)

    async def prepare(self) -> None:
        """Have some orders rest, if the mix needs them."""
        for _ in range(QUOTES if self._is_quoting else 0):
            order = self.next_order("rest")
            await self.client.place_order(order)
            self.advance("rest", order)

    # -- single orders, sent without waiting ---------------------------------------------------

    def next_order(self, kind: Kind) -> SignedOrder:
        """Sign the next order of a kind; the same again until `advance`."""
        if kind == "cross":
            is_buy = self._crosses % 2 == 0
            amount = self._size if is_buy else -self._size
            price = self._buy_through if is_buy else self._sell_through
            return self.client.sign(self.product.product_id, amount, price, _CROSS)
        number, is_sell = divmod(self._rests, 2)
        step = number % _REST_LEVELS * self.product.tick
        amount = -self._size if is_sell else self._size
        price = self._ask_rest + step if is_sell else self._bid_rest - step
        return self.client.sign(self.product.product_id, amount, price, _REST)

    def advance(self, kind: Kind, order: SignedOrder) -> None:
        """Go on to the order after, because this one was sent."""
        if kind == "cross":
            self._crosses += 1
        else:
            self._rests += 1
            if self._is_quoting:
                self._resting.append(order.digest)

    @property
    def is_full(self) -> bool:
        """Whether what rests is to be cancelled now: after every fifty orders."""
        return not self._is_quoting and self._rests > 0 and self._rests % MAX_RESTING == 0

    async def cancel_all(self) -> None:
        """Cancel everything that rests."""
        await self.client.cancel_product_orders(self.product.product_id)

    # -- everything else, awaited ---------------------------------------------------------------

    def begin(self, kind: Kind) -> Coroutine[Any, Any, object] | None:
        """Return the request to wait for, not sent yet; ``None`` if there is nothing to replace or cancel."""
        if kind in QUERIES:
            return self.client.query(self._query(kind))
        if kind == "connect":
            assert self._connect is not None
            return self._connect()
        if not self._resting:
            return None
        target = self.product.product_id, self._take(self._which.get(kind, "oldest"))
        if kind == "cancel_orders":
            return self.client.cancel_orders([target])
        order = self.next_order("rest")
        self.advance("rest", order)
        return self.client.cancel_and_place(target, order)

    @property
    def is_connected(self) -> bool:
        """Whether the gateway takes requests."""
        return self.client.desk.gateway.is_up

    def _take(self, which: Which) -> str:
        resting = self._resting
        index = {"oldest": 0, "newest": -1}.get(which)
        return resting.pop(self._rng.randrange(len(resting)) if index is None else index)

    def _query(self, kind: Kind) -> Query:
        subaccount, product_id = self.client.subaccount, self.product.product_id
        assert subaccount is not None
        match kind:
            case "query_all_products":
                return messages.AllProductsQuery()
            case "query_contracts":
                return messages.ContractsQuery()
            case "query_fee_rates":
                return messages.FeeRatesQuery(subaccount.hex)
            case "query_market_liquidity":
                return messages.MarketLiquidityQuery(product_id, _DEPTH)
            case "query_market_price":
                return messages.MarketPriceQuery(product_id)
            case "query_subaccount_info":
                return messages.SubaccountInfoQuery(subaccount.hex)
            case "query_subaccount_orders":
                return messages.SubaccountOrdersQuery(subaccount.hex, product_id)
            case "query_symbols":
                return messages.SymbolsQuery()
            case _:
                return messages.StatusQuery()
