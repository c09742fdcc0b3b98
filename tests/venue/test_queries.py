"""Tests of nadows.venue.queries, nadows.venue.answers and nadows.venue.rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows.messages import decode_reply, reply_data
from nadows.messages.gateway import Reply
from nadows.network import TESTNET
from nadows.signing import OrderType
from nadows.units import NO_ASK, ONE_X18, mul_x18, to_x18
from nadows.venue.products import PRODUCTS, tradable
from nadows.venue.switches import Switches
from tests.venue.rig import BTC, ETH, KBTC, MS, SECOND, T0, V2, Json, Rig, Trader

SUB = "0x1a642f0e3c3af545e7acbd38b07251b3990914f164656661756c740000000000"

QUERIES: list[Json] = [
    {"type": "status"},
    {"type": "contracts"},
    {"type": "nonces", "address": SUB[:42]},
    {"type": "subaccount_orders", "sender": SUB, "product_id": 4},
    {"type": "orders", "sender": SUB, "product_ids": [2, 4]},
    {"type": "subaccount_info", "subaccount": SUB},
    {"type": "isolated_positions", "subaccount": SUB},
    {"type": "market_liquidity", "product_id": 4, "depth": 100},
    {"type": "market_price", "product_id": "4"},
    {"type": "market_prices", "product_ids": [2, 4]},
    {"type": "all_products"},
    {"type": "edge_all_products"},
    {"type": "symbols"},
    {"type": "fee_rates", "sender": SUB},
    {
        "type": "max_order_size",
        "sender": SUB,
        "product_id": 4,
        "price_x18": str(3000 * ONE_X18),
        "direction": "long",
    },
    {"type": "max_withdrawable", "sender": SUB, "product_id": 0},
    {"type": "linked_signer", "subaccount": SUB},
    {"type": "health_groups"},
    {"type": "insurance"},
    {"type": "cached_prices"},
    {"type": "cached_symbols"},
    {"type": "cached_contracts"},
    {"type": "cached_status"},
    {"type": "cached_all_products"},
    {"type": "cached_edge_all_products"},
    {"type": "cached_health_groups"},
    {"type": "cached_bbo_history", "product_ids": [2], "interval_ms": 500, "limit": 2},
]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(query["type"]))
def test_the_client_reads_every_answer(rig: Rig, query: Json) -> None:
    """Each answer has exactly the documented members, and its data is the client's type for it."""
    rig.advance(SECOND)

    answer = rig.ask(V2, query)

    rig.exchange.frame_received(V2, str(query).replace("'", '"'), rig.now_ns)
    ((_, frame),) = rig.exchange.frames_to_send()
    reply = decode_reply(frame)
    assert isinstance(reply, Reply)
    assert {"status", "data", "request_type"} == answer.keys()
    name = query["type"]
    assert (name if name.startswith("cached_") else f"query_{name}") == answer["request_type"]
    assert not isinstance(reply_data(reply), dict)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"type": "order", "product_id": 4, "digest": "0x" + "ab" * 32}, 2020),
        ({"type": "order", "product_id": 6, "digest": "0x" + "ab" * 32}, 2015),
        ({"type": "nonces", "address": "0x12"}, 1005),
        ({"type": "subaccount_info", "subaccount": "0x12"}, 2038),
        ({"type": "subaccount_info", "subaccount": SUB, "txns": "{}"}, 1005),
        ({"type": "subaccount_info", "subaccount": SUB, "txns": "["}, 1005),
        ({"type": "subaccount_orders", "sender": SUB, "product_id": 0}, 2015),
        ({"type": "orders", "sender": SUB, "product_ids": [6]}, 2015),
        ({"type": "market_liquidity", "product_id": 6, "depth": 1}, 2015),
        ({"type": "market_liquidity", "product_id": 4, "depth": 101}, 1005),
        ({"type": "market_liquidity", "product_id": 4, "depth": 0}, 1005),
        ({"type": "symbols", "product_type": "future"}, 2061),
        (
            {"type": "max_order_size", "sender": SUB, "product_id": 4, "price_x18": "1", "direction": "up"},
            1005,
        ),
        (
            {"type": "max_order_size", "sender": SUB, "product_id": 4, "price_x18": "0", "direction": "long"},
            2055,
        ),
        ({"type": "max_withdrawable", "sender": SUB, "product_id": 4}, 2016),
        ({"type": "max_withdrawable", "sender": SUB, "product_id": 99}, 2016),
        ({"type": "cached_bbo_history", "interval_ms": 501}, 1005),
        ({"type": "cached_bbo_history", "limit": 3601}, 1005),
        ({"type": "cached_bbo_history", "product_ids": [6]}, 2015),
        ({"type": "validate_order", "product_id": 6, "order": "0x"}, 2015),
    ],
    ids=str,
)
def test_a_query_that_is_refused(rig: Rig, query: Json, code: int) -> None:
    """A refused query gets the failure envelope under its request type."""
    answer = rig.ask(V2, query)

    assert ("failure", code) == (answer["status"], answer["error_code"])
    assert query["type"] in answer["request_type"]


class TestOpenOrders:
    """Queries about open orders."""

    def test_an_order_while_it_is_open(self, rig: Rig) -> None:
        """An open order is found by digest in any case, by subaccount, and in its group."""
        trader = Trader(rig)
        digest = trader.place("2990", "0.1", id=3, kind=OrderType.POST_ONLY)["data"]["digest"]

        by_digest = rig.query("order", product_id=ETH, digest=digest.upper().replace("0X", "0x"))["data"]
        by_sender = rig.query("subaccount_orders", sender=trader.sub.hex, product_id=ETH)["data"]
        grouped = rig.query("orders", sender=trader.sub.hex, product_ids=[BTC, ETH])["data"]

        assert ("post_only", 3, digest) == (by_digest["order_type"], by_digest["id"], by_digest["digest"])
        assert [by_digest] == by_sender["orders"]
        assert [(BTC, []), (ETH, [by_digest])] == [
            (group["product_id"], group["orders"]) for group in grouped["product_orders"]
        ]

    def test_an_order_of_another_product_is_not_found(self, rig: Rig) -> None:
        """The product is part of the question (2020)."""
        digest = Trader(rig).place("2990", "0.1")["data"]["digest"]

        assert 2020 == rig.query("order", product_id=BTC, digest=digest)["error_code"]


class TestSubaccountInfo:
    """Balances and health."""

    def test_a_new_wallet_has_paper_money(self, rig: Rig) -> None:
        """Asking for a balance is enough to get one; all products are listed."""
        info = rig.query("subaccount_info", subaccount=SUB)["data"]

        million = str(1_000_000 * ONE_X18)
        assert info["exists"] is True
        assert {"product_id": 0, "balance": {"amount": million}} == info["spot_balances"][0]
        assert [{"assets": million, "liabilities": "0", "health": million}] * 3 == info["healths"]
        assert len(info["spot_balances"]) == info["spot_count"] == 5
        assert len(info["perp_balances"]) == info["perp_count"] == 3
        assert max(PRODUCTS) + 1 == len(info["health_contributions"])

    def test_funding_on_query_is_a_switch(self) -> None:
        """Without it a wallet that never signed does not exist."""
        rig = Rig(switches=Switches(funded_on_query=False))

        info = rig.query("subaccount_info", subaccount=SUB)["data"]
        size = rig.query("max_order_size", sender=SUB, product_id=4, price_x18="1", direction="long")["data"]
        withdrawable = rig.query("max_withdrawable", sender=SUB, product_id=0)["data"]

        assert (False, [], 0) == (info["exists"], info["spot_balances"], info["perp_count"])
        assert "0" == size["max_order_size"] == withdrawable["max_withdrawable"]

    def test_a_position_shows_in_balances_and_health(self, rig: Rig) -> None:
        """A perp counts with its weight in health, and with its price unweighted."""
        trader = Trader(rig)
        trader.place("3010", "1")
        amount, v_quote = trader.perp()

        info = rig.query("subaccount_info", subaccount=trader.sub.hex)["data"]

        million = 1_000_000 * ONE_X18
        row = next(row for row in info["perp_balances"] if row["product_id"] == ETH)
        assert [str(ONE_X18), str(v_quote)] == [row["balance"]["amount"], row["balance"]["v_quote_balance"]]
        assert amount == ONE_X18
        values = [2940 * ONE_X18, 2970 * ONE_X18, 3000 * ONE_X18]
        assert [str(value + v_quote) for value in values] == info["health_contributions"][ETH]
        assert [str(million + value + v_quote) for value in values] == [h["health"] for h in info["healths"]]


class TestMaxOrderSize:
    """The largest order that health allows."""

    @pytest.mark.parametrize(("direction", "sign"), [("long", ""), ("short", "-")])
    def test_the_size_is_accepted_and_the_next_is_not(self, direction: str, sign: str) -> None:
        """What the query says is what the rules allow, to the step."""
        rig = Rig()
        trader = Trader(rig)
        account = rig.exchange.engine.ledger.open(trader.sub.hex)
        rig.exchange.engine.ledger.deposit(account, 0, 1000 * ONE_X18)
        answer = rig.query(
            "max_order_size",
            sender=trader.sub.hex,
            product_id=ETH,
            price_x18=str(3000 * ONE_X18),
            direction=direction,
        )
        size = int(answer["data"]["max_order_size"])
        step = PRODUCTS[ETH].size_increment

        def place(qty: int) -> Json:
            return trader.place("3000", f"{sign}{qty // 10**15 / 1000}", kind=OrderType.POST_ONLY)

        assert 2006 == place(size + step)["error_code"]
        assert "success" == place(size)["status"]

    def test_reduce_only_is_bounded_by_the_position(self, rig: Rig) -> None:
        """A reduce-only size is at most what is held the other way."""
        trader = Trader(rig)
        trader.place("3010", "0.5")
        sizes = [
            rig.query(
                "max_order_size",
                sender=trader.sub.hex,
                product_id=ETH,
                price_x18=str(3000 * ONE_X18),
                direction=direction,
                reduce_only="true",
            )["data"]["max_order_size"]
            for direction in ("short", "long")
        ]

        assert [str(to_x18("0.5")), "0"] == sizes


def test_max_withdrawable_of_a_token_is_bounded_by_balance_and_health(rig: Rig) -> None:
    """One can withdraw what one has, as far as health allows."""
    trader = Trader(rig)
    trader.place("95500", "0.5", product_id=KBTC)
    account = rig.exchange.engine.ledger.accounts[trader.sub.hex]

    all_of_it = rig.query("max_withdrawable", sender=trader.sub.hex, product_id=KBTC)["data"]
    rig.exchange.engine.ledger.deposit(account, 0, -account.spots[0])
    rig.exchange.engine.ledger.deposit(account, 0, -10_000 * ONE_X18)
    some = rig.query("max_withdrawable", sender=trader.sub.hex, product_id=KBTC)["data"]

    assert str(to_x18("0.5")) == all_of_it["max_withdrawable"]
    assert 0 < int(some["max_withdrawable"]) < to_x18("0.5")


def test_market_liquidity_is_as_of_the_last_change(rig: Rig) -> None:
    """The timestamp is that of the newest change in it, on the clock of the depth batches."""
    before = rig.query("market_liquidity", product_id=ETH, depth=2)["data"]
    rig.subscribe("book_depth", product_id=ETH)
    Trader(rig).place("2999.9", "0.1")
    (batch,) = [frame for frame in rig.advance(50 * MS) if frame.get("type") == "book_depth"]

    after = rig.query("market_liquidity", product_id=ETH, depth=2)["data"]

    assert int(before["timestamp"]) < int(batch["min_timestamp"])
    assert batch["max_timestamp"] == after["timestamp"]
    assert [str(to_x18("2999.9")), str(to_x18("0.1"))] == after["bids"][0]
    assert [2, 2] == [len(after["bids"]), len(after["asks"])]


def test_symbols_can_be_chosen(rig: Rig) -> None:
    """By id and by kind; the quote is never listed."""
    spot = rig.query("symbols", product_type="spot")["data"]["symbols"]
    chosen = rig.query("symbols", product_ids=[2, "4"])["data"]["symbols"]

    assert ["KBTC", "wETH", "USDC"] == list(spot)
    assert ["BTC-PERP", "ETH-PERP"] == list(chosen)


def test_bbo_history_samples_and_thins(rig: Rig) -> None:
    """Samples lie 500 ms apart, or a multiple of it, oldest first, up to a time."""
    rig.advance(10 * SECOND)

    every = rig.query("cached_bbo_history", product_ids=[ETH], limit=3)["data"]["history"]
    coarse = rig.query("cached_bbo_history", product_ids=[ETH], interval_ms=2000, limit=2)["data"]["history"]
    old = rig.query("cached_bbo_history", product_ids=[ETH], max_time_ms=T0 // MS + 1000)["data"]["history"]

    def times(rows: list[Json]) -> list[int]:
        return [int(row["timestamp"]) - T0 // MS for row in rows]

    assert [9000, 9500, 10000] == times(every)
    assert [8000, 10000] == times(coarse)
    assert [500, 1000] == times(old)
    assert str(to_x18("2999.7")) == every[0]["bid"]


class TestRest:
    """Paths and methods."""

    def test_get_takes_parameters_as_text(self, rig: Rig) -> None:
        """GET /query is the same as POST with scalar parameters."""
        params = {"type": "market_liquidity", "product_id": "4", "depth": "2"}

        assert rig.http("POST", "/v1/query", body=params) == rig.http("GET", "/v1/query", params)

    @pytest.mark.parametrize("path", ["/v1/query", "/gateway/v1/query", "/gateway/v1/query/"])
    def test_both_host_layouts(self, rig: Rig, path: str) -> None:
        """Everything under /gateway is the same as without it."""
        assert "active" == rig.http("GET", path, {"type": "status"})["data"]

    def test_the_edge_answers_under_the_bare_name(self, rig: Rig) -> None:
        """Cached queries have no prefix in their request type."""
        assert (
            "cached_prices"
            == rig.http("POST", "/v1/edge/query", body={"type": "cached_prices"})["request_type"]
        )

    def test_symbols_is_a_plain_list(self, rig: Rig) -> None:
        """GET /v1/symbols lists every market."""
        _, rows = rig.http_raw("GET", "/v1/symbols")

        assert [product.symbol for product in tradable()] == [row["symbol"] for row in rows]

    def test_v2(self, rig: Rig) -> None:
        """assets, pairs and orderbook, as plain JSON with floats."""
        _, assets = rig.http_raw("GET", "/v2/assets")
        _, pairs = rig.http_raw("GET", "/v2/pairs", {"market": "perp"})
        book = rig.http("GET", "/gateway/v2/orderbook", {"ticker_id": "ETH-PERP_USDT0", "depth": "2"})

        quote, eth = assets[0], assets[4]
        assert (None, None, True) == (quote["ticker_id"], quote["maker_fee"], quote["can_withdraw"])
        assert ("ETH-PERP_USDT0", "perp", 0.0001, 0.00035) == (
            eth["ticker_id"],
            eth["market_type"],
            eth["maker_fee"],
            eth["taker_fee"],
        )
        assert ["BTC-PERP_USDT0", "ETH-PERP_USDT0", "SOL-PERP_USDT0"] == [pair["ticker_id"] for pair in pairs]
        assert [[2999.7, 0.335], [2999.6, 0.402]] == book["bids"]
        assert rig.now_ms == book["timestamp"]
        assert len(pairs) < len(rig.http_raw("GET", "/v2/pairs")[1])

    @pytest.mark.parametrize(
        ("method", "path", "query", "status"),
        [
            ("GET", "/v2/orderbook", {"ticker_id": "2", "depth": "1"}, 400),
            ("GET", "/v2/orderbook", {}, 400),
            ("GET", "/v2/orderbook", {"ticker_id": "ETH-PERP_USDT0", "depth": "-1"}, 400),
            ("GET", "/v2/orderbook", {"ticker_id": "ETH-PERP_USDT0", "depth": "0"}, 400),
            ("GET", "/v2/pairs", {"market": "future"}, 400),
            ("POST", "/v2/pairs", {}, 405),
            ("GET", "/v1/execute", {}, 404),
            ("DELETE", "/v1/query", {}, 404),
            ("GET", "/archive/v1", {}, 405),
            ("POST", "/trigger/v1/execute", {}, 200),
            ("GET", "/", {}, 404),
            ("GET", "/nothing", {}, 404),
        ],
    )
    def test_what_is_not_there_is_said_in_json(
        self, rig: Rig, method: str, path: str, query: dict[str, str], status: int
    ) -> None:
        """Unknown paths, wrong methods and unsimulated services answer with an error in JSON, never 500."""
        answer = rig.http(method, path, query)

        assert status == answer["_status"]
        assert answer["error"]


def test_contracts_are_the_testnets(rig: Rig) -> None:
    """Clients that know only the testnet work; the address is lower case."""
    data = rig.query("contracts")["data"]

    assert {"chain_id": str(TESTNET.chain_id), "endpoint_addr": TESTNET.endpoint.lower()} == data


def test_an_empty_side_has_sentinels_in_prices(rig: Rig) -> None:
    """market_price of an empty book is 0 and 2**127 - 1."""
    book = rig.exchange.engine.markets[ETH].book
    for side in (book.bids, book.asks):
        for order in [order for level in side.levels.values() for order in level]:
            book.remove(order)

    assert {"product_id": ETH, "bid_x18": "0", "ask_x18": str(int(NO_ASK))} == rig.query(
        "market_price", product_id=ETH
    )["data"]


def test_all_bbo_comes_periodically(rig: Rig) -> None:
    """Best prices of all products every half second."""
    rig.subscribe("all_bbo")

    frames = rig.advance(SECOND)

    rows: list[Any] = [frame for frame in frames if frame["type"] == "all_bbo"]
    assert [str(T0 // MS + 500), str(T0 // MS + 1000)] == [row["time"] for row in rows]
    assert {str(product.product_id) for product in tradable()} == rows[0]["bbos"].keys()
    assert {"bid": str(to_x18("2999.7")), "ask": str(to_x18("3000.3"))} == rows[0]["bbos"]["4"]


class TestSuppositions:
    """`subaccount_info` with transactions that have not happened, and `validate_order`."""

    def _delta(self, product_id: int, amount: str, v_quote: str = "0", subaccount: str = SUB) -> Json:
        members = {"product_id": product_id, "subaccount": subaccount, "amount_delta": str(to_x18(amount))}
        return {"apply_delta": members | {"v_quote_delta": str(to_x18(v_quote))}}

    def test_deltas(self, rig: Rig) -> None:
        """The answer is as of afterwards, with the state before if asked for; nothing has changed."""
        txns = json.dumps(
            [
                self._delta(4, "10", "-30000"),
                self._delta(0, "-999000"),
                self._delta(0, "5", subaccount="0x" + "77" * 32),
            ]
        )

        info = rig.query("subaccount_info", subaccount=SUB, txns=txns, pre_state="true")["data"]

        assert str(1000 * ONE_X18) == info["spot_balances"][0]["balance"]["amount"]
        assert str(400 * ONE_X18) == info["healths"][0]["health"]
        assert str(1_000_000 * ONE_X18) == info["pre_state"]["healths"][0]["health"]
        assert {"healths", "health_contributions", "spot_balances", "perp_balances"} == set(info["pre_state"])
        after = rig.query("subaccount_info", subaccount=SUB)["data"]
        assert str(1_000_000 * ONE_X18) == after["spot_balances"][0]["balance"]["amount"]
        assert "pre_state" not in rig.query("subaccount_info", subaccount=SUB, txns=txns)["data"]

    @pytest.mark.parametrize(("count", "product_id", "code"), [(1, 99, 2016), (101, 0, 1005)])
    def test_refused(self, rig: Rig, count: int, product_id: int, code: int) -> None:
        """Unknown products, and more than anybody needs."""
        txns = json.dumps([self._delta(product_id, "1")] * count)

        assert code == rig.query("subaccount_info", subaccount=SUB, txns=txns)["error_code"]

    @pytest.mark.parametrize(
        ("price", "amount", "appendix", "valid"),
        [
            ("2990", "0.1", 1, True),
            ("2990.05", "0.1", 1, False),
            ("2990", "100000", 1, False),
            ("2990", "-0.1", 1, True),
            ("2990", "0.1", 0, False),
        ],
    )
    def test_validate_order(self, rig: Rig, price: str, amount: str, appendix: int, valid: bool) -> None:
        """An ABI-encoded order is valid when it would be admitted."""
        trader = Trader(rig)
        trader.place("2900", "0.1")
        words = [to_x18(price), to_x18(amount), 2**32 - 1, trader.nonce(), appendix]
        text = "0x" + (trader.sub.raw + b"".join(word.to_bytes(32, signed=True) for word in words)).hex()

        answer = rig.query("validate_order", product_id=4, order=text)["data"]

        assert {"product_id": 4, "order": text, "valid": valid} == answer

    @pytest.mark.parametrize("text", ["0x", "zz", "0x" + "00" * 191, "0x" + "00" * 192, "0x" + "77" * 192])
    def test_what_is_no_order_is_not_valid(self, rig: Rig, text: str) -> None:
        """Too short, not hex, no version, or of nobody."""
        assert rig.query("validate_order", product_id=4, order=text)["data"]["valid"] is False

    def test_an_order_of_nobody(self, rig: Rig) -> None:
        """A sender without an account has no valid orders."""
        text = "0x" + "77" * 32 + "00" * 159 + "01"

        assert rig.query("validate_order", product_id=4, order=text)["data"]["valid"] is False


def test_fee_tiers(rig: Rig) -> None:
    """A tier changes what is told and what is paid."""
    trader = Trader(rig)
    trader.place("2900", "0.1")

    rig.exchange.set_fee_tier(trader.sub.hex, 5)
    trader.place("2990", "-0.1")

    rates = rig.query("fee_rates", sender=trader.sub.hex)["data"]
    assert (5, str(to_x18("0.00015")), str(to_x18("-0.00003"))) == (
        rates["fee_tier"],
        rates["taker_fee_rates_x18"][4],
        rates["maker_fee_rates_x18"][4],
    )
    (match,) = rig.archive("matches", subaccounts=[trader.sub.hex])["matches"]
    assert str(mul_x18(to_x18("299.97"), to_x18("0.00015"))) == match["fee"]
