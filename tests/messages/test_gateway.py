"""Envelopes of the gateway: requests as the venue reads them, answers as the client does."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from nadows import messages as m
from nadows.errors import MalformedFrame
from tests.messages.samples import sample

PLACE: Final[dict[str, Any]] = sample("place_order").frame["place_order"]


def refused(body: Any) -> tuple[str, int]:
    frame = body if isinstance(body, bytes | str) else json.dumps(body)
    with pytest.raises(m.UnreadableRequest) as caught:
        m.decode_gateway_request(frame)
    return caught.value.text.removeprefix("error parsing request: "), caught.value.id


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


EXECUTE_NAMES: Final = ", ".join(f"`{name}`" for name in m.EXECUTES)
QUERY_NAMES: Final = ", ".join(f"`{name}`" for name in m.QUERIES)


@pytest.mark.parametrize(
    ("body", "text", "request_id"),
    [
        ({"place_order": without(PLACE, "order")}, "missing field `order`", 100),
        ({"place_order": without(without(PLACE, "order"), "id")}, "missing field `order`", 0),
        ({"place_order": PLACE | {"order": without(PLACE["order"], "nonce")}}, "missing field `nonce`", 100),
        ({"cancel_and_place": {"place_order": PLACE}}, "missing field `cancel_tx`", 100),
        (
            {"cancel_and_place": {"cancel_tx": 5, "place_order": 5}},
            "Expected `object`, got `int` - at `$.cancel_and_place.cancel_tx`",
            0,
        ),
        ({"shout": {}}, f"unknown variant `shout`, expected one of {EXECUTE_NAMES}", 0),
        ({}, f"unknown variant ``, expected one of {EXECUTE_NAMES}", 0),
        ({"type": "shout"}, f"unknown variant `shout`, expected one of {QUERY_NAMES}", 0),
        ({"type": ["status"]}, f"unknown variant `['status']`, expected one of {QUERY_NAMES}", 0),
        ({"type": "market_price"}, "missing field `product_id`", 0),
        (
            {"place_order": PLACE, "cancel_orders": 5},
            "Expected `object`, got `int` - at `$.cancel_orders`",
            100,
        ),
        ([], "invalid type, expected a map", 0),
    ],
)
def test_complaints(body: Any, text: str, request_id: int) -> None:
    """A request that cannot be read is refused in the venue's words, with the client's id if it has one."""
    assert (text, request_id) == refused(body)


def test_several_executes_are_refused() -> None:
    """One message holds one execute."""
    both = sample("place_order").frame | sample("cancel_orders").frame

    assert refused(both) == ("expected one execute, got several", 0)


@pytest.mark.parametrize("name", ["priceX18", "amount", "expiration", "nonce", "appendix"])
def test_numbers_in_orders_are_strings(name: str) -> None:
    """A signed integer that travels as a JSON number is refused, as the venue's engine does."""
    text, request_id = refused({"place_order": PLACE | {"order": PLACE["order"] | {name: 1}}})

    assert text.startswith("Expected an integer in a string, got 1")
    assert request_id == 100


@pytest.mark.parametrize("frame", [b"", b"{", b"\xff", b"[" * 100_000, '{"type":"\ud800"}'])
def test_broken_requests(frame: bytes | str) -> None:
    """A frame that is not JSON is refused without an id."""
    assert refused(frame)[1] == 0


TX: Final = {"sender": "0xaa", "nonce": "7"}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "withdraw_collateral",
            {"tx": TX | {"productId": 0, "amount": "5"}, "signature": "0x", "spot_leverage": None},
        ),
        (
            "withdraw_collateral_v2",
            {
                "tx": TX | {"productId": 0, "amount": "5", "sendTo": "0xbb", "appendix": "1"},
                "signature": "0x",
            },
        ),
        (
            "liquidate_subaccount",
            {
                "tx": TX | {"liquidatee": "0xbb", "productId": 2, "isEncodedSpread": False, "amount": "-5"},
                "signature": "0x",
            },
        ),
        ("mint_nlp", {"tx": TX | {"quoteAmount": "5"}, "signature": "0x", "spot_leverage": True}),
        ("burn_nlp", {"tx": TX | {"nlpAmount": "5"}, "signature": "0x"}),
        ("link_signer", {"tx": TX | {"signer": "0xbb"}, "signature": "0x"}),
        ("transfer_quote", {"tx": TX | {"recipient": "0xbb", "amount": "5"}, "signature": "0x"}),
    ],
)
def test_executes_without_samples(name: str, body: dict[str, Any]) -> None:
    """The executes that no sample shows are read as their type and written back equal, too."""
    request = m.decode_gateway_request(json.dumps({name: body}))

    assert m.EXECUTES[name] is type(request)
    assert isinstance(request, m.Execute)
    assert name == m.execute_type(request)
    assert {name: body} == json.loads(m.encode_gateway_request(request))


@pytest.mark.parametrize(
    "body",
    [
        {"type": "edge_all_products"},
        {"type": "validate_order", "product_id": "2", "order": "0x"},
        {"type": "max_nlp_mintable", "sender": "0xaa", "spot_leverage": "true"},
        {"type": "max_nlp_burnable", "sender": "0xaa"},
        {"type": "nlp_pool_info"},
        {"type": "nlp_locked_balances", "subaccount": "0xaa"},
        {"type": "symbols", "product_ids": [2, "4"], "product_type": "perp"},
        {"type": "cached_symbols"},
        {"type": "cached_contracts"},
        {"type": "cached_status"},
        {"type": "cached_all_products"},
        {"type": "cached_edge_all_products"},
        {"type": "cached_health_groups"},
        {"type": "cached_nlp_pool_info"},
        {"type": "time"},
        {"type": "time", "id": None},
        {"type": "ping", "id": "3"},
    ],
    ids=lambda body: body["type"],
)
def test_queries_without_samples(body: dict[str, Any]) -> None:
    """The queries that no sample shows are read as their type and written back equal, too."""
    query = m.decode_gateway_request(json.dumps(body))

    assert m.QUERIES[body["type"]] is type(query)
    assert not isinstance(query, m.Execute)
    assert body["type"] == m.query_type(query)
    assert body == json.loads(m.encode_gateway_request(query))


def test_numbers_in_queries_are_integers() -> None:
    """A product id that came as a string computes and compares as an integer."""
    query = m.decode_gateway_request('{"type":"market_liquidity","product_id":"2","depth":"10"}')

    assert isinstance(query, m.MarketLiquidityQuery)
    assert {2: "BTC-PERP"}[query.product_id] == "BTC-PERP"
    assert query.depth + 1 == 11


def test_geo_block() -> None:
    """A restricted location's answer is its own type, not a reply without a status."""
    assert m.GeoBlock("ip_query_only", True) == m.decode_reply(sample("execute.geo_block").json)


@pytest.mark.parametrize(
    "frame", [b"", b"<html>", b"{}", b"[]", b'{"status":5}', b'{"reason":"x"}', b"[" * 100_000]
)
def test_malformed_replies(frame: bytes) -> None:
    """What is neither an answer nor a geo block raises MalformedFrame."""
    with pytest.raises(MalformedFrame):
        m.decode_reply(frame)
    with pytest.raises(MalformedFrame):
        m.decode_edge_clock(frame)


def test_unknown_code_and_type_are_kept() -> None:
    """An error code and a request type that no table has are kept as they came."""
    frame = b'{"status":"failure","error":"new","error_code":987654,"request_type":"execute_new"}'

    reply = m.decode_reply(frame)

    assert m.Reply(status="failure", error="new", error_code=987654, request_type="execute_new") == reply
    assert json.loads(frame) == json.loads(m.encode(reply))


def reply(frame: bytes | str) -> m.Reply:
    found = m.decode_reply(frame)
    assert isinstance(found, m.Reply)
    return found


@pytest.mark.parametrize("request_type", ["execute_link_signer", "execute_place_order"])
@pytest.mark.parametrize("data", ["", ',"data":null', ',"data": null '])
def test_no_data(data: str, request_type: str) -> None:
    """Missing and null data are both ``None`` to the caller, and each is written back as it came."""
    frame = f'{{"status":"success"{data},"request_type":"{request_type}"}}'

    assert m.reply_data(reply(frame)) is None
    assert json.loads(frame) == json.loads(m.encode(reply(frame)))


def test_data_of_an_unknown_type_is_plain_json() -> None:
    """The result of a request that no table has is given as plain JSON, exactly."""
    assert m.reply_data(reply('{"status":"success","data":[123456789012345678901]}')) == [
        123456789012345678901
    ]


def test_asked_type_goes_before_the_named_one() -> None:
    """An answer that does not name its request, or names another, is read as what was asked."""
    bare = reply('{"status":"success","data":{"digest":"0xdd"}}')

    assert m.PlacedOrder("0xdd") == m.reply_data(bare, "execute_place_order")
    assert m.PlacedOrder("0xdd") == m.reply_data(
        reply('{"status":"success","data":{"digest":"0xdd"},"request_type":"cached_status"}'),
        "execute_place_order",
    )


@pytest.mark.parametrize(
    "frame",
    [
        '{"status":"success","data":{},"request_type":"execute_place_order"}',
        '{"status":"success","data":{},"request_type":"execute_place_orders"}',
        '{"status":"success","data":[{"digest":5}],"request_type":"execute_place_orders"}',
        '{"status":"success","data":"x","request_type":"execute_place_orders"}',
        '{"status":"success","data":{"max_order_size":"1e3"},"request_type":"query_max_order_size"}',
    ],
)
def test_malformed_data(frame: str) -> None:
    """Data that is not what the request is answered with raises MalformedFrame."""
    with pytest.raises(MalformedFrame):
        m.reply_data(reply(frame))


class TestPlaceOrdersResult:
    ITEMS: Final = (m.PlaceOrdersItem("0xdd"), m.PlaceOrdersItem(error="too small"))

    def test_both_shapes_have_the_same_items(self) -> None:
        """The object and the bare list give the same items, and remember which they were."""
        as_object, as_list = (
            m.reply_data(reply(sample(f"place_orders.ok_{shape}_shape").json)) for shape in ("docs", "engine")
        )

        assert (as_object.is_bare, as_list.is_bare) == (False, True)
        assert as_object.items[0] == as_list.items[0]
        assert m.PlaceOrdersItem(None, "Order amount too small") == as_object.items[1]

    def test_shape_is_part_of_equality(self) -> None:
        """Two results are equal if items and shape are; equal ones hash alike."""
        result = m.PlaceOrdersResult(self.ITEMS)

        assert result == m.PlaceOrdersResult(self.ITEMS)
        assert hash(result) == hash(m.PlaceOrdersResult(self.ITEMS))
        assert result != m.PlaceOrdersResult(self.ITEMS, is_bare=True)
        assert result != self.ITEMS

    def test_repr_shows_both(self) -> None:
        """The representation shows items and shape."""
        assert repr(m.PlaceOrdersResult((), is_bare=True)) == "PlaceOrdersResult((), is_bare=True)"
