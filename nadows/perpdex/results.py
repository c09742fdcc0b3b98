"""The results of the adapter's methods, for who has no types of their own.

The public project has both in its ``exchanges/base.py``; a `nadows.perpdex.NadoAdapter` builds whatever
`order_result` and `order_info` of its class name, by these field names.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

__all__ = ["OrderInfo", "OrderResult"]


@dataclass
class OrderResult:
    """What became of a request."""

    success: bool
    order_id: str | None = None
    side: str | None = None
    size: Decimal | None = None
    price: Decimal | None = None
    status: str | None = None
    error_message: str | None = None
    filled_size: Decimal | None = None


@dataclass
class OrderInfo:
    """How an order stands. Sizes are positive."""

    order_id: str
    side: str
    size: Decimal
    price: Decimal
    status: str
    filled_size: Decimal = Decimal(0)
    remaining_size: Decimal = Decimal(0)
    cancel_reason: str = ""
