"""Tests of nadows.venue.archive and nadows.venue.archive_queries: what is remembered of matches."""

from __future__ import annotations

from typing import Any

import pytest

from nadows.messages.archive import ArchiveError, MatchesQuery, OrderHistoryQuery, decode_archive_answer
from nadows.signing import Appendix
from nadows.units import ONE_X18, to_x18
from nadows.venue.candles import GRANULARITIES, Candles
from nadows.venue.flow import HOUSE_MAKER, FlowPreset
from nadows.venue.rest import HttpRequest
from tests.venue.rig import BTC, ETH, KBTC, SECOND, T0, Json, Rig, Trader


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def _matches(rig: Rig, **params: Any) -> list[Json]:
    rows: list[Json] = rig.archive("matches", **params)["matches"]
    return rows


class TestMatches:
    """The query that backfills fills."""

    def test_a_match_from_the_takers_side(self, rig: Rig, trader: Trader) -> None:
        """Amounts are signed from the order's view and net of the fee."""
        order = trader.sign("3010", "0.1", id=1)
        rig.ask(trader.connection, order.frame)
        amount, v_quote = trader.perp()

        answer = rig.archive("matches", subaccounts=[trader.sub.hex])

        (match,), (tx,) = answer["matches"], answer["txs"]
        fee = 300_030_000_000_000_000_000 * ONE_X18 // (ONE_X18 - 35 * 10**13) - 300_030_000_000_000_000_000
        assert (order.digest, True, str(amount), str(v_quote), str(fee)) == (
            match["digest"],
            match["is_taker"],
            match["base_filled"],
            match["quote_filled"],
            match["fee"],
        )
        assert match["quote_filled"] == match["cumulative_quote_filled"]
        assert ["0", str(amount)] == [
            match[f"{when}_balance"]["base"]["perp"]["balance"]["amount"] for when in ("pre", "post")
        ]
        assert match["submission_idx"] == tx["submission_idx"] == str(rig.exchange.engine.submission_idx)
        assert str(T0 // SECOND) == tx["timestamp"]
        assert order.nonce == tx["tx"]["match_orders"]["taker"]["order"]["nonce"]
        assert order.signature == tx["tx"]["match_orders"]["taker"]["signature"]

    def test_both_sides_of_a_match_between_users(self, rig: Rig, trader: Trader) -> None:
        """Both sides share the index; the maker's says so; asked for both, each match comes once."""
        maker = Trader(rig, key=2)
        maker.place("3000", "-0.1")
        trader.place("3000", "0.1")

        rows = _matches(rig, subaccounts=[trader.sub.hex, maker.sub.hex, trader.sub.hex])

        assert [(True, str(to_x18("0.1"))), (False, str(-to_x18("0.1")))] == [
            (row["is_taker"], row["base_filled"]) for row in rows
        ]
        assert 1 == len({row["submission_idx"] for row in rows})

    def test_spot_balances_have_a_quote(self, rig: Rig, trader: Trader) -> None:
        """A spot match shows the token and the USDT0 before and after."""
        trader.place("95010", "0.002", product_id=KBTC)

        (match,) = _matches(rig, subaccounts=[trader.sub.hex])

        assert str(1_000_000 * ONE_X18) == match["pre_balance"]["quote"]["spot"]["balance"]["amount"]
        paid = int(match["quote_filled"])
        assert str(1_000_000 * ONE_X18 + paid) == match["post_balance"]["quote"]["spot"]["balance"]["amount"]
        assert KBTC == match["post_balance"]["base"]["spot"]["product_id"]

    def test_closing_shows_the_realized_profit(self, rig: Rig, trader: Trader) -> None:
        """What a fill closes, its entry cost, and the difference: the sum over a round trip is v_quote."""
        trader.place("3010", "0.1")
        trader.place("2990", "-0.04")
        trader.place("2990", "-0.06")
        _, v_quote = trader.perp()

        last, middle, first = _matches(rig, subaccounts=[trader.sub.hex])

        assert ["0", str(to_x18("0.04")), str(to_x18("0.06"))] == [
            row["closed_amount"] for row in (first, middle, last)
        ]
        assert v_quote == int(middle["realized_pnl"]) + int(last["realized_pnl"])
        assert "0" == last["net_entry_unrealized"]

    def test_a_builder_fee_is_apart_from_the_fee(self, rig: Rig, trader: Trader) -> None:
        """The builder's part is named, and the price can be worked back from all of it."""
        builder = Appendix(builder_id=4500, builder_fee_rate=10).value
        trader.place("3010", "0.1", appendix=builder)

        (match,) = _matches(rig, subaccounts=[trader.sub.hex])

        value = to_x18("300.03")
        assert str(value // 10_000) == match["builder_fee"]
        assert -value == int(match["quote_filled"]) + int(match["fee"]) + int(match["builder_fee"])
        assert {} == rig.exchange.engine.ledger.imbalance()

    def test_paging_reaches_every_match_once(self, rig: Rig, trader: Trader) -> None:
        """Newest first; going on below the smallest index seen ends with a short page and misses none."""
        for _ in range(7):
            trader.place("3010", "0.1")
        seen: list[int] = []
        idx: int | None = None
        while True:
            page = _matches(
                rig, subaccounts=[trader.sub.hex], limit=3, **({} if idx is None else {"idx": str(idx)})
            )
            seen += [int(row["submission_idx"]) for row in page]
            if len(page) < 3:
                break
            idx = seen[-1] - 1

        assert sorted(set(seen), reverse=True) == seen
        assert 7 == len(seen)

    @pytest.mark.parametrize(
        ("params", "count"),
        [
            ({}, 2),
            ({"product_ids": [BTC]}, 1),
            ({"product_ids": ["4"]}, 1),
            ({"max_time": T0 // SECOND}, 1),
            ({"max_time": T0 // SECOND - 1}, 0),
            ({"isolated": True}, 0),
            ({"isolated": False}, 2),
            ({"limit": 0}, 1),
            ({"limit": 10_000}, 2),
            ({"idx": 0}, 0),
        ],
        ids=str,
    )
    def test_filters(self, rig: Rig, trader: Trader, params: Json, count: int) -> None:
        """Product, time, limit and index narrow the answer."""
        trader.place("3010", "0.1")
        rig.advance(SECOND)
        trader.place("95010", "0.01", product_id=BTC)

        assert count == len(_matches(rig, subaccounts=[trader.sub.hex], **params))

    def test_max_time_is_ignored_when_idx_is_given(self, rig: Rig, trader: Trader) -> None:
        """The index decides alone."""
        trader.place("3010", "0.1")

        assert 1 == len(_matches(rig, subaccounts=[trader.sub.hex], idx="9999999", max_time=0))

    def test_everybodys_matches(self, rig: Rig, trader: Trader) -> None:
        """Without subaccounts both sides of every match come, the house's among them."""
        trader.place("3010", "0.1")

        rows = _matches(rig)

        assert [trader.sub.hex, HOUSE_MAKER] == [row["order"]["sender"] for row in rows]

    def test_the_house_among_itself_is_kept_briefly(self) -> None:
        """Matches of the background flow are there for those who ask for all, and never crowd out users'."""
        rig = Rig(flow=FlowPreset.STORM, archive_capacity=2)
        rig.advance(SECOND)

        assert 100 == len(_matches(rig))
        assert [] == _matches(rig, subaccounts=[HOUSE_MAKER])


class TestOrders:
    """Orders that had a match."""

    def test_by_digest(self, rig: Rig, trader: Trader) -> None:
        """Totals over all matches of the order; digests that never matched are absent."""
        order = trader.sign("3000.4", "0.5")
        rig.ask(trader.connection, order.frame)
        unfilled = trader.place("2990", "0.1")["data"]["digest"]

        orders = rig.archive("orders", digests=[order.digest.upper().replace("0X", "0x"), unfilled])["orders"]

        (row,) = orders
        assert (order.digest, str(to_x18("0.5")), str(to_x18("0.5"))) == (
            row["digest"],
            row["amount"],
            row["base_filled"],
        )
        assert int(row["last_fill_submission_idx"]) == int(row["submission_idx"]) + 1
        assert str(T0 // SECOND) == row["first_fill_timestamp"] == row["last_fill_timestamp"]
        assert "0" == row["pre_balance"]["base"]["perp"]["balance"]["amount"]
        assert str(to_x18("0.5")) == row["post_balance"]["base"]["perp"]["balance"]["amount"]

    @pytest.mark.parametrize(
        ("params", "count"),
        [
            ({}, 2),
            ({"product_ids": [BTC]}, 1),
            ({"max_time": T0 // SECOND}, 1),
            ({"limit": 1}, 1),
            ({"idx": 0}, 0),
            ({"isolated": True}, 0),
            ({"trigger_types": ["price_trigger"]}, 0),
        ],
        ids=str,
    )
    def test_by_subaccount(self, rig: Rig, trader: Trader, params: Json, count: int) -> None:
        """Filters narrow the answer."""
        trader.place("3010", "0.1")
        rig.advance(SECOND)
        trader.place("95010", "0.01", product_id=BTC)

        assert count == len(rig.archive("orders", subaccounts=[trader.sub.hex], **params)["orders"])

    def test_of_everybody(self, rig: Rig, trader: Trader) -> None:
        """Without filters all users' filled orders come."""
        trader.place("3010", "0.1")

        assert 1 == len(rig.archive("orders")["orders"])


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("orders", {"digests": ["0x" + "ab" * 32], "subaccounts": ["0x" + "ab" * 32]}, 3000),
        ("orders", {"digests": ["0x" + "ab" * 32] * 501}, 3001),
        ("orders", {"digests": ["0xab"]}, 1005),
        ("matches", {"subaccounts": ["0xab"]}, 2038),
        ("candlesticks", {"product_id": 4, "granularity": 61}, 3003),
        ("candlesticks", {"product_id": 6, "granularity": 60}, 2015),
        ("funding_rate", {"product_id": 1}, 2061),
        ("price", {"product_id": 99}, 2015),
        ("oracle_price", {"product_ids": [99]}, 2016),
        ("subaccounts", {"address": "0xab"}, 1005),
    ],
)
def test_a_query_that_is_refused(rig: Rig, name: str, params: Json, code: int) -> None:
    """The archive answers with the bare error and its code."""
    answer = rig.archive(name, **params)

    assert {"error", "error_code", "_status"} == answer.keys()
    assert (code, 200) == (answer["error_code"], answer["_status"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"nonsense":{}}', b'{"matches":[]}', b'{"matches":{"limit":"x"}}']
)
def test_what_cannot_be_read_is_a_bad_request(rig: Rig, body: bytes) -> None:
    """Broken bodies answer with status 400."""
    answer = rig.http("POST", "/archive/v1", body=body)

    assert (400, 1005) == (answer["_status"], answer["error_code"])


def test_the_client_reads_answers_and_errors(rig: Rig, trader: Trader) -> None:
    """Answers decode to the client's types."""
    trader.place("3010", "0.1")

    def ask(query: Any, body: bytes) -> Any:
        answer = rig.exchange.http_request(99, HttpRequest("POST", "/archive/v1", {}, body), rig.now_ns)
        assert answer is not None
        return decode_archive_answer(answer.body, query)

    matches = ask(MatchesQuery(), b'{"matches":{}}')
    orders = ask(OrderHistoryQuery(), b'{"orders":{}}')
    error = ask(MatchesQuery(), b'{"matches":{"subaccounts":["0x"]}}')

    assert trader.sub.hex == matches.matches[0].order.sender
    assert ETH == orders.orders[0].product_id
    assert isinstance(error, ArchiveError)


class TestOthers:
    """Bars, rates, prices, subaccounts."""

    def test_candlesticks(self, rig: Rig, trader: Trader) -> None:
        """Newest first, from a time back, at most as many as asked for."""
        for price in ("3010", "2990", "3010"):
            trader.place(price, "0.1" if price == "3010" else "-0.1")
            rig.advance(60 * SECOND)

        bars = rig.archive("candlesticks", product_id=ETH, granularity=60)["candlesticks"]
        old = rig.archive("candlesticks", product_id=ETH, granularity=60, max_time=T0 // SECOND, limit=5)
        hour = rig.archive("candlesticks", product_id=ETH, granularity=3600)["candlesticks"]

        assert [str(T0 // SECOND + after) for after in (120, 60, 0)] == [bar["timestamp"] for bar in bars]
        assert 1 == len(old["candlesticks"])
        assert [str(to_x18(value)) for value in ("3000.3", "3000.3", "2999.7", "3000.3", "0.3")] == [
            hour[0][name] for name in ("open_x18", "high_x18", "low_x18", "close_x18", "volume")
        ]

    def test_rates_and_prices(self, rig: Rig) -> None:
        """One product, or several by id."""
        rig.advance(20 * SECOND)

        rate = rig.archive("funding_rate", product_id=ETH)
        rates = rig.archive("funding_rates", product_ids=[BTC, ETH])
        price = rig.archive("price", product_id=ETH)
        prices = rig.archive("perp_prices", product_ids=[BTC, ETH])
        oracle = rig.archive("oracle_price", product_ids=[0, ETH])["prices"]

        assert str(10**14) == rate["funding_rate_x18"]
        assert {"2", "4", "_status"} == rates.keys() == prices.keys()
        assert str(to_x18(3000)) == price["index_price_x18"] == price["mark_price_x18"]
        assert [str(ONE_X18), str(to_x18(3000))] == [row["oracle_price_x18"] for row in oracle]

    def test_subaccounts(self, rig: Rig, trader: Trader) -> None:
        """All of an address, or of everybody from a number on."""
        trader.place("2990", "0.1")
        Trader(rig, name="second").place("2990", "0.1")

        own = rig.archive("subaccounts", address=trader.signer.address)["subaccounts"]
        all_of_them = rig.archive("subaccounts", start=1, limit=2)["subaccounts"]

        assert ["default", "second"] == [row["subaccount_name"] for row in own]
        assert ["1", "2"] == [row["id"] for row in all_of_them]


def test_the_archive_is_bounded() -> None:
    """The oldest matches and orders of users go first."""
    rig = Rig(archive_capacity=3)
    one, two = Trader(rig, key=1), Trader(rig, key=2)
    first = one.place("3010", "0.1")["data"]["digest"]
    for _ in range(3):
        two.place("3010", "0.1")

    assert [] == _matches(rig, subaccounts=[one.sub.hex])
    assert 3 == len(_matches(rig, subaccounts=[two.sub.hex]))
    assert [] == rig.archive("orders", digests=[first])["orders"]


def test_a_long_filled_order_outlives_its_first_match() -> None:
    """An order is forgotten with its last match, not with its first."""
    rig = Rig(archive_capacity=2)
    maker, taker = Trader(rig, key=1), Trader(rig, key=2)
    digest = maker.place("3000", "1")["data"]["digest"]
    for _ in range(3):
        taker.place("3000", "-0.1")

    assert 1 == len(rig.archive("orders", digests=[digest])["orders"])


def test_candles_keep_every_granularity() -> None:
    """Before the first trade there is no bar; then there is one in each."""
    candles = Candles()
    assert candles.forming(60) is None

    candles.add(1000, 5, 1, 5, 7)

    assert [1000 - 1000 % g for g in GRANULARITIES] == [
        bar.start for g in GRANULARITIES if (bar := candles.forming(g)) is not None
    ]
