"""Recorded market data of one product, served as if it were live.

The file's first line is a header with a snapshot of the book, every other line is
``[receive time in ns, frame]``. Frames go to subscribers byte for byte as recorded, at the recorded pace
times a speed; the product's book follows them, so that `market_liquidity` answers on the same clock as
the depth batches. The recording begins when the first subscriber of the product arrives, so that nobody
misses its beginning; after its last frame the book stands still. The product cannot be traded meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

import msgspec

from nadows.errors import CaptureError, MalformedFrame
from nadows.messages.events import BestBidOffer, BookDepth, Trade
from nadows.messages.streams import decode_stream
from nadows.units import mul_x18
from nadows.venue.engine import Engine
from nadows.venue.feed import Topic
from nadows.venue.ledger import Account
from nadows.venue.market import Market, TradingStatus
from nadows.venue.matching import Side
from nadows.venue.orders import LiveOrder

__all__ = ["Recording", "ReplayMarket"]

_GRACE_NS: Final = 250_000_000
"""From the first subscription to the first frame: a client's other streams are subscribed by then."""

_OWNER: Final = Account("0x" + "00" * 32, house=True)
_Levels = tuple[tuple[str, str], ...]


class _Snapshot(msgspec.Struct):
    product_id: int
    timestamp: str
    bids: _Levels
    asks: _Levels


class _Header(msgspec.Struct):
    product_id: int
    snapshot: _Snapshot


_HEADER: Final = msgspec.json.Decoder(_Header)
_LINE: Final = msgspec.json.Decoder(tuple[int, msgspec.Raw])


class Recording:
    """A market file, read line by line as it is played.

    Raises:
        CaptureError: While reading, if a line is not what it should be; the line is named.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Read the header; *lines* are those of the file, unpacked."""
        self._lines = iter(lines)
        self._number = 1
        first = next(self._lines, None)
        if first is None:
            raise CaptureError("the market file is empty; its first line must be a header with a snapshot")
        try:
            header = _HEADER.decode(first)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise CaptureError(
                f"line 1 of the market file is not a header with product_id and snapshot: {error}"
            ) from None
        self.product_id = header.product_id
        self.snapshot = header.snapshot

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (receive time in ns, frame)."""
        for line in self._lines:
            self._number += 1
            try:
                received, frame = _LINE.decode(line)
            except (msgspec.MsgspecError, UnicodeError) as error:
                raise self.error(f"not [receive time, frame]: {error}") from None
            yield received, bytes(frame)

    def error(self, reason: str) -> CaptureError:
        """Return an exception that names the line read last."""
        return CaptureError(f"line {self._number} of the market file: {reason}")


class ReplayMarket:
    """Plays a recording into one market of the engine."""

    def __init__(self, engine: Engine, recording: Recording, speed: Fraction) -> None:
        """Load the snapshot.

        Args:
            engine: Its market of the recording's product becomes untradable.
            recording: What to play.
            speed: 1 for the recorded pace, 10 for ten times as fast; positive.

        Raises:
            CaptureError: If the venue has no such product, or the snapshot is not a book.
        """
        market = engine.markets.get(recording.product_id)
        if market is None:
            raise CaptureError(f"the market file is of product {recording.product_id}, which the venue lacks")
        self._engine = engine
        self._recording = recording
        self._frames = iter(recording)
        self._speed = speed
        self._market: Market = market
        self._started = False
        self._start_ns = 0
        self._first_ns = 0
        self._next: tuple[int, bytes] | None = None
        self.played = 0
        """Frames sent so far."""
        self.failure: CaptureError | None = None
        """Why it stopped before its end."""
        market.status = TradingStatus.NOT_TRADABLE
        snapshot = recording.snapshot
        try:
            self._apply(snapshot.bids, snapshot.asks, int(snapshot.timestamp))
        except ValueError as error:
            raise CaptureError(f"line 1 of the market file: the snapshot is not a book: {error}") from None

    @property
    def product_id(self) -> int:
        """The product that is played."""
        return self._market.product.product_id

    def start(self, now_ns: int) -> None:
        """Begin to play; a second time changes nothing."""
        if self._started:
            return
        self._started = True
        self._read_ahead()
        if self._next is not None:
            self._start_ns, self._first_ns = now_ns + _GRACE_NS, self._next[0]

    def next_deadline(self) -> int | None:
        """Return when the next frame is due, ns; ``None`` before the start and after the end."""
        if self._next is None:
            return None
        return self._start_ns + int((self._next[0] - self._first_ns) / self._speed)

    def step(self) -> None:
        """Send the next frame and let the book follow it; a damaged one ends the recording (`failure`)."""
        if self._next is None:
            return
        try:
            self._play(self._next[1])
        except CaptureError as error:
            self.failure, self._next = error, None
            return
        self.played += 1
        self._read_ahead()

    def _read_ahead(self) -> None:
        try:
            self._next = next(self._frames, None)
        except CaptureError as error:
            self.failure, self._next = error, None

    def _play(self, frame: bytes) -> None:
        try:
            event = decode_stream(frame)
        except MalformedFrame as error:
            raise self._recording.error(str(error)) from None
        if not isinstance(event, BookDepth | BestBidOffer | Trade) or event.product_id != self.product_id:
            raise self._recording.error("expected a book_depth, best_bid_offer or trade of the same product")
        if isinstance(event, BookDepth):
            self._apply(event.bids, event.asks, event.max_timestamp)
        elif isinstance(event, Trade):
            self._market.last_price = event.price
            value = mul_x18(event.price, event.taker_qty)
            self._market.candles.add(event.timestamp // 10**9, event.price, event.taker_qty, value, 0)
        topic = Topic(str(event.__struct_config__.tag), self.product_id)
        audience = self._engine.feed.audience(topic)
        if audience is not None:
            self._engine.feed.publish(frame, audience)

    def _apply(self, bids: _Levels, asks: _Levels, as_of_ns: int) -> None:
        book = self._market.book
        for side, is_bid, levels in ((book.bids, True, bids), (book.asks, False, asks)):
            for price, qty in levels:
                self._set_level(side, is_bid, int(price), int(qty))
            side.changed.clear()
        self._market.changed_ns = int(as_of_ns)
        oracle = self._engine.oracle[self.product_id]
        self._engine.oracle[self.product_id] = self._market.mark_price(oracle)

    def _set_level(self, side: Side[LiveOrder], is_bid: bool, price: int, qty: int) -> None:
        level = side.levels.get(price)
        if level is None:
            if qty:
                amount = qty if is_bid else -qty
                side.add(LiveOrder(_OWNER, self._market.product, price=price, amount=amount, digest=""))
        elif level.head is not None:
            # One order stands for the whole level.
            if qty:
                level.head.leaves = level.qty = qty
            else:
                side.remove(level.head, level)
