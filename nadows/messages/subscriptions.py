"""What a client says on the subscription socket: `Stream`, and the requests that carry it.

Source: protocol.md 2.1 to 2.4 (the venue's Subscriptions pages, the official SDKs, live captures).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from nadows.messages.events import Event, Fill, LatestCandlestick, Liquidation, PositionChange, UnknownEvent
from nadows.messages.wire import (
    FOREIGN,
    UNSET,
    ProductId,
    RequestId,
    UnreadableRequest,
    UnsetType,
    WireStruct,
    decoder,
    encode,
    serde_words,
    unknown_variant,
    unreadable,
)
from nadows.units import Millis

__all__ = [
    "STREAM_PARAMS",
    "Authenticate",
    "AuthenticateTx",
    "ListStreams",
    "Ping",
    "Request",
    "Stream",
    "StreamKey",
    "StreamParams",
    "Subscribe",
    "SubscribeMulti",
    "Time",
    "Unsubscribe",
    "UnsubscribeMulti",
    "decode_stream_request",
]


class StreamParams(NamedTuple):
    """Which members a stream object has besides ``type``."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    needs_auth: bool = False


STREAM_PARAMS: Final[dict[str, StreamParams]] = {
    "order_update": StreamParams(("subaccount",), ("product_id",), needs_auth=True),
    "trade": StreamParams(("product_id",)),
    "best_bid_offer": StreamParams(("product_id",)),
    "fill": StreamParams(("subaccount",), ("product_id",)),
    "position_change": StreamParams(("subaccount",), ("product_id",)),
    "book_depth": StreamParams(("product_id",)),
    "liquidation": StreamParams((), ("product_id",)),
    "latest_candlestick": StreamParams(("product_id", "granularity")),
    "funding_payment": StreamParams(("product_id",)),
    "funding_rate": StreamParams((), ("product_id",)),
    "all_bbo": StreamParams(),
}


class StreamKey(NamedTuple):
    """What a stream is, however spelled; ``None`` is all products, and what does not apply."""

    type: str
    subaccount: str | None
    product_id: int | None
    granularity: int | None


class Stream(WireStruct, frozen=True, forbid_unknown_fields=True):
    """What one can subscribe to.

    Use the constructors below; this one takes any type, so that a stream newer than this version
    can be named too. Two streams are equal if they are written alike; compare `key` for what they
    mean: a missing and a ``null`` ``product_id`` are both "all products", and hex is of either case.
    """

    type: str
    product_id: ProductId | UnsetType | None = UNSET
    subaccount: str | UnsetType = UNSET
    """bytes32, lower case hex: 20 bytes of address and 12 of name."""
    granularity: int | UnsetType = UNSET
    """Seconds: 60, 300, 900, 3600, 7200, 14400, 86400, 604800 or 2419200."""

    @classmethod
    def order_update(cls, subaccount: str, product_id: int | None = None) -> Stream:
        """Name the updates of one's own orders; authenticate first."""
        return cls("order_update", _optional(product_id), str(subaccount).lower())

    @classmethod
    def trade(cls, product_id: int) -> Stream:
        """Name the public trades of a product."""
        return cls("trade", product_id)

    @classmethod
    def best_bid_offer(cls, product_id: int) -> Stream:
        """Name the top of a product's book."""
        return cls("best_bid_offer", product_id)

    @classmethod
    def fill(cls, subaccount: str, product_id: int | None = None) -> Stream:
        """Name the fills of a subaccount, one's own or another's."""
        return cls("fill", _optional(product_id), str(subaccount).lower())

    @classmethod
    def position_change(cls, subaccount: str, product_id: int | None = None) -> Stream:
        """Name the balance changes of a subaccount, one's own or another's."""
        return cls("position_change", _optional(product_id), str(subaccount).lower())

    @classmethod
    def book_depth(cls, product_id: int) -> Stream:
        """Name the changes of a product's book."""
        return cls("book_depth", product_id)

    @classmethod
    def liquidation(cls, product_id: int | None = None) -> Stream:
        """Name the liquidations of a product, or of all."""
        return cls("liquidation", _optional(product_id))

    @classmethod
    def latest_candlestick(cls, product_id: int, granularity: int) -> Stream:
        """Name the forming bar of a product; *granularity* in seconds."""
        return cls("latest_candlestick", product_id, granularity=granularity)

    @classmethod
    def funding_payment(cls, product_id: int) -> Stream:
        """Name the hourly funding payments of a product."""
        return cls("funding_payment", product_id)

    @classmethod
    def funding_rate(cls, product_id: int | None = None) -> Stream:
        """Name the funding rate of a product, or of all."""
        return cls("funding_rate", _optional(product_id))

    @classmethod
    def all_bbo(cls) -> Stream:
        """Name the best prices of all products."""
        return cls("all_bbo")

    @property
    def key(self) -> StreamKey:
        """What the stream means; equal for every spelling of it."""
        return StreamKey(
            self.type,
            None if self.subaccount is UNSET else self.subaccount.lower(),
            None if self.product_id is UNSET else self.product_id,
            None if self.granularity is UNSET else self.granularity,
        )

    @property
    def needs_auth(self) -> bool:
        """Whether the connection must be authenticated before subscribing."""
        params = STREAM_PARAMS.get(self.type)
        return params is not None and params.needs_auth

    def wire(self) -> bytes:
        """Write the stream object."""
        return encode(self)

    def matches(self, event: Event) -> bool:
        """Tell whether an event belongs to this stream.

        ``order_update`` events name no subaccount, so every such stream of a product takes them: a
        connection that watches several subaccounts tells them apart by digest.
        """
        if _type_of(event) != self.type:
            return False
        _, subaccount, product_id, granularity = self.key
        if isinstance(event, Fill | PositionChange) and event.subaccount.lower() != subaccount:
            return False
        if isinstance(event, LatestCandlestick) and event.granularity != granularity:
            return False
        if product_id is None:
            return True
        if isinstance(event, Liquidation):
            return product_id in event.product_ids
        if isinstance(event, UnknownEvent):
            return bool(event.fields.get("product_id", product_id) == product_id)
        # The one event that names no product, all_bbo, belongs to a stream that names none either.
        return bool(getattr(event, "product_id", product_id) == product_id)

    def problem(self) -> str | None:
        """Say what the venue would find wrong with this stream object, in its words; ``None`` if nothing."""
        params = STREAM_PARAMS.get(self.type)
        if params is None:
            return unknown_variant(self.type, STREAM_PARAMS)
        for name in params.required:
            value = getattr(self, name)
            if value is UNSET:
                return f"missing field `{name}`"
            if value is None:
                return "invalid type: null, expected u32"
        for name in self.__struct_fields__[1:]:
            if getattr(self, name) is not UNSET and name not in params.required + params.optional:
                return f"unknown field `{name}`"
        return None


def _optional(product_id: int | None) -> int | UnsetType:
    # Missing, not null: what the venue's own clients send.
    return UNSET if product_id is None else product_id


def _type_of(event: Event) -> str:
    return event.type if isinstance(event, UnknownEvent) else str(event.__struct_config__.tag)


class Subscribe(WireStruct, frozen=True, tag_field="method", tag="subscribe"):
    """Start one stream."""

    id: RequestId
    stream: Stream


class Unsubscribe(WireStruct, frozen=True, tag_field="method", tag="unsubscribe"):
    """End one stream."""

    id: RequestId
    stream: Stream


class SubscribeMulti(WireStruct, frozen=True, tag_field="method", tag="subscribe_multi"):
    """Start several streams. Known from the Python SDK alone; its answer is documented nowhere."""

    id: RequestId
    streams: tuple[Stream, ...]


class UnsubscribeMulti(WireStruct, frozen=True, tag_field="method", tag="unsubscribe_multi"):
    """End several streams. Known from the Python SDK alone."""

    id: RequestId
    streams: tuple[Stream, ...]


class ListStreams(WireStruct, frozen=True, tag_field="method", tag="list"):
    """Ask which streams this connection has."""

    id: RequestId


class Ping(WireStruct, frozen=True, tag_field="method", tag="ping"):
    """Ask for the venue's clock, with one's own echoed (milliseconds)."""

    id: RequestId
    client_time: Millis | UnsetType | None = UNSET


class Time(WireStruct, frozen=True, tag_field="method", tag="time"):
    """Ask for the venue's clock."""

    id: RequestId


class AuthenticateTx(WireStruct, frozen=True):
    """What `Authenticate` signs (EIP-712 ``StreamAuthentication``)."""

    sender: str
    expiration: Millis
    """At most 100 s ahead of the venue's clock. It bounds the request, not the session."""


class Authenticate(WireStruct, frozen=True, tag_field="method", tag="authenticate"):
    """Prove the wallet, for all its subaccounts and as long as the connection lives."""

    id: RequestId
    tx: AuthenticateTx
    signature: str


Request = (
    Subscribe | Unsubscribe | SubscribeMulti | UnsubscribeMulti | ListStreams | Ping | Time | Authenticate
)
_KINDS: Final[tuple[Any, ...]] = Request.__args__
_METHODS: Final = tuple(str(kind.__struct_config__.tag) for kind in _KINDS)
_REQUEST: Final = decoder(Request)


def decode_stream_request(frame: bytes | str) -> Request:
    """Read a client's request, as the venue reads it.

    Raises:
        UnreadableRequest: With the text to answer, and the request's id if that can be read.
    """
    try:
        request: Request = _REQUEST.decode(frame)
    except FOREIGN as error:
        raise unreadable(frame, error, _complaint) from error
    for stream in _streams_of(request):
        problem = stream.problem()
        if problem is not None:
            raise UnreadableRequest(f"error parsing request: {problem}", frame, request.id)
    return request


def _streams_of(request: Request) -> tuple[Stream, ...]:
    if isinstance(request, Subscribe | Unsubscribe):
        return (request.stream,)
    if isinstance(request, SubscribeMulti | UnsubscribeMulti):
        return request.streams
    return ()


def _complaint(body: dict[str, Any], error: Exception) -> str:
    """Word msgspec's finding as serde, which the venue uses, would word it."""
    if "id" not in body:
        return "missing field `id`"
    method = body.get("method")
    if method is None:
        return "missing field `method`"
    if method not in _METHODS:
        return unknown_variant(method, _METHODS)
    return serde_words(str(error))
