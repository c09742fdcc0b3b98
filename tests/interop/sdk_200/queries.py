"""Start-up and everything that can be asked by REST: gateway v1, v2 and edge."""

from __future__ import annotations

import time
from typing import Any

from nado_protocol.engine_client import EngineEdgeQueryClient, EngineWebClient
from nado_protocol.engine_client.types import EngineClientOpts
from nado_protocol.engine_client.types.models import EngineStatus, MarketType

from tests.interop.sdk_200.checks import (
    BTC_PERP,
    ETH_PERP,
    NLP,
    PERPS,
    SPOTS,
    Suite,
    World,
    holds,
    refused,
    same,
)

suite = Suite()

NO_DIGEST = "0x" + "ab" * 32


@suite("create_nado_client with the venue's URLs and the testnet deployment")
def create(world: World) -> str:
    # It only logs a failed `contracts` query; these two raise then.
    same(world.ready["chain_id"], world.engine.chain_id, "chain id")
    endpoint = world.ready["endpoint"].lower()
    same(endpoint, world.engine.endpoint_addr.lower(), "endpoint contract")
    same(endpoint, world.client.context.contracts.endpoint.address.lower(), "endpoint of the deployment")
    return f"chain {world.engine.chain_id}, endpoint {world.engine.endpoint_addr}"


@suite("status")
def status(world: World) -> str:
    same(EngineStatus.ACTIVE, world.engine.get_status(), "status")
    return "active"


@suite("contracts")
def contracts(world: World) -> str:
    answer = world.engine.get_contracts()
    same(str(world.ready["chain_id"]), answer.chain_id, "chain id")
    return f"{answer.chain_id} {answer.endpoint_addr}"


@suite("nonces")
def nonces(world: World) -> str:
    answer = world.engine.get_nonces(world.client.context.signer.address)
    same(0, int(answer.tx_nonce), "tx_nonce of a new wallet")
    recv_time_s = (int(answer.order_nonce) >> 20) / 1000
    holds(abs(recv_time_s - time.time()) < 110, f"order_nonce is of about now: {recv_time_s}")
    return f"tx {answer.tx_nonce}, order {answer.order_nonce}"


@suite("GET /symbols")
def product_symbols(world: World) -> str:
    names = {each.product_id: each.symbol for each in world.client.market.get_all_product_symbols()}
    same("BTC-PERP", names.get(BTC_PERP), "symbol of product 2")
    same(sorted(SPOTS + PERPS), sorted(names), "product ids")
    return ", ".join(names.values())


@suite("symbols, all and filtered")
def symbols(world: World) -> str:
    found = world.engine.get_symbols().symbols
    same(sorted(SPOTS + PERPS), sorted(int(each.product_id) for each in found.values()), "all")
    same(str(10**18), found["BTC-PERP"].price_increment_x18, "price increment")
    spots = world.engine.get_symbols(product_type="spot").symbols
    same({"spot"}, {each.type for each in spots.values()}, "types when asked for spot")
    one = world.engine.get_symbols(product_ids=[ETH_PERP]).symbols
    same(["ETH-PERP"], list(one), "symbols when asked for product 4")
    return f"{len(found)} symbols, {len(spots)} spot"


@suite("all_products")
def all_products(world: World) -> str:
    answer = world.client.market.get_all_engine_markets()
    same([0, *SPOTS, NLP], sorted(each.product_id for each in answer.spot_products), "spot")
    same(list(PERPS), sorted(each.product_id for each in answer.perp_products), "perp")
    return f"{len(answer.spot_products)} spot, {len(answer.perp_products)} perp"


@suite("edge_all_products")
def edge_all_products(world: World) -> str:
    chains = world.engine.get_edge_all_products().edge_all_products
    same([str(world.ready["chain_id"])], list(chains), "chains")
    return f"chain {', '.join(chains)}"


@suite("market_liquidity")
def market_liquidity(world: World) -> str:
    book = world.client.market.get_market_liquidity(BTC_PERP, 20)
    bids, asks = ([int(price) for price, _ in side] for side in (book.bids, book.asks))
    same((20, 20), (len(bids), len(asks)), "levels")
    holds(bids == sorted(bids, reverse=True) and asks == sorted(asks), "best first")
    holds(bids[0] < asks[0], "not crossed")
    holds(int(book.timestamp) > 10**18, "timestamp in ns")
    return f"bid {bids[0] / 1e18:g}, ask {asks[0] / 1e18:g}"


@suite("market_price")
def market_price(world: World) -> str:
    bid, ask = world.touch(ETH_PERP)
    holds(0 < bid < ask < 10**24, f"a two-sided price: {bid} {ask}")
    return f"bid {bid / 1e18:g}, ask {ask / 1e18:g}"


@suite("market_prices")
def market_prices(world: World) -> str:
    answer = world.client.market.get_latest_market_prices([*PERPS, *SPOTS])
    same([*PERPS, *SPOTS], [each.product_id for each in answer.market_prices], "products")
    return f"{len(answer.market_prices)} prices"


@suite("health_groups")
def health_groups(world: World) -> str:
    groups = world.engine.get_health_groups().health_groups
    holds([1, 2] in groups, f"KBTC and BTC-PERP are one: {groups}")
    return str(groups)


@suite("insurance")
def insurance(world: World) -> str:
    amount = int(world.engine.get_insurance().insurance)
    holds(amount > 0, "positive")
    return f"{amount / 1e18:g} USDT0"


@suite("a query that fails keeps its error code")
def failing_queries(world: World) -> str:
    refused(2020, lambda: world.engine.get_order(BTC_PERP, NO_DIGEST))
    return refused(2015, lambda: world.engine.get_market_price(9999))


@suite("v2 assets")
def assets(world: World) -> str:
    found = {each["symbol"]: each for each in world.engine.get_assets()}
    holds({"USDT0", "BTC-PERP", "wETH"} <= found.keys(), f"known symbols: {', '.join(found)}")
    return f"{len(found)} assets"


@suite("v2 pairs")
def pairs(world: World) -> str:
    everything = [each["ticker_id"] for each in world.engine.get_pairs()]
    perps = [each["ticker_id"] for each in world.engine.get_pairs(MarketType.PERP)]
    same(["BTC-PERP_USDT0", "ETH-PERP_USDT0", "SOL-PERP_USDT0"], perps, "perpetuals")
    same(len(SPOTS + PERPS), len(everything), "pairs")
    return ", ".join(perps)


@suite("v2 orderbook")
def orderbook(world: World) -> str:
    book = world.engine.get_orderbook("BTC-PERP_USDT0", 5)
    same(("BTC-PERP_USDT0", 5, 5), (book.ticker_id, len(book.bids), len(book.asks)), "ticker and levels")
    holds(abs(book.timestamp / 1000 - time.time()) < 10, "timestamp in ms")
    return f"bid {book.bids[0][0]}, ask {book.asks[0][0]}"


def _edge(world: World) -> Any:
    return EngineEdgeQueryClient(EngineClientOpts(url=world.ready["gateway"]))


@suite("edge: cached prices, symbols, contracts, products, health groups")
def cached(world: World) -> str:
    edge = _edge(world)
    prices = edge.get_cached_market_prices([BTC_PERP, ETH_PERP]).market_prices
    same([BTC_PERP, ETH_PERP], [each.product_id for each in prices], "prices")
    same(["BTC-PERP"], list(edge.get_cached_symbols(product_ids=[BTC_PERP]).symbols), "symbols by id")
    same(len(SPOTS), len(edge.get_cached_symbols(product_type="spot").symbols), "symbols by type")
    same(str(world.ready["chain_id"]), edge.get_cached_contracts().chain_id, "chain id")
    same(len(PERPS), len(edge.get_cached_all_products().perp_products), "perpetuals")
    holds("edge_all_products" in edge.get_cached_edge_all_products(), "products by chain")
    holds(edge.get_cached_health_groups().health_groups, "health groups")
    return "six answers"


@suite("edge: cached best prices of the last half hour")
def bbo_history(world: World) -> str:
    history = _edge(world).get_cached_bbo_history([BTC_PERP], interval_ms=500, limit=10)
    same((500, 10), (history.interval_ms, history.limit), "interval and limit")
    holds(all(each.product_id == BTC_PERP for each in history.history), "samples of product 2 only")
    return f"{len(history.history)} samples"


@suite("edge: time and ping")
def edge_time(world: World) -> str:
    clock = _edge(world).time(id=7)
    same(("success", "time", 7), (clock["status"], clock["method"], clock["id"]), "answer")
    skew_ms = int(clock["server_time"]) - time.time() * 1000
    holds(abs(skew_ms) < 5000, f"clocks agree: {skew_ms} ms")
    pong = _edge(world).ping(client_time="1800000000000")
    same(("pong", "1800000000000"), (pong["method"], pong["client_time"]), "pong")
    return f"skew {skew_ms:.0f} ms"


@suite("gateway: time, and no block by address")
def web(world: World) -> str:
    client = EngineWebClient(world.ready["gateway"])
    skew_ms = client.get_time() - time.time() * 1000
    holds(abs(skew_ms) < 5000, f"clocks agree: {skew_ms} ms")
    same(None, client.get_ip_block_status(), "block")
    same(False, client.get_requires_cloudflare_auth(), "challenge")
    return f"skew {skew_ms:.0f} ms"
