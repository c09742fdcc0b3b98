"""The gateway's envelopes: requests as the venue reads them, answers as the client does.

An answer names its request only by what it echoes: the signature (surest, executes only), the
client's id (if one was given), and the request type.

Source: protocol.md 3.1, 5 and 5.2; optional members from the Rust SDK 1.0.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nadows.messages import answers
from nadows.messages.answers import PlaceOrdersItem, PlaceOrdersResult
from nadows.messages.executes import EXECUTES, Execute, encode_execute
from nadows.messages.queries import QUERIES, Query
from nadows.messages.triggers import TriggerOrders
from nadows.messages.wire import (
    FOREIGN,
    UNSET,
    RequestId,
    UnreadableRequest,
    UnsetType,
    WireStruct,
    convert,
    decoder,
    encode,
    malformed,
    read,
    request_id,
    serde_words,
    unknown_variant,
    unreadable,
)
from nadows.units import Millis

__all__ = [
    "REPLY_DATA",
    "EdgeClock",
    "GeoBlock",
    "Reply",
    "decode_edge_clock",
    "decode_gateway_request",
    "decode_reply",
    "encode_gateway_request",
    "reply_data",
]


class Reply(WireStruct, frozen=True, omit_defaults=True):
    """An answer, success or failure. Every member but ``status`` may be missing, and ``null`` is the same.

    Only for ``data`` the two are kept apart.
    """

    status: str
    """``success`` or ``failure``."""
    signature: str | None = None
    """Echo of the request's signature; none for queries."""
    data: msgspec.Raw | UnsetType = UNSET
    """The result, not decoded yet: `reply_data` does that."""
    error: str | None = None
    error_code: int | None = None
    """Branch on it, never on the text; see `nadows.error_codes`."""
    request_type: str | None = None
    """For example ``execute_place_order`` or ``query_status``; the edge answers with the bare name."""
    id: RequestId | None = None

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status == "success"


class GeoBlock(WireStruct, frozen=True):
    """What a restricted location gets in place of an answer to an execute; reads keep working."""

    reason: str
    """``ip_query_only`` or ``ip_read_only``."""
    blocked: bool


class EdgeClock(WireStruct, frozen=True):
    """Answer to ``time`` and ``ping`` on the edge, in milliseconds; it has no ``data``."""

    status: str
    method: str
    """``time`` or ``pong``."""
    server_time: Millis
    id: RequestId | UnsetType | None = UNSET
    client_time: Millis | UnsetType | None = UNSET


_REPLY: Final = decoder(Reply)
_GEO_BLOCK: Final = decoder(GeoBlock)
_EDGE_CLOCK: Final = decoder(EdgeClock)


def decode_reply(frame: bytes | str) -> Reply | GeoBlock:
    """Read one answer of the gateway.

    Raises:
        MalformedFrame: If it is neither, for example a web page from a proxy in between.
    """
    try:
        reply: Reply = _REPLY.decode(frame)
    except FOREIGN as error:
        try:
            block: GeoBlock = _GEO_BLOCK.decode(frame)
        except FOREIGN:
            raise malformed(error, frame) from error
        return block
    return reply


def decode_edge_clock(frame: bytes | str) -> EdgeClock:
    """Read the answer to `nadows.messages.EdgeTime` or `nadows.messages.EdgePing`.

    Raises:
        MalformedFrame: If it is anything else.
    """
    clock: EdgeClock = read(_EDGE_CLOCK, frame)
    return clock


def _place_orders_result(data: Any) -> PlaceOrdersResult:
    if isinstance(data, dict):
        if "place_orders" not in data:
            raise msgspec.ValidationError("Object missing required field `place_orders`")
        return PlaceOrdersResult(convert(data["place_orders"], tuple[PlaceOrdersItem, ...]))
    return PlaceOrdersResult(convert(data, tuple[PlaceOrdersItem, ...]), is_bare=True)


def _read_as(kind: Any) -> Callable[[bytes], Any]:
    return decoder(kind).decode


_ANYTHING: Final = decoder(Any)
_CANCELLED: Final = _read_as(answers.CancelledOrders)
_PLACED: Final = _read_as(answers.PlacedOrder)

_QUERY_DATA: Final[dict[str, Any]] = {
    "status": str,
    "contracts": answers.Contracts,
    "nonces": answers.Nonces,
    "order": answers.OrderObject,
    "subaccount_orders": answers.SubaccountOrders,
    "orders": answers.Orders,
    "subaccount_info": answers.SubaccountInfo,
    "isolated_positions": answers.IsolatedPositions,
    "market_liquidity": answers.MarketLiquidity,
    "market_price": answers.MarketPrice,
    "market_prices": answers.MarketPrices,
    "all_products": answers.AllProducts,
    "edge_all_products": answers.EdgeAllProducts,
    "symbols": answers.Symbols,
    "fee_rates": answers.FeeRates,
    "max_order_size": answers.MaxOrderSize,
    "max_withdrawable": answers.MaxWithdrawable,
    "linked_signer": answers.LinkedSigner,
    "health_groups": answers.HealthGroups,
    "insurance": answers.Insurance,
    "validate_order": answers.OrderValidity,
    "max_nlp_mintable": answers.MaxNlpMintable,
    "max_nlp_burnable": answers.MaxNlpBurnable,
    "list_trigger_orders": TriggerOrders,
}
_CACHED_DATA: Final[dict[str, Any]] = {
    "cached_prices": answers.MarketPrices,
    "cached_symbols": answers.Symbols,
    "cached_contracts": answers.Contracts,
    "cached_status": str,
    "cached_all_products": answers.AllProducts,
    "cached_edge_all_products": answers.EdgeAllProducts,
    "cached_health_groups": answers.HealthGroups,
    "cached_bbo_history": answers.BboHistory,
}

REPLY_DATA: Final[dict[str, Callable[[bytes], Any]]] = {
    "execute_place_order": _PLACED,
    "execute_place_orders": lambda data: _place_orders_result(_ANYTHING.decode(data)),
    "execute_cancel_orders": _CANCELLED,
    "execute_cancel_product_orders": _CANCELLED,
    "execute_cancel_and_place": _PLACED,
    **{f"query_{name}": _read_as(kind) for name, kind in _QUERY_DATA.items()},
    **{name: _read_as(kind) for name, kind in _CACHED_DATA.items()},
}
"""How the ``data`` of each request type is read; a type that is not here gives plain JSON."""


def reply_data(reply: Reply, request_type: str | None = None) -> Any:
    """Decode what a successful answer carries, by its request type.

    Args:
        reply: The answer.
        request_type: What was asked; by default what the answer itself names.

    Returns:
        The type of `REPLY_DATA`; ``None`` where ``data`` is missing or ``null``.

    Raises:
        MalformedFrame: If the data is not what that request is answered with.
    """
    if reply.data is UNSET or bytes(reply.data) == b"null":
        return None
    data = bytes(reply.data)
    try:
        return REPLY_DATA.get(request_type or reply.request_type or "", _ANYTHING.decode)(data)
    except FOREIGN as error:
        raise malformed(error, data) from error


_QUERY: Final = decoder(Query)
_ENVELOPE_TYPE: Final = msgspec.defstruct(
    "_Envelope",
    [(name, kind | UnsetType, UNSET) for name, kind in EXECUTES.items()],
    frozen=True,
    gc=False,
)
_ENVELOPE: Final = decoder(_ENVELOPE_TYPE)


def decode_gateway_request(frame: bytes | str) -> Execute | Query:
    """Read a client's request, as the venue reads it: an execute in its envelope, or a query.

    Raises:
        UnreadableRequest: With the text to answer, and the execute's id if that can be read.
    """
    try:
        envelope = _ENVELOPE.decode(frame)
        found = [body for name in EXECUTES if (body := getattr(envelope, name)) is not UNSET]
        if not found:
            query: Query = _QUERY.decode(frame)
            return query
    except FOREIGN as error:
        raise unreadable(frame, error, _complaint, _id_of) from error
    if len(found) > 1:
        raise UnreadableRequest("error parsing request: expected one execute, got several", frame)
    execute: Execute = found[0]
    return execute


def encode_gateway_request(request: Execute | Query) -> bytes:
    """Write a request, ready to send: an execute in its envelope, a query as it is."""
    return encode_execute(request) if isinstance(request, Execute) else encode(request)


def _complaint(body: dict[str, Any], error: Exception) -> str:
    if not any(name in body for name in EXECUTES):
        if "type" not in body:
            return unknown_variant(next(iter(body), ""), EXECUTES)
        if body["type"] not in list(QUERIES):
            return unknown_variant(body["type"], QUERIES)
    return serde_words(str(error))


def _id_of(body: dict[str, Any]) -> int:
    """Find the client's id: in the execute, or for a replacement in its new order."""
    for name in EXECUTES:
        inner = body.get(name)
        if isinstance(inner, dict):
            nested = inner.get("place_order")
            return request_id(inner) or (request_id(nested) if isinstance(nested, dict) else 0)
    return 0
