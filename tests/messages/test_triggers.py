"""Requests to the trigger service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows import messages as m

ORDER = {
    "sender": "0xaa",
    "priceX18": "5",
    "amount": "-6",
    "expiration": "7",
    "nonce": "8",
    "appendix": "4097",
}
PRICE = {"price_trigger": {"price_requirement": {"last_price_above": "9"}}}
PLACE = {"product_id": 2, "order": ORDER, "signature": "0xbb", "trigger": PRICE}


@pytest.mark.parametrize(
    "trigger",
    [
        PRICE,
        {
            "price_trigger": {
                "price_requirement": {"mid_price_below": "9"},
                "dependency": {"digest": "0xcc", "on_partial_fill": True},
            }
        },
        {"time_trigger": {"interval": 60, "amounts": ["-3", "-3"]}},
        {"time_trigger": {"interval": 60}, "price_trigger": None},
    ],
    ids=str,
)
def test_an_order_with_its_trigger(trigger: dict[str, Any]) -> None:
    """It is read, and written back as it came."""
    body = PLACE | {"trigger": trigger, "spot_leverage": None}

    name, request = m.decode_trigger_execute(json.dumps({"place_order": body}))

    assert "place_order" == name
    assert isinstance(request, m.PlaceTriggerOrder)
    assert body == json.loads(m.encode(request))


def test_several_orders() -> None:
    """A batch is read whole."""
    name, request = m.decode_trigger_execute(json.dumps({"place_orders": {"orders": [PLACE, PLACE]}}))

    assert "place_orders" == name
    assert isinstance(request, m.PlaceTriggerOrders)
    assert 2 == len(request.orders)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "unknown variant"),
        ({"place_order": PLACE, "cancel_orders": None}, "Expected"),
        ({"place_order": {name: PLACE[name] for name in ("product_id", "order", "signature")}}, "`trigger`"),
        ({"link_signer": {}}, "unknown variant"),
        (
            {"place_order": PLACE, "place_orders": {"orders": []}},
            "unknown variant",
        ),
        ([], "expected a map"),
    ],
    ids=str,
)
def test_unreadable_executes(body: Any, told: str) -> None:
    """What is not one execute of the service is refused with a text."""
    with pytest.raises(m.UnreadableRequest, match=told):
        m.decode_trigger_execute(json.dumps(body))


def test_queries() -> None:
    """Both are told apart by their type."""
    query = m.decode_trigger_query('{"type":"list_twap_executions","digest":"0xaa"}')

    assert m.ListTwapExecutionsQuery("0xaa") == query


@pytest.mark.parametrize("body", ['{"type":"status"}', "{", "[]"])
def test_unreadable_queries(body: str) -> None:
    """Anything else is refused."""
    with pytest.raises(m.UnreadableRequest):
        m.decode_trigger_query(body)
