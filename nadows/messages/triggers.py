"""Orders that wait for a condition, as the trigger service lists them.

Source: protocol.md 6.4 (the official SDKs, a ccxt sample).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nadows.messages.executes import CancelOrders, CancelProductOrders, Order, PlaceOrder
from nadows.messages.queries import ListTriggerOrdersQuery
from nadows.messages.wire import (
    FOREIGN,
    UNSET,
    IntOrText,
    RequestId,
    UnreadableRequest,
    UnsetType,
    WireStruct,
    decoder,
    serde_words,
    unknown_variant,
    unreadable,
)
from nadows.units import X18

__all__ = [
    "Dependency",
    "ListTwapExecutionsQuery",
    "PlaceTriggerOrder",
    "PlaceTriggerOrders",
    "PriceTrigger",
    "TimeTrigger",
    "Trigger",
    "TriggerOrder",
    "TriggerOrderEntry",
    "TriggerOrders",
    "TwapExecution",
    "TwapExecutions",
    "decode_trigger_execute",
    "decode_trigger_query",
]


class Dependency(WireStruct, frozen=True):
    """Another order that must have been filled before."""

    digest: str
    on_partial_fill: bool
    """Whether any fill is enough."""


class PriceTrigger(WireStruct, frozen=True):
    """Wait for a price."""

    price_requirement: dict[str, X18]
    """One of ``oracle_price_above``, ``oracle_price_below`` and the same of ``last`` and ``mid``, x18."""
    dependency: Dependency | UnsetType | None = UNSET


class TimeTrigger(WireStruct, frozen=True):
    """Trade in parts, one after another."""

    interval: IntOrText
    """Seconds between the parts."""
    amounts: tuple[X18, ...] | UnsetType | None = UNSET
    """Of each part, signed x18; equal parts when missing."""


class Trigger(WireStruct, frozen=True):
    """What a trigger order waits for: one of the two is there."""

    price_trigger: PriceTrigger | UnsetType | None = UNSET
    time_trigger: TimeTrigger | UnsetType | None = UNSET


class PlaceTriggerOrder(PlaceOrder, frozen=True, kw_only=True):
    """Place one order that waits; answered by `nadows.messages.PlacedOrder`."""

    trigger: Trigger


class PlaceTriggerOrders(WireStruct, frozen=True):
    """Place several orders that wait; answered by `nadows.messages.PlaceOrdersResult`."""

    orders: tuple[PlaceTriggerOrder, ...]
    stop_on_failure: bool | UnsetType | None = UNSET


class ListTwapExecutionsQuery(WireStruct, frozen=True, tag_field="type", tag="list_twap_executions"):
    """Ask what became of the parts of an order."""

    digest: str


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


class TwapExecution(WireStruct, frozen=True):
    """One part of an order that is traded over time."""

    execution_id: int
    scheduled_time: IntOrText
    """Seconds, as is `updated_at`."""
    status: str | dict[str, Any]
    """``pending``, or an object: ``executed``, ``failed`` or ``cancelled``."""
    updated_at: IntOrText


class TwapExecutions(WireStruct, frozen=True):
    """Answer to ``list_twap_executions``."""

    executions: tuple[TwapExecution, ...]


TriggerExecute = PlaceTriggerOrder | PlaceTriggerOrders | CancelOrders | CancelProductOrders
_EXECUTES: Final[dict[str, Any]] = {
    "place_order": PlaceTriggerOrder,
    "place_orders": PlaceTriggerOrders,
    "cancel_orders": CancelOrders,
    "cancel_product_orders": CancelProductOrders,
}
_EXECUTE: Final = decoder(
    msgspec.defstruct(
        "_TriggerEnvelope",
        [(name, kind | UnsetType, UNSET) for name, kind in _EXECUTES.items()],
        frozen=True,
        gc=False,
    )
)
_QUERY: Final = decoder(ListTriggerOrdersQuery | ListTwapExecutionsQuery)


def decode_trigger_execute(frame: bytes | str) -> tuple[str, TriggerExecute]:
    """Read an execute as the trigger service does; returns its name with it.

    Raises:
        UnreadableRequest: With the text to answer.
    """
    try:
        envelope = _EXECUTE.decode(frame)
    except FOREIGN as error:
        raise unreadable(frame, error, lambda body, error: serde_words(str(error))) from error
    found = [(name, body) for name in _EXECUTES if (body := getattr(envelope, name)) is not UNSET]
    if len(found) != 1:
        raise UnreadableRequest(f"error parsing request: {unknown_variant('', _EXECUTES)}", frame)
    return found[0]


def decode_trigger_query(frame: bytes | str) -> ListTriggerOrdersQuery | ListTwapExecutionsQuery:
    """Read a query as the trigger service does.

    Raises:
        UnreadableRequest: With the text to answer.
    """
    try:
        query: ListTriggerOrdersQuery | ListTwapExecutionsQuery = _QUERY.decode(frame)
    except FOREIGN as error:
        raise unreadable(frame, error, lambda body, error: serde_words(str(error))) from error
    return query
