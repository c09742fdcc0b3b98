"""Envelopes, queries, the edge, rate limits and v2 REST (protocol.md 3.1, 5, 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nadows.units import NO_ASK, ONE_X18, to_x18
from nadows.venue.switches import Switches
from tests.venue.conformance.runner import Case, World
from tests.venue.conformance.steps import (
    NOBODY,
    UNKNOWN,
    again,
    cancel,
    edge,
    get,
    link,
    other_places,
    place,
    query,
    raw,
    replace,
    wait,
)
from tests.venue.rig import BTC, ETH, MS, T0, V1, Json

ONE_LINE: Final = ("v2",)
MISSING: Final = Switches(failures_echo_id=False)
MILLION: Final = str(1_000_000 * ONE_X18)


def only(*names: str) -> Any:
    """Demand exactly these members."""

    def check(world: World, answer: Json) -> None:
        assert set(names) == answer.keys() - {"_status"}

    return check


def has_data(*names: str) -> Any:
    """Demand that the data has exactly these members."""

    def check(world: World, answer: Json) -> None:
        assert set(names) == answer["data"].keys()

    return check


def limited(world: World) -> None:
    world.rig.exchange._rest._limits.enabled = True


def empty_asks(world: World) -> None:
    book = world.rig.exchange.engine.markets[ETH].book
    for price in book.asks.prices():
        for order in list(book.asks.levels[price]):
            book.remove(order)


def maintenance(world: World) -> None:
    world.rig.exchange.set_active(False)


def spend(weight: int) -> Any:
    """Use up so much of the wallet's allowance, a digest at a time."""

    def step(world: World) -> Any:
        return world.me.cancel(*[UNKNOWN] * weight)

    return step


def _symbols(*expected: str) -> Callable[[World, Json], None]:
    def check(world: World, answer: Json) -> None:
        assert set(expected) == set(answer["data"]["symbols"])

    return check


def _quote_is_first(world: World, answer: Json) -> None:
    expected = {"product_id": 0, "ticker_id": None, "can_withdraw": True}
    assert expected.items() <= answer["list"][0].items()


ENVELOPES: Final = [
    Case(
        "3.1",
        "a success has status, signature, data, request_type and id",
        place("2990", "1", id=5),
        only("status", "signature", "data", "request_type", "id"),
    ),
    Case(
        "3.1",
        "without an id none is echoed",
        place("2990", "1"),
        only("status", "signature", "data", "request_type"),
    ),
    Case(
        "3.1",
        "a failure has error and error_code and no data",
        place("2990.05", "1"),
        only("status", "signature", "error", "error_code", "request_type"),
    ),
    Case(
        "3.1", "request_type names the execute", place("2990", "1"), {"request_type": "execute_place_order"}
    ),
    Case("3.1", "the id is echoed", place("2990", "1", id=2**64 - 1), {"id": 2**64 - 1}),
    Case("9", "failures echo the id", place("2990.05", "1", id=5), {"id": 5}),
    Case(
        "9",
        "or do not, by switch",
        place("2990.05", "1", id=5),
        only("status", "signature", "error", "error_code", "request_type"),
        switches=MISSING,
    ),
    Case(
        "3.8",
        "a replacement echoes the id of its order",
        replace("2991", "1", id=6),
        {"id": 6},
        (place("2990", "1"),),
    ),
    Case("3.6", "a cancel echoes its id", cancel(0, id=7), {"id": 7}, (place("2990", "1"),)),
    Case(
        "3.1", "an execute without a result has no data", link(5), only("status", "signature", "request_type")
    ),
    Case(
        "5",
        "a query's answer has exactly three members",
        query("status"),
        only("status", "data", "request_type"),
    ),
    Case(
        "5",
        "a failed query names error and code",
        query("order", product_id=ETH, digest=UNKNOWN),
        only("status", "error", "error_code", "request_type"),
    ),
    Case("9", "what is not JSON is refused", raw("{"), 1005),
    Case("9", "what is no object is refused", raw("[1]"), 1005),
    Case("9", "an unknown execute is refused with the names there are", raw('{"shout":{}}'), 1005),
    Case("9", "a missing member is named", raw('{"place_order":{"product_id":4}}'), 1005),
    Case(
        "9", "two executes in one message are refused", raw('{"cancel_orders":null,"place_order":null}'), 1005
    ),
    Case("5", "an unknown query is refused", query("weather"), 1005),
]

QUERIES: Final = [
    Case("5.1", "status is active", query("status"), {"data": "active", "request_type": "query_status"}),
    Case("5.1", "under maintenance it is failed", query("status"), {"data": "failed"}, (maintenance,)),
    Case(
        "5.1",
        "contracts: the chain id is a string",
        query("contracts"),
        {"data": {"chain_id": "763373", "endpoint_addr": "0x698d87105274292b5673367dec81874ce3633ac2"}},
    ),
    Case(
        "5.1",
        "nonces: tx_nonce begins at 0",
        query("nonces", address="0x" + "11" * 20),
        {"data": {"tx_nonce": "0"}},
    ),
    Case(
        "5.1",
        "nonces: tx_nonce counts what needed it",
        lambda world: world.rig.query("nonces", address=world.me.signer.address),
        {"data": {"tx_nonce": "1"}},
        (link(5),),
    ),
    Case(
        "5.1",
        "order: an open one",
        query("order", product_id=ETH, digest="#0"),
        {"data": {"order_type": "default", "unfilled_amount": str(to_x18("1"))}},
        (place("2990", "1"),),
    ),
    Case(
        "5.1",
        "order: of another product it is not",
        query("order", product_id=BTC, digest="#0"),
        2020,
        (place("2990", "1"),),
    ),
    Case("5.1", "order: one that is not open", query("order", product_id=ETH, digest=UNKNOWN), 2020),
    Case(
        "5.3",
        "an order object has no id without one",
        query("order", product_id=ETH, digest="#0"),
        has_data(
            "product_id",
            "sender",
            "price_x18",
            "amount",
            "expiration",
            "order_type",
            "nonce",
            "appendix",
            "unfilled_amount",
            "digest",
            "placed_at",
        ),
        (place("2990", "1"),),
    ),
    Case(
        "5.3",
        "placed_at is a number of seconds",
        query("order", product_id=ETH, digest="#0"),
        {"data": {"placed_at": T0 // 10**9}},
        (place("2990", "1"),),
    ),
    Case(
        "5.1",
        "subaccount_orders: of one product",
        query("subaccount_orders", sender="ME", product_id=ETH),
        {"data": {"product_id": ETH, "orders": [{"id": 3}]}},
        (place("2990", "1", id=3),),
    ),
    Case(
        "5.1",
        "orders: one group for each product, empty ones too",
        query("orders", sender="ME", product_ids=[ETH, BTC]),
        {
            "data": {
                "product_orders": [{"product_id": ETH, "orders": [{}]}, {"product_id": BTC, "orders": []}]
            }
        },
        (place("2990", "1"),),
    ),
    Case(
        "5.4",
        "subaccount_info lists every product",
        query("subaccount_info", subaccount="ME"),
        {"data": {"exists": True, "spot_count": 5, "perp_count": 3}},
    ),
    Case(
        "5.4",
        "three healths, the initial first",
        query("subaccount_info", subaccount="ME"),
        {"data": {"healths": [{"health": MILLION}, {}, {}]}},
    ),
    Case(
        "5.4",
        "a missing subaccount exists not, and has nothing",
        query("subaccount_info", subaccount=NOBODY.hex),
        {"data": {"exists": False, "spot_count": 0, "spot_balances": [], "health_contributions": []}},
        switches=Switches(funded_on_query=False),
    ),
    Case(
        "5.1",
        "numbers may be strings",
        query("subaccount_orders", sender="ME", product_id="4"),
        {"data": {"product_id": 4}},
    ),
    Case(
        "5.1",
        "isolated_positions: none",
        query("isolated_positions", subaccount="ME"),
        {"data": {"isolated_positions": []}},
    ),
    Case(
        "5.1",
        "market_liquidity has levels, product and timestamp",
        query("market_liquidity", product_id=ETH, depth=2),
        has_data("bids", "asks", "product_id", "timestamp"),
    ),
    Case(
        "5.1",
        "market_liquidity: at most 100 levels",
        query("market_liquidity", product_id=ETH, depth=101),
        1005,
    ),
    Case(
        "5.1",
        "market_price",
        query("market_price", product_id=ETH),
        {"data": {"bid_x18": str(to_x18("2999.7")), "ask_x18": str(to_x18("3000.3"))}},
    ),
    Case(
        "5.1",
        "market_price: an empty side has the sentinel",
        query("market_price", product_id=ETH),
        {"data": {"ask_x18": str(NO_ASK)}},
        (empty_asks,),
    ),
    Case(
        "5.1",
        "market_prices",
        query("market_prices", product_ids=[ETH, BTC]),
        {"data": {"market_prices": [{"product_id": ETH}, {"product_id": BTC}]}},
    ),
    Case(
        "5.1",
        "all_products has spot and perp",
        query("all_products"),
        has_data("spot_products", "perp_products"),
    ),
    Case(
        "5.1",
        "edge_all_products is by chain",
        query("edge_all_products"),
        {"data": {"edge_all_products": {"763373": {}}}},
    ),
    Case(
        "5.1",
        "symbols are by name, the quote is not among them",
        query("symbols"),
        _symbols("BTC-PERP", "ETH-PERP", "KBTC", "SOL-PERP", "USDC", "wETH"),
    ),
    Case("5.1", "symbols: by kind", query("symbols", product_type="spot"), _symbols("KBTC", "USDC", "wETH")),
    Case("5.1", "symbols: an unknown kind", query("symbols", product_type="future"), 2061),
    Case(
        "5.5",
        "a symbol has increments, fees and weights",
        query("symbols"),
        {
            "data": {
                "symbols": {
                    "BTC-PERP": {
                        "type": "perp",
                        "product_id": 2,
                        "price_increment_x18": str(ONE_X18),
                        "size_increment": "50000000000000",
                        "min_size": str(100 * ONE_X18),
                        "trading_status": "live",
                        "isolated_only": False,
                    }
                }
            }
        },
    ),
    Case("5.6", "fee_rates are by product id", query("fee_rates", sender="ME"), {"data": {"fee_tier": 0}}),
    Case(
        "5.1",
        "max_order_size: long",
        query("max_order_size", sender="ME", product_id=ETH, price_x18=str(3000 * ONE_X18), direction="long"),
        "ok",
    ),
    Case(
        "5.1",
        "max_order_size: a direction that is none",
        query("max_order_size", sender="ME", product_id=ETH, price_x18="1", direction="up"),
        1005,
    ),
    Case(
        "5.1",
        "max_order_size: a price that is none",
        query("max_order_size", sender="ME", product_id=ETH, price_x18="0", direction="long"),
        2055,
    ),
    Case(
        "5.1",
        "max_order_size: nothing to reduce",
        query(
            "max_order_size",
            sender="ME",
            product_id=ETH,
            price_x18=str(3000 * ONE_X18),
            direction="short",
            reduce_only="true",
        ),
        {"data": {"max_order_size": "0"}},
    ),
    Case(
        "5.1",
        "max_withdrawable leaves the fee",
        query("max_withdrawable", sender="ME", product_id=0),
        {"data": {"max_withdrawable": str(999_999 * ONE_X18)}},
    ),
    Case(
        "5.1",
        "max_withdrawable: a perp has no token",
        query("max_withdrawable", sender="ME", product_id=ETH),
        2016,
    ),
    Case(
        "5.1",
        "linked_signer: the zero address is none",
        query("linked_signer", subaccount="ME"),
        {"data": {"linked_signer": "0x" + "00" * 20}},
    ),
    Case(
        "5.1",
        "health_groups are pairs",
        query("health_groups"),
        {"data": {"health_groups": [[1, 2], [3, 4]]}},
    ),
    Case("5.1", "insurance", query("insurance"), {"data": {"insurance": str(500_000 * ONE_X18)}}),
    Case(
        "5.1",
        "validate_order: what is no order is not valid",
        query("validate_order", product_id=ETH, order="0x"),
        {"data": {"valid": False}},
    ),
    Case(
        "5.1",
        "max_nlp_mintable",
        query("max_nlp_mintable", sender="ME", spot_leverage="false"),
        {"data": {"max_quote_amount": MILLION}},
    ),
    Case(
        "5.1", "max_nlp_burnable", query("max_nlp_burnable", sender="ME"), {"data": {"max_nlp_amount": "0"}}
    ),
    Case(
        "5.1",
        "nlp_pool_info",
        query("nlp_pool_info"),
        {"data": {"nlp_pools": [{"pool_id": 1, "open_orders": []}]}},
    ),
    Case(
        "5.1",
        "nlp_locked_balances",
        query("nlp_locked_balances", subaccount="ME"),
        {"data": {"locked_balances": []}},
    ),
    Case(
        "6.4",
        "trigger orders are listed elsewhere",
        query("list_trigger_orders", tx={"sender": "ME", "recvTime": "1"}, signature="0x"),
        4001,
    ),
    Case(
        "5",
        "GET takes the same as query",
        get("/v1/query", type="market_price", product_id="4"),
        {"data": {"product_id": 4}},
        lines=("REST",),
    ),
    Case(
        "1",
        "the unified layout answers the same",
        get("/gateway/v1/query", type="status"),
        {"data": "active"},
        lines=("REST",),
    ),
    Case("5.1", "GET /v1/symbols is a plain list", get("/v1/symbols"), {"list": [{}] * 6}, lines=("REST",)),
]

EDGE: Final = [
    Case(
        "5.2",
        "time is the way to measure the clock",
        edge("time"),
        {"status": "success", "method": "time", "server_time": str(T0 // MS)},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "ping echoes the client's time",
        edge("ping", id=4, client_time="5"),
        {"method": "pong", "id": 4, "client_time": "5"},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "request_type of the edge is the bare name",
        edge("cached_status"),
        {"request_type": "cached_status", "data": "active"},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_prices: all",
        edge("cached_prices"),
        {"data": {"market_prices": [{}] * 6}},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_prices: some",
        edge("cached_prices", product_ids=[4]),
        {"data": {"market_prices": [{"product_id": 4}]}},
        lines=("REST",),
    ),
    Case(
        "5.2", "cached_symbols", edge("cached_symbols"), {"request_type": "cached_symbols"}, lines=("REST",)
    ),
    Case(
        "5.2", "cached_contracts", edge("cached_contracts"), {"data": {"chain_id": "763373"}}, lines=("REST",)
    ),
    Case("5.2", "cached_all_products", edge("cached_all_products"), {"data": {}}, lines=("REST",)),
    Case(
        "5.2",
        "cached_edge_all_products",
        edge("cached_edge_all_products"),
        {"data": {"edge_all_products": {}}},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_health_groups",
        edge("cached_health_groups"),
        {"data": {"health_groups": [[1, 2], [3, 4]]}},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_nlp_pool_info",
        edge("cached_nlp_pool_info"),
        {"data": {"nlp_pools": [{}]}},
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_bbo_history: samples of 500 ms, oldest first",
        edge("cached_bbo_history", product_ids=[4], limit=2),
        {
            "data": {
                "interval_ms": 500,
                "limit": 2,
                "history": [{"timestamp": str(T0 // MS + 500)}, {"timestamp": str(T0 // MS + 1000)}],
            }
        },
        (wait(1),),
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_bbo_history: the interval is a multiple of 500",
        edge("cached_bbo_history", interval_ms=501),
        1005,
        lines=("REST",),
    ),
    Case(
        "5.2",
        "cached_bbo_history: at most 3600",
        edge("cached_bbo_history", limit=3601),
        1005,
        lines=("REST",),
    ),
]

LIMITS: Final = [
    Case(
        "7",
        "a wallet's executes weigh 100 in 10 s at most",
        place("2990", "0.1"),
        1000,
        (limited, spend(100)),
        lines=ONE_LINE,
    ),
    Case("7", "exactly 100 pass", spend(100), 2020, (limited,), lines=ONE_LINE),
    Case(
        "7",
        "after 10 s there is room again",
        place("2990", "0.1"),
        "ok",
        (limited, spend(100), wait(10.1)),
        lines=ONE_LINE,
    ),
    Case(
        "7",
        "another wallet has its own",
        other_places("2990", "0.1"),
        "ok",
        (limited, spend(100)),
        lines=ONE_LINE,
    ),
    Case(
        "7",
        "over 1000 by REST is HTTP 429",
        lambda world: world.rig.http("GET", "/v1/query", {"type": "status"}),
        {"_status": 429, "error_code": 1000},
        (limited, again(query("max_nlp_mintable", sender="ME"), 20)),
        lines=("v2",),
    ),
    Case(
        "7",
        "queries weigh on the address: 400 in 10 s",
        query("status"),
        1000,
        (limited, again(query("max_nlp_mintable", sender="ME"), 20)),
        lines=ONE_LINE,
    ),
]

V2: Final = [
    Case("5.7", "assets: the quote has no market", get("/v2/assets"), _quote_is_first, lines=("REST",)),
    Case(
        "5.7",
        "pairs: base and quote",
        get("/v2/pairs", market="perp"),
        {
            "list": [
                {"ticker_id": "BTC-PERP_USDT0"},
                {"ticker_id": "ETH-PERP_USDT0"},
                {"ticker_id": "SOL-PERP_USDT0"},
            ]
        },
        lines=("REST",),
    ),
    Case(
        "5.7",
        "orderbook: floats, wall clock in ms",
        get("/v2/orderbook", ticker_id="ETH-PERP_USDT0", depth="1"),
        {"product_id": 4, "timestamp": T0 // MS},
        lines=("REST",),
    ),
    Case(
        "5.7",
        "orderbook: an unknown ticker",
        get("/v2/orderbook", ticker_id="X", depth="1"),
        {"_status": 400, "error_code": 2015},
        lines=("REST",),
    ),
    Case(
        "5.7",
        "apr: of what can be deposited",
        get("/v2/apr"),
        {"list": [{"symbol": "USDT0"}, {}, {}, {}, {}]},
        lines=("REST",),
    ),
    Case(
        "5.7",
        "tickers are by ticker id",
        get("/archive/v2/tickers", market="perp"),
        {"ETH-PERP_USDT0": {"last_price": 3000.0}},
        lines=("REST",),
    ),
    Case(
        "5.7",
        "contracts name the next funding",
        get("/archive/v2/contracts"),
        {"ETH-PERP_USDT0": {"product_type": "perpetual", "next_funding_rate_timestamp": T0 // 10**9 + 3600}},
        lines=("REST",),
    ),
    Case(
        "5.7",
        "trades: a sell's base is negative",
        get("/archive/v2/trades", ticker_id="ETH-PERP_USDT0", limit="1"),
        {"list": [{"trade_type": "sell", "base_filled": -0.1}]},
        (place("2990", "-0.1"),),
        lines=("REST",),
    ),
    Case(
        "5.7",
        "symbols have market hours",
        get("/archive/v2/symbols"),
        {"ETH-PERP": {"market_hours": {"is_open": True}}},
        lines=("REST",),
    ),
    Case("1", "there is nothing at other paths", get("/v3/assets"), {"_status": 404}, lines=("REST",)),
]


def held(world: World) -> None:
    """Put an order into its speed bump on v1, and a query behind it."""
    world.rig.exchange.frame_received(V1, world.me.sign("2990", "0.1").frame, world.rig.now_ns)
    world.rig.exchange.frame_received(V1, '{"type":"status"}', world.rig.now_ns)


def _answers(expected: list[str]) -> Any:
    def check(world: World, answer: Any) -> None:
        assert expected == [frame["request_type"] for frame in answer if "request_type" in frame]

    return check


def _overtake(world: World) -> list[Json]:
    answers = world.rig.send(world.line, world.me.sign("2990", "0.1").frame)
    answers += world.rig.send(world.line, {"type": "status"})
    return answers + world.rig.advance(50 * MS)


def _batch(world: World) -> list[Json]:
    frame = '{"place_orders":{"orders":[]}}'
    assert [] == world.rig.send(world.line, frame)
    return world.rig.advance(50 * MS)


def _held_at_first(world: World) -> list[Json]:
    held(world)
    return world.rig.take()


def _held_then_answered(world: World) -> list[Json]:
    held(world)
    return world.rig.advance(50 * MS)


BUMP: Final = Switches(speed_bump_ms=50)
LINES: Final = [
    Case(
        "3.1",
        "v1 is serial: a query waits behind an order in its speed bump",
        _held_at_first,
        _answers([]),
        lines=("v1",),
        switches=BUMP,
    ),
    Case(
        "3.1",
        "and is answered after it",
        _held_then_answered,
        _answers(["execute_place_order", "query_status"]),
        lines=("v1",),
        switches=BUMP,
    ),
    Case(
        "3.1",
        "v2 is concurrent: the query overtakes",
        _overtake,
        _answers(["query_status", "execute_place_order"]),
        lines=("v2",),
        switches=BUMP,
    ),
    Case(
        "3.1",
        "post-only passes without a speed bump",
        place("2990", "0.1", kind=3),
        "ok",
        lines=("v1", "v2"),
        switches=BUMP,
    ),
    Case(
        "3.5",
        "a batch waits for its penalty",
        _batch,
        _answers(["execute_place_orders"]),
        lines=("v2",),
        switches=Switches(batch_penalty_ms=50),
    ),
]


CASES: Final = [*ENVELOPES, *QUERIES, *EDGE, *LIMITS, *V2, *LINES]
