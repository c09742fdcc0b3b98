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
from nadows.units import ONE_X18
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.engine import Engine
from nadows.venue.executes import Executes
from nadows.venue.ledger import Account
from nadows.venue.market import Market
from nadows.venue.products import PRODUCTS, QUOTE_ID, Product
from nadows.venue.refusal import Refusal

__all__ = ["MAX_DEPTH", "BboHistory", "Queries"]

MAX_DEPTH: Final = 100
"""Levels a side in `market_liquidity`."""

_ZERO_ADDRESS: Final = "0x" + "00" * 20
_MOST_STEPS: Final = 1 << 64
"""More size steps than any account can pay for."""
_INSURANCE: Final = 500_000 * ONE_X18
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
    """Reads the engine; changes nothing, but for funding a wallet that asks for its balance."""

    def __init__(self, engine: Engine, authority: Authority, executes: Executes, domain: Domain) -> None:
        self._engine = engine
        self._authority = authority
        self._executes = executes
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
            ask.SubaccountInfoQuery: self._subaccount_info,
            ask.IsolatedPositionsQuery: self._isolated_positions,
            ask.MarketLiquidityQuery: self._market_liquidity,
            ask.MarketPriceQuery: self._market_price,
            ask.MarketPricesQuery: self._market_prices,
            ask.CachedPricesQuery: self._cached_prices,
            ask.AllProductsQuery: lambda query, now_ns: answers.product_lists(self._engine),
            ask.EdgeAllProductsQuery: self._edge_all_products,
            ask.SymbolsQuery: self._symbols,
            ask.CachedSymbolsQuery: self._symbols,
            ask.FeeRatesQuery: self._fee_rates,
            ask.MaxOrderSizeQuery: self._max_order_size,
            ask.MaxWithdrawableQuery: self._max_withdrawable,
            ask.LinkedSignerQuery: self._linked_signer,
            ask.HealthGroupsQuery: lambda query, now_ns: _HEALTH_GROUPS,
            ask.InsuranceQuery: lambda query, now_ns: {"insurance": str(_INSURANCE)},
            ask.CachedBboHistoryQuery: self._bbo_history,
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
        return {"tx_nonce": str(self._executes.tx_nonce(address)), "order_nonce": str(order_nonce)}

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

    def _account(self, text: str, now_ns: int) -> tuple[str, Account | None]:
        sender = parse_sender(text)
        if self._engine.switches.funded_on_query:
            return sender.hex, self._authority.account(sender, now_ns)
        return sender.hex, self._engine.ledger.account(sender.hex)

    def _subaccount_info(self, query: ask.SubaccountInfoQuery, now_ns: int) -> Json:
        if _given(query.txns) or _flag(query.pre_state):
            raise Refusal(4001, "subaccount_info with txns or pre_state is not simulated yet.")
        subaccount, account = self._account(query.subaccount, now_ns)
        return answers.subaccount_info(self._engine, subaccount, account)

    def _isolated_positions(self, query: ask.IsolatedPositionsQuery, now_ns: int) -> Json:
        _sender(query.subaccount)
        return {"isolated_positions": []}

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

    def _fee_rates(self, query: ask.FeeRatesQuery, now_ns: int) -> Json:
        _sender(query.sender)
        return answers.fee_rates()

    def _max_order_size(self, query: ask.MaxOrderSizeQuery, now_ns: int) -> Json:
        market = self.market(query.product_id)
        if query.direction not in ("long", "short"):
            raise Refusal(1005, f"direction must be long or short, got {query.direction!r}.")
        if query.price_x18 <= 0:
            raise Refusal(2055, "price_x18 must be positive.")
        _, account = self._account(query.sender, now_ns)
        long = query.direction == "long"
        size = 0 if account is None else self._largest(account, market.product, query.price_x18, long)
        if account is not None and _flag(query.reduce_only):
            held, _ = account.balance(market.product)
            size = min(size, max(0, -held if long else held))
        return {"max_order_size": str(size - size % market.product.size_increment)}

    def _largest(self, account: Account, product: Product, price: int, long: bool) -> int:
        """Find by bisection the largest size that leaves initial health at zero or above."""
        ledger, product_id = self._engine.ledger, product.product_id
        low, high = 0, _MOST_STEPS
        while high - low > 1:
            middle = (low + high) // 2
            base = middle * product.size_increment * (1 if long else -1)
            quote = -base * price // ONE_X18
            if ledger.health(account, product_id=product_id, base=base, quote=quote) >= 0:
                low = middle
            else:
                high = middle
        return low * product.size_increment

    def _max_withdrawable(self, query: ask.MaxWithdrawableQuery, now_ns: int) -> Json:
        product = PRODUCTS.get(query.product_id)
        if product is None or product.is_perp:
            raise Refusal(2016, f"Product {int(query.product_id)} has no token to withdraw.")
        _, account = self._account(query.sender, now_ns)
        if account is None:
            return {"max_withdrawable": "0"}
        health = max(0, self._engine.ledger.health(account))
        price = self._engine.oracle[product.product_id] * product.long_weight_initial // ONE_X18
        held, _ = account.balance(product)
        affordable = health if product.product_id == QUOTE_ID else health * ONE_X18 // price
        return {"max_withdrawable": str(max(0, min(held, affordable)))}

    def _linked_signer(self, query: ask.LinkedSignerQuery, now_ns: int) -> Json:
        account = self._engine.ledger.account(_sender(query.subaccount))
        linked = None if account is None else account.linked_signer
        return {"linked_signer": linked or _ZERO_ADDRESS}

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


def _flag(value: object) -> bool:
    """Read a boolean that may come as text."""
    return value is True or value == "true"
