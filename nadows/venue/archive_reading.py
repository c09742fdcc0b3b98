"""What the archive's questions have in common: optional members, pages, and transactions."""

from __future__ import annotations

from typing import Any, Final

from nadows.messages.wire import UnsetType
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.archive import Match
from nadows.venue.authority import parse_sender
from nadows.venue.orders import LiveOrder

__all__ = ["MAX_LIMIT", "given", "page_size", "subaccounts", "transaction"]

MAX_LIMIT: Final = 500
_DEFAULT_LIMIT: Final = 100


def given(value: Any) -> Any:
    """Read an optional member: missing and ``null`` mean the same."""
    return None if isinstance(value, UnsetType) else value


def page_size(value: Any, most: int = MAX_LIMIT) -> int:
    """Bring a limit into what the archive gives at most."""
    asked = given(value)
    return _DEFAULT_LIMIT if asked is None else max(1, min(most, int(asked)))


def subaccounts(value: Any) -> list[str] | None:
    """Read an optional list of subaccounts; refuses (2038) what is none."""
    asked = given(value)
    return None if asked is None else [parse_sender(text).hex for text in asked]


def transaction(match: Match) -> Json:
    """Describe a match as the transaction that settled it."""
    return {
        "tx": {
            "match_orders": {
                "product_id": match.product.product_id,
                "amm": True,
                "taker": _settled(match.taker.order),
                "maker": _settled(match.maker.order),
            }
        },
        "submission_idx": str(match.submission_idx),
        "timestamp": str(match.ts // 10**9),
    }


def _settled(order: LiveOrder) -> Json:
    # Nonce and expiration are plain numbers here, and only here (protocol.md 6.1).
    plain = {"expiration": order.expiration, "nonce": order.nonce}
    return {"order": answers.signed_order(order) | plain, "signature": order.signature}
