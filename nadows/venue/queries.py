"""Answers to the gateway's and the edge's queries.

Each returns the ``data`` of the answer as plain JSON, or raises `Refusal`. Source: protocol.md 5.1, 5.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from nadows.errors import UsageError
from nadows.messages import queries as ask
from nadows.messages.wire import UnsetType
from nadows.signing import Domain, parse_address, parse_bytes32
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.engine import Engine
from nadows.venue.market import Market
from nadows.venue.queries_accounts import AccountQueries
from nadows.venue.refusal import Refusal

__all__ = ["MAX_DEPTH", "BboHistory", "Queries"]

MAX_DEPTH: Final = 100
"""Levels a side in `market_liquidity`."""

_HEALTH_GROUPS: Final = {"health_groups": [[1, 2], [3, 4]]}

_EDGE_TWINS: Final[dict[type[Any], type[Any]]] = {
    ask.CachedContractsQuery: ask.ContractsQuery,
    ask.CachedStatusQuery: ask.StatusQuery,
    ask.CachedAllProductsQuery: ask.AllProductsQuery,
    ask.CachedEdgeAllProductsQuery: ask.EdgeAllProductsQuery,
    ask.CachedHealthGroupsQuery: ask.HealthGroupsQuery,
}
"""Edge queries that answer as a gateway query does (this venue's cache is never stale)."""


class BboHistory:
    """Best prices of all products, sampled every 500 ms for half an hour."""

    INTERVAL_MS: Final = 500
    MAX_LIMIT: Final = 3600

    def __init__(self) -> None:
        self._samples: deque[tuple[int, dict[int, tuple[int, int]]]] = deque(maxlen=self.MAX_LIMIT)

    def sample(self, now_ms: int, markets: Iterable[Market]) -> None:
        """Take a sample."""
        tops = {}
        for market in markets:
            top = market.top()
            tops[market.product.product_id] = (top.bid_price, top.ask_price)
        self._samples.append((now_ms, tops))

    def read(
        self, product_ids: list[int], interval_ms: int, max_time_ms: int | None, limit: int
    ) -> list[Json]:
        """Return at most *limit* samples of each product, oldest first, *interval_ms* apart."""
        chosen = [(at, tops) for at, tops in self._samples if max_time_ms is None or at <= max_time_ms]
        step = interval_ms // self.INTERVAL_MS
        kept = chosen[::-1][::step][:limit][::-1]
        return [
            {"product_id": product_id, "timestamp": str(at), "bid": str(bid), "ask": str(offer)}
            for at, tops in kept
            for product_id in product_ids
            for bid, offer in (tops[product_id],)
        ]


class Queries:
    """Reads markets and orders, and has `AccountQueries` read accounts."""

    def __init__(
        self, engine: Engine, authority: Authority, accounts: AccountQueries, domain: Domain
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._chain_id, self._endpoint = domain.chain_id, domain.endpoint
        self.history = BboHistory()
        self.active = True
        """Whether executes are accepted."""
        self._answers: dict[type[Any], Callable[[Any, int], object]] = {
            ask.StatusQuery: lambda query, now_ns: "active" if self.active else "failed",
            ask.ContractsQuery: self._contracts,
            ask.NoncesQuery: self._nonces,
            ask.OrderQuery: self._order,
            ask.SubaccountOrdersQuery: self._subaccount_orders,
            ask.OrdersQuery: self._orders,
            ask.MarketLiquidityQuery: self._market_liquidity,
            ask.MarketPriceQuery: self._market_price,
            ask.MarketPricesQuery: self._market_prices,
            ask.CachedPricesQuery: self._cached_prices,
            ask.AllProductsQuery: lambda query, now_ns: answers.product_lists(self._engine),
            ask.EdgeAllProductsQuery: self._edge_all_products,
            ask.SymbolsQuery: self._symbols,
            ask.CachedSymbolsQuery: self._symbols,
            ask.HealthGroupsQuery: lambda query, now_ns: _HEALTH_GROUPS,
            ask.InsuranceQuery: lambda query, now_ns: {"insurance": str(engine.ledger.insurance)},
            ask.CachedBboHistoryQuery: self._bbo_history,
            **accounts.answers,
        }

    def answer(self, query: ask.Query, now_ns: int) -> object:
        """Return the ``data`` of the answer, plain JSON.

        Raises:
            Refusal: If it cannot be answered, 4001 for what is not simulated.
        """
        twin = _EDGE_TWINS.get(type(query))
        respond = self._answers.get(twin or type(query))
        if respond is None:
            raise Refusal(4001, f"{ask.query_type(query)} is not simulated yet.")
        return respond(twin() if twin else query, now_ns)

    def symbol_list(self) -> list[Json]:
        """Return all symbols as the list of ``GET /v1/symbols``."""
        return [answers.symbol_object(market) for market in self._engine.markets.values()]

    def market(self, product_id: int) -> Market:
        """Return a market, or raise 2015."""
        market = self._engine.markets.get(product_id)
        if market is None:
            raise Refusal(2015, f"There is no market of product {int(product_id)}.")
        return market

    # Answers, in the order of protocol.md 5.1.

    def _contracts(self, query: ask.ContractsQuery, now_ns: int) -> Json:
        return {"chain_id": str(self._chain_id), "endpoint_addr": self._endpoint}

    def _nonces(self, query: ask.NoncesQuery, now_ns: int) -> Json:
        try:
            address = "0x" + parse_address(query.address).hex()
        except UsageError as error:
            raise Refusal(1005, str(error)) from None
        order_nonce = (now_ns // 10**6 + 90_000) << 20
        return {"tx_nonce": str(self._authority.tx_nonce(address)), "order_nonce": str(order_nonce)}

    def _order(self, query: ask.OrderQuery, now_ns: int) -> Json:
        try:
            digest = "0x" + parse_bytes32(query.digest).hex()
        except UsageError as error:
            raise Refusal(1005, str(error)) from None
        self.market(query.product_id)
        order = self._engine.orders.get(digest)
        if order is None or order.product.product_id != query.product_id:
            raise Refusal(2020, f"Order with the digest {digest} is not open.")
        return answers.order_object(order)

    def _open_orders(self, sender: str, product_id: int) -> list[Json]:
        account = self._engine.ledger.account(sender)
        if account is None:
            return []
        return [answers.order_object(order) for order in account.orders.get(product_id, {}).values()]

    def _subaccount_orders(self, query: ask.SubaccountOrdersQuery, now_ns: int) -> Json:
        sender = _sender(query.sender)
        self.market(query.product_id)
        orders = self._open_orders(sender, query.product_id)
        return {"sender": sender, "product_id": int(query.product_id), "orders": orders}

    def _orders(self, query: ask.OrdersQuery, now_ns: int) -> Json:
        sender = _sender(query.sender)
        groups = []
        for product_id in query.product_ids:
            self.market(product_id)
            groups.append({"product_id": int(product_id), "orders": self._open_orders(sender, product_id)})
        return {"sender": sender, "product_orders": groups}

    def _market_liquidity(self, query: ask.MarketLiquidityQuery, now_ns: int) -> Json:
        market = self.market(query.product_id)
        depth = int(query.depth)
        if not 1 <= depth <= MAX_DEPTH:
            raise Refusal(1005, f"depth must lie between 1 and {MAX_DEPTH}, got {depth}.")
        return {
            "bids": answers.levels(market.book.bids.depth(depth)),
            "asks": answers.levels(market.book.asks.depth(depth)),
            "product_id": market.product.product_id,
            # Not the wall clock: the instant of the newest change that is in the answer, on the clock of the
            # depth batches, so that a client knows which of them to apply.
            "timestamp": str(market.changed_ns),
        }

    def _price(self, market: Market) -> Json:
        top = market.top()
        return {
            "product_id": market.product.product_id,
            "bid_x18": str(top.bid_price),
            "ask_x18": str(top.ask_price),
        }

    def _market_price(self, query: ask.MarketPriceQuery, now_ns: int) -> Json:
        return self._price(self.market(query.product_id))

    def _market_prices(self, query: ask.MarketPricesQuery, now_ns: int) -> Json:
        return {"market_prices": [self._price(self.market(product_id)) for product_id in query.product_ids]}

    def _cached_prices(self, query: ask.CachedPricesQuery, now_ns: int) -> Json:
        chosen = _given(query.product_ids) or tuple(self._engine.markets)
        return {"market_prices": [self._price(self.market(product_id)) for product_id in chosen]}

    def _edge_all_products(self, query: ask.EdgeAllProductsQuery, now_ns: int) -> Json:
        return {"edge_all_products": {str(self._chain_id): answers.product_lists(self._engine)}}

    def _symbols(self, query: ask.SymbolsQuery | ask.CachedSymbolsQuery, now_ns: int) -> Json:
        ids, kind = _given(query.product_ids), _given(query.product_type)
        if kind not in (None, "spot", "perp"):
            raise Refusal(2061, f"product_type must be spot or perp, got {kind!r}.")
        chosen = [
            market
            for product_id, market in self._engine.markets.items()
            if (ids is None or product_id in ids) and kind in (None, market.product.kind.value)
        ]
        return {"symbols": {market.product.symbol: answers.symbol_object(market) for market in chosen}}

    def _bbo_history(self, query: ask.CachedBboHistoryQuery, now_ns: int) -> Json:
        interval_ms = int(_given(query.interval_ms) or BboHistory.INTERVAL_MS)
        limit = int(_given(query.limit) or 500)
        if interval_ms < 1 or interval_ms % BboHistory.INTERVAL_MS:
            raise Refusal(
                1005, f"interval_ms must be a multiple of {BboHistory.INTERVAL_MS}, got {interval_ms}."
            )
        if not 1 <= limit <= BboHistory.MAX_LIMIT:
            raise Refusal(1005, f"limit must lie between 1 and {BboHistory.MAX_LIMIT}, got {limit}.")
        chosen = [int(product_id) for product_id in _given(query.product_ids) or self._engine.markets]
        for product_id in chosen:
            self.market(product_id)
        history = self.history.read(chosen, interval_ms, _given(query.max_time_ms), limit)
        return {"interval_ms": interval_ms, "limit": limit, "history": history}


def _sender(text: str) -> str:
    return parse_sender(text).hex


def _given(value: Any) -> Any:
    """Read an optional member: missing and ``null`` mean the same."""
    return None if isinstance(value, UnsetType) else value
