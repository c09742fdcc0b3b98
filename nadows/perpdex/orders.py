"""What a strategy was told about an order, and what it is to be told next.

A strategy's callback is not matched to an order id: it credits whatever it hears to the order it thinks of,
and answers a FILLED with a closing order. So the end of an order is told exactly once, filled sizes never
shrink, and nothing follows the end. Sizes and prices are x18 and positive, the side is apart.

The interface spells one thing in two ways, and strategies compare both literally: callbacks say ``CANCELED``,
`Order.info_status` ``CANCELLED``. A resting order that is partly filled reads ``OPEN`` there, because
strategies take anything else for its end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from nadows.account import OrderStatus, TrackedOrder

__all__ = ["Kind", "Order", "Standing", "standing_of"]


class Kind(enum.Enum):
    """What a strategy placed an order for."""

    OPEN = "OPEN"
    CLOSE = "CLOSE"


class Standing(enum.Enum):
    """How far an order has come, in the words of the callback."""

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"

    @property
    def is_end(self) -> bool:
        """Whether nothing can follow."""
        return self in (Standing.FILLED, Standing.CANCELED)


_STANDINGS: Final = {
    OrderStatus.NEW: Standing.OPEN,
    OrderStatus.PENDING_CANCEL: Standing.OPEN,
    OrderStatus.PARTIALLY_FILLED: Standing.PARTIALLY_FILLED,
    OrderStatus.FILLED: Standing.FILLED,
    OrderStatus.CANCELED: Standing.CANCELED,
    # It left no trace, and it is too late for it to take effect: to a strategy that is a cancelled order.
    OrderStatus.EXPIRED: Standing.CANCELED,
}


def standing_of(tracked: TrackedOrder) -> Standing | None:
    """Read how an order stands from the account; ``None`` while nothing can be said about it.

    An order whose fate is unknown is such a case, and one that was refused: whoever placed it is told so.
    """
    standing = _STANDINGS.get(tracked.status)
    if standing is Standing.OPEN and tracked.cum_qty:
        return Standing.PARTIALLY_FILLED
    return standing


@dataclass(slots=True)
class Order:
    """One order as a strategy knows it."""

    order_id: str
    """Its digest."""
    product_id: int
    is_buy: bool = True
    size: int = 0
    """0 while unknown: an order of another session."""
    price: int = 0
    kind: Kind | None = None
    """``None`` for an order of another session, of which callbacks tell nothing."""
    filled: int = 0
    told: Standing | None = None
    """The last thing told about it."""
    cancels_out: int = 0
    """Requests to cancel it that are not answered yet. The answer says exactly how much was filled, so the
    event that announces the cancel, and may come first, is not told while one is out."""
    is_unknown: bool = False
    """Whether the answer to its placement was lost, and nothing settled its fate while it was waited for."""
    reason: str = ""

    @property
    def side(self) -> str:
        """``buy`` or ``sell``; empty while unknown."""
        return ("buy" if self.is_buy else "sell") if self.size else ""

    @property
    def has_ended(self) -> bool:
        """Whether its end was told."""
        return self.told is not None and self.told.is_end

    @property
    def info_status(self) -> str:
        """How `get_order_info` spells it: ``OPEN``, ``FILLED`` or ``CANCELLED``."""
        if not self.has_ended:
            return "OPEN"
        return "FILLED" if self.told is Standing.FILLED else "CANCELLED"

    def advance(self, standing: Standing | None, filled: int) -> Standing | None:
        """Take news; return what is to be told of it, ``None`` if nothing is.

        Args:
            standing: How the order stands; ``None`` if that is not known.
            filled: Filled so far (x18).
        """
        if self.has_ended or standing is None:
            return None
        grown = filled > self.filled
        self.filled = max(self.filled, filled)
        if self.size and self.filled >= self.size:
            standing = Standing.FILLED
        if standing is Standing.OPEN and self.filled:
            standing = Standing.PARTIALLY_FILLED
        if standing is self.told and not grown:
            return None
        self.told = standing
        return standing
