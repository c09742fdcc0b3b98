"""The sockets: queries and executes on one, streams on the other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nado_protocol.contracts.types import NadoExecuteType, NadoTxType
from nado_protocol.engine_client.types.execute import CancelOrdersParams, PlaceOrderParams
from nado_protocol.engine_client.types.query import (
    QueryMarketLiquidityParams,
    QueryMarketPriceParams,
    QueryStatusParams,
    QuerySymbolsParams,
)
from nado_protocol.engine_client.types.stream import StreamAuthenticationParams
from nado_protocol.utils.bytes32 import subaccount_to_bytes32
from nado_protocol.ws import (
    AllBboStream,
    BestBidOfferStream,
    BookDepthStream,
    FillStream,
    FundingRateStream,
    LatestCandlestickStream,
    NadoSubscriptionClient,
    NadoWebSocketClient,
    OrderUpdateStream,
    PositionChangeStream,
    TradeStream,
)
from websockets.exceptions import InvalidHandshake

from tests.interop.sdk_200.checks import BTC_PERP, ETH_PERP, CheckFailed, Suite, World, holds, same

suite = Suite()

PATIENCE_S = 5


@contextmanager
def _connected(client: Any) -> Iterator[Any]:
    """Connect one of the SDK's socket clients, with an end to its waits."""
    # Its library waits for the closing handshake behind events that nobody has read, ten seconds by default.
    client.connect(close_timeout=0.1)
    # Its request helpers wait for ever; nothing here takes this long.
    client.recv = lambda timeout=PATIENCE_S, recv=client.recv: recv(PATIENCE_S)
    try:
        yield client
    finally:
        client.close()


def _gateway(world: World) -> Any:
    return _connected(NadoWebSocketClient(world.ready["gateway"]))


def _streams(world: World) -> Any:
    return _connected(NadoSubscriptionClient(world.ready["gateway"]))


def _signed(world: World, product_id: int, order: Any, **members: Any) -> PlaceOrderParams:
    """Sign an order with the SDK, which does so by itself for REST only."""
    prepared = world.engine.prepare_execute_params(order, True)
    signature = world.engine.sign(
        NadoExecuteType.PLACE_ORDER,
        prepared.dict(),
        world.engine.order_verifying_contract(product_id),
        world.engine.chain_id,
        world.client.context.signer,
    )
    return PlaceOrderParams(product_id=product_id, order=prepared, signature=signature, **members)


def _signed_cancel(world: World, product_id: int, digest: str) -> CancelOrdersParams:
    params = CancelOrdersParams(sender=world.subaccount, productIds=[product_id], digests=[digest])
    params = world.engine.prepare_execute_params(params, True)
    params.signature = world.engine.sign(
        NadoExecuteType.CANCEL_ORDERS,
        params.dict(),
        world.engine.endpoint_addr,
        world.engine.chain_id,
        world.client.context.signer,
    )
    return params


def _authentication(world: World, ahead_s: int = 60) -> StreamAuthenticationParams:
    expiration = int((time.time() + ahead_s) * 1000)
    signature = world.engine.sign(
        NadoTxType.AUTHENTICATE_STREAM,
        {"sender": subaccount_to_bytes32(world.subaccount), "expiration": expiration},
        world.engine.endpoint_addr,
        world.engine.chain_id,
        world.client.context.signer,
    )
    return StreamAuthenticationParams(sender=world.subaccount, expiration=expiration, signature=signature)


@suite("NadoWebSocketClient: queries")
def socket_queries(world: World) -> str:
    with _gateway(world) as ws:
        status = ws.query(QueryStatusParams())
        same({"status": "success", "data": "active", "request_type": "query_status"}, status, "status")
        price = ws.query(QueryMarketPriceParams(product_id=BTC_PERP))["data"]
        same(BTC_PERP, price["product_id"], "product")
        book = ws.query(QueryMarketLiquidityParams(product_id=BTC_PERP, depth=100))["data"]
        holds(book["bids"] and book["asks"], "a two-sided book")
        symbols = ws.query(QuerySymbolsParams(product_type="perp"))["data"]["symbols"]
        failure = ws.query(QueryMarketPriceParams(product_id=9999))
        same(("failure", 2015), (failure["status"], failure["error_code"]), "unknown product")
        return f"{len(book['bids'])} + {len(book['asks'])} levels, {len(symbols)} perpetuals"


@suite("NadoWebSocketClient: place and cancel an order")
def socket_executes(world: World) -> str:
    with _gateway(world) as ws:
        params = _signed(world, BTC_PERP, world.resting(BTC_PERP), id=300)
        placed = ws.execute(params)
        same(
            ("success", 300, params.signature),
            (placed["status"], placed["id"], placed["signature"]),
            "answer",
        )
        digest = placed["data"]["digest"]
        same([digest], world.open_digests(BTC_PERP), "open orders")
        again = ws.execute(params)
        same(("failure", 2013), (again["status"], again["error_code"]), "the same order again")
        cancelled = ws.execute(_signed_cancel(world, BTC_PERP, digest))
        same([digest], [each["digest"] for each in cancelled["data"]["cancelled_orders"]], "cancelled")
        return str(digest)


@suite("NadoSubscriptionClient: refused without permessage-deflate")
def uncompressed(world: World) -> str:
    client = NadoSubscriptionClient(world.ready["gateway"])
    try:
        client.connect(compression=None)
    except InvalidHandshake as error:
        return str(error)
    client.close()
    raise CheckFailed("the venue took a connection that offers no compression")


@suite("NadoSubscriptionClient: time and ping")
def clock(world: World) -> str:
    with _streams(world) as ws:
        answer = ws.time(id=5)
        same((5, "time"), (answer["id"], answer["result"]["method"]), "time")
        holds(abs(int(answer["result"]["server_time"]) - time.time() * 1000) < 5000, "time in ms")
        pong = ws.ping(client_time="1800000000000", id=6)
        same((6, "pong"), (pong["id"], pong["result"]["method"]), "ping")
        same("1800000000000", pong["result"]["client_time"], "client_time echoed")
        return str(pong["result"])


@suite("NadoSubscriptionClient: order_update only after authenticate, which must be fresh")
def authenticate(world: World) -> str:
    with _streams(world) as ws:
        stream = OrderUpdateStream(subaccount=world.subaccount)
        holds("error" in ws.subscribe(stream), "refused without authentication")
        holds("error" in ws.authenticate(_authentication(world, -5)), "an expired one is refused")
        holds("error" in ws.authenticate(_authentication(world, 200)), "one too far ahead is refused")
        same({"result": None, "id": 11}, ws.authenticate(_authentication(world), id=11), "authenticate")
        same({"result": None, "id": 12}, ws.subscribe(stream, id=12), "subscribe")
        return "refused, refused, refused, accepted"


@suite("NadoSubscriptionClient: every stream; list, subscribe_multi, unsubscribe")
def subscriptions(world: World) -> str:
    with _streams(world) as ws:
        same(
            None, ws.subscribe(FillStream(subaccount=world.subaccount, product_id=ETH_PERP))["result"], "fill"
        )
        same(None, ws.subscribe(FundingRateStream())["result"], "funding_rate")
        kept = PositionChangeStream(subaccount=world.subaccount)
        same(None, ws.subscribe_multi([kept])["result"], "subscribe_multi")
        listed = ws.list_subscriptions()["result"]
        same(
            {"fill", "funding_rate", "position_change"},
            {each["type"] for each in listed} - {"default"},
            "list",
        )
        ws.unsubscribe(FillStream(subaccount=world.subaccount, product_id=ETH_PERP))
        ws.unsubscribe_multi([FundingRateStream()])
        left = [each for each in ws.list_subscriptions()["result"] if each["type"] != "default"]
        same([kept.dict()], left, "list after unsubscribing")
        holds("error" in ws.subscribe(TradeStream(product_id=9999)), "an unknown product is refused")
        # Last, as the SDK takes the next frame for the answer and these streams are busy.
        busy = [
            TradeStream(product_id=BTC_PERP),
            BookDepthStream(product_id=BTC_PERP),
            BestBidOfferStream(product_id=BTC_PERP),
            LatestCandlestickStream(product_id=BTC_PERP, granularity=60),
            AllBboStream(),
        ]
        same({"result": None, "id": 20}, ws.subscribe_multi(busy, id=20), "subscribe_multi")
        return f"{len(listed) + len(busy)} streams"


def _until(ws: Any, complete: Any) -> list[dict[str, Any]]:
    """Listen until *complete* says that everything has come; returns all events."""
    deadline = time.monotonic() + PATIENCE_S
    events: list[dict[str, Any]] = []
    for event in ws.listen():
        events.append(event)
        if complete(events):
            return events
        if time.monotonic() > deadline:
            break
    raise CheckFailed(f"incomplete after {PATIENCE_S} s: {sorted({each['type'] for each in events})}")


@suite("NadoSubscriptionClient: listen to one's own order: placed, filled, cancelled")
def own_events(world: World) -> str:
    with _streams(world) as ws:
        ws.authenticate(_authentication(world))
        for stream in (OrderUpdateStream, FillStream, PositionChangeStream):
            same(None, ws.subscribe(stream(subaccount=world.subaccount))["result"], stream.__name__)

        resting = world.place(ETH_PERP, world.resting(ETH_PERP), id=401)
        taker = world.crossing(ETH_PERP)
        bought = world.place(ETH_PERP, taker, id=402)
        world.client.market.cancel_orders(
            CancelOrdersParams(sender=world.subaccount, productIds=[ETH_PERP], digests=[resting])
        )

        def complete(events: list[dict[str, Any]]) -> bool:
            return any(each.get("reason") == "cancelled" for each in events)

        events = _until(ws, complete)
        updates = [each for each in events if each["type"] == "order_update"]
        same(
            ["placed", "cancelled"],
            [each["reason"] for each in updates if each["digest"] == resting],
            "resting",
        )
        taken = [each for each in updates if each["digest"] == bought]
        same(
            ({"filled"}, "0", 402),
            ({each["reason"] for each in taken}, taken[-1]["amount"], taken[-1]["id"]),
            "taker",
        )
        fills = [each for each in events if each["type"] == "fill"]
        same({bought}, {each["order_digest"] for each in fills}, "digests of fills")
        same(taker.amount, sum(abs(int(each["filled_qty"])) for each in fills), "filled in all")
        changes = [each for each in events if each["type"] == "position_change"]
        position = [each["amount"] for each in changes if each["product_id"] == ETH_PERP]
        same(world.position(ETH_PERP), int(position[-1]), "last position_change")
        world.client.market.close_position(world.subaccount, ETH_PERP)
        return f"{len(updates)} order_update, {len(fills)} fill, {len(changes)} position_change"


@suite("NadoSubscriptionClient: listen to the market while trading")
def market_events(world: World) -> str:
    with _streams(world) as ws:
        wanted = {"trade", "book_depth", "best_bid_offer", "latest_candlestick"}
        streams = [
            TradeStream(product_id=ETH_PERP),
            BookDepthStream(product_id=ETH_PERP),
            BestBidOfferStream(product_id=ETH_PERP),
            LatestCandlestickStream(product_id=ETH_PERP, granularity=60),
        ]
        same(None, ws.subscribe_multi(streams)["result"], "subscribe_multi")
        # All of the best ask and a little more, so that the top changes however quiet the others are.
        [[_, size]] = world.client.market.get_market_liquidity(ETH_PERP, 1).asks
        order = world.crossing(ETH_PERP)
        order.amount += int(size)
        world.place(ETH_PERP, order)

        def complete(events: list[dict[str, Any]]) -> bool:
            return wanted <= {each["type"] for each in events}

        events = _until(ws, complete)
        depths = [each for each in events if each["type"] == "book_depth"]
        for before, after in itertools.pairwise(depths):
            same(before["max_timestamp"], after["last_max_timestamp"], "chain of book_depth")
        trade = next(each for each in events if each["type"] == "trade")
        same(trade["maker_qty"], trade["taker_qty"], "quantities of a trade")
        world.client.market.close_position(world.subaccount, ETH_PERP)
        return f"{len(events)} events, {len(depths)} of book_depth"
