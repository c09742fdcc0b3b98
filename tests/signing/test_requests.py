import json
import statistics
from collections.abc import Callable
from time import process_time_ns
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.signing import (
    Domain,
    SignedOrder,
    Signer,
    Subaccount,
    recover,
    sign_authenticate,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_cancel_product_orders,
    sign_link_signer,
    sign_list_trigger_orders,
    sign_order,
    sign_place_orders,
)
from nadows.units import X18
from tests.signing.vectors import ADDRESS_A, KEY_A, KEY_B, TESTNET_ENDPOINT, name_of, vector, wired

SIGNER = Signer(KEY_A)
DOMAIN = Domain(763373, TESTNET_ENDPOINT)
SENDER = Subaccount.of(ADDRESS_A)
ORDER: dict[str, Any] = {
    "product_id": 2,
    "sender": SENDER,
    "price_x18": 95_000 * 10**18,
    "amount": 10**16,
    "expiration": 4294967295,
    "nonce": 1887436800000001000,
    "appendix": 1,
}
DIGESTS = ["0x" + "ab" * 32, "0x" + "cd" * 32]
U64 = st.integers(0, 2**64 - 1)


def order(**changes: Any) -> SignedOrder:
    return sign_order(SIGNER, DOMAIN, **(ORDER | changes))


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def signer_and_domain(each: dict[str, Any]) -> tuple[Signer, Domain]:
    contract = TESTNET_ENDPOINT if each["primary_type"] == "Order" else each["domain"]["verifyingContract"]
    return Signer(each["private_key"]), Domain(each["domain"]["chainId"], contract)


@pytest.mark.parametrize("each", wired("Order"), ids=name_of)
def test_order_vector(each: dict[str, Any]) -> None:
    """Digest, signature and frame are the official SDK's; the frame also in the order of its keys."""
    message, wire = each["message"], each["wire"]["place_order"]

    signed = sign_order(
        *signer_and_domain(each),
        wire["product_id"],
        Subaccount.parse(message["sender"]),
        int(message["priceX18"]),
        int(message["amount"]),
        int(message["expiration"]),
        int(message["nonce"]),
        int(message["appendix"]),
        id=wire.get("id"),
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert compact(each["wire"]) == signed.frame
    assert compact(wire) == signed.body


@pytest.mark.parametrize("each", wired("Cancellation"), ids=name_of)
def test_cancel_orders_vector(each: dict[str, Any]) -> None:
    """Digest, signature and frame of a cancellation are the official SDK's."""
    message = each["message"]

    signed = sign_cancel_orders(
        *signer_and_domain(each),
        Subaccount.parse(message["sender"]),
        message["productIds"],
        message["digests"],
        int(message["nonce"]),
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert compact(each["wire"]) == signed.frame
    assert (tuple(message["productIds"]), tuple(message["digests"])) == (signed.product_ids, signed.digests)


@pytest.mark.parametrize("each", wired("CancellationProducts"), ids=name_of)
def test_cancel_product_orders_vector(each: dict[str, Any]) -> None:
    """Digest, signature and frame of a product cancellation are the official SDK's; no ids mean all."""
    message = each["message"]

    signed = sign_cancel_product_orders(
        *signer_and_domain(each),
        Subaccount.parse(message["sender"]),
        message["productIds"],
        int(message["nonce"]),
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert compact(each["wire"]) == signed.frame


@pytest.mark.parametrize("each", wired("StreamAuthentication"), ids=name_of)
def test_authenticate_vector(each: dict[str, Any]) -> None:
    """Digest, signature and frame of the stream authentication are the official SDK's."""
    message = each["message"]

    signed = sign_authenticate(
        *signer_and_domain(each),
        Subaccount.parse(message["sender"]),
        int(message["expiration"]),
        id=each["wire"]["id"],
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert compact(each["wire"]) == signed.frame


@pytest.mark.parametrize("each", wired("ListTriggerOrders"), ids=name_of)
def test_list_trigger_orders_vector(each: dict[str, Any]) -> None:
    """Digest, signature and frame of the trigger query are the official SDK's."""
    message, wire = each["message"], each["wire"]

    signed = sign_list_trigger_orders(
        *signer_and_domain(each),
        Subaccount.parse(message["sender"]),
        int(message["recvTime"]),
        product_ids=wire["product_ids"],
        limit=wire["limit"],
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert compact(wire) == signed.frame


def test_list_trigger_orders_of_everything() -> None:
    """Filters that are not given are not sent."""
    frame = json.loads(sign_list_trigger_orders(SIGNER, DOMAIN, SENDER, 1).frame)

    assert {"type", "tx", "signature"} == set(frame)


def test_link_signer_vector() -> None:
    """Digest and signature are the SDK's, and the frame carries what was signed."""
    each = vector("link_signer_testnet")
    message = each["message"]

    signed = sign_link_signer(
        *signer_and_domain(each), SENDER, Subaccount.parse(message["signer"]), int(message["nonce"])
    )

    assert each["digest"] == signed.digest
    assert each["signature"] == signed.signature
    assert {
        "link_signer": {
            "tx": {"sender": SENDER.hex, "signer": message["signer"], "nonce": "1"},
            "signature": each["signature"],
        }
    } == json.loads(signed.frame)


def test_cancel_and_place_repeats_both_parts() -> None:
    """The frame holds the cancellation and the order as they are signed alone, without their envelopes."""
    cancel = sign_cancel_orders(SIGNER, DOMAIN, SENDER, [2], DIGESTS[:1], 7, id=3)
    placed = order(id=104)

    plain = sign_cancel_and_place(cancel, placed)
    guarded = sign_cancel_and_place(
        cancel, placed, place_requires_unfilled=True, required_unfilled_amount=6 * 10**15
    )

    content = {
        "cancel_tx": json.loads(cancel.frame)["cancel_orders"]["tx"],
        "cancel_signature": cancel.signature,
        "place_order": json.loads(placed.frame)["place_order"],
    }
    assert {"cancel_and_place": content} == json.loads(plain.frame)
    assert {
        "cancel_and_place": content
        | {"place_requires_unfilled": True, "required_unfilled_amount": "6000000000000000"}
    } == json.loads(guarded.frame)
    assert (placed.digest, placed.signature) == (plain.digest, plain.signature)


def test_cancel_and_place_of_two_senders_refused() -> None:
    """The venue refuses two senders (code 2066); so do we, before sending."""
    cancel = sign_cancel_orders(SIGNER, DOMAIN, SENDER, [2], DIGESTS[:1], 7)

    with pytest.raises(UsageError, match="one sender"):
        sign_cancel_and_place(cancel, order(sender=Subaccount.of(ADDRESS_A, "other")))


def test_cancel_and_place_of_one_nonce_refused() -> None:
    """The two parts need nonces of their own."""
    cancel = sign_cancel_orders(SIGNER, DOMAIN, SENDER, [2], DIGESTS[:1], ORDER["nonce"])

    with pytest.raises(UsageError, match="two nonces"):
        sign_cancel_and_place(cancel, order())


@pytest.mark.parametrize(("stop", "options"), [(None, {}), (False, {"stop_on_failure": False})])
def test_place_orders_lists_the_orders(stop: bool | None, options: dict[str, bool]) -> None:
    """A batch holds the bodies of its orders, in order."""
    orders = [order(nonce=nonce, id=nonce) for nonce in range(3)]

    batch = sign_place_orders(orders, stop_on_failure=stop)

    bodies = [json.loads(each.frame)["place_order"] for each in orders]
    assert {"place_orders": {"orders": bodies} | options} == json.loads(batch.frame)
    assert tuple(orders) == batch.orders


@pytest.mark.parametrize("count", [0, 51])
def test_place_orders_of_wrong_size_refused(count: int) -> None:
    """A batch holds 1 to 50 orders (code 2111)."""
    with pytest.raises(UsageError, match=f"1 to 50 orders, got {count}"):
        sign_place_orders([order()] * count)


def test_place_orders_of_two_senders_refused() -> None:
    """A batch has one sender (code 2114)."""
    with pytest.raises(UsageError, match="one sender, got 2"):
        sign_place_orders([order(), order(sender=Subaccount.of(ADDRESS_A, "other"))])


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {}),
        ({"id": 0}, {"id": 0}),
        ({"id": 2**64 - 1}, {"id": 2**64 - 1}),
        ({"spot_leverage": False}, {"spot_leverage": False}),
        ({"spot_leverage": True, "borrow_margin": False}, {"spot_leverage": True, "borrow_margin": False}),
        ({"id": 5, "borrow_margin": True}, {"id": 5, "borrow_margin": True}),
    ],
)
def test_order_options(options: dict[str, Any], sent: dict[str, Any]) -> None:
    """Options are sent when given, kept in the value, and not part of what is signed."""
    signed = order(**options)

    body = json.loads(signed.frame)["place_order"]
    assert sent == {
        key: value for key, value in body.items() if key not in ("product_id", "order", "signature")
    }
    assert order().signature == signed.signature
    kept = {"id": signed.id, "spot_leverage": signed.spot_leverage, "borrow_margin": signed.borrow_margin}
    assert {"id": None, "spot_leverage": None, "borrow_margin": None} | options == kept


@given(
    price=st.integers(-(2**127), 2**127 - 1),
    amount=st.integers(-(2**127), 2**127 - 1),
    expiration=U64,
    nonce=U64,
    appendix=st.integers(0, 2**128 - 1),
)
def test_order_says_what_it_signs(
    price: int, amount: int, expiration: int, nonce: int, appendix: int
) -> None:
    """The frame carries exactly the numbers that were signed, and its signature tells the signer."""
    signed = order(price_x18=X18(price), amount=amount, expiration=expiration, nonce=nonce, appendix=appendix)

    assert {
        "sender": SENDER.hex,
        "priceX18": str(price),
        "amount": str(amount),
        "expiration": str(expiration),
        "nonce": str(nonce),
        "appendix": str(appendix),
    } == json.loads(signed.frame)["place_order"]["order"]
    assert SIGNER.address == recover(bytes.fromhex(signed.digest[2:]), signed.signature)


def test_linked_signer_signs_the_same_digest() -> None:
    """Who signs does not change what is signed."""
    linked = sign_order(Signer(KEY_B), DOMAIN, **ORDER)

    assert order().digest == linked.digest
    assert order().signature != linked.signature


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"product_id": 2**32}, "product_id"),
        ({"price_x18": 95000.0}, "price_x18 must be an int"),
        ({"amount": 2**127}, "amount must lie"),
        ({"id": -1}, "id must be"),
        ({"id": 2**64}, "id must be"),
        ({"id": "100"}, "id must be"),
    ],
)
def test_order_refused_before_it_is_signed(changes: dict[str, Any], words: str) -> None:
    """Numbers that the venue cannot read are refused, without a signature that could be sent."""
    with pytest.raises(UsageError, match=words):
        order(**changes)


def test_cancel_orders_options() -> None:
    """The id and the guard of a cancellation are sent when given; digests are sent in one spelling."""
    signed = sign_cancel_orders(
        SIGNER, DOMAIN, SENDER, [2], ["AB" * 32], 7, id=9, required_unfilled_amount=X18(5)
    )

    content = json.loads(signed.frame)["cancel_orders"]
    assert (9, "5") == (content["id"], content["required_unfilled_amount"])
    assert DIGESTS[:1] == content["tx"]["digests"] == list(signed.digests)
    assert 9 == signed.id


def test_cancel_product_orders_options() -> None:
    """The id of a product cancellation is sent when given."""
    signed = sign_cancel_product_orders(SIGNER, DOMAIN, SENDER, [2], 7, id=9)

    assert 9 == json.loads(signed.frame)["cancel_product_orders"]["id"]
    assert ((2,), 7, 9) == (signed.product_ids, signed.nonce, signed.id)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([], [], 7), {}, "at least one digest"),
        (([2], DIGESTS, 7), {}, "1 product ids for 2 digests"),
        (([2], ["0x12"], 7), {}, "digest must be 32 bytes of hex"),
        (([2], DIGESTS[:1], -1), {}, "nonce must lie"),
        (([2], DIGESTS[:1], 7), {"id": -1}, "id must be"),
        (([2], DIGESTS[:1], 7), {"required_unfilled_amount": -1}, "required_unfilled_amount must be"),
        (([2], DIGESTS[:1], 7), {"required_unfilled_amount": 0.5}, "required_unfilled_amount must be"),
    ],
)
def test_cancel_orders_refused(arguments: Any, options: dict[str, Any], words: str) -> None:
    """A cancellation that the venue cannot read is refused."""
    with pytest.raises(UsageError, match=words):
        sign_cancel_orders(SIGNER, DOMAIN, SENDER, *arguments, **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sign_authenticate(SIGNER, DOMAIN, SENDER, 1, id=-1), "id must be"),
        (lambda: sign_authenticate(SIGNER, DOMAIN, SENDER, -1, id=1), "expiration must lie"),
        (lambda: sign_list_trigger_orders(SIGNER, DOMAIN, SENDER, -1), "recvTime must lie"),
        (lambda: sign_list_trigger_orders(SIGNER, DOMAIN, SENDER, 1, limit=0), "limit must lie"),
        (lambda: sign_list_trigger_orders(SIGNER, DOMAIN, SENDER, 1, limit=501), "limit must lie"),
        (
            lambda: sign_list_trigger_orders(SIGNER, DOMAIN, SENDER, 1, product_ids=[-1]),
            "product_id must be",
        ),
        (lambda: sign_link_signer(SIGNER, DOMAIN, SENDER, SENDER, 2**64), "nonce must lie"),
    ],
)
def test_other_requests_refused(call: Callable[[], object], words: str) -> None:
    """Numbers that the venue cannot read are refused in the smaller requests as well."""
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.oracle
def test_an_order_costs_a_fraction_of_eth_account_with_coincurve() -> None:
    """Side by side, in CPU time, an order takes less than a third of its signature by eth_account.

    The ratio measured is about ten; a third is the guard against a slip into general encoders.
    """
    each = wired("Order")[0]
    account = Account.from_key(KEY_A)
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Order": each["fields"],
        },
        "primaryType": "Order",
        "domain": each["domain"],
        "message": {
            name: value if name == "sender" else int(value) for name, value in each["message"].items()
        },
    }

    def ours() -> str:
        return order().signature

    def theirs() -> str:
        return "0x" + bytes(account.sign_typed_data(full_message=typed).signature).hex()

    assert ours() == theirs()
    ratio = statistics.median(_cpu_ns(theirs) / _cpu_ns(ours) for _ in range(9))
    assert ratio >= 3


def _cpu_ns(sign: Callable[[], object]) -> int:
    begin = process_time_ns()
    for _ in range(20):
        sign()
    return process_time_ns() - begin
