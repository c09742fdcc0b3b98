"""The archive: what became of orders, and market data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nado_protocol.indexer_client.types.models import IndexerCandlesticksGranularity
from nado_protocol.indexer_client.types.query import (
    IndexerCandlesticksParams,
    IndexerMatchesParams,
    IndexerSubaccountHistoricalOrdersParams,
)

from tests.interop.sdk_200.checks import BTC_PERP, ETH_PERP, PERPS, Suite, World, holds, same

suite = Suite()

PATIENCE_S = 5
"""How long the archive may trail the gateway."""


def _soon(ask: Callable[[], list[Any]], wanted: int) -> list[Any]:
    """Ask until as many rows are there, as the archive trails the gateway; returns the last answer."""
    deadline = time.monotonic() + PATIENCE_S
    while len(rows := ask()) < wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return rows


@suite("orders by digest: filled ones, not those that never matched")
def orders_by_digest(world: World) -> str:
    digests = [world.digests[name] for name in ("bought", "sold", "resting")]
    rows = _soon(lambda: list(world.client.market.get_historical_orders_by_digest(digests).orders), 2)
    by_digest = {each.digest: each for each in rows}
    same({world.digests["bought"], world.digests["sold"]}, by_digest.keys(), "digests")
    bought = by_digest[world.digests["bought"]]
    same((world.subaccount, ETH_PERP), (bought.subaccount, bought.product_id), "subaccount and product")
    same(bought.amount, bought.base_filled, "filled amount")
    holds(int(bought.quote_filled) < 0 < int(bought.fee), "quote was paid, and a fee")
    return f"{int(bought.base_filled) / 1e18:g} for {-int(bought.quote_filled) / 1e18:g} USDT0"


@suite("orders of a subaccount, whole and by pages")
def orders_by_subaccount(world: World) -> str:
    def ask(product_ids: list[int] | None = None) -> list[Any]:
        params = IndexerSubaccountHistoricalOrdersParams(
            subaccounts=[world.subaccount], product_ids=product_ids, limit=50
        )
        return list(world.client.market.get_subaccount_historical_orders(params).orders)

    rows = _soon(ask, 5)
    same(5, len(rows), "orders that matched")
    eth = [each.digest for each in ask([ETH_PERP])]
    same([world.digests["sold"], world.digests["bought"]], eth, "those of product 4, newest first")
    seen: list[str] = []
    cursor = None
    for _ in rows:
        page = world.archive.get_paginated_subaccount_orders(world.subaccount, 2, start_cursor=cursor)
        seen += [each.digest for each in page.orders]
        cursor = page.meta.next_cursor
        if not page.meta.has_more:
            break
    same([each.digest for each in rows], seen, "pages of two")
    return f"{len(rows)} orders"


@suite("matches of a subaccount, whole and by pages")
def matches(world: World) -> str:
    params = IndexerMatchesParams(subaccounts=[world.subaccount], product_ids=[ETH_PERP], limit=500)
    answer = world.archive.get_matches(params)
    rows = answer.matches
    same({world.digests["bought"], world.digests["sold"]}, {each.digest for each in rows}, "digests")
    indices = [int(each.submission_idx) for each in rows]
    same(sorted(indices, reverse=True), indices, "newest first")
    times = {each.submission_idx: each.timestamp for each in answer.txs}
    holds({each.submission_idx for each in rows} <= times.keys(), "each match has its transaction")
    holds(abs(int(times[rows[0].submission_idx]) - time.time()) < 120, "transaction time in s")
    bought = [int(each.base_filled) for each in rows if each.digest == world.digests["bought"]]
    last = next(each for each in rows if each.digest == world.digests["bought"])
    same(sum(bought), int(last.cumulative_base_filled), "running total")
    page = world.archive.get_paginated_subaccount_match_events(world.subaccount, 1)
    holds(page.meta.has_more and page.meta.next_cursor, "a page of one has a next")
    return f"{len(rows)} matches"


@suite("candlesticks")
def candlesticks(world: World) -> str:
    params = IndexerCandlesticksParams(
        product_id=ETH_PERP, granularity=IndexerCandlesticksGranularity.ONE_MINUTE, limit=5
    )
    bars = world.client.market.get_candlesticks(params).candlesticks
    holds(bars, "there was trading, so there is a bar")
    holds(int(bars[0].low_x18) <= int(bars[0].close_x18) <= int(bars[0].high_x18), "low <= close <= high")
    return f"{len(bars)} bars, close {int(bars[0].close_x18) / 1e18:g}"


@suite("funding rates")
def funding(world: World) -> str:
    rate = world.client.market.get_perp_funding_rate(BTC_PERP)
    same(BTC_PERP, rate.product_id, "product")
    rates = world.client.market.get_perp_funding_rates(list(PERPS))
    same([str(each) for each in PERPS], list(rates), "products")
    return f"{int(rate.funding_rate_x18) / 1e18:g} a day"


@suite("perpetual and oracle prices")
def prices(world: World) -> str:
    price = world.client.perp.get_prices(BTC_PERP)
    index, mark = int(price.index_price_x18), int(price.mark_price_x18)
    holds(abs(mark - index) < index // 20, f"mark {mark} near index {index}")
    same([str(each) for each in PERPS], list(world.archive.get_multi_perp_prices(list(PERPS))), "products")
    oracle = world.archive.get_oracle_prices([0, BTC_PERP]).prices
    same([0, BTC_PERP], [each.product_id for each in oracle], "oracle prices")
    return f"index {index / 1e18:g}, mark {mark / 1e18:g}"


@suite("subaccounts of a wallet")
def subaccounts(world: World) -> str:
    rows = world.client.subaccount.get_subaccounts(address=world.client.context.signer.address).subaccounts
    found = {each.subaccount_name: each.subaccount for each in rows}
    same(world.subaccount, found.get(world.name), f"subaccount {world.name!r}")
    return ", ".join(found)
