"""Requests as other wallets take them to sign: the JSON of ``eth_signTypedData_v4`` (EIP-712)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nadows.errors import UsageError
from nadows.signing.hashing import DOMAIN_FIELDS, ENCODED_TYPES, Domain, Subaccount

__all__ = ["stream_authentication_data", "typed_data"]

_DOMAIN: Final = {"name": "Nado", "version": "0.0.1"}


def stream_authentication_data(domain: Domain, sender: Subaccount, expiration_ms: int) -> dict[str, Any]:
    """Describe the subscription socket's ``authenticate``, so that a wallet elsewhere can sign it.

    Args:
        domain: Chain and contracts.
        sender: Any subaccount of the wallet.
        expiration_ms: Until when it may be used, ms since the epoch; at most 100 s ahead.
    """
    message = {"sender": sender.hex, "expiration": str(expiration_ms)}
    return typed_data(domain, "StreamAuthentication", message)


def typed_data(domain: Domain, primary_type: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Describe any request that goes to the endpoint's contract.

    Args:
        domain: Chain and contracts.
        primary_type: One of `ENCODED_TYPES`, but no order: those name another contract.
        message: The fields; numbers as decimal strings, which survive every reader of JSON.

    Raises:
        UsageError: If the fields are not those of the type.
    """
    fields = _fields(ENCODED_TYPES[primary_type])
    names = [each["name"] for each in fields]
    if sorted(message) != sorted(names):
        raise UsageError(
            f"{primary_type} has the fields {', '.join(names)}, got {', '.join(sorted(message))}"
        )
    return {
        "types": {"EIP712Domain": _fields(DOMAIN_FIELDS), primary_type: fields},
        "primaryType": primary_type,
        "domain": _DOMAIN | {"chainId": domain.chain_id, "verifyingContract": domain.endpoint},
        "message": dict(message),
    }


def _fields(encoded: str) -> list[dict[str, str]]:
    pairs = (field.split(" ") for field in encoded.split(","))
    return [{"name": name, "type": kind} for kind, name in pairs]
