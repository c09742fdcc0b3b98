"""What a key with a policy signs, and for which wallet."""

from __future__ import annotations

from typing import Any

import pytest

from nadows.errors import UsageError
from nadows.network import TESTNET
from nadows.signing import (
    AUTHENTICATION,
    ENCODED_TYPES,
    TRADING,
    TYPE_HASHES,
    UNRESTRICTED,
    Signer,
    SigningPolicy,
    SigningRefused,
    Subaccount,
    keccak256,
    recover,
    sign_authenticate,
    sign_cancel_orders,
    sign_cancel_product_orders,
    sign_link_signer,
    sign_list_trigger_orders,
    sign_order,
    stream_authentication_data,
    typed_data,
)

KEY = "5b" * 32
OWNER = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"
DOMAIN = TESTNET.domain
SENDER = Subaccount.of(OWNER)
CALLS: dict[str, Any] = {
    "StreamAuthentication": lambda key: sign_authenticate(key, DOMAIN, SENDER, 1, id=1),
    "Order": lambda key: sign_order(key, DOMAIN, 4, SENDER, 1, 1, 1, 1, 1),
    "Cancellation": lambda key: sign_cancel_orders(key, DOMAIN, SENDER, [4], ["0x" + "00" * 32], 1),
    "CancellationProducts": lambda key: sign_cancel_product_orders(key, DOMAIN, SENDER, [4], 1),
    "ListTriggerOrders": lambda key: sign_list_trigger_orders(key, DOMAIN, SENDER, 1),
    "LinkSigner": lambda key: sign_link_signer(key, DOMAIN, SENDER, SENDER, 1),
}


@pytest.mark.parametrize("policy", [AUTHENTICATION, TRADING, UNRESTRICTED], ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", CALLS)
def test_every_request_is_signed_only_as_the_policy_says(policy: SigningPolicy, name: str) -> None:
    """Each function that signs goes through the policy; a refusal says what to do."""
    signer = Signer(KEY, policy=policy)
    if name in policy.types:
        assert CALLS[name](signer).signature == CALLS[name](Signer(KEY)).signature
    else:
        with pytest.raises(SigningRefused, match=f"this key signs for {policy.name}, not {name}: "):
            CALLS[name](signer)


@pytest.mark.parametrize("policy", [AUTHENTICATION, TRADING], ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", sorted(set(ENCODED_TYPES) - TRADING.types))
def test_what_moves_money_or_rights_is_never_signed(policy: SigningPolicy, name: str) -> None:
    """Whatever the fields: the type is read from what is signed."""
    with pytest.raises(SigningRefused, match=f"not {name}: withdrawals, tr"):
        Signer(KEY, policy=policy).sign_struct(DOMAIN, TYPE_HASHES[name] + bytes(32 * 6))


def test_the_policies_are_these() -> None:
    """A type that is added is nobody's until somebody decides."""
    assert {"StreamAuthentication"} == AUTHENTICATION.types
    orders = {"Order", "Cancellation", "CancellationProducts", "ListTriggerOrders"}
    assert orders == TRADING.types - AUTHENTICATION.types
    assert set(ENCODED_TYPES) == UNRESTRICTED.types
    assert "SigningPolicy(trading)" == repr(TRADING)


def test_a_digest_tells_nothing_and_is_not_signed() -> None:
    """A key with a policy does not sign what it cannot read; a type it does not know neither."""
    withdrawal = keccak256(TYPE_HASHES["WithdrawCollateral"] + bytes(128))
    for policy in (AUTHENTICATION, TRADING):
        with pytest.raises(SigningRefused, match="a digest does not tell what it stands for"):
            Signer(KEY, policy=policy).sign(withdrawal)
    for policy in (AUTHENTICATION, TRADING, UNRESTRICTED):
        for struct in (b"", bytes(32), withdrawal, TYPE_HASHES["Order"][:31]):
            with pytest.raises(SigningRefused, match="not unknown types"):
                Signer(KEY, policy=policy).sign_struct(DOMAIN, struct)


def test_a_linked_signer_signs_for_its_owner() -> None:
    """Requests are the owner's, signatures the key's own."""
    own, linked = Signer(KEY), Signer(KEY, owner=OWNER)
    assert (OWNER, own.address, True) == (linked.address, linked.key_address, linked.is_linked)
    assert (own.key_address, False) == (own.address, own.is_linked)
    assert f"Signer({linked.checksum_address}, linked)" == repr(linked)
    signed = sign_authenticate(linked, DOMAIN, Subaccount.of(linked.address), 1, id=1)
    assert own.address == recover(bytes.fromhex(signed.digest[2:]), signed.signature)
    with pytest.raises(UsageError, match="owner must be 20 bytes of hex"):
        Signer(KEY, owner="0x12")


@pytest.mark.oracle
def test_typed_data_is_what_we_sign_ourselves() -> None:
    """A wallet elsewhere that signs it makes the very signature that we would."""
    from eth_account import Account  # noqa: PLC0415 - takes a second

    data = stream_authentication_data(DOMAIN, SENDER, 1_795_367_045_628)
    signed = Account.sign_typed_data(KEY, full_message=data)
    ours = sign_authenticate(Signer(KEY), DOMAIN, SENDER, 1_795_367_045_628, id=1)
    assert ours.signature == "0x" + bytes(signed.signature).hex()


def test_typed_data_needs_the_fields_of_its_type() -> None:
    """One that is missing is named."""
    with pytest.raises(
        UsageError, match="StreamAuthentication has the fields sender, expiration, got sender"
    ):
        typed_data(DOMAIN, "StreamAuthentication", {"sender": SENDER.hex})
