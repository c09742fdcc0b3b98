"""Tests of nadows.venue.executes: batches, cancels, replacing, linked signers."""

from __future__ import annotations

from typing import Any

import pytest

from nadows.network import TESTNET
from nadows.signing import (
    OrderType,
    SignedCancelOrders,
    SignedOrder,
    Signer,
    Subaccount,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_link_signer,
    sign_place_orders,
)
from nadows.units import to_x18
from nadows.venue.switches import Switches
from tests.venue.rig import BTC, ETH, MS, T0, V2, Json, Rig, Trader


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def _resting(trader: Trader, *prices: str) -> list[str]:
    return [trader.place(price, "0.1")["data"]["digest"] for price in prices]


class TestPlaceOrders:
    """Batches."""

    def test_each_order_is_answered_on_its_own(self, rig: Rig, trader: Trader) -> None:
        """A bad order fails alone, with a text and no code; the answer is a bare list by default."""
        good, bad = trader.sign("2990", "0.1"), trader.sign("2990.05", "0.1")

        answer = rig.ask(V2, sign_place_orders([bad, good]).frame)

        assert "execute_place_orders" == answer["request_type"]
        assert bad.signature == answer["signature"]
        assert [None, good.digest] == [item["digest"] for item in answer["data"]]
        assert "increment" in answer["data"][0]["error"]
        assert answer["data"][1]["error"] is None

    def test_the_documented_shape_is_a_switch(self) -> None:
        """The object of the documentation holds the same list."""
        rig = Rig(switches=Switches(place_orders_bare_list=False))

        answer = rig.ask(V2, sign_place_orders([Trader(rig).sign("2990", "0.1")]).frame)

        assert ["place_orders"] == list(answer["data"])

    def test_stop_on_failure_skips_the_rest(self, rig: Rig, trader: Trader) -> None:
        """After a failure nothing more of the batch is placed."""
        orders = [trader.sign("2990", "0.1"), trader.sign("2990.05", "0.1"), trader.sign("2980", "0.1")]

        answer = rig.ask(V2, sign_place_orders(orders, stop_on_failure=True).frame)

        assert [orders[0].digest, None, None] == [item["digest"] for item in answer["data"]]
        assert [orders[0].digest] == list(rig.exchange.engine.orders)

    @pytest.mark.parametrize("size", [0, 51])
    def test_a_batch_has_1_to_50_orders(self, rig: Rig, trader: Trader, size: int) -> None:
        """More is refused as a whole (2111), and so is nothing."""
        body = trader.sign("2990", "0.1").body.decode()

        answer = rig.ask(V2, f'{{"place_orders":{{"orders":[{",".join([body] * size)}]}}}}')

        assert 2111 == answer["error_code"]

    def test_all_orders_have_one_sender(self, rig: Rig, trader: Trader) -> None:
        """A batch of two wallets is refused as a whole (2114)."""
        other = Trader(rig, key=2)

        bodies = [t.sign("2990", "0.1").body.decode() for t in (trader, other)]
        answer = rig.ask(V2, f'{{"place_orders":{{"orders":[{",".join(bodies)}]}}}}')

        assert 2114 == answer["error_code"]
        assert {} == rig.exchange.engine.orders


class TestCancelOrders:
    """Cancels by digest."""

    def test_the_answer_shows_what_was_left(self, rig: Rig, trader: Trader) -> None:
        """A cancelled order is described with what was unfilled at that moment."""
        order = trader.sign("3000", "1", id=5)
        rig.ask(V2, order.frame)
        Trader(rig, key=2).place("3000", "-0.4")

        answer = trader.cancel(order.digest, id=6)

        assert 6 == answer["id"]
        (cancelled,) = answer["data"]["cancelled_orders"]
        assert {
            "product_id": ETH,
            "sender": trader.sub.hex,
            "price_x18": str(to_x18(3000)),
            "amount": str(to_x18(1)),
            "expiration": str(order.expiration),
            "order_type": "default",
            "nonce": str(order.nonce),
            "appendix": "1",
            "unfilled_amount": str(to_x18("0.6")),
            "digest": order.digest,
            "placed_at": T0 // 10**9,
            "id": 5,
        } == cancelled

    def test_a_sell_is_shown_negative(self, trader: Trader) -> None:
        """Amount and unfilled amount of an order object are signed."""
        digest = trader.place("3010", "-0.5")["data"]["digest"]

        (cancelled,) = trader.cancel(digest)["data"]["cancelled_orders"]

        assert [str(-to_x18("0.5"))] * 2 == [cancelled["amount"], cancelled["unfilled_amount"]]

    def test_an_unknown_digest_fails_all(self, rig: Rig, trader: Trader) -> None:
        """By default one digest that is not open fails the request (2020), and nothing is cancelled."""
        (digest,) = _resting(trader, "2990")

        answer = trader.cancel(digest, "0x" + "ab" * 32)

        assert 2020 == answer["error_code"]
        assert [digest] == list(rig.exchange.engine.orders)

    def test_an_unknown_digest_may_be_passed_over(self) -> None:
        """By switch the others are cancelled; with none left it is still a failure."""
        rig = Rig(switches=Switches(one_unknown_digest_fails_all=False))
        trader = Trader(rig)
        (digest,) = _resting(trader, "2990")

        partly = trader.cancel(digest, "0x" + "ab" * 32)
        not_at_all = trader.cancel("0x" + "ab" * 32)

        assert [digest] == [order["digest"] for order in partly["data"]["cancelled_orders"]]
        assert 2020 == not_at_all["error_code"]

    def test_another_subaccounts_order_cannot_be_cancelled(self, rig: Rig, trader: Trader) -> None:
        """An order of somebody else is refused (2014), and so is one of another product (2074)."""
        (digest,) = _resting(trader, "2990")

        assert 2014 == Trader(rig, key=2).cancel(digest)["error_code"]
        assert 2074 == trader.cancel(digest, product_id=BTC)["error_code"]

    def test_a_digest_twice_is_unknown_the_second_time(self, trader: Trader) -> None:
        """One order cannot be cancelled twice in a request."""
        (digest,) = _resting(trader, "2990")

        assert 2020 == trader.cancel(digest, digest)["error_code"]

    @pytest.mark.parametrize(("required", "code"), [("0.1", None), ("0.2", 2020)])
    def test_a_required_unfilled_amount(self, trader: Trader, required: str, code: int | None) -> None:
        """The cancel happens only if that much is left."""
        (digest,) = _resting(trader, "2990")

        answer = trader.cancel(digest, required_unfilled_amount=to_x18(required))

        assert code == answer.get("error_code")

    def _frame(self, trader: Trader, **tx: Any) -> Json:
        body = {"sender": trader.sub.hex, "productIds": [ETH], "digests": ["0x" + "ab" * 32], "nonce": "0"}
        return {"cancel_orders": {"tx": body | tx, "signature": "0x" + "11" * 65}}

    def test_lists_of_different_length_are_refused(self, rig: Rig, trader: Trader) -> None:
        """Ids and digests pair up (2039)."""
        assert 2039 == rig.ask(V2, self._frame(trader, productIds=[ETH, BTC]))["error_code"]

    def test_a_malformed_digest_is_refused(self, rig: Rig, trader: Trader) -> None:
        """What is no digest is no valid message (2038)."""
        assert 2038 == rig.ask(V2, self._frame(trader, digests=["0xab"]))["error_code"]

    def test_the_receive_window_holds_for_cancels(self, rig: Rig, trader: Trader) -> None:
        """A cancel whose receive time has passed is refused (2011)."""
        request = sign_cancel_orders(
            trader.signer, TESTNET.domain, trader.sub, [ETH], ["0x" + "ab" * 32], (T0 // MS - 1) << 20
        )

        assert 2011 == rig.ask(V2, request.frame)["error_code"]


class TestCancelProductOrders:
    """Cancels of whole products."""

    def test_the_named_products_only(self, rig: Rig, trader: Trader) -> None:
        """Orders of other products stay."""
        _resting(trader, "2990", "2980")
        other = trader.place("94000", "0.01", product_id=BTC)["data"]["digest"]

        answer = trader.cancel_products(ETH, ETH, id=3)

        assert 2 == len(answer["data"]["cancelled_orders"])
        assert 3 == answer["id"]
        assert [other] == list(rig.exchange.engine.orders)

    def test_no_products_mean_all(self, rig: Rig, trader: Trader) -> None:
        """An empty list cancels everything, and twice is no failure."""
        _resting(trader, "2990")
        trader.place("94000", "0.01", product_id=BTC)

        counts = [len(trader.cancel_products()["data"]["cancelled_orders"]) for _ in range(2)]

        assert [2, 0] == counts

    def test_an_unknown_product_is_refused(self, trader: Trader) -> None:
        """A product without a market is refused (2016)."""
        assert 2016 == trader.cancel_products(6)["error_code"]


class TestCancelAndPlace:
    """Replacing."""

    def _replace(self, trader: Trader, digests: list[str], price: str, **options: Any) -> Json:
        members = {name: options.pop(name) for name in ("place_requires_unfilled",) if name in options}
        cancel = sign_cancel_orders(
            trader.signer, TESTNET.domain, trader.sub, [ETH] * len(digests), digests, trader.nonce()
        )
        order = trader.sign(price, "0.1", **options)
        return trader.rig.ask(V2, sign_cancel_and_place(cancel, order, **members).frame)

    def test_the_old_order_goes_and_the_new_one_comes(self, rig: Rig, trader: Trader) -> None:
        """The answer is the new order's digest, under the new order's signature and id."""
        (old,) = _resting(trader, "2990")

        answer = self._replace(trader, [old], "2991", id=8)

        (new,) = rig.exchange.engine.orders
        assert new != old
        assert ({"digest": new}, 8, "execute_cancel_and_place") == (
            answer["data"],
            answer["id"],
            answer["request_type"],
        )

    def test_a_replacement_that_is_refused_leaves_the_old_order(self, rig: Rig, trader: Trader) -> None:
        """Both happen or neither: a bad increment, or a post-only order that would cross."""
        (old,) = _resting(trader, "2990")

        bad = self._replace(trader, [old], "2990.05")
        crossing = self._replace(trader, [old], "3001", kind=OrderType.POST_ONLY)

        assert [2000, 2008] == [bad["error_code"], crossing["error_code"]]
        assert [old] == list(rig.exchange.engine.orders)

    def test_a_post_only_replacement_may_cross_what_it_replaces(self, rig: Rig, trader: Trader) -> None:
        """The order that leaves is not in the way."""
        old = trader.place("3000", "-0.1")["data"]["digest"]

        answer = self._replace(trader, [old], "3000", kind=OrderType.POST_ONLY)

        assert "success" == answer["status"]

    def test_a_missing_order_does_not_stop_the_placement(self, rig: Rig, trader: Trader) -> None:
        """Without the condition the new order is placed whatever became of the old one."""
        answer = self._replace(trader, ["0x" + "ab" * 32], "2991")

        assert "success" == answer["status"]

    def test_place_requires_unfilled(self, rig: Rig, trader: Trader) -> None:
        """With the condition a missing or partly filled order stops the placement; the cancel stands."""
        (old,) = _resting(trader, "3000")
        Trader(rig, key=2).place("3000", "-0.05")

        filled = self._replace(trader, [old], "2991", place_requires_unfilled=True)
        missing = self._replace(trader, ["0x" + "ab" * 32], "2991", place_requires_unfilled=True)

        assert [2020, 2020] == [filled["error_code"], missing["error_code"]]
        assert {} == rig.exchange.engine.orders

    def test_both_parts_have_one_sender_and_one_signer(self, rig: Rig, trader: Trader) -> None:
        """Another sender, or another signer of the same sender, is refused (2066)."""
        (old,) = _resting(trader, "2990")
        other, linked = Trader(rig, key=2), Signer(b"\x09" * 32)
        link = Subaccount.parse(linked.address + "00" * 12)
        rig.ask(V2, sign_link_signer(trader.signer, TESTNET.domain, trader.sub, link, 0).frame)
        cancel = sign_cancel_orders(trader.signer, TESTNET.domain, trader.sub, [ETH], [old], trader.nonce())
        by_linked = self._replace_raw(rig, cancel, trader.sign("2991", "0.1", signer=linked))
        by_other = self._replace_raw(rig, cancel, other.sign("2991", "0.1"))

        assert [2066, 2066] == [by_linked["error_code"], by_other["error_code"]]

    def _replace_raw(self, rig: Rig, cancel: SignedCancelOrders, order: SignedOrder) -> Json:
        """Join a cancel and a placement that do not belong together."""
        return rig.ask(
            V2,
            f'{{"cancel_and_place":{{"cancel_tx":{cancel.tx},"cancel_signature":"{cancel.signature}",'
            f'"place_order":{order.body.decode()}}}}}',
        )


class TestLinkSigner:
    """Delegated keys."""

    def _link(self, rig: Rig, trader: Trader, signer: str, nonce: int = 0, by: Signer | None = None) -> Json:
        target = Subaccount.parse(signer + "00" * 12)
        request = sign_link_signer(by or trader.signer, TESTNET.domain, trader.sub, target, nonce)
        return rig.ask(V2, request.frame)

    def test_a_linked_key_signs_for_the_subaccount(self, rig: Rig, trader: Trader) -> None:
        """Orders of the linked key are accepted, it is shown, and refused again when it is cleared."""
        key = Signer(b"\x09" * 32)

        linked = self._link(rig, trader, key.address)
        shown = rig.query("linked_signer", subaccount=trader.sub.hex)
        placed = trader.place("2990", "0.1", signer=key)
        self._link(rig, trader, "0x" + "00" * 20, nonce=1)
        refused = trader.place("2990", "0.1", signer=key)

        assert "success" == linked["status"]
        assert "data" not in linked
        assert key.address == shown["data"]["linked_signer"]
        assert "success" == placed["status"]
        assert 2028 == refused["error_code"]

    def test_the_counter_of_the_address_must_match(self, rig: Rig, trader: Trader) -> None:
        """The nonce counts up, per address (2022)."""
        assert 2022 == self._link(rig, trader, "0x" + "22" * 20, nonce=5)["error_code"]
        self._link(rig, trader, "0x" + "22" * 20)

        nonces = rig.query("nonces", address=trader.signer.address)["data"]

        assert "1" == nonces["tx_nonce"]

    def test_the_linked_key_revokes_itself(self, rig: Rig, trader: Trader) -> None:
        """Whoever may sign for the subaccount may also unlink, as the official SDK does."""
        key = Signer(b"\x09" * 32)
        self._link(rig, trader, key.address)

        assert "success" == self._link(rig, trader, "0x" + "00" * 20, nonce=1, by=key)["status"]
        assert 2028 == trader.place("2990", "0.1", signer=key)["error_code"]

    def test_a_stranger_cannot_link_itself(self, rig: Rig, trader: Trader) -> None:
        """Only the wallet and its linked signer may link (2028)."""
        stranger = Signer(b"\x09" * 32)

        assert 2028 == self._link(rig, trader, stranger.address, by=stranger)["error_code"]


def test_maintenance_refuses_every_execute(rig: Rig, trader: Trader) -> None:
    """A venue that is not active says so, and `status` tells."""
    rig.exchange.set_active(False)

    refused, status = trader.place("2990", "0.1"), rig.query("status")
    rig.exchange.set_active(True)

    assert 2068 == refused["error_code"]
    assert ["failed", "active"] == [status["data"], rig.query("status")["data"]]
