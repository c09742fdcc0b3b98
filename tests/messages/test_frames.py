"""Every sample frame of the protocol decodes to its type and encodes back to an equal JSON value."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from nadows import messages as m
from tests.messages.samples import FRAMES, Sample

FAILURE: Final = None
"""Stands for a `Reply` with an error and no data."""

# Written down by hand: a decoder that picks another type than the one meant must fail here.
TYPES: Final[dict[str, type[Any] | None]] = {
    "subscribe.trade": m.Subscribe,
    "subscribe.ack": m.Ack,
    "subscribe.best_bid_offer": m.Subscribe,
    "subscribe.book_depth": m.Subscribe,
    "subscribe.fill.one_product": m.Subscribe,
    "subscribe.fill.all_products": m.Subscribe,
    "subscribe.fill.all_products_omitted": m.Subscribe,
    "subscribe.position_change.all_products": m.Subscribe,
    "subscribe.order_update.all_products": m.Subscribe,
    "subscribe.liquidation.all_products": m.Subscribe,
    "subscribe.latest_candlestick": m.Subscribe,
    "subscribe.funding_payment": m.Subscribe,
    "subscribe.funding_rate.all_products": m.Subscribe,
    "subscribe.all_bbo": m.Subscribe,
    "unsubscribe.trade": m.Unsubscribe,
    "unsubscribe.ack": m.Ack,
    "subscribe_multi": m.SubscribeMulti,
    "subscribe_multi.ack": m.Ack,
    "unsubscribe_multi": m.UnsubscribeMulti,
    "unsubscribe_multi.ack": m.Ack,
    "list": m.ListStreams,
    "list.result": m.Ack,
    "ping": m.Ping,
    "ping.result": m.Ack,
    "time": m.Time,
    "time.result": m.Ack,
    "authenticate": m.Authenticate,
    "authenticate.ack": m.Ack,
    "error.invalid_product": m.StreamError,
    "error.missing_field": m.StreamError,
    "error.missing_id": m.StreamError,
    "error.order_update_without_auth": m.StreamError,
    "error.auth_bad_signature": m.StreamError,
    "event.order_update.placed": m.OrderUpdate,
    "event.order_update.filled_partial": m.OrderUpdate,
    "event.order_update.filled_full": m.OrderUpdate,
    "event.order_update.cancelled": m.OrderUpdate,
    "event.trade": m.Trade,
    "event.best_bid_offer": m.BestBidOffer,
    "event.best_bid_offer.empty_ask": m.BestBidOffer,
    "event.best_bid_offer.empty_both": m.BestBidOffer,
    "event.fill.maker": m.Fill,
    "event.fill.taker_sell_submission_idx_string": m.Fill,
    "event.position_change.match": m.PositionChange,
    "event.position_change.deposit": m.PositionChange,
    "event.book_depth.first_after_restart": m.BookDepth,
    "event.book_depth.1": m.BookDepth,
    "event.book_depth.2_contiguous": m.BookDepth,
    "event.book_depth.3_gap_resync": m.BookDepth,
    "event.liquidation.single": m.Liquidation,
    "event.liquidation.spread": m.Liquidation,
    "event.latest_candlestick": m.LatestCandlestick,
    "event.funding_payment.docs_types": m.FundingPayment,
    "event.funding_payment.ts_types": m.FundingPayment,
    "event.funding_rate": m.FundingRate,
    "event.all_bbo": m.AllBbo,
    "place_order": m.PlaceOrder,
    "place_order.ok": m.PlacedOrder,
    "place_order.ok_no_id": m.PlacedOrder,
    "place_order.fail_post_only_cross": FAILURE,
    "place_order.fail_oracle_distance": FAILURE,
    "place_order.fail_late": FAILURE,
    "execute.fail_rate_limited": FAILURE,
    "execute.geo_block": m.GeoBlock,
    "place_order.spot_no_leverage": m.PlaceOrder,
    "place_orders": m.PlaceOrders,
    "place_orders.ok_docs_shape": m.PlaceOrdersResult,
    "place_orders.ok_engine_shape": m.PlaceOrdersResult,
    "cancel_orders": m.CancelOrders,
    "cancel_orders.ok": m.CancelledOrders,
    "cancel_orders.fail_not_found": FAILURE,
    "cancel_product_orders": m.CancelProductOrders,
    "cancel_product_orders.all": m.CancelProductOrders,
    "cancel_product_orders.ok": m.CancelledOrders,
    "cancel_product_orders.ok_none": m.CancelledOrders,
    "cancel_and_place": m.CancelAndPlace,
    "cancel_and_place.ok": m.PlacedOrder,
    "query.status": m.StatusQuery,
    "query.status.ok": str,
    "query.contracts": m.ContractsQuery,
    "query.contracts.ok": m.Contracts,
    "query.nonces": m.NoncesQuery,
    "query.nonces.ok": m.Nonces,
    "query.order": m.OrderQuery,
    "query.order.ok": m.OrderObject,
    "query.order.not_found": FAILURE,
    "query.subaccount_orders": m.SubaccountOrdersQuery,
    "query.subaccount_orders.ok": m.SubaccountOrders,
    "query.orders": m.OrdersQuery,
    "query.orders.ok": m.Orders,
    "query.subaccount_info": m.SubaccountInfoQuery,
    "query.subaccount_info.ok": m.SubaccountInfo,
    "query.subaccount_info.missing": m.SubaccountInfoQuery,
    "query.subaccount_info.missing.ok": m.SubaccountInfo,
    "query.isolated_positions": m.IsolatedPositionsQuery,
    "query.isolated_positions.ok": m.IsolatedPositions,
    "query.market_liquidity": m.MarketLiquidityQuery,
    "query.market_liquidity.ok": m.MarketLiquidity,
    "query.market_liquidity.bad_product": FAILURE,
    "query.market_price": m.MarketPriceQuery,
    "query.market_price.ok": m.MarketPrice,
    "query.market_prices": m.MarketPricesQuery,
    "query.market_prices.ok": m.MarketPrices,
    "query.all_products": m.AllProductsQuery,
    "query.all_products.ok": m.AllProducts,
    "query.symbols": m.SymbolsQuery,
    "query.symbols.ok": m.Symbols,
    "query.fee_rates": m.FeeRatesQuery,
    "query.fee_rates.ok": m.FeeRates,
    "query.max_order_size": m.MaxOrderSizeQuery,
    "query.max_order_size.ok": m.MaxOrderSize,
    "query.max_withdrawable": m.MaxWithdrawableQuery,
    "query.max_withdrawable.ok": m.MaxWithdrawable,
    "query.linked_signer": m.LinkedSignerQuery,
    "query.linked_signer.ok": m.LinkedSigner,
    "query.health_groups": m.HealthGroupsQuery,
    "query.health_groups.ok": m.HealthGroups,
    "query.insurance": m.InsuranceQuery,
    "query.insurance.ok": m.Insurance,
    "http.get_query": m.MarketLiquidityQuery,
    "http.post_query": m.MarketLiquidityQuery,
    "http.get_symbols.ok": m.SymbolInfo,
    "edge.time": m.EdgeTime,
    "edge.time.ok": m.EdgeClock,
    "edge.ping": m.EdgePing,
    "edge.ping.ok": m.EdgeClock,
    "edge.cached_prices": m.CachedPricesQuery,
    "edge.cached_prices.ok": m.MarketPrices,
    "edge.cached_bbo_history": m.CachedBboHistoryQuery,
    "edge.cached_bbo_history.ok": m.BboHistory,
    "v2.assets": m.Asset,
    "v2.pairs": m.Pair,
    "v2.orderbook": m.TickerBook,
    "v2.apr": m.Apr,
    "archive.v2.tickers": m.Ticker,
    "archive.v2.contracts": m.Contract,
    "archive.v2.trades": m.TickerTrade,
    "archive.matches": m.MatchesQuery,
    "archive.matches.page2": m.MatchesQuery,
    "archive.matches.ok": m.Matches,
    "archive.orders.by_digest": m.OrderHistoryQuery,
    "archive.orders.by_subaccount": m.OrderHistoryQuery,
    "archive.orders.ok": m.OrderHistory,
    "archive.candlesticks": m.CandlesticksQuery,
    "archive.candlesticks.ok": m.Candlesticks,
    "archive.funding_rate": m.FundingRateQuery,
    "archive.funding_rate.ok": m.FundingRateSample,
    "archive.perp_prices": m.PerpPricesQuery,
    "archive.perp_prices.ok": m.PerpPrice,
    "archive.error": m.ArchiveError,
    "trigger.list_trigger_orders": m.ListTriggerOrdersQuery,
    "trigger.list_trigger_orders.ok": m.TriggerOrders,
}

ARCHIVE_ANSWERS: Final[dict[str, m.ArchiveQuery]] = {
    "archive.matches.ok": m.MatchesQuery(),
    "archive.orders.ok": m.OrderHistoryQuery(),
    "archive.candlesticks.ok": m.CandlesticksQuery(product_id=2, granularity=60),
    "archive.funding_rate.ok": m.FundingRateQuery(product_id=2),
    "archive.perp_prices.ok": m.PerpPricesQuery(product_ids=(2,)),
    "archive.error": m.MatchesQuery(),
}

V2_SHAPES: Final[dict[str, Any]] = {
    "v2.assets": tuple[m.Asset, ...],
    "v2.pairs": tuple[m.Pair, ...],
    "v2.orderbook": m.TickerBook,
    "v2.apr": tuple[m.Apr, ...],
    "archive.v2.tickers": dict[str, m.Ticker],
    "archive.v2.contracts": dict[str, m.Contract],
    "archive.v2.trades": tuple[m.TickerTrade, ...],
}


def test_table_names_every_sample() -> None:
    """The table covers the samples, all of them and nothing else."""
    assert list(TYPES) == [sample.name for sample in FRAMES]


def of_channel(channel: str, direction: str) -> pytest.MarkDecorator:
    """Parametrize over the samples of one channel and direction."""
    found = [sample for sample in FRAMES if (sample.channel, sample.direction) == (channel, direction)]
    assert found
    return pytest.mark.parametrize("sample", found, ids=lambda sample: sample.name)


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "str"])
@of_channel("subscribe", "recv")
def test_stream_frame(sample: Sample, text: bool) -> None:
    """A frame of the subscription socket is read as its type, as bytes or as text, and written back equal."""
    message = m.decode_stream(sample.json.decode() if text else sample.json)

    assert TYPES[sample.name] is type(message)
    assert sample.frame == json.loads(m.encode(message))


@of_channel("subscribe", "send")
def test_stream_request(sample: Sample) -> None:
    """A request on the subscription socket is read as its type and written back equal."""
    request = m.decode_stream_request(sample.json)

    assert TYPES[sample.name] is type(request)
    assert sample.frame == json.loads(m.encode(request))


@of_channel("gateway", "send")
def test_gateway_request(sample: Sample) -> None:
    """An execute or a query is read as its type and written back equal, envelope included."""
    request = m.decode_gateway_request(sample.json)

    assert TYPES[sample.name] is type(request)
    assert sample.frame == json.loads(m.encode_gateway_request(request))


@of_channel("gateway_edge", "send")
def test_edge_request(sample: Sample) -> None:
    """An edge query is read as its type and written back equal."""
    test_gateway_request(sample)


@of_channel("trigger", "send")
def test_trigger_request(sample: Sample) -> None:
    """A query to the trigger service is read as its type and written back equal."""
    test_gateway_request(sample)


@of_channel("gateway", "recv")
def test_gateway_reply(sample: Sample) -> None:
    """An answer is written back equal, and so is its data, read by the request type that it names."""
    reply = m.decode_reply(sample.json)

    assert sample.frame == json.loads(m.encode(reply))
    if isinstance(reply, m.GeoBlock):
        assert TYPES[sample.name] is m.GeoBlock
    elif TYPES[sample.name] is FAILURE:
        assert not reply.ok
        assert m.reply_data(reply) is None
    else:
        assert reply.ok
        data = m.reply_data(reply)
        assert TYPES[sample.name] is type(data)
        assert sample.frame["data"] == json.loads(m.encode(data))


@of_channel("gateway_edge", "recv")
def test_edge_reply(sample: Sample) -> None:
    """An answer of the edge is read as its type and written back equal."""
    if TYPES[sample.name] is not m.EdgeClock:
        test_gateway_reply(sample)
        return
    clock = m.decode_edge_clock(sample.json)

    assert sample.frame == json.loads(m.encode(clock))


@of_channel("trigger", "recv")
def test_trigger_reply(sample: Sample) -> None:
    """An answer of the trigger service is read as its type and written back equal."""
    test_gateway_reply(sample)


@of_channel("archive", "send")
def test_archive_request(sample: Sample) -> None:
    """A question to the archive is read as its type and written back equal, envelope included."""
    query = m.decode_archive_request(sample.json)

    assert TYPES[sample.name] is type(query)
    assert sample.frame == json.loads(m.encode_archive_request(query))


@of_channel("archive", "recv")
def test_archive_answer(sample: Sample) -> None:
    """An answer of the archive is read as the type that belongs to its question and written back equal."""
    answer = m.decode_archive_answer(sample.json, ARCHIVE_ANSWERS[sample.name])

    found = next(iter(answer.values())) if isinstance(answer, dict) else answer
    assert TYPES[sample.name] is type(found)
    assert sample.frame == json.loads(m.encode(answer))


@pytest.mark.parametrize("name", V2_SHAPES)
def test_v2_answer(name: str) -> None:
    """An answer of the v2 REST is read as its type and written back equal."""
    (body,) = (sample.frame["body"] for sample in FRAMES if sample.name == name)

    answer = m.decode(json.dumps(body), V2_SHAPES[name])

    found = next(iter(answer.values())) if isinstance(answer, dict) else answer
    assert TYPES[name] is type(found[0] if isinstance(found, tuple) else found)
    assert body == json.loads(m.encode(answer))


@of_channel("gateway_http", "send")
def test_http_query(sample: Sample) -> None:
    """The body of a POST and the parameters of a GET, all of them strings, are the same query."""
    body = sample.frame.get("body") or dict(parse_qsl(urlsplit(sample.frame["path"]).query))

    query = m.decode_gateway_request(json.dumps(body))

    assert m.MarketLiquidityQuery(product_id=2, depth=10) == query
    assert body == json.loads(m.encode(query))


@of_channel("gateway_http", "recv")
def test_http_symbols(sample: Sample) -> None:
    """The plain list of GET /v1/symbols is read as symbols and written back equal."""
    symbols = m.decode(sample.json, tuple[m.SymbolInfo, ...])

    assert [TYPES[sample.name]] * 2 == [type(symbol) for symbol in symbols]
    assert sample.frame == json.loads(m.encode(symbols))
