"""Repeating a capture: the same machine, the same inputs, the same state.

`Replay` gives the records of a capture to a `Desk` in the order in which the recording client's desk got
them, with the times it got them at, and ends in the same state to the last digit. Market data is replayed
as what a client that subscribed to it would have recorded, so there is one way to replay and not two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from nadows import messages
from nadows.capture import (
    CancelAndPlace,
    Connect,
    Disconnect,
    End,
    Execute,
    Frame,
    Header,
    MarketHeader,
    Place,
    PlacedOrder,
    PlaceOrders,
    QueryAsked,
    Reader,
    Record,
    Restored,
    StreamPing,
    SubscribeAsked,
    Tick,
    UnsubscribeAsked,
)
from nadows.desk import ARCHIVE, REST, STREAMS, Desk, DeskEvent
from nadows.errors import CaptureError, ConnectionLost, NadowsError, UsageError
from nadows.journal.records import Record as JournalRecord
from nadows.messages import Reply, Stream
from nadows.products import Product, Products
from nadows.signing import (
    SignedCancelAndPlace,
    SignedCancelOrders,
    SignedOrder,
    SignedPlaceOrders,
    Subaccount,
)
from nadows.units import ONE_X18

__all__ = ["KNOWN_SYMBOLS", "Replay", "records_of"]

KNOWN_SYMBOLS: Final = {
    0: "USDT0",
    1: "KBTC",
    2: "BTC-PERP",
    3: "wETH",
    4: "ETH-PERP",
    5: "USDC",
    8: "SOL-PERP",
}
"""Names for market data, which has only ids. Source: protocol.md section 8."""

_WHOLE_BOOK: Final = 2**31
"""A depth that no snapshot reaches, so that none counts as cut off."""


class Replay:
    """A desk, told what a capture holds.

    Args:
        header: Of the capture, or of the market data.
    """

    def __init__(self, header: Header | MarketHeader) -> None:
        self.frames = 0
        """Frames taken."""
        self.end: End | None = None
        """The end of the recording, once it has been reached."""
        self.listed = Products(())
        """What the venue lists, as far as the records told."""
        if isinstance(header, Header):
            self.desk = Desk(
                subaccount=header.subaccount,
                authenticate=_authenticate if header.authenticated else None,
                serial=header.serial,
                rng=random.Random(header.seed),
                clients=header.clients,
                timings=header.timings,
            )
        else:
            self.listed = Products([_unlisted(header.product_id, header.symbol)])
            self.desk = _market_desk(header)
        self._do: dict[type, Callable[[Any], Sequence[DeskEvent]]] = {
            Frame: self._frame,
            Tick: lambda record: self.desk.tick(record.m),
            Connect: self._connect,
            Disconnect: self._disconnect,
            SubscribeAsked: self._subscribe,
            UnsubscribeAsked: self._unsubscribe,
            Restored: self._restore,
            StreamPing: self._ping,
            QueryAsked: self._query,
            Place: self._place,
            PlaceOrders: self._place_orders,
            CancelAndPlace: self._cancel_and_place,
            Execute: self._execute,
            End: self._end,
        }

    def take(self, record: Record) -> Sequence[DeskEvent]:
        """Repeat one record; return what the recording client was told."""
        try:
            events = self._do[type(record)](record)
        except (UsageError, ConnectionLost):
            # The recording client was refused the same thing in the same state, which changed nothing.
            events = ()
        # What the desk wants to send was sent then; its answers are in the records that follow.
        self.desk.streams.frames_to_send()
        self.desk.gateway.frames_to_send()
        self.desk.archive_requests()
        self.desk.rest_requests()
        return events

    @property
    def gaps(self) -> int:
        """Times that a book had to be given up."""
        return sum(book.gaps for book in self.desk.books.values())

    def symbol(self, product_id: int) -> str:
        """Symbol of a product, or its number if the file does not name it."""
        return self.product(product_id).symbol

    def product(self, product_id: int) -> Product:
        """Describe a product; of one that the file does not list, only the symbol is known at best."""
        return self.listed[product_id] if product_id in self.listed else _unlisted(product_id)

    def products(self) -> Iterator[tuple[int, str]]:
        """Products that have a book: id and symbol."""
        return ((product_id, self.symbol(product_id)) for product_id in sorted(self.desk.books))

    def find(self, name: str) -> int:
        """Find the book that a person means by ``ETH``, ``eth-perp`` or ``4``.

        Raises:
            UsageError: If there is none; names those that there are.
        """
        wanted = name.strip().upper()
        for product_id, symbol in self.products():
            if wanted in (str(product_id), symbol.upper(), symbol.upper().removesuffix("-PERP")):
                return product_id
        there = ", ".join(symbol for _, symbol in self.products())
        raise UsageError(f"the file has no book of {name!r}: it has {there or 'none at all'}")

    # -- the records --------------------------------------------------------------------------

    def _frame(self, record: Frame) -> Sequence[DeskEvent]:
        self.frames += 1
        if record.line == ARCHIVE:
            return self.desk.archive_frame(record.payload, record.m)
        if record.line == REST:
            return self.desk.rest_frame(record.payload, record.m)
        take = self.desk.stream_frame if record.line == STREAMS else self.desk.gateway_frame
        return take(record.payload, record.m)

    def _connect(self, record: Connect) -> Sequence[DeskEvent]:
        connected = self.desk.streams_connected if record.line == STREAMS else self.desk.gateway_connected
        return connected(record.m)

    def _disconnect(self, record: Disconnect) -> Sequence[DeskEvent]:
        if record.line == ARCHIVE:
            return self.desk.archive_lost(record.reason, record.m)
        if record.line == REST:
            return self.desk.rest_lost(record.reason, record.m)
        lost = self.desk.streams_lost if record.line == STREAMS else self.desk.gateway_lost
        return lost(record.reason, record.m)

    def _subscribe(self, record: SubscribeAsked) -> Sequence[DeskEvent]:
        self.desk.subscribe(record.stream, record.m)
        return ()

    def _unsubscribe(self, record: UnsubscribeAsked) -> Sequence[DeskEvent]:
        self.desk.unsubscribe(record.stream, record.m)
        return ()

    def _restore(self, record: Restored) -> Sequence[DeskEvent]:
        past = [messages.decode(bytes(each), JournalRecord) for each in record.records]
        self.desk.restore(past, record.m)
        return ()

    def _ping(self, record: StreamPing) -> Sequence[DeskEvent]:
        self.desk.streams.ping(record.m)
        return ()

    def _query(self, record: QueryAsked) -> Sequence[DeskEvent]:
        query = messages.decode(bytes(record.query), messages.Query)
        self.desk.query(query, now_ns=record.m, on_reply=self._answered)
        return ()

    def _place(self, record: Place) -> Sequence[DeskEvent]:
        self.desk.place(_order(record.order), now_ns=record.m, on_reply=_ignore)
        return ()

    def _place_orders(self, record: PlaceOrders) -> Sequence[DeskEvent]:
        batch = SignedPlaceOrders(orders=tuple(_order(order) for order in record.orders), frame=b"")
        self.desk.place_orders(batch, now_ns=record.m, on_reply=_ignore)
        return ()

    def _cancel_and_place(self, record: CancelAndPlace) -> Sequence[DeskEvent]:
        both = SignedCancelAndPlace(
            cancel=_NO_CANCEL._replace(digests=record.cancels), order=_order(record.order), frame=b""
        )
        self.desk.cancel_and_place(both, now_ns=record.m, on_reply=_ignore)
        return ()

    def _execute(self, record: Execute) -> Sequence[DeskEvent]:
        self.desk.execute(
            b"",
            request_type=record.request_type,
            signature=record.signature,
            cancels=record.cancels,
            now_ns=record.m,
            on_reply=_ignore,
        )
        return ()

    def _end(self, record: End) -> Sequence[DeskEvent]:
        self.end = record
        return ()

    def _answered(self, reply: Reply | NadowsError) -> None:
        if isinstance(reply, Reply) and reply.ok and reply.request_type == "query_symbols":
            listed: messages.Symbols = messages.reply_data(reply)
            self.listed = Products.from_symbols(listed.symbols.values())


def _unlisted(product_id: int, symbol: str | None = None) -> Product:
    """Describe a product of which nothing but its number is known, and perhaps its symbol."""
    return Product(
        product_id=product_id,
        symbol=symbol or KNOWN_SYMBOLS.get(product_id) or str(product_id),
        is_perp=True,
        # No decimals are asked for, so that each number shows those it has.
        tick=ONE_X18,
        step=ONE_X18,
        min_notional=0,
        maker_fee=0,
        taker_fee=0,
    )


def _market_desk(header: MarketHeader) -> Desk:
    """Bring a desk to where the frames begin: subscribed, acknowledged, its snapshot answered."""
    desk = Desk(rng=random.Random(0), snapshot_depth=_WHOLE_BOOK)
    desk.subscribe(Stream.book_depth(header.product_id), 0)
    desk.gateway_connected(0)
    desk.streams_connected(0)
    desk.stream_frame(b'{"result":null,"id":1}', 0)
    desk.gateway_frame(
        b'{"status":"success","request_type":"query_market_liquidity","data":'
        + bytes(header.snapshot)
        + b"}",
        0,
    )
    if not desk.books[header.product_id].is_live:
        raise CaptureError(f"line 1: the snapshot is not a book of product {header.product_id}")
    return desk


def _authenticate(request_id: int) -> bytes:
    return b""


def _ignore(reply: Reply | NadowsError) -> None:
    pass


_NOBODY: Final = Subaccount.of("0x" + "00" * 20, "")
_NO_CANCEL: Final = SignedCancelOrders(_NOBODY, (), (), 0, None, "", "", b"", "")


def _order(placed: PlacedOrder) -> SignedOrder:
    """Rebuild what the desk looks at; the rest was between the client and the venue."""
    return SignedOrder(
        product_id=placed.product_id,
        sender=_NOBODY,
        price_x18=int(placed.price_x18),
        amount=int(placed.amount),
        expiration=0,
        nonce=0,
        appendix=0,
        id=placed.id,
        spot_leverage=None,
        borrow_margin=None,
        digest=placed.digest,
        signature=placed.signature,
        frame=b"",
    )


# -- market data as a capture ----------------------------------------------------------------------


def records_of(reader: Reader, *, partial: bool = False) -> Iterator[Record]:
    """Read the records of either kind of file. Raises as `Reader.records`."""
    if isinstance(reader.header, Header):
        return reader.records(partial=partial)
    return _market_records(reader)


def _market_records(reader: Reader) -> Iterator[Record]:
    for n, (received_ns, frame) in enumerate(reader.market_lines(), start=1):
        yield Frame(n=n, w=received_ns, m=received_ns, line=STREAMS, frame=frame)
