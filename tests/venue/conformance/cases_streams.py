"""The subscription socket: requests, authentication, streams (protocol.md 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nadows.network import TESTNET
from nadows.signing import sign_authenticate
from nadows.units import ONE_X18, to_x18
from nadows.venue.exchange import ConnectionKind
from nadows.venue.switches import Switches
from tests.venue.conformance.runner import Case, Step, World
from tests.venue.conformance.steps import (
    NOBODY,
    authenticate,
    link,
    other_places,
    place,
    stream,
    stream_raw,
    subscribe,
    wait,
)
from tests.venue.rig import ETH, MS, T0, Json

ACK: Final = {"result": None, "id": 9}
SOCKET: Final = ("stream",)
ETH_TRADES: Final = {"type": "trade", "product_id": ETH}


def x(amount: str) -> str:
    return str(to_x18(amount))


def error(*words: str) -> Any:
    """Demand an error frame with these words, and that the socket goes on."""

    def check(world: World, answer: Json) -> None:
        assert answer["result"] is None
        assert all(word in answer["error"] for word in words), answer["error"]
        assert "result" in world.stream({"method": "ping", "id": 1})

    return check


def error_zero(words: str) -> Callable[[World, Json], None]:
    """Demand an error frame with id 0, as of a request that could not be read."""

    def check(world: World, answer: Json) -> None:
        assert (None, 0) == (answer["result"], answer["id"])
        assert words in answer["error"]

    return check


def closed(*connections: int) -> Callable[[World, Any], None]:
    """Demand that these connections were closed."""

    def check(world: World, answer: Any) -> None:
        assert list(connections) == answer

    return check


def ack(world: World, answer: Json) -> None:
    assert {"result", "id"} == answer.keys()


def advance(ns: int) -> Step:
    """Let time pass; there is no answer to look at."""

    def step(world: World) -> Json:
        world.rig.advance(ns)
        return {}

    return step


def pay_funding(world: World) -> Json:
    world.rig.exchange.pay_funding()
    return {}


def closed_by_sixth(world: World) -> list[int]:
    for connection in range(101, 107):
        world.rig.exchange.connection_made(connection, ConnectionKind.SUBSCRIBE, world.rig.now_ns)
        authenticated = world.me.authenticate if connection < 106 else _authenticate_quietly(world)
        authenticated(connection)
    return [closing.connection for closing in world.rig.exchange.connections_to_close()]


def _authenticate_quietly(world: World) -> Any:
    """Authenticate without waiting for an ack, which an evicted connection does not get."""

    def send(connection: int) -> None:
        request = sign_authenticate(
            world.me.signer, TESTNET.domain, world.me.sub, world.rig.now_ms + 1000, id=1
        )
        world.rig.send(connection, request.frame)

    return send


REQUESTS: Final = [
    Case(
        "2.2",
        "subscribe is acknowledged with null",
        stream("subscribe", stream=ETH_TRADES),
        ACK,
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "unsubscribe too",
        stream("unsubscribe", stream=ETH_TRADES),
        ACK,
        (subscribe("trade", product_id=ETH),),
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "unsubscribing what was not subscribed is no error",
        stream("unsubscribe", stream=ETH_TRADES),
        ACK,
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "subscribing twice is no error",
        stream("subscribe", stream=ETH_TRADES),
        ACK,
        (subscribe("trade", product_id=ETH),),
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "list shows the streams as they were asked for",
        stream("list"),
        {"result": [{"type": "default"}, ETH_TRADES], "id": 9},
        (subscribe("trade", product_id=ETH),),
        lines=SOCKET,
    ),
    Case(
        "9",
        "without the default entry, by switch",
        stream("list"),
        {"result": [ETH_TRADES]},
        (subscribe("trade", product_id=ETH),),
        lines=SOCKET,
        switches=Switches(list_names_default=False),
    ),
    Case(
        "2.2",
        "ping answers pong, with the clock",
        stream("ping"),
        {"result": {"method": "pong", "server_time": str(T0 // MS)}, "id": 9},
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "ping echoes the client's time",
        stream("ping", client_time="5"),
        {"result": {"client_time": "5"}},
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "time answers with the clock",
        stream("time"),
        {"result": {"method": "time", "server_time": str(T0 // MS)}},
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "subscribe_multi takes several",
        stream("subscribe_multi", streams=[ETH_TRADES, {"type": "all_bbo"}]),
        ACK,
        lines=SOCKET,
    ),
    Case(
        "9",
        "subscribe_multi takes all or none",
        stream("list"),
        {"result": [{"type": "default"}]},
        (stream("subscribe_multi", streams=[ETH_TRADES, {"type": "trade", "product_id": 99}]),),
        lines=SOCKET,
    ),
    Case("2.2", "unsubscribe_multi", stream("unsubscribe_multi", streams=[ETH_TRADES]), ACK, lines=SOCKET),
    Case(
        "2.1",
        "a missing id is named, and answered with id 0",
        stream_raw('{"method":"list"}'),
        error_zero("missing field `id`"),
        lines=SOCKET,
    ),
    Case(
        "2.1",
        "a missing product is named",
        stream("subscribe", stream={"type": "trade"}),
        error("missing field `product_id`"),
        lines=SOCKET,
    ),
    Case(
        "2.1",
        "an unknown method lists the known ones",
        stream("shout"),
        error("unknown variant", "subscribe"),
        lines=SOCKET,
    ),
    Case(
        "2.1",
        "an unknown stream lists the known ones",
        stream("subscribe", stream={"type": "orderbook"}),
        error("unknown variant", "book_depth"),
        lines=SOCKET,
    ),
    Case(
        "2.1",
        "a product that does not exist",
        stream("subscribe", stream={"type": "trade", "product_id": 99}),
        error("product_id"),
        lines=SOCKET,
    ),
    Case(
        "2.2",
        "unknown members of a stream are refused",
        stream("subscribe", stream={**ETH_TRADES, "chain_id": 1}),
        error("unknown field"),
        lines=SOCKET,
    ),
    Case(
        "2.4",
        "a granularity that does not exist",
        stream("subscribe", stream={"type": "latest_candlestick", "product_id": ETH, "granularity": 61}),
        error("granularity"),
        lines=SOCKET,
    ),
    Case("2.1", "what is not JSON", stream_raw("{"), error_zero("error parsing request"), lines=SOCKET),
    Case(
        "2.2",
        "null and absent products mean all",
        stream("subscribe", stream={"type": "liquidation", "product_id": None}),
        ACK,
        lines=SOCKET,
    ),
]

AUTHENTICATION: Final = [
    Case("2.3", "authenticate is acknowledged with null", authenticate(), ACK, lines=SOCKET),
    Case(
        "2.3",
        "order_update needs it",
        subscribe("order_update", subaccount="ME"),
        error("authenticate"),
        lines=SOCKET,
    ),
    Case(
        "2.3",
        "after it, it is subscribed",
        subscribe("order_update", subaccount="ME"),
        ack,
        (authenticate(),),
        lines=SOCKET,
    ),
    Case(
        "2.3",
        "for the own wallet only",
        subscribe("order_update", subaccount=NOBODY.hex),
        error("authenticate"),
        (authenticate(),),
        lines=SOCKET,
    ),
    Case(
        "2.3",
        "fill and position_change need none",
        subscribe("fill", subaccount=NOBODY.hex),
        ack,
        lines=SOCKET,
    ),
    Case(
        "2.3",
        "an expiration that has passed is refused",
        authenticate(ahead_ms=0),
        error("expiration"),
        lines=SOCKET,
    ),
    Case(
        "2.3", "over 100 s ahead it is refused", authenticate(ahead_ms=100_001), error("100 s"), lines=SOCKET
    ),
    Case("2.3", "exactly 100 s are accepted", authenticate(ahead_ms=100_000), ACK, lines=SOCKET),
    Case(
        "2.3",
        "a key that is not the wallet's is refused",
        authenticate(key=7),
        error("signature"),
        lines=SOCKET,
    ),
    Case("9", "a linked signer may authenticate", authenticate(key=5), ACK, (link(5),), lines=SOCKET),
    Case(
        "9",
        "or may not, by switch",
        authenticate(key=5),
        error("linked signer"),
        (link(5),),
        lines=SOCKET,
        switches=Switches(linked_signer_authenticates=False),
    ),
    Case("2.3", "authenticating again is no error", authenticate(), ACK, (authenticate(),), lines=SOCKET),
    Case(
        "2.3",
        "a connection keeps its wallet",
        authenticate(key=2, sender=2),
        error("another wallet"),
        (authenticate(),),
        lines=SOCKET,
    ),
    Case("2.3", "of six connections the new one is closed", closed_by_sixth, closed(106), lines=SOCKET),
    Case(
        "9",
        "or the oldest, by switch",
        closed_by_sixth,
        closed(101),
        lines=SOCKET,
        switches=Switches(evict_newest_session=False),
    ),
]

STREAMS: Final = [
    Case(
        "2.5",
        "trade: one frame for each match, with the taker's side",
        place("2990", "-0.1"),
        "ok",
        (subscribe("trade", product_id=ETH),),
        (
            {
                "type": "trade",
                "price": x("2999.7"),
                "taker_qty": x("0.1"),
                "maker_qty": x("0.1"),
                "is_taker_buyer": False,
            },
        ),
        ("trade",),
        SOCKET,
    ),
    Case(
        "2.5",
        "best_bid_offer: only when the top changes",
        place("2999.8", "1"),
        "ok",
        (subscribe("best_bid_offer", product_id=ETH),),
        ({"type": "best_bid_offer", "bid_price": x("2999.8"), "bid_qty": x("1")},),
        ("best_bid_offer",),
        SOCKET,
    ),
    Case(
        "2.5",
        "best_bid_offer: nothing for what is deeper",
        place("2990", "1"),
        "ok",
        (subscribe("best_bid_offer", product_id=ETH),),
        (),
        ("best_bid_offer",),
        SOCKET,
    ),
    Case(
        "2.5",
        "book_depth: the changed levels, 50 ms later, chained from 0",
        advance(50 * MS),
        {},
        (subscribe("book_depth", product_id=ETH), place("2999.8", "1")),
        ({"type": "book_depth", "last_max_timestamp": "0", "bids": [[x("2999.8"), x("1")]], "asks": []},),
        ("book_depth",),
        SOCKET,
    ),
    Case(
        "2.5",
        "book_depth: a quantity of 0 takes a level out",
        advance(50 * MS),
        {},
        (
            place("2999.8", "1"),
            wait(0.05),
            subscribe("book_depth", product_id=ETH),
            lambda world: world.me.cancel(world.digests[0]),
        ),
        ({"type": "book_depth", "bids": [[x("2999.8"), "0"]]},),
        ("book_depth",),
        SOCKET,
    ),
    Case(
        "2.5",
        "book_depth: no empty batches, no snapshot",
        advance(200 * MS),
        {},
        (subscribe("book_depth", product_id=ETH),),
        (),
        ("book_depth",),
        SOCKET,
    ),
    Case(
        "2.5",
        "latest_candlestick: on every trade, start in seconds as text",
        place("3010", "0.1"),
        "ok",
        (subscribe("latest_candlestick", product_id=ETH, granularity=60),),
        (
            {
                "type": "latest_candlestick",
                "timestamp": str(T0 // 10**9),
                "close_x18": x("3000.3"),
                "volume": x("0.1"),
            },
        ),
        ("latest_candlestick",),
        SOCKET,
    ),
    Case(
        "9",
        "latest_candlestick: or in ms as a number",
        place("3010", "0.1"),
        "ok",
        (subscribe("latest_candlestick", product_id=ETH, granularity=60),),
        ({"type": "latest_candlestick", "timestamp": T0 // MS},),
        ("latest_candlestick",),
        SOCKET,
        Switches(numeric_candle_time=True),
    ),
    Case(
        "2.4",
        "funding_rate: every 20 s",
        advance(20 * 10**9),
        {},
        (subscribe("funding_rate", product_id=ETH),),
        ({"type": "funding_rate", "product_id": ETH},),
        ("funding_rate",),
        SOCKET,
    ),
    Case(
        "2.4",
        "funding_payment: on command too",
        pay_funding,
        {},
        (subscribe("funding_payment", product_id=ETH),),
        ({"type": "funding_payment", "dt": 3600000},),
        ("funding_payment",),
        SOCKET,
    ),
    Case(
        "9",
        "funding_payment: with strings, by switch",
        pay_funding,
        {},
        (subscribe("funding_payment", product_id=ETH),),
        ({"type": "funding_payment", "dt": "3600"},),
        ("funding_payment",),
        SOCKET,
        Switches(funding_as_strings=True),
    ),
    Case(
        "2.4",
        "all_bbo: every 500 ms, by product",
        advance(500 * MS),
        {},
        (subscribe("all_bbo"),),
        (
            {
                "type": "all_bbo",
                "time": str(T0 // MS + 500),
                "bbos": {"4": {"bid": x("2999.7"), "ask": x("3000.3")}},
            },
        ),
        ("all_bbo",),
        SOCKET,
    ),
    Case(
        "2.5",
        "liquidation: whose position, of which sign, at what price",
        lambda world: world.other.liquidate(world.me.sub, ETH, "10"),
        "ok",
        (place("3010", "10"), lambda world: world.me.set_quote("250"), subscribe("liquidation")),
        ({"type": "liquidation", "product_ids": [ETH], "amount": x("10")},),
        ("liquidation",),
        SOCKET,
        Switches(liquidation_sweep_ms=0),
    ),
    Case(
        "2.5",
        "position_change: a deposit opens an account",
        place("2990", "0.1"),
        "ok",
        (subscribe("position_change", subaccount="ME"),),
        (
            {
                "type": "position_change",
                "product_id": 0,
                "amount": str(1_000_000 * ONE_X18),
                "reason": "deposit_collateral",
                "isolated": False,
            },
        ),
        ("position_change",),
        SOCKET,
    ),
    Case(
        "2.5",
        "position_change: a withdrawal",
        lambda world: world.me.withdraw(0, 10**6),
        "ok",
        (place("2990", "0.1"), subscribe("position_change", subaccount="ME")),
        ({"type": "position_change", "reason": "withdraw_collateral"},),
        ("position_change",),
        SOCKET,
    ),
    Case(
        "2.5",
        "position_change: a transfer",
        lambda world: world.me.transfer(NOBODY, "5"),
        "ok",
        (place("2990", "0.1"), subscribe("position_change", subaccount="ME")),
        ({"type": "position_change", "reason": "transfer_quote"},),
        ("position_change",),
        SOCKET,
    ),
    Case(
        "2.5",
        "position_change: minting changes quote and token",
        lambda world: world.me.mint("5"),
        "ok",
        (place("2990", "0.1"), subscribe("position_change", subaccount="ME")),
        (
            {"type": "position_change", "product_id": 0, "reason": "mint_nlp"},
            {"type": "position_change", "product_id": 11, "reason": "mint_nlp"},
        ),
        ("position_change",),
        SOCKET,
    ),
    Case(
        "2.3",
        "a fill of anybody is public",
        other_places("3010", "0.1"),
        "ok",
        (lambda world: world.rig.subscribe("fill", subaccount=world.other.sub.hex),),
        ({"type": "fill"},),
        ("fill",),
        SOCKET,
    ),
    Case(
        "2.2",
        "a product's fills only",
        place("3010", "0.1"),
        "ok",
        (subscribe("fill", subaccount="ME", product_id=2),),
        (),
        ("fill",),
        SOCKET,
    ),
    Case(
        "2.2",
        "after unsubscribe nothing comes",
        place("3010", "0.1"),
        "ok",
        (subscribe("trade", product_id=ETH), stream("unsubscribe", stream=ETH_TRADES)),
        (),
        ("trade",),
        SOCKET,
    ),
]


CASES: Final = [*REQUESTS, *AUTHENTICATION, *STREAMS]
