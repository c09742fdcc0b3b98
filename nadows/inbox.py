"""What a listener wants, in which order it gets it, and what happens when it is too slow.

Pure decisions; `nadows.delivery` puts them to work. Three sorts of events are told apart (`lane_of`):

* what is the user's own: fills, updates of own orders, positions. Delivered at once, never dropped;
* market data: delivered at the end of the wake-up in which it came, so that a fill never waits behind it.
  When a listener is too slow, only the newest of each kind and product is kept, and the rest counted;
* what happens to the connection: it ends the wake-up, so that what came before it is delivered before it.

``book_depth`` is market data whose events cannot stand for one another, because each says only what changed.
When they have to make room, a `DepthGap` is left in their place: a listener that builds a book of its own
must begin again from a snapshot. The client's own books are fed by the reader and never notice.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nadows.desk import BookChanged, DepthGap, DeskEvent
from nadows.errors import UsageError
from nadows.messages import (
    EVENT_TYPES,
    EVENTS,
    AllBbo,
    BestBidOffer,
    BookDepth,
    Fill,
    FundingPayment,
    FundingRate,
    LatestCandlestick,
    Liquidation,
    OrderUpdate,
    PositionChange,
    Stream,
    Trade,
    UnknownEvent,
)

__all__ = ["Inbox", "Interest", "Lane", "Overflow", "Tally", "Wakeup", "lane_of"]


class Overflow(enum.Enum):
    """What happens when as many events wait as may."""

    CONFLATE = "conflate"
    """Market data makes room for its newest; if the rest still fills the bound, the listener is cut off."""
    KEEP_PRIVATE = "keep private"
    """Market data makes room for its newest; what is not market data is kept, however much it is."""
    RAISE = "raise"
    """Nothing makes room: the listener is cut off."""


@dataclass(slots=True)
class Tally:
    """What slow listeners cost, all of them together."""

    conflated: int = 0
    """Market data events that made room for a newer one."""
    depth_dropped: int = 0
    """``book_depth`` events that a `DepthGap` stands for."""
    overflowed: int = 0
    """Listeners that were cut off."""


# -- order ----------------------------------------------------------------------------------------


class Lane(enum.Enum):
    """When an event is delivered."""

    PRIVATE = "private"
    """At once."""
    MARKET = "market"
    """At the end of the wake-up."""
    CONNECTION = "connection"
    """After what came before it, at once."""


_MARKET: Final = frozenset(
    {
        Trade,
        BestBidOffer,
        BookDepth,
        Liquidation,
        LatestCandlestick,
        FundingPayment,
        FundingRate,
        AllBbo,
        UnknownEvent,
        BookChanged,
    }
)
_PRIVATE: Final = (Fill, OrderUpdate, PositionChange)


def lane_of(kind: type) -> Lane:
    """Tell when events of a type are delivered."""
    if kind in _MARKET:
        return Lane.MARKET
    return Lane.PRIVATE if issubclass(kind, _PRIVATE) else Lane.CONNECTION


class Wakeup:
    """The market data of one wake-up, held back until everything else that came with it is delivered.

    A wake-up is what the reader takes without having to wait: all frames that are there at once.
    """

    __slots__ = ("_held", "_lanes")

    def __init__(self) -> None:
        self._held: list[DeskEvent] = []
        self._lanes: dict[type, Lane] = {}

    def take(self, events: Iterable[DeskEvent]) -> Iterator[DeskEvent]:
        """Give what is to be delivered now, in order; keep the rest for `rest`."""
        for event in events:
            kind = type(event)
            lane = self._lanes.get(kind)
            if lane is None:
                lane = self._lanes[kind] = lane_of(kind)
            if lane is Lane.MARKET:
                self._held.append(event)
                continue
            if lane is Lane.CONNECTION:
                yield from self.rest()
            yield event

    def rest(self) -> list[DeskEvent]:
        """End the wake-up: give what was held back."""
        held, self._held = self._held, []
        return held

    @property
    def is_holding(self) -> bool:
        """Whether there is anything to give at the end."""
        return bool(self._held)


# -- filters --------------------------------------------------------------------------------------


class Interest:
    """Which events a listener wants: those that pass every filter that is given.

    Args:
        streams: Venue events of these streams only. What happens to the connection belongs to no stream and
            concerns every listener.
        types: These types only, as classes or as names of the wire (``"fill"``). Connection events too must
            be named then.
        products: Events of these products only; an event that names no product passes.
        subaccounts: Events of these subaccounts (bytes32 hex) only; one that names none passes, as
            ``order_update`` does.

    Raises:
        UsageError: If a name is not a type of event.
    """

    __slots__ = ("_by_type", "_products", "_streams", "_subaccounts", "_types", "wants_all")

    def __init__(
        self,
        streams: Iterable[Stream] = (),
        *,
        types: Collection[type | str] = (),
        products: Collection[int] = (),
        subaccounts: Collection[str] = (),
    ) -> None:
        self._streams = tuple(streams)
        self._types = tuple(_type(each) for each in types)
        self._products = frozenset(products)
        self._subaccounts = frozenset(str(each).lower() for each in subaccounts)
        self._by_type: dict[type, bool] = {}
        self.wants_all = not (self._streams or self._types or self._products or self._subaccounts)
        """Whether there is no filter."""

    def wants(self, event: DeskEvent) -> bool:
        """Tell whether the listener wants this event."""
        if self.wants_all:
            return True
        return (
            self._wants_type(type(event))
            and (not self._streams or self._wants_stream(event))
            and (not self._products or self._wants_product(event))
            and (not self._subaccounts or self._wants_subaccount(event))
        )

    def _wants_type(self, kind: type) -> bool:
        wanted = self._by_type.get(kind)
        if wanted is None:
            wanted = self._by_type[kind] = not self._types or issubclass(kind, self._types)
        return wanted

    def _wants_stream(self, event: DeskEvent) -> bool:
        if not isinstance(event, EVENT_TYPES):
            return True
        return any(stream.matches(event) for stream in self._streams)

    def _wants_product(self, event: DeskEvent) -> bool:
        if isinstance(event, Liquidation):
            return not self._products.isdisjoint(event.product_ids)
        product = getattr(event, "product_id", None)
        return product is None or product in self._products

    def _wants_subaccount(self, event: DeskEvent) -> bool:
        subaccount = getattr(event, "subaccount", None)
        return subaccount is None or subaccount.lower() in self._subaccounts


def _type(named: type | str) -> type:
    if isinstance(named, type):
        return named
    kind = EVENTS.get(named)
    if kind is None:
        raise UsageError(f"{named!r} is no type of event: give a class, or one of {', '.join(EVENTS)}")
    return kind


# -- the bound ------------------------------------------------------------------------------------


class _Entry:
    """One place in the queue; empty once its event has made room for a newer one."""

    __slots__ = ("event",)

    def __init__(self, event: DeskEvent) -> None:
        self.event: DeskEvent | None = event


class Inbox:
    """Events that wait for one listener, with a bound.

    From the moment the bound is reached until everything has been taken, only the newest event of each kind
    and product of market data is kept (`is_conflating`), at the place of the newest. So a listener that was
    slow for a moment finds the present, not the past, and no work is done for one that keeps up.

    Args:
        maxlen: How many events may wait; ``None`` for any number, by explicit choice.
        overflow: What happens when there are more.
        tally: Counts what is lost here together with what is lost elsewhere.

    Raises:
        UsageError: If *maxlen* is not positive.
    """

    def __init__(
        self, maxlen: int | None, overflow: Overflow = Overflow.CONFLATE, tally: Tally | None = None
    ) -> None:
        if maxlen is not None and maxlen < 1:
            raise UsageError(f"at least one event must be allowed to wait, got {maxlen}")
        self.maxlen = maxlen
        self.overflow = overflow
        self.conflated = 0
        """Market data events of this listener that made room for a newer one."""
        self.depth_dropped = 0
        """``book_depth`` events of this listener that a `DepthGap` stands for."""
        self.has_overflowed = False
        """Whether the listener was cut off; nothing more is taken."""
        self._tally = tally if tally is not None else Tally()
        self._queue: deque[_Entry] = deque()
        self._len = 0
        self._newest: dict[Hashable, _Entry] | None = None

    def __len__(self) -> int:
        return self._len

    @property
    def is_conflating(self) -> bool:
        """Whether market data makes room for its newest at present."""
        return self._newest is not None

    def put(self, event: DeskEvent) -> bool:
        """Take an event; return whether there was a place for it (``False``: the listener is cut off)."""
        if self.has_overflowed:
            return False
        if self._newest is None and self.maxlen is not None and self._len >= self.maxlen:
            self._make_room()
        key = None if self._newest is None else _conflation_key(event)
        if self._newest is not None and key is not None and key in self._newest:
            event = self._supersede(self._newest[key], event)
        elif not self._has_room(key):
            self.has_overflowed = True
            self._tally.overflowed += 1
            return False
        entry = _Entry(event)
        self._queue.append(entry)
        self._len += 1
        if self._newest is not None and key is not None:
            self._newest[key] = entry
        return True

    def pop(self) -> DeskEvent:
        """Take the oldest event. Raises `IndexError` if there is none."""
        while True:
            entry = self._queue.popleft()
            if entry.event is not None:
                break
        self._len -= 1
        event, entry.event = entry.event, None
        if not self._len:
            self._newest = None
            self._queue.clear()
        elif self._newest is not None:
            key = _conflation_key(event)
            if self._newest.get(key) is entry:
                del self._newest[key]
        return event

    def _has_room(self, key: Hashable | None) -> bool:
        if self.maxlen is None or self._len < self.maxlen:
            return True
        # There are few kinds and products: the newest of each is held beyond the bound rather than lost.
        return self.overflow is Overflow.KEEP_PRIVATE or (self._newest is not None and key is not None)

    def _make_room(self) -> None:
        """Begin to conflate: keep the newest of what waits."""
        if self.overflow is Overflow.RAISE:
            return
        self._newest = {}
        queue, self._queue = self._queue, deque()
        for entry in queue:
            assert entry.event is not None
            key = _conflation_key(entry.event)
            if key is not None:
                if key in self._newest:
                    entry.event = self._supersede(self._newest[key], entry.event)
                self._newest[key] = entry
            self._queue.append(entry)
        self._queue = deque(entry for entry in self._queue if entry.event is not None)

    def _supersede(self, older: _Entry, event: DeskEvent) -> DeskEvent:
        """Take an older event out; return what stands for both."""
        before, older.event = older.event, None
        self._len -= 1
        if len(self._queue) > 2 * self._len + 64:
            # Mostly empty places: without this a listener that never comes would fill the memory with them.
            self._queue = deque(entry for entry in self._queue if entry.event is not None)
        if not isinstance(event, BookDepth):
            self.conflated += 1
            self._tally.conflated += 1
            return event
        already = before.dropped if isinstance(before, DepthGap) else 0
        fresh = 1 if isinstance(before, DepthGap) else 2
        self.depth_dropped += fresh
        self._tally.depth_dropped += fresh
        return DepthGap(event.product_id, already + fresh)


def _conflation_key(event: DeskEvent) -> Hashable | None:
    """Name what a newer event stands for; ``None`` for events that nothing can stand for."""
    match event:
        case BookDepth() | DepthGap():
            return "depth", event.product_id
        case LatestCandlestick():
            return LatestCandlestick, event.product_id, event.granularity
        case Liquidation():
            return Liquidation, event.product_ids
        case AllBbo():
            return AllBbo
        case Trade() | BestBidOffer() | FundingPayment() | FundingRate() | BookChanged():
            return type(event), event.product_id
        case _:
            return None
