"""Streams: naming, identity, which events belong to them; and requests as the venue reads them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from nadows import messages as m
from nadows.messages import Stream
from tests.messages.samples import sample

SUB: Final = "0x1a642f0e3c3af545e7acbd38b07251b3990914f164656661756c740000000000"
OTHER: Final = "0x5050a4f4b3f9338c3472dcc01a87c76a144b3c9c64656661756c740000000000"

NAMED: Final = {
    Stream.order_update(SUB): {"type": "order_update", "subaccount": SUB},
    Stream.order_update(SUB, 2): {"type": "order_update", "subaccount": SUB, "product_id": 2},
    Stream.trade(2): {"type": "trade", "product_id": 2},
    Stream.best_bid_offer(2): {"type": "best_bid_offer", "product_id": 2},
    Stream.fill(SUB): {"type": "fill", "subaccount": SUB},
    Stream.fill(SUB, 0): {"type": "fill", "subaccount": SUB, "product_id": 0},
    Stream.position_change(SUB): {"type": "position_change", "subaccount": SUB},
    Stream.position_change(SUB, 2): {"type": "position_change", "subaccount": SUB, "product_id": 2},
    Stream.book_depth(2): {"type": "book_depth", "product_id": 2},
    Stream.liquidation(): {"type": "liquidation"},
    Stream.liquidation(2): {"type": "liquidation", "product_id": 2},
    Stream.latest_candlestick(2, 60): {"type": "latest_candlestick", "product_id": 2, "granularity": 60},
    Stream.funding_payment(2): {"type": "funding_payment", "product_id": 2},
    Stream.funding_rate(): {"type": "funding_rate"},
    Stream.funding_rate(2): {"type": "funding_rate", "product_id": 2},
    Stream.all_bbo(): {"type": "all_bbo"},
}


@pytest.mark.parametrize(("stream", "expected"), NAMED.items(), ids=lambda value: getattr(value, "type", ""))
def test_named_streams(stream: Stream, expected: dict[str, Any]) -> None:
    """Every constructor writes the venue's stream object, and the venue finds nothing wrong with it."""
    assert expected == json.loads(stream.wire())
    assert stream.problem() is None


def test_every_stream_has_a_constructor() -> None:
    """The constructors, the table of parameters and the events name the same streams."""
    assert {stream.type for stream in NAMED} == set(m.STREAM_PARAMS) == set(m.EVENTS)
    assert len(NAMED) == 16


def test_hex_is_sent_in_lower_case() -> None:
    """A subaccount of mixed case is named as the venue sends it."""
    mixed = SUB.upper().replace("0X", "0x")

    for make in (Stream.fill, Stream.order_update, Stream.position_change):
        assert SUB == make(mixed).subaccount


def test_key_is_the_same_for_every_spelling() -> None:
    """Missing and null product, upper and lower case are one stream by key, though not as written."""
    missing, null, upper = (
        Stream("fill", subaccount=SUB),
        Stream("fill", None, SUB),
        Stream("fill", None, SUB.upper()),
    )

    assert missing != null
    assert missing.key == null.key == upper.key == ("fill", SUB, None, None)
    assert Stream.fill(SUB, 2).key == ("fill", SUB, 2, None)
    assert Stream.latest_candlestick(2, 60).key == ("latest_candlestick", None, 2, 60)


def test_null_product_survives() -> None:
    """A stream that named its product null is written back with null."""
    body = sample("subscribe.fill.all_products").frame["stream"]

    assert body == json.loads(m.decode(json.dumps(body), Stream).wire())


@pytest.mark.parametrize(
    ("stream", "expected"),
    [(Stream.order_update(SUB), True), (Stream.fill(SUB), False), (Stream("weather"), False)],
)
def test_needs_auth(stream: Stream, expected: bool) -> None:
    """Only one's own orders need authentication."""
    assert expected is stream.needs_auth


def event(name: str, **changes: Any) -> m.Event:
    found = m.decode_stream(json.dumps(sample(name).frame | changes))
    assert isinstance(found, m.EVENT_TYPES)
    return found


UNKNOWN: Final = m.UnknownEvent("weather", b'{"type":"weather","product_id":2}')


@pytest.mark.parametrize(
    ("stream", "found", "expected"),
    [
        (Stream.trade(2), event("event.trade"), True),
        (Stream.trade(4), event("event.trade"), False),
        (Stream.book_depth(2), event("event.trade"), False),
        (Stream.book_depth(2), event("event.book_depth.1"), True),
        (Stream.best_bid_offer(2), event("event.best_bid_offer"), True),
        (Stream.fill(SUB), event("event.fill.maker"), True),
        (Stream("fill", None, SUB), event("event.fill.maker"), True),
        (Stream.fill(SUB), event("event.fill.maker", subaccount=SUB.upper()), True),
        (Stream.fill(SUB, 2), event("event.fill.maker"), True),
        (Stream.fill(SUB, 4), event("event.fill.maker"), False),
        (Stream.fill(OTHER), event("event.fill.maker"), False),
        (Stream.position_change(SUB), event("event.position_change.match"), True),
        (Stream.position_change(SUB, 0), event("event.position_change.deposit"), True),
        (Stream.position_change(SUB, 0), event("event.position_change.match"), False),
        (Stream.position_change(OTHER), event("event.position_change.match"), False),
        (Stream.order_update(SUB), event("event.order_update.placed"), True),
        (Stream.order_update(OTHER, 2), event("event.order_update.placed"), True),
        (Stream.order_update(SUB, 4), event("event.order_update.placed"), False),
        (Stream.liquidation(), event("event.liquidation.spread"), True),
        (Stream.liquidation(1), event("event.liquidation.spread"), True),
        (Stream.liquidation(2), event("event.liquidation.spread"), True),
        (Stream.liquidation(1), event("event.liquidation.single"), False),
        (Stream.latest_candlestick(2, 60), event("event.latest_candlestick"), True),
        (Stream.latest_candlestick(2, 300), event("event.latest_candlestick"), False),
        (Stream.latest_candlestick(4, 60), event("event.latest_candlestick"), False),
        (Stream.funding_payment(2), event("event.funding_payment.ts_types"), True),
        (Stream.funding_payment(4), event("event.funding_payment.ts_types"), False),
        (Stream.funding_rate(), event("event.funding_rate"), True),
        (Stream.funding_rate(4), event("event.funding_rate"), False),
        (Stream.all_bbo(), event("event.all_bbo"), True),
        (Stream.all_bbo(), event("event.trade"), False),
        (Stream("weather"), UNKNOWN, True),
        (Stream("weather", 2), UNKNOWN, True),
        (Stream("weather", 4), UNKNOWN, False),
        (Stream("weather", 4), m.UnknownEvent("weather", b'{"type":"weather"}'), True),
        (Stream("tide", 2), UNKNOWN, False),
    ],
)
def test_matches(stream: Stream, found: m.Event, expected: bool) -> None:
    """An event belongs to a stream of its type and of the product, subaccount and granularity it names."""
    assert expected is stream.matches(found)


def refused(body: Any) -> tuple[str, int]:
    frame = body if isinstance(body, bytes | str) else json.dumps(body)
    with pytest.raises(m.UnreadableRequest) as caught:
        m.decode_stream_request(frame)
    return caught.value.text.removeprefix("error parsing request: "), caught.value.id


STREAM_NAMES: Final = ", ".join(f"`{name}`" for name in m.STREAM_PARAMS)
METHODS: Final = (
    "`subscribe`, `unsubscribe`, `subscribe_multi`, `unsubscribe_multi`, "
    "`list`, `ping`, `time`, `authenticate`"
)


@pytest.mark.parametrize(
    ("body", "text", "request_id"),
    [
        ({"method": "list"}, "missing field `id`", 0),
        ({"id": 5}, "missing field `method`", 5),
        ({"method": None, "id": 5}, "missing field `method`", 5),
        ({"method": "shout", "id": 5}, f"unknown variant `shout`, expected one of {METHODS}", 5),
        ({"method": ["list"], "id": 5}, f"unknown variant `['list']`, expected one of {METHODS}", 5),
        ({"method": "subscribe", "id": 5}, "missing field `stream`", 5),
        ({"method": "subscribe", "id": 5, "stream": {}}, "missing field `type`", 5),
        (
            {"method": "subscribe", "id": 5, "stream": {"type": "weather"}},
            f"unknown variant `weather`, expected one of {STREAM_NAMES}",
            5,
        ),
        ({"method": "subscribe", "id": 22, "stream": {"type": "trade"}}, "missing field `product_id`", 22),
        ({"method": "unsubscribe", "id": 22, "stream": {"type": "trade"}}, "missing field `product_id`", 22),
        ({"method": "subscribe", "id": 5, "stream": {"type": "fill"}}, "missing field `subaccount`", 5),
        (
            {"method": "subscribe", "id": 5, "stream": {"type": "trade", "product_id": None}},
            "invalid type: null, expected u32",
            5,
        ),
        (
            {"method": "subscribe", "id": 5, "stream": {"type": "all_bbo", "product_id": 2}},
            "unknown field `product_id`",
            5,
        ),
        (
            {"method": "subscribe", "id": 5, "stream": {"type": "trade", "product_id": 2, "chain": 1}},
            "unknown field `chain`",
            5,
        ),
        (
            {"method": "subscribe_multi", "id": 5, "streams": [{"type": "all_bbo"}, {"type": "trade"}]},
            "missing field `product_id`",
            5,
        ),
        ({"method": "unsubscribe_multi", "id": 5}, "missing field `streams`", 5),
        ({"method": "authenticate", "id": 5, "signature": "0x"}, "missing field `tx`", 5),
        ([], "invalid type, expected a map", 0),
    ],
)
def test_complaints(body: Any, text: str, request_id: int) -> None:
    """A request that cannot be read is answered in the venue's words, with its id where it has one."""
    assert (text, request_id) == refused(body)


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"\xff", b'{"id":3,"method":"list"', '{"id":"\ud800"}', b"[" * 100_000]
)
def test_broken_requests(frame: bytes | str) -> None:
    """A frame that is not JSON is refused with id 0."""
    assert refused(frame)[1] == 0


def test_wrong_types_are_refused_with_the_id() -> None:
    """A member of the wrong type is refused, and the id is still found."""
    assert refused({"method": "ping", "id": 5, "client_time": 1799999995000})[1] == 5
    assert refused({"method": "list", "id": -1})[1] == 0
    assert refused({"method": "list", "id": "5"})[1] == 0
