"""The v2 REST answers of gateway and archive: plain lists and maps of JSON numbers, for display.

Source: protocol.md 5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

from nadows.units import ONE_X18, mul_x18
from nadows.venue.answers import Json, as_float, symbol_object
from nadows.venue.archive import Archive, Match
from nadows.venue.engine import Engine
from nadows.venue.funding import next_payment_s
from nadows.venue.market import Market
from nadows.venue.products import NLP_ID, PRODUCTS, Product
from nadows.venue.queries import MAX_DEPTH
from nadows.venue.refusal import Refusal

__all__ = ["RestV2"]

_DAY_S: Final = 86_400
_DAY_BARS_S: Final = 300
"""Granularity of the bars that a day's volume is summed from: the finest of which a day is kept."""
_MAX_TRADES: Final = 500
_DEFAULT_TRADES: Final = 100
_APR: Final = {"deposit_apr": 0.0, "borrow_apr": 0.0}
"""No interest is simulated."""
_OPEN: Final = {"is_open": True, "reason": None, "next_close": None, "next_open": None}

Query = Mapping[str, str]


class RestV2:
    """Serves ``GET`` under ``/v2`` and ``/archive/v2``.

    Attributes:
        routes: Path to what answers it, given the query's parameters and ``now_ns``.
    """

    def __init__(self, engine: Engine, archive: Archive) -> None:
        self._engine = engine
        self._archive = archive
        self.routes: dict[str, Callable[[Query, int], object]] = {
            "/v2/assets": lambda query, now_ns: [_asset(product) for product in PRODUCTS.values()],
            "/v2/pairs": self._pairs,
            "/v2/orderbook": self._orderbook,
            "/v2/apr": self._apr,
            "/archive/v2/tickers": self._tickers,
            "/archive/v2/contracts": self._contracts,
            "/archive/v2/trades": self._trades,
            "/archive/v2/symbols": self._symbols,
        }

    def _of_kind(self, query: Query) -> list[Market]:
        kind = query.get("market")
        if kind not in (None, "spot", "perp"):
            raise Refusal(1005, f"market must be spot or perp, got {kind!r}")
        markets = self._engine.markets.values()
        return [market for market in markets if kind in (None, market.product.kind.value)]

    def _by_ticker(self, query: Query) -> Market:
        ticker_id = query.get("ticker_id")
        for market in self._engine.markets.values():
            if market.product.ticker_id == ticker_id:
                return market
        raise Refusal(2015, f"there is no market with the ticker_id {ticker_id!r}; /v2/pairs lists them")

    # The gateway's.

    def _pairs(self, query: Query, now_ns: int) -> list[Json]:
        return [
            {
                "product_id": market.product.product_id,
                "ticker_id": market.product.ticker_id,
                "base": market.product.symbol,
                "quote": "USDT0",
            }
            for market in self._of_kind(query)
        ]

    def _orderbook(self, query: Query, now_ns: int) -> Json:
        market = self._by_ticker(query)
        depth = min(_positive(query, "depth", MAX_DEPTH), MAX_DEPTH)
        bids, asks = market.book.bids.depth(depth), market.book.asks.depth(depth)
        return {
            "product_id": market.product.product_id,
            "ticker_id": market.product.ticker_id,
            "bids": [(as_float(price), as_float(qty)) for price, qty in bids],
            "asks": [(as_float(price), as_float(qty)) for price, qty in asks],
            "timestamp": now_ns // 10**6,
        }

    def _apr(self, query: Query, now_ns: int) -> list[Json]:
        deposited, oracle = self._engine.ledger.deposited, self._engine.oracle
        return [
            {
                "name": product.name,
                "symbol": product.symbol,
                "product_id": product_id,
                **_APR,
                "tvl": as_float(mul_x18(deposited.get(product_id, 0), oracle[product_id])),
            }
            for product_id, product in PRODUCTS.items()
            if not product.is_perp
        ]

    # The archive's.

    def _tickers(self, query: Query, now_ns: int) -> Json:
        markets = self._of_kind(query)
        return {market.product.ticker_id: _ticker(market, now_ns // 10**9) for market in markets}

    def _contracts(self, query: Query, now_ns: int) -> Json:
        perps = (market for market in self._engine.markets.values() if market.product.is_perp)
        return {market.product.ticker_id: self._contract(market, now_ns // 10**9) for market in perps}

    def _contract(self, market: Market, now_s: int) -> Json:
        product_id = market.product.product_id
        oracle = self._engine.oracle[product_id]
        interest = self._engine.ledger.open_interest.get(product_id, 0)
        mark = as_float(market.mark_price(oracle))
        return _ticker(market, now_s) | {
            "product_type": "perpetual",
            "contract_price": mark,
            "contract_price_currency": "USD",
            "open_interest": as_float(interest),
            "open_interest_usd": as_float(mul_x18(interest, oracle)),
            "index_price": as_float(oracle),
            "mark_price": mark,
            "funding_rate": as_float(market.funding_rate),
            "next_funding_rate_timestamp": next_payment_s(now_s),
        }

    def _trades(self, query: Query, now_ns: int) -> list[Json]:
        market = self._by_ticker(query)
        limit = min(_positive(query, "limit", _DEFAULT_TRADES), _MAX_TRADES)
        newest = _positive(query, "max_trade_id", self._engine.submission_idx)
        found = (
            _trade(match)
            for match in self._archive.matches(None)
            if match.product is market.product and match.submission_idx <= newest
        )
        return list(islice(found, limit))

    def _symbols(self, query: Query, now_ns: int) -> Json:
        kind, ids = query.get("product_type"), query.get("product_ids")
        chosen = self._of_kind({} if kind is None else {"market": kind})
        wanted = None if ids is None else set(ids.split(","))
        return {
            market.product.symbol: symbol_object(market)
            | {
                "exchange_rate_x18": None,
                "market_hours": _OPEN,
                "boost_type": None,
                "taker_multiplier": None,
                "maker_multiplier": None,
            }
            for market in chosen
            if wanted is None or str(market.product.product_id) in wanted
        }


def _positive(query: Query, name: str, default: int) -> int:
    """Read a whole number above zero."""
    text = query.get(name)
    if text is None:
        return default
    # Digits beyond any number in use would only cost time; Python refuses to read 4300 of them.
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) < 1:
        raise Refusal(1005, f"{name} must be a positive number, got {text[:40]!r}")
    return int(text)


def _asset(product: Product) -> Json:
    traded = product.has_market
    movable = not product.is_perp and product.product_id != NLP_ID
    return {
        "product_id": product.product_id,
        "ticker_id": product.ticker_id if traded else None,
        "market_type": product.kind.value if traded else None,
        "name": product.name,
        "symbol": product.symbol,
        "maker_fee": as_float(product.maker_fee_rate) if traded else None,
        "taker_fee": as_float(product.taker_fee_rate) if traded else None,
        "can_withdraw": movable,
        "can_deposit": movable,
    }


def _ticker(market: Market, now_s: int) -> Json:
    """Describe the last day of a market."""
    bars = market.candles.history(_DAY_BARS_S, None, 1 + _DAY_S // _DAY_BARS_S)
    today = [bar for bar in bars if bar.start > now_s - _DAY_S]
    opened = today[-1].open if today else market.last_price
    change = (market.last_price - opened) * ONE_X18 // opened
    return {
        "product_id": market.product.product_id,
        "ticker_id": market.product.ticker_id,
        "base_currency": market.product.symbol,
        "quote_currency": "USDT0",
        "last_price": as_float(market.last_price),
        "base_volume": _sum(bar.volume for bar in today),
        "quote_volume": _sum(bar.value for bar in today),
        "price_change_percent_24h": as_float(change * 100),
    }


def _sum(amounts: Iterable[int]) -> float:
    return as_float(sum(amounts))


def _trade(match: Match) -> Json:
    base = match.taker.booking.base
    price = match.maker.order.price
    return {
        "product_id": match.product.product_id,
        "ticker_id": match.product.ticker_id,
        "trade_id": match.submission_idx,
        "price": as_float(price),
        "base_filled": as_float(base),
        "quote_filled": as_float(-mul_x18(base, price)),
        "timestamp": match.ts // 10**9,
        "trade_type": "buy" if base > 0 else "sell",
    }
