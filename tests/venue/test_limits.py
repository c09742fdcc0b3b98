"""Tests of nadows.venue.limits: what requests weigh, and when that is too much."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nadows.messages.archive import decode_archive_request
from nadows.messages.executes import Execute
from nadows.messages.gateway import decode_gateway_request
from nadows.messages.queries import Query
from nadows.venue.limits import Limits, archive_weight, execute_weight, query_weight, sender_of
from nadows.venue.refusal import Refusal
from tests.venue.rig import SECOND, T0

SUB = "0x" + "11" * 32
SIG = "0x" + "22" * 65
ORDER = {
    "sender": SUB,
    "priceX18": "1",
    "amount": "1",
    "expiration": "1",
    "nonce": "1",
    "appendix": "1",
}
PLACE: dict[str, Any] = {"product_id": 1, "order": ORDER, "signature": SIG}
CANCEL: dict[str, Any] = {"sender": SUB, "productIds": [1, 2], "digests": [SUB, SUB], "nonce": "1"}


def _tx(**members: Any) -> dict[str, Any]:
    return {"tx": {"sender": SUB, "nonce": "1"} | members, "signature": SIG}


def _execute(request: dict[str, Any]) -> Execute:
    execute = decode_gateway_request(msgspec.json.encode(request))
    assert isinstance(execute, Execute)
    return execute


def _query(request: dict[str, Any]) -> Query:
    query = decode_gateway_request(msgspec.json.encode(request))
    assert isinstance(query, Query)
    return query


EXECUTES = [
    ({"place_order": PLACE}, 1),
    ({"place_order": PLACE | {"spot_leverage": True}}, 1),
    ({"place_order": PLACE | {"spot_leverage": False}}, 20),
    ({"place_orders": {"orders": [PLACE, PLACE | {"spot_leverage": False}]}}, 21),
    ({"cancel_orders": {"tx": CANCEL, "signature": SIG}}, 2),
    ({"cancel_product_orders": _tx(productIds=[1, 2])}, 10),
    ({"cancel_product_orders": _tx(productIds=[])}, 50),
    ({"cancel_and_place": {"cancel_tx": CANCEL, "cancel_signature": SIG, "place_order": PLACE}}, 3),
    ({"withdraw_collateral": _tx(productId=0, amount="1")}, 10),
    ({"withdraw_collateral": _tx(productId=0, amount="1") | {"spot_leverage": False}}, 20),
    ({"liquidate_subaccount": _tx(liquidatee=SUB, productId=1, isEncodedSpread=False, amount="1")}, 20),
    ({"mint_nlp": _tx(quoteAmount="1")}, 10),
    ({"burn_nlp": _tx(nlpAmount="1")}, 10),
    ({"link_signer": _tx(signer=SUB)}, 30),
    ({"transfer_quote": _tx(recipient=SUB, amount="1")}, 10),
]


@pytest.mark.parametrize(("request_", "weight"), EXECUTES, ids=lambda value: str(value)[:40])
def test_weights_of_executes(request_: dict[str, Any], weight: int) -> None:
    """Every execute has the weight of protocol.md 7 and is charged to its sender."""
    execute = _execute(request_)

    assert (weight, SUB) == (execute_weight(execute), sender_of(execute))


@pytest.mark.parametrize(
    ("request_", "weight"),
    [
        ({"type": "status"}, 1),
        ({"type": "nonces", "address": SUB}, 2),
        ({"type": "orders", "sender": SUB, "product_ids": [1, 2, 4]}, 6),
        ({"type": "market_prices", "product_ids": [1, 2, 4]}, 3),
        ({"type": "subaccount_info", "subaccount": SUB}, 2),
        ({"type": "all_products"}, 5),
        ({"type": "market_liquidity", "product_id": 1, "depth": 1}, 1),
    ],
    ids=str,
)
def test_weights_of_queries(request_: dict[str, Any], weight: int) -> None:
    """Every query has the weight of protocol.md 7."""
    assert weight == query_weight(_query(request_))


@pytest.mark.parametrize(
    ("request_", "weight"),
    [
        ({"matches": {}}, 12),
        ({"matches": {"limit": 500, "subaccounts": [SUB, SUB]}}, 102),
        ({"orders": {"limit": 100}}, 7),
        ({"candlesticks": {"product_id": 1, "granularity": 60, "limit": 40}}, 3),
        ({"oracle_price": {"product_ids": [1]}}, 1),
    ],
    ids=str,
)
def test_weights_of_archive_queries(request_: dict[str, Any], weight: int) -> None:
    """Archive queries weigh by the rows that they may return."""
    assert weight == archive_weight(decode_archive_request(msgspec.json.encode(request_)))


def test_an_empty_batch_has_no_sender() -> None:
    """A batch without orders is charged to nobody."""
    execute = _execute({"place_orders": {"orders": []}})

    assert ("", 0) == (sender_of(execute), execute_weight(execute))


class TestLimits:
    """The windows."""

    ORDER = _execute({"place_order": PLACE})
    STATUS = _query({"type": "status"})
    MATCHES = decode_archive_request(b'{"matches":{"limit":480}}')

    def test_executes(self) -> None:
        """A wallet may spend 100 in 10 s and 600 in a minute, whatever its subaccounts."""
        limits = Limits(enabled=True)
        spent = 0
        now = T0
        while now < T0 + 60 * SECOND:
            try:
                limits.spend_execute(self.ORDER, now)
                spent += 1
            except Refusal as refusal:
                assert refusal.code == 1000  # noqa: PT017 - the loop goes on
                now += SECOND // 2

        assert 600 == spent

    def test_queries_and_the_archive_have_windows_of_their_own(self) -> None:
        """400 in 10 s at the gateway, and again at the archive, by address."""
        limits = Limits(enabled=True)
        for _ in range(400):
            limits.spend_query(self.STATUS, "10.0.0.1", T0)

        with pytest.raises(Refusal):
            limits.spend_query(self.STATUS, "10.0.0.1", T0)
        limits.spend_query(self.STATUS, "10.0.0.2", T0)
        for _ in range(8):
            limits.spend_archive(self.MATCHES, "10.0.0.1", T0)
        with pytest.raises(Refusal):
            limits.spend_archive(self.MATCHES, "10.0.0.1", T0)

    def test_a_request_heavier_than_any_window_is_refused(self) -> None:
        """What can never pass is refused like what cannot pass now."""
        heavy = _execute({"place_orders": {"orders": [PLACE | {"spot_leverage": False}] * 6}})

        with pytest.raises(Refusal):
            Limits(enabled=True).spend_execute(heavy, T0)

    def test_switched_off_nothing_is_counted(self) -> None:
        """A venue for benchmarks takes any rate."""
        limits = Limits(enabled=False)

        for _ in range(1000):
            limits.spend_execute(self.ORDER, T0)
            limits.spend_query(self.STATUS, "", T0)
            limits.spend_archive(self.MATCHES, "", T0)

    def test_made_up_wallets_do_not_fill_the_memory(self) -> None:
        """The oldest buckets go when there are too many."""
        limits = Limits(enabled=True)
        for number in range(10_002):
            limits.spend_query(self.STATUS, str(number), T0)

        assert len(limits._gateway) <= 10_000
