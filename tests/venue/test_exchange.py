"""Tests of nadows.venue.exchange: the laws of the depth stream, time, and that nothing breaks it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.messages import UnknownEvent, decode_stream
from nadows.messages.queries import QUERIES
from nadows.venue.exchange import ConnectionKind, Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.ledger import INSURANCE, PAPER_MONEY
from nadows.venue.products import tradable
from nadows.venue.rest import HttpRequest
from tests.venue.rig import BTC, ETH, MS, SECOND, STREAM, T0, V1, V2, Json, Rig, Trader

Levels = list[tuple[int, int]]


class _Mirror:
    """A client's book in thirty lines, by the recipe of protocol.md 2.5 and nothing of ours."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
        self.as_of: int | None = None
        self.last: int | None = None
        self.waiting: list[Json] = []

    def snapshot(self, data: Json) -> None:
        for name in self.sides:
            self.sides[name] = {int(price): int(qty) for price, qty in data[name]}
        self.as_of = int(data["timestamp"])
        for batch in self.waiting:
            self._apply(batch)

    def batch(self, batch: Json) -> None:
        if self.last is not None:
            assert self.last == int(batch["last_max_timestamp"])
        self.last = int(batch["max_timestamp"])
        if self.as_of is None:
            self.waiting.append(batch)
        else:
            self._apply(batch)

    def _apply(self, batch: Json) -> None:
        if self.as_of is None or int(batch["max_timestamp"]) <= self.as_of:
            return
        self.as_of = int(batch["max_timestamp"])
        for name, side in self.sides.items():
            for price, qty in batch[name]:
                side[int(price)] = int(qty)

    def depth(self, name: str) -> Levels:
        return sorted(((p, q) for p, q in self.sides[name].items() if q), reverse=name == "bids")


class TestDepth:
    """The depth stream rebuilds the book."""

    @pytest.mark.parametrize("preset", [FlowPreset.BUSY, FlowPreset.STORM])
    def test_a_client_that_follows_the_recipe_has_the_venues_book_at_every_batch(
        self, preset: FlowPreset
    ) -> None:
        """Snapshot and batches equal the venue's own book, within the depth that the snapshot knew."""
        rig = Rig(flow=preset)
        trader = Trader(rig)
        rig.advance(SECOND)
        mirrors = {product_id: _Mirror() for product_id in (BTC, ETH, 8)}
        for product_id in mirrors:
            rig.subscribe("book_depth", product_id=product_id)
        for frame in rig.advance(170 * MS):
            mirrors[frame["product_id"]].batch(frame)
        known: dict[int, tuple[int, int]] = {}
        for product_id, mirror in mirrors.items():
            data = rig.query("market_liquidity", product_id=product_id, depth=100)["data"]
            mirror.snapshot(data)
            known[product_id] = int(data["bids"][-1][0]), int(data["asks"][-1][0])
        compared = 0
        for frame in rig.advance(30 * MS):
            mirrors[frame["product_id"]].batch(frame)

        for step in range(300):
            if step % 3 == 0:
                trader.place("3050", "0.1")
                trader.place("2950", "-0.1")
            for frame in rig.advance(50 * MS):
                if frame.get("type") == "book_depth":
                    mirrors[frame["product_id"]].batch(frame)
            for product_id, mirror in mirrors.items():
                market = rig.exchange.engine.markets[product_id]
                lowest, highest = known[product_id]
                assert market.changed_ns == mirror.as_of
                assert _within(market.book.bids.depth(), lowest, highest) == _within(
                    mirror.depth("bids"), lowest, highest
                )
                assert _within(market.book.asks.depth(), lowest, highest) == _within(
                    mirror.depth("asks"), lowest, highest
                )
                compared += 1

        assert 900 == compared

    def test_batches_chain_and_are_never_empty(self) -> None:
        """Each batch names the one before it; instants lie within it and grow; levels are sorted."""
        rig = Rig(flow=FlowPreset.CALM)
        rig.subscribe("book_depth", product_id=ETH)

        frames = rig.advance(20 * SECOND)

        assert "0" == frames[0]["last_max_timestamp"]
        for before, after in pairwise(frames):
            assert before["max_timestamp"] == after["last_max_timestamp"]
        for frame in frames:
            assert (
                int(frame["last_max_timestamp"]) < int(frame["min_timestamp"]) <= int(frame["max_timestamp"])
            )
            assert frame["bids"] or frame["asks"]
            bids, asks = ([int(price) for price, _ in frame[name]] for name in ("bids", "asks"))
            assert sorted(set(bids), reverse=True) == bids
            assert sorted(set(asks)) == asks

    def test_a_batch_spans_its_first_to_its_last_change(self) -> None:
        """min_timestamp is the instant of the first change in it, max_timestamp that of the last."""
        rig = Rig()
        trader = Trader(rig)
        rig.subscribe("book_depth", product_id=ETH)
        instants = []
        for price in ("2990", "2991", "2992"):
            trader.place(price, "0.1")
            instants.append(str(rig.exchange.engine.markets[ETH].changed_ns))

        (batch,) = rig.advance(50 * MS)

        assert [instants[0], instants[-1]] == [batch["min_timestamp"], batch["max_timestamp"]]
        assert 3 == len(set(instants))

    def test_the_chain_counts_what_was_published_not_what_was_received(self) -> None:
        """A late subscriber's first batch follows one that it never saw."""
        rig = Rig(flow=FlowPreset.STORM)
        rig.advance(SECOND)
        as_of = rig.exchange.engine.markets[ETH].changed_ns
        rig.subscribe("book_depth", product_id=ETH)

        frames = rig.advance(50 * MS)

        assert str(as_of) == frames[0]["last_max_timestamp"]


def _within(levels: Levels, lowest: int, highest: int) -> Levels:
    return [(price, qty) for price, qty in levels if lowest <= price <= highest]


def test_the_client_reads_every_event() -> None:
    """All streams of a busy venue decode to the client's types."""
    rig = Rig(flow=FlowPreset.STORM)
    trader = Trader(rig)
    trader.watch()
    for product in tradable():
        for type_ in ("trade", "best_bid_offer", "book_depth", "funding_payment"):
            rig.subscribe(type_, product_id=product.product_id)
        rig.subscribe("latest_candlestick", product_id=product.product_id, granularity=60)
    rig.subscribe("funding_rate")
    rig.subscribe("all_bbo")
    trader.place("3050", "0.1", id=1)
    rig.exchange.frame_received(V2, trader.sign("3050", "0.2").frame, rig.now_ns)
    rig.exchange.skip(T0 + 3600 * SECOND - 1)
    rig.exchange.tick(T0 + 3601 * SECOND)

    frames = [frame for to, frame in rig.exchange.frames_to_send() if to == STREAM]
    events = [decode_stream(frame) for frame in frames]
    types = {json.loads(frame).get("type") for frame in frames}

    assert {
        "trade",
        "fill",
        "order_update",
        "position_change",
        "best_bid_offer",
        "book_depth",
        "latest_candlestick",
        "funding_rate",
        "funding_payment",
        "all_bbo",
    } == types
    assert not [event for event in events if isinstance(event, UnknownEvent)]


class TestConnections:
    """Who is served."""

    def test_frames_of_unknown_connections_are_ignored(self) -> None:
        """A frame that was on its way when its connection ended does nothing."""
        rig = Rig()
        rig.exchange.connection_lost(V1, rig.now_ns)

        assert [] == rig.send(V1, {"type": "status"})
        assert [] == rig.send(99, {"type": "status"})
        rig.exchange.connection_lost(99, rig.now_ns)

    def test_orders_outlive_their_connection(self) -> None:
        """There is no cancel on disconnect."""
        rig = Rig()
        Trader(rig).place("2990", "0.1")

        rig.exchange.connection_lost(V2, rig.now_ns)

        assert 1 == len(rig.exchange.engine.orders)

    def test_time_does_not_go_back(self) -> None:
        """A late call with an old time is served at the newest time known."""
        rig = Rig()
        rig.advance(10 * SECOND)

        rig.now_ns -= 5 * SECOND

        assert (
            str((T0 + 10 * SECOND) // MS)
            == rig.ask(STREAM, {"method": "time", "id": 1})["result"]["server_time"]
        )


def test_each_wallet_gets_its_paper_money_once() -> None:
    """A deposit is made when a wallet is first seen, and never again."""
    rig = Rig()
    trader = Trader(rig)
    for _ in range(3):
        trader.place("2990", "0.1")
        rig.query("subaccount_info", subaccount=trader.sub.hex)

    assert PAPER_MONEY + INSURANCE == rig.exchange.engine.ledger.deposited[0]


# What follows holds the promise that a request can never crash the venue.

_SEEDS = [
    Trader(Rig()).sign("2990", "0.1", id=1).frame.decode(),
    *(
        json.dumps({"type": name, "product_id": 4, "depth": 5, "subaccount": "0x" + "11" * 32})
        for name in QUERIES
    ),
    '{"method":"subscribe","id":1,"stream":{"type":"book_depth","product_id":4}}',
    '{"method":"authenticate","id":1,"tx":{"sender":"0x'
    + "11" * 32
    + '","expiration":"5"},"signature":"0x"}',
    '{"matches":{"subaccounts":["0x' + "11" * 32 + '"],"idx":"5","limit":3}}',
    '{"orders":{"digests":["0x' + "11" * 32 + '"]}}',
    '{"cancel_orders":{"tx":{"sender":"0x","productIds":[4],"digests":["0x"],"nonce":"1"},"signature":"0x"}}',
]
_JUNK = [
    "",
    "-",
    "null",
    "1e400",
    '"',
    "\\ud800",
    "[[[[",
    "99999999999999999999999999999999999999999",
    "-1",
    "0",
    "\x00",
]

_mutated = st.builds(
    lambda seed, cuts, junk: "".join(
        part + filler for part, filler in zip(_cut(seed, cuts), [*junk, ""], strict=False)
    ),
    st.sampled_from(_SEEDS),
    st.lists(st.integers(0, 400), max_size=4),
    st.lists(st.sampled_from(_JUNK), min_size=1, max_size=4),
)


def _cut(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[left:right] for left, right in pairwise(edges)]


_FUZZED = Exchange(ExchangeOptions(flow=FlowPreset.OFF), seed=1, now_ns=T0)
for _number, _kind in enumerate(ConnectionKind, start=1):
    _FUZZED.connection_made(_number, _kind, T0)


@given(st.one_of(_mutated, st.text(max_size=60)), st.sampled_from([V1, V2, STREAM]))
def test_no_frame_crashes_the_venue(frame: str, connection: int) -> None:
    """Every frame gets exactly one answer in the documented envelope, besides events."""
    _FUZZED.frame_received(connection, frame, T0)

    sent = [json.loads(raw) for to, raw in _FUZZED.frames_to_send() if to == connection]
    answers: list[dict[str, Any]] = [answer for answer in sent if "type" not in answer]
    assert 1 == len(answers)
    (answer,) = answers
    assert "id" in answer if connection == STREAM else answer["status"] in ("success", "failure")


_PATHS = [
    "/v1/query", "/v1/execute", "/v1/edge/query", "/v1/symbols", "/v2/orderbook", "/v2/pairs", "/v2/assets",
    "/v2/apr", "/archive/v1", "/archive/v2/tickers", "/trigger/v1/query", "/gateway/v1/query", "/v1/ws",
    "/%00", "/", "",
]  # fmt: skip


@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.one_of(st.sampled_from(_PATHS), st.text(max_size=30)),
    st.dictionaries(
        st.sampled_from(["type", "product_id", "depth", "ticker_id", "market"]), st.text(max_size=8)
    ),
    st.one_of(_mutated.map(lambda text: text.encode(errors="replace")), st.binary(max_size=40)),
)
def test_no_request_crashes_the_venue(method: str, path: str, query: dict[str, str], body: bytes) -> None:
    """Every request gets a JSON answer with a status that blames the client at most."""
    answer = _FUZZED.http_request(7, HttpRequest(method, path, query, body), T0)

    assert answer is not None
    assert answer.status in (200, 400, 404, 405, 429)
    json.loads(answer.body)
