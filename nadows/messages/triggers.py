"""Orders that wait for a condition, as the trigger service lists them.

Source: protocol.md 6.4 (the official SDKs, a ccxt sample).
"""

from __future__ import annotations

from typing import Any

from nadows.messages.executes import Order
from nadows.messages.wire import UNSET, IntOrText, RequestId, UnsetType, WireStruct

__all__ = ["TriggerOrder", "TriggerOrderEntry", "TriggerOrders"]


class TriggerOrder(WireStruct, frozen=True):
    """An order that waits for its trigger."""

    order: Order
    signature: str
    product_id: IntOrText
    trigger: dict[str, Any]
    """``{"price_trigger": ...}`` or ``{"time_trigger": ...}``, as it came."""
    digest: str
    spot_leverage: bool | UnsetType | None = UNSET
    borrow_margin: bool | UnsetType | None = UNSET
    id: RequestId | UnsetType | None = UNSET


class TriggerOrderEntry(WireStruct, frozen=True):
    """A waiting order and what became of it."""

    order: TriggerOrder
    status: str | dict[str, Any]
    """A word such as ``waiting_price``, or an object such as ``{"cancelled": reason}``."""
    placed_at: IntOrText
    """Seconds, as is `updated_at`."""
    updated_at: IntOrText


class TriggerOrders(WireStruct, frozen=True):
    """Answer to ``list_trigger_orders``."""

    orders: tuple[TriggerOrderEntry, ...]
