"""The events of the subscription socket.

Every event is one flat JSON object told apart by ``type``; member names are the wire's. Prices
and quantities are x18, product ids are u32. ``timestamp`` is nanoseconds on the engine's clock
unless a type says otherwise.

Source: protocol.md 2.5 (the venue's Streams page and live captures; conflicts are noted there).
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import structs

from nadows.messages.wire import UNSET, IntOrText, Preserved, ProductId, RequestId, UnsetType, WireStruct
from nadows.units import NO_ASK, X18, Millis, Nanos, StrInt

__all__ = [
    "EVENTS",
    "EVENT_TYPES",
    "AllBbo",
    "BestBidOffer",
    "BookDepth",
    "Event",
    "Fill",
    "FundingPayment",
    "FundingRate",
    "JournaledFill",
    "LateFill",
    "LatestCandlestick",
    "Levels",
    "Liquidation",
    "OrderUpdate",
    "PositionChange",
    "TopPrices",
    "Trade",
    "UnknownEvent",
    "as_kind",
    "check_levels",
]

# 39 digits are an int128; msgspec checks lengths in C, at 8 % of the decoding.
_Digits = Annotated[str, msgspec.Meta(min_length=1, max_length=39)]
Levels = tuple[tuple[_Digits, _Digits], ...]
"""Book levels as they travel: (price, quantity) in x18 digits, best first; quantity "0" removes the level."""


class OrderUpdate(WireStruct, frozen=True, tag_field="type", tag="order_update"):
    """An order of one's own was placed, filled or cancelled. Needs authentication."""

    timestamp: Nanos
    product_id: ProductId
    digest: str
    amount: X18
    """What is left after the event; 0 when filled whole and when cancelled. Sign on sells: undocumented."""
    reason: str
    """``placed``, ``filled`` or ``cancelled``; what crosses and then rests is filled before placed."""
    filled_qty: X18 | UnsetType = UNSET
    filled_price: X18 | UnsetType = UNSET
    id: RequestId | UnsetType | None = UNSET
    """The client's number for the order, if it was given one."""

    @property
    def is_final(self) -> bool:
        """Whether the order is gone from the book for good."""
        return self.reason == "cancelled" or (self.reason == "filled" and self.amount == 0)


class Trade(WireStruct, frozen=True, tag_field="type", tag="trade"):
    """One match; the matches of one taker share a timestamp, and none has an id."""

    timestamp: Nanos
    product_id: ProductId
    price: X18
    taker_qty: X18
    maker_qty: X18
    is_taker_buyer: bool


class BestBidOffer(WireStruct, frozen=True, tag_field="type", tag="best_bid_offer"):
    """The top of a book changed; none is sent on subscribing.

    An empty side has quantity 0, with price 0 for the bid and `nadows.units.NO_ASK` for the ask.
    """

    timestamp: Nanos
    product_id: ProductId
    bid_price: X18
    bid_qty: X18
    ask_price: X18
    ask_qty: X18


class Fill(WireStruct, frozen=True, tag_field="type", tag="fill"):
    """One order's part in one match; any subaccount may be watched without authentication."""

    timestamp: Nanos
    product_id: ProductId
    subaccount: str
    order_digest: str
    appendix: StrInt
    filled_qty: X18
    """Signs of the quantities on sells are undocumented: take the absolute value and `is_bid`."""
    remaining_qty: X18
    original_qty: X18
    price: X18
    is_taker: bool
    is_bid: bool
    fee: X18
    submission_idx: IntOrText
    """The match's number: a JSON number in the venue's pages, a string in its TypeScript SDK."""
    id: RequestId | UnsetType | None = UNSET
    """The client's number for the *order*; several fills share it."""

    @property
    def source(self) -> str:
        """How it was learnt of: ``stream``, ``backfill`` (`LateFill`) or ``journal`` (`JournaledFill`)."""
        return "stream"

    @property
    def index(self) -> int:
        """`submission_idx` as a plain integer."""
        return int(self.submission_idx)

    @property
    def key(self) -> tuple[int, str]:
        """What makes a fill unique, for dropping repeats: (submission_idx, order_digest)."""
        return int(self.submission_idx), self.order_digest


class LateFill(Fill, frozen=True, tag_field="type", tag="fill"):
    """A fill that the stream did not deliver, as the archive tells it.

    Its `timestamp` is only exact to the second.
    """

    @property
    def source(self) -> str:
        """Always ``backfill``."""
        return "backfill"


class JournaledFill(Fill, frozen=True, tag_field="type", tag="fill"):
    """A fill out of the journal, which may have been delivered before: its `key` tells."""

    @property
    def source(self) -> str:
        """Always ``journal``."""
        return "journal"


_F = TypeVar("_F", bound=Fill)


def as_kind(kind: type[_F], fill: Fill) -> _F:
    """Tell a fill again as another kind of fill."""
    return kind(**structs.asdict(fill))


class PositionChange(WireStruct, frozen=True, tag_field="type", tag="position_change"):
    """A balance changed; not sent for interest and funding. Repeats may differ in the timestamp alone."""

    timestamp: Nanos
    product_id: ProductId
    subaccount: str
    isolated: bool
    amount: X18
    """The new signed balance: a perp position or a spot balance, product 0 included."""
    v_quote_amount: X18
    """The new virtual quote balance of a perp (minus the signed entry cost, fees included); 0 for spot."""
    reason: str
    """For example ``match_orders`` or ``deposit_collateral``."""


class BookDepth(WireStruct, frozen=True, tag_field="type", tag="book_depth"):
    """What changed in a book since the batch before; one every 50 ms at most.

    Quantities are absolute. ``last_max_timestamp`` names the batch before by its ``max_timestamp``
    (0: the venue sent none before); a mismatch means that one was lost. No snapshot is sent.

    The digits stay text, because a book keyed by them needs no conversion. `decode_stream`
    guarantees `check_levels`; who builds one by hand guarantees it himself.
    """

    last_max_timestamp: Nanos
    min_timestamp: Nanos
    max_timestamp: Nanos
    product_id: ProductId
    bids: Levels
    asks: Levels


class Liquidation(WireStruct, frozen=True, tag_field="type", tag="liquidation"):
    """A subaccount was liquidated, in one product or in a (spot, perp) pair."""

    timestamp: Nanos
    product_ids: tuple[ProductId, ...]
    liquidator: str
    liquidatee: str
    amount: X18
    """Positive when a long was liquidated."""
    price: X18


class LatestCandlestick(WireStruct, frozen=True, tag_field="type", tag="latest_candlestick"):
    """The forming bar, on every trade. There is no close flag: a bar is closed when the next one starts."""

    timestamp: IntOrText
    """The bar's start. Live: seconds in a string; the venue's page shows a number, it seems milliseconds."""
    product_id: ProductId
    granularity: int
    """Seconds."""
    open_x18: X18
    high_x18: X18
    low_x18: X18
    close_x18: X18
    volume: X18

    @property
    def start_s(self) -> int:
        """The bar's start in seconds since the epoch, from either form of `timestamp`."""
        # Seconds stay below 1e11 until the year 5138; milliseconds passed it in 1973.
        return self.timestamp if self.timestamp < 10**11 else self.timestamp // 1000


class FundingPayment(WireStruct, frozen=True, tag_field="type", tag="funding_payment"):
    """Funding was paid, hourly. ``timestamp`` and ``dt`` are numbers or strings; their unit is not proven."""

    timestamp: IntOrText
    product_id: ProductId
    payment_amount: X18
    open_interest: X18
    cumulative_funding_long_x18: X18
    cumulative_funding_short_x18: X18
    dt: IntOrText


class FundingRate(WireStruct, frozen=True, tag_field="type", tag="funding_rate"):
    """The 24 h funding rate, every 20 s."""

    timestamp: Nanos
    product_id: ProductId
    funding_rate_x18: X18
    update_time: StrInt
    """Seconds since the epoch."""


class TopPrices(WireStruct, frozen=True):
    """Best prices of one product; 0 and `nadows.units.NO_ASK` stand for empty sides."""

    bid: X18
    ask: X18

    @property
    def is_empty(self) -> bool:
        """Whether both sides are empty."""
        return self.bid == 0 and self.ask == NO_ASK


class AllBbo(WireStruct, frozen=True, tag_field="type", tag="all_bbo"):
    """Best prices of all products at once, periodically."""

    time: Millis
    bbos: dict[ProductId, TopPrices]
    """By product id."""


class UnknownEvent(Preserved):
    """An event whose ``type`` this version does not know, kept as it came."""


AnyKnownEvent = (
    OrderUpdate
    | Trade
    | BestBidOffer
    | Fill
    | PositionChange
    | BookDepth
    | Liquidation
    | LatestCandlestick
    | FundingPayment
    | FundingRate
    | AllBbo
)
Event = AnyKnownEvent | UnknownEvent

EVENTS: Final[dict[str, type[AnyKnownEvent]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        OrderUpdate,
        Trade,
        BestBidOffer,
        Fill,
        PositionChange,
        BookDepth,
        Liquidation,
        LatestCandlestick,
        FundingPayment,
        FundingRate,
        AllBbo,
    )
}
"""The wire's ``type`` to our type, in the order in which the venue's page lists them."""
EVENT_TYPES: Final[tuple[type[Event], ...]] = (*EVENTS.values(), UnknownEvent)
"""For ``isinstance``."""


def check_levels(levels: Levels) -> None:
    """Check that equal prices are equal texts, so that a book may be keyed by them.

    Raises:
        ValueError: If a price is not plain digits or starts with 0, or a quantity is not plain digits.
    """
    for price, qty in levels:
        if not (price.isdigit() and price.isascii() and price[0] != "0" and qty.isdigit() and qty.isascii()):
            raise ValueError(f"Expected levels of x18 digits, got {(price, qty)!r}")


_NO_LEVELS: Final = len(b'"bids":[],"asks":[]}')
_ONE_LEVEL: Final = len(b'["",""],')


def has_plain_levels(frame: bytes, event: BookDepth) -> bool:
    """Tell from the bytes alone that the levels of a decoded frame pass `check_levels`.

    A look at the bytes costs a fifth of a look at each string. It counts: the frame is one object that
    ends in bids and asks, and once all digits are gone exactly the punctuation is left that this number
    of levels needs; so there is nothing but digits between the quotes. ``False`` means only that the
    frame is laid out in another way than the venue's, and the strings must be looked at.
    """
    levels = frame[frame.find(b'"bids":') :]
    n_bids, n_asks = len(event.bids), len(event.asks)
    needed = _NO_LEVELS + _ONE_LEVEL * (n_bids + n_asks) - (n_bids > 0) - (n_asks > 0)
    return (
        len(levels.translate(None, b"0123456789")) == needed
        # Backwards, as the first byte of the needle is rare and the last one is not: three times faster.
        and levels.rfind(b'["0') < 0
        and levels.rfind(b'],"asks":[') > 0
        and frame.rfind(b"{") == 0
    )
