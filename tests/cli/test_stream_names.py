"""Streams as people name them."""

from __future__ import annotations

import pytest

from nadows.cli.stream_names import check_names, needs_key, parse_streams
from nadows.errors import UsageError
from nadows.messages import STREAM_PARAMS, Stream
from nadows.products import Product, Products

PRODUCTS = Products(
    [
        Product(2, "BTC-PERP", True, 1, 1, 1, 0, 0),
        Product(4, "ETH-PERP", True, 1, 1, 1, 0, 0),
        Product(145, "wAMZNx", False, 1, 1, 1, 0, 0, status="not_tradable"),
    ]
)
OWN = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("names", "streams"),
    [
        (["trade:ETH"], [Stream.trade(4)]),
        (["trade:eth-perp", "trade:4"], [Stream.trade(4)]),
        (["trade"], [Stream.trade(2), Stream.trade(4)]),
        (["book_depth:2", "trade:2"], [Stream.book_depth(2), Stream.trade(2)]),
        ([], [Stream.trade(2), Stream.trade(4), Stream.best_bid_offer(2), Stream.best_bid_offer(4)]),
        (["latest_candlestick:ETH"], [Stream.latest_candlestick(4, 60)]),
        (["latest_candlestick:ETH:3600"], [Stream.latest_candlestick(4, 3600)]),
        (["fill"], [Stream.fill(OWN)]),
        (["order_update:ETH"], [Stream.order_update(OWN, 4)]),
        (["position_change"], [Stream.position_change(OWN)]),
        (["all_bbo"], [Stream.all_bbo()]),
        (["liquidation"], [Stream.liquidation()]),
        (["funding_rate:BTC"], [Stream.funding_rate(2)]),
    ],
)
def test_names_are_read(names: list[str], streams: list[Stream]) -> None:
    """A name is a type and perhaps a product; without one it means all that can be traded, or one's own."""
    assert streams == parse_streams(names, PRODUCTS, OWN)


def test_all_is_every_stream_there_is() -> None:
    """With a key one's own are among them, without one they are not."""
    with_key = {stream.type for stream in parse_streams(["all"], PRODUCTS, OWN)}
    without = {stream.type for stream in parse_streams(["all"], PRODUCTS, None)}
    assert set(STREAM_PARAMS) == with_key
    assert set(STREAM_PARAMS) - {"order_update", "fill", "position_change"} == without


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trades", "no stream is called 'trades': did you mean trade"),
        ("", "no stream is called ''"),
        ("zzz", "no stream is called 'zzz': there are order_update, trade"),
        ("trade:", "'trade:' is not a stream: write trade:PRODUCT"),
        ("trade:ETH:60", "write trade:PRODUCT"),
        ("all_bbo:ETH", "write all_bbo"),
        ("all:ETH", "'all:ETH' is not a stream: write all"),
        ("latest_candlestick:ETH:61", "no candles of '61' seconds are made: choose one of 60, 300"),
        ("latest_candlestick:ETH:x", "no candles of 'x' seconds"),
        ("latest_candlestick:ETH:60:1", "write latest_candlestick:PRODUCT:SECONDS"),
    ],
)
def test_what_is_no_stream_is_refused_before_anything_starts(name: str, message: str) -> None:
    """The message says how to write it, or what there is."""
    with pytest.raises(UsageError, match=message):
        check_names(["trade", name])


def test_names_that_may_mean_something_pass() -> None:
    """Whether a product is listed is known only later."""
    check_names(["trade:DOGE", "all", "fill"])
    with pytest.raises(UsageError, match="no product is called 'DOGE'"):
        parse_streams(["trade:DOGE"], PRODUCTS, None)


def test_private_streams_need_a_key() -> None:
    """They are a subaccount's, and the key says whose."""
    assert [True, True, True, False] == [needs_key([n]) for n in ("fill", "order_update:ETH", "all", "trade")]
    assert not needs_key([])
    with pytest.raises(UsageError, match="the stream fill is a subaccount's: give a key"):
        parse_streams(["fill"], PRODUCTS, None)
