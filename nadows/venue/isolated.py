"""Isolated subaccounts: margin that one position has to itself.

An isolated order brings its margin along from the account that sends it. The margin, and the position once
there is one, belong to a subaccount of the venue's making, which ends with the position and its orders.

Source: protocol.md 3.3 and section 4, the venue's error texts (2081 to 2088).
"""

from __future__ import annotations

from typing import Final

from nadows.venue.ledger import Account
from nadows.venue.products import Product
from nadows.venue.refusal import Refusal

__all__ = ["is_isolated_name", "isolated_account"]

_SUFFIX: Final = b"iso".hex()
_KEPT: Final = 42 + 12
"""The address and the first six bytes of the parent's name, as characters."""


def is_isolated_name(subaccount: str) -> bool:
    """Whether a subaccount's name is one that the venue gives to isolated ones."""
    return subaccount.endswith(_SUFFIX)


def isolated_account(parent: Account, product: Product, accounts: dict[str, Account]) -> Account:
    """Return the parent's isolated subaccount of a product, a new one if there is none yet.

    A new one is known to its parent only; it enters the books with its margin (`Engine.isolate`).

    Raises:
        Refusal: 2087 if its name is taken by another of the wallet's subaccounts with a similar name.
    """
    known = parent.isolated.get(product.product_id)
    if known is not None:
        return known
    name = f"{parent.subaccount[:_KEPT]}{product.product_id:04x}00{_SUFFIX}"
    if name in accounts:
        raise Refusal(2087, f"Failed to create isolated subaccount: {name} exists for another parent.")
    return Account(name, parent=parent)
