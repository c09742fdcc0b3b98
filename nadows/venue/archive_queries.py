"""Answers of the archive (the indexer): matches, filled orders, bars, rates and prices.

Each returns the bare object, or raises `Refusal`. Source: protocol.md section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from nadows.errors import UsageError
from nadows.messages import archive as ask
from nadows.signing import parse_address, parse_bytes32
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.archive import Archive, FilledOrder, Match, MatchSide
from nadows.venue.archive_accounts import AccountQueries
from nadows.venue.archive_reading import MAX_LIMIT, given, page_size, subaccounts, transaction
from nadows.venue.archive_statistics import Statistics
from nadows.venue.candles import GRANULARITIES
from nadows.venue.engine import Engine
from nadows.venue.market import Market
from nadows.venue.orders import LiveOrder
from nadows.venue.products import PRODUCTS, QUOTE_ID, Product
from nadows.venue.refusal import Refusal

__all__ = ["ArchiveQueries"]


class ArchiveQueries:
    """Reads the archive's store.

    Attributes:
        statistics: What `market_snapshots` is answered from; the owner has it sampled.
    """

    def __init__(self, engine: Engine, archive: Archive) -> None:
        self._engine = engine
        self._archive = archive
        self.statistics = Statistics(engine)
        self._answers: dict[type[Any], Callable[[Any, int], object]] = {
            ask.MatchesQuery: self._matches,
            ask.OrderHistoryQuery: self._orders,
            ask.CandlesticksQuery: self._candlesticks,
            ask.FundingRateQuery: lambda query, now_s: self._funding_rate(query.product_id, now_s),
            ask.FundingRatesQuery: self._funding_rates,
            ask.PerpPriceQuery: lambda query, now_s: self._perp_price(query.product_id, now_s),
            ask.PerpPricesQuery: self._perp_prices,
            ask.OraclePriceQuery: self._oracle_price,
            ask.SubaccountsQuery: self._subaccounts,
            **AccountQueries(engine, archive).answers,
            **self.statistics.answers,
        }

    def answer(self, query: ask.ArchiveQuery, now_ns: int) -> object:
        """Return the answer, plain JSON.

        Raises:
            Refusal: If it cannot be answered.
        """
        return self._answers[type(query)](query, now_ns // 10**9)

    def _matches(self, query: ask.MatchesQuery, now_s: int) -> Json:
        wanted = subaccounts(query.subaccounts)
        products, idx, max_time = given(query.product_ids), given(query.idx), given(query.max_time)
        rows: list[Json] = []
        txs: dict[int, Json] = {}
        limit = page_size(query.limit)
        isolated = given(query.isolated)
        for match in self._archive.matches(wanted):
            if idx is not None and match.submission_idx > idx:
                continue
            if idx is None and max_time is not None and match.ts // 10**9 > max_time:
                continue
            if products is not None and match.product.product_id not in products:
                continue
            for side in match.sides:
                if (wanted is None or side.order.account.subaccount in wanted) and (
                    isolated in (None, side.order.is_isolated)
                ):
                    if len(rows) == limit:
                        return {"matches": rows, "txs": list(txs.values())}
                    rows.append(self._match(match, side))
                    txs[match.submission_idx] = transaction(match)
        return {"matches": rows, "txs": list(txs.values())}

    def _match(self, match: Match, side: MatchSide) -> Json:
        booking = side.booking
        return {
            "digest": side.order.digest,
            "order": answers.signed_order(side.order),
            "base_filled": str(booking.base),
            "quote_filled": str(booking.quote),
            "fee": str(side.fee),
            "sequencer_fee": "0",
            "cumulative_fee": str(side.cumulative_fee),
            "cumulative_base_filled": str(side.cumulative_base),
            "cumulative_quote_filled": str(side.cumulative_quote),
            "pre_balance": self._balances(match.product, booking.pre_amount, booking.pre_quote),
            "post_balance": self._balances(match.product, booking.post_amount, booking.post_quote),
            "net_entry_unrealized": str(booking.entry),
            "net_entry_cumulative": str(booking.entry),
            "submission_idx": str(match.submission_idx),
            "isolated": side.order.is_isolated,
            "is_taker": side.is_taker,
            "closed_amount": str(booking.closed_amount),
            "realized_pnl": str(booking.realized_pnl),
            "builder_fee": str(side.builder_fee),
            "closed_net_entry": str(booking.closed_entry),
            "margin": str(side.order.margin) if side.order.is_isolated else None,
        }

    def _balances(self, product: Product, amount: int, quote: int) -> Json:
        base = answers.archived_balance(self._engine, product, amount, quote)
        if product.is_perp:
            return {"base": base, "quote": None}
        return {"base": base, "quote": answers.archived_balance(self._engine, PRODUCTS[QUOTE_ID], quote, 0)}

    def _orders(self, query: ask.OrderHistoryQuery, now_s: int) -> Json:
        digests = given(query.digests)
        if digests is not None:
            return {"orders": self._orders_by_digest(query, digests)}
        wanted, products = subaccounts(query.subaccounts), given(query.product_ids)
        idx, max_time = given(query.idx), given(query.max_time)
        isolated, triggers = given(query.isolated), given(query.trigger_types)
        found = (
            record
            for record in self._archive.orders()
            if (wanted is None or record.side.order.account.subaccount in wanted)
            and (products is None or record.side.order.product.product_id in products)
            and isolated in (None, record.side.order.is_isolated)
            and (triggers is None or _trigger_type(record.side.order) in triggers)
            and (idx is None or record.first.submission_idx <= idx)
            and (idx is not None or max_time is None or record.first.ts // 10**9 <= max_time)
        )
        return {"orders": [self._filled_order(record) for record in islice(found, page_size(query.limit))]}

    def _orders_by_digest(self, query: ask.OrderHistoryQuery, digests: tuple[str, ...]) -> list[Json]:
        if given(query.subaccounts) or given(query.product_ids):
            raise Refusal(3000, "digests and subaccounts are exclusive")
        if len(digests) > MAX_LIMIT:
            raise Refusal(3001, f"at most {MAX_LIMIT} digests may be asked for, got {len(digests)}")
        try:
            known = ["0x" + parse_bytes32(digest).hex() for digest in digests]
        except UsageError as error:
            raise Refusal(1005, str(error)) from None
        records = [self._archive.order(digest) for digest in dict.fromkeys(known)]
        return [self._filled_order(record) for record in records if record is not None]

    def _filled_order(self, record: FilledOrder) -> Json:
        side, order = record.side, record.side.order
        first = next(each for each in record.first.sides if each.order is order).booking
        product = order.product
        return {
            "digest": order.digest,
            "subaccount": order.account.subaccount,
            "product_id": product.product_id,
            "submission_idx": str(record.first.submission_idx),
            "last_fill_submission_idx": str(record.last.submission_idx),
            "amount": str(order.amount),
            "price_x18": str(order.price),
            "base_filled": str(side.cumulative_base),
            "quote_filled": str(side.cumulative_quote),
            "fee": str(side.cumulative_fee),
            "expiration": str(order.expiration),
            "nonce": str(order.nonce),
            "appendix": str(order.appendix),
            "isolated": order.is_isolated,
            "closed_amount": str(record.closed_amount),
            "realized_pnl": str(record.realized_pnl),
            "builder_fee": str(record.builder_fee),
            "closed_net_entry": str(record.closed_entry),
            "closed_margin": None,
            "first_fill_timestamp": str(record.first.ts // 10**9),
            "last_fill_timestamp": str(record.last.ts // 10**9),
            "pre_balance": self._balances(product, first.pre_amount, first.pre_quote),
            "post_balance": self._balances(product, side.booking.post_amount, side.booking.post_quote),
        }

    def _candlesticks(self, query: ask.CandlesticksQuery, now_s: int) -> Json:
        market = self._market(query.product_id)
        if query.granularity not in GRANULARITIES:
            raise Refusal(3003, f"granularity must be one of {', '.join(map(str, GRANULARITIES))}")
        bars = market.candles.history(query.granularity, given(query.max_time), page_size(query.limit))
        return {
            "candlesticks": [
                {
                    "product_id": int(query.product_id),
                    "granularity": int(query.granularity),
                    "submission_idx": str(bar.submission_idx),
                    "timestamp": str(bar.start),
                    "open_x18": str(bar.open),
                    "high_x18": str(bar.high),
                    "low_x18": str(bar.low),
                    "close_x18": str(bar.close),
                    "volume": str(bar.volume),
                }
                for bar in bars
            ]
        }

    def _funding_rate(self, product_id: int, now_s: int) -> Json:
        market = self._perp(product_id)
        return {
            "product_id": int(product_id),
            "funding_rate_x18": str(market.funding_rate),
            "update_time": str(now_s),
        }

    def _funding_rates(self, query: ask.FundingRatesQuery, now_s: int) -> Json:
        return {str(int(each)): self._funding_rate(each, now_s) for each in query.product_ids}

    def _perp_price(self, product_id: int, now_s: int) -> Json:
        market = self._perp(product_id)
        return {
            "product_id": int(product_id),
            "index_price_x18": str(self._engine.oracle[int(product_id)]),
            "mark_price_x18": str(market.mark_price(self._engine.oracle[int(product_id)])),
            "update_time": str(now_s),
        }

    def _perp_prices(self, query: ask.PerpPricesQuery, now_s: int) -> Json:
        return {str(int(each)): self._perp_price(each, now_s) for each in query.product_ids}

    def _oracle_price(self, query: ask.OraclePriceQuery, now_s: int) -> Json:
        prices = []
        for product_id in query.product_ids:
            if product_id not in PRODUCTS:
                raise Refusal(2016, f"there is no product {int(product_id)}")
            prices.append(
                {
                    "product_id": int(product_id),
                    "oracle_price_x18": str(self._engine.oracle[product_id]),
                    "update_time": str(now_s),
                }
            )
        return {"prices": prices}

    def _subaccounts(self, query: ask.SubaccountsQuery, now_s: int) -> Json:
        address = given(query.address)
        try:
            wanted = None if address is None else "0x" + parse_address(address).hex()
        except UsageError as error:
            raise Refusal(1005, str(error)) from None
        start = int(given(query.start) or 0)
        rows = [
            {
                "id": str(number),
                "subaccount": account.subaccount,
                "address": account.address,
                "subaccount_name": bytes.fromhex(account.subaccount[42:]).rstrip(b"\0").decode("latin-1"),
                "created_at": str(account.created_s),
                "isolated": account.parent is not None,
            }
            for number, account in enumerate(self._engine.ledger.accounts.values())
            if number >= start and wanted in (None, account.address)
        ]
        return {"subaccounts": rows[: page_size(query.limit)]}

    def _market(self, product_id: int) -> Market:
        market = self._engine.markets.get(product_id)
        if market is None:
            raise Refusal(2015, f"there is no market of product {int(product_id)}")
        return market

    def _perp(self, product_id: int) -> Market:
        market = self._market(product_id)
        if not market.product.is_perp:
            raise Refusal(2061, f"{market.product.symbol} is not a perpetual")
        return market


def _trigger_type(order: LiveOrder) -> str:
    """Name an order's trigger as the filter of `orders` does."""
    return ("none", "price_trigger", "time_trigger", "time_trigger")[order.appendix >> 12 & 3]
