"""Everything one client knows and decides, as one machine without I/O.

A `Desk` joins the two sessions with the state they feed: it applies every event to the books and the
account before anybody else sees it, asks for a snapshot whenever a book needs one, and keeps track of every
request until its fate is known. The asyncio client, the tests on a virtual clock and the replay drive the
same machine; none of them decides anything itself.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from nadows import messages
from nadows.account import Account
from nadows.book import Book, BookState
from nadows.errors import NadowsError, OrderUnknown, TransportError, venue_error
from nadows.messages import (
    BookDepth,
    Event,
    Fill,
    MarketLiquidity,
    OrderUpdate,
    PositionChange,
    Query,
    Reply,
    Stream,
)
from nadows.pacing import Backoff
from nadows.session import (
    Answer,
    Authenticator,
    GatewaySession,
    LineState,
    Lost,
    Restored,
    SessionEvent,
    StreamSession,
    Subscribed,
    SubscribeRefused,
)
from nadows.signing import SignedCancelAndPlace, SignedOrder

__all__ = [
    "SNAPSHOT_DEPTH",
    "BookChanged",
    "Desk",
    "DeskEvent",
    "Disconnected",
    "OnReply",
    "Reconnected",
    "checked",
]

SNAPSHOT_DEPTH: Final = 100
"""Levels a side that ``market_liquidity`` gives at most. Source: protocol.md 5.1."""
REQUEST_TIMEOUT_NS: Final = 10_000_000_000
_SNAPSHOT_RETRY_NS: Final = 100_000_000
_SNAPSHOT_RETRY_CAP_NS: Final = 5_000_000_000


STREAMS: Final = "subscriptions"
GATEWAY: Final = "gateway"
"""Names of the two lines in `Disconnected` and `Reconnected`."""


class Disconnected(NamedTuple):
    """A line was lost. What happens on the venue until `Reconnected` is not seen."""

    line: str
    reason: str


class Reconnected(NamedTuple):
    """A line is back and everything asked for on it is restored."""

    line: str
    downtime_ns: int


class BookChanged(NamedTuple):
    """A book went to another state; prices are known only while it is LIVE."""

    product_id: int
    state: BookState


DeskEvent = Event | SessionEvent | Disconnected | Reconnected | BookChanged

OnReply = Callable[[Reply | NadowsError], None]
"""Receives the answer to a request, or why there is none; called exactly once."""


@dataclass(slots=True)
class _Snapshots:
    """When to ask for the snapshot of one book."""

    retry: Backoff
    connection: int = 0
    """Counts connections, so that an answer asked for before the present one is not taken."""
    in_flight: bool = False
    not_before_ns: int = 0


@dataclass(slots=True)
class _Waiting:
    on_reply: OnReply
    digests: tuple[str, ...] = ()
    """Orders that the request places."""
    is_query: bool = False


@dataclass(slots=True)
class _Downtime:
    since_ns: int | None = None
    ever_up: bool = False


class Desk:
    """Books, account and requests of one client.

    Args:
        subaccount: bytes32 in lower-case hex whose private streams feed the account; ``None`` for market
            data only.
        authenticate: Builds the signed authentication; needed for ``order_update``.
        serial: Speak to the serial gateway (``/v1/ws``).
        rng: Source of jitter, for this desk alone: a replay repeats its draws.
        snapshot_depth: Levels a side to ask for, and so how deep a snapshot proves the book.
    """

    def __init__(
        self,
        *,
        subaccount: str | None = None,
        authenticate: Authenticator | None = None,
        serial: bool = False,
        rng: random.Random,
        snapshot_depth: int = SNAPSHOT_DEPTH,
    ) -> None:
        self.streams = StreamSession(authenticate)
        self.gateway = GatewaySession(serial=serial)
        self.books: dict[int, Book] = {}
        self.account = Account(subaccount) if subaccount is not None else None
        self.snapshots = 0
        """Snapshots asked for."""
        self.failed_snapshots = 0
        """Snapshots that could not be used: refused, lost, broken, or too old to join the updates."""
        self.failed_introductions = 0
        """Answers about the account's balances that could not be used."""
        self._rng = rng
        self._snapshot_depth = snapshot_depth
        self._snapshots: dict[int, _Snapshots] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._down = {STREAMS: _Downtime(), GATEWAY: _Downtime()}
        self._news: list[DeskEvent] = []

    # -- intentions ---------------------------------------------------------------------------

    def subscribe(self, stream: Stream, now_ns: int) -> bool:
        """Ask for a stream; a depth stream makes a book. Returns whether it is new."""
        new = self.streams.subscribe(stream, now_ns)
        product = stream.product_id
        if new and stream.type == "book_depth" and isinstance(product, int):
            book = self.books.setdefault(product, Book(product))
            retry = Backoff(self._rng, base_ns=_SNAPSHOT_RETRY_NS, cap_ns=_SNAPSHOT_RETRY_CAP_NS)
            self._snapshots[product] = _Snapshots(retry)
            if self.streams.is_connected:
                book.subscribed()
        return new

    def unsubscribe(self, stream: Stream, now_ns: int) -> bool:
        """Stop asking for a stream; its book goes STALE. Returns whether it had been asked for."""
        gone = self.streams.unsubscribe(stream, now_ns)
        if gone:
            self._drop_book(stream)
        return gone

    def execute(
        self,
        frame: bytes,
        *,
        request_type: str,
        signature: str,
        now_ns: int,
        on_reply: OnReply,
        client_id: int | None = None,
        digests: tuple[str, ...] = (),
        timeout_ns: int = REQUEST_TIMEOUT_NS,
    ) -> None:
        """Send a signed request.

        Args:
            frame: The complete message.
            request_type: As the venue names it in its answer.
            signature: The signature that the answer will echo.
            now_ns: Monotonic clock.
            on_reply: Gets the `Reply`, or an `OrderUnknown` when the outcome is not known, or a
                `TransportError` when nothing was sent.
            client_id: The ``id`` in the frame, if there is one.
            digests: Orders that the request places; the account follows them.
            timeout_ns: How long to wait.

        Raises:
            UsageError: If the gateway is not connected; nothing was sent.
        """
        ticket = self.gateway.execute(
            frame,
            request_type=request_type,
            signature=signature,
            client_id=client_id,
            deadline_ns=now_ns + timeout_ns,
        )
        self._waiting[ticket] = _Waiting(on_reply, digests)

    def place(
        self, order: SignedOrder, *, now_ns: int, on_reply: OnReply, timeout_ns: int = REQUEST_TIMEOUT_NS
    ) -> None:
        """Send a signed order and follow it in the account. Raises as `execute`."""
        self._follow(order, now_ns)
        self.execute(
            order.frame,
            request_type="execute_place_order",
            signature=order.signature,
            client_id=order.id,
            now_ns=now_ns,
            on_reply=on_reply,
            digests=(order.digest,),
            timeout_ns=timeout_ns,
        )

    def cancel_and_place(
        self,
        both: SignedCancelAndPlace,
        *,
        now_ns: int,
        on_reply: OnReply,
        timeout_ns: int = REQUEST_TIMEOUT_NS,
    ) -> None:
        """Send a replacement and follow the new order in the account. Raises as `execute`."""
        self._follow(both.order, now_ns)
        self.execute(
            both.frame,
            request_type="execute_cancel_and_place",
            # The venue echoes the signature of the placement (frames.jsonl, cancel_and_place.ok).
            signature=both.order.signature,
            client_id=both.order.id,
            now_ns=now_ns,
            on_reply=on_reply,
            digests=(both.order.digest,),
            timeout_ns=timeout_ns,
        )

    def _follow(self, order: SignedOrder, now_ns: int) -> None:
        # Only what will be sent: a request that the gateway session refuses must leave no order behind.
        if self.account is not None and self.gateway.is_up:
            self.account.sent(
                order.digest,
                product_id=order.product_id,
                price=order.price_x18,
                amount=order.amount,
                client_id=order.id,
                now_ns=now_ns,
            )

    def query(
        self, query: Query, *, now_ns: int, on_reply: OnReply, timeout_ns: int = REQUEST_TIMEOUT_NS
    ) -> None:
        """Send a query. Raises `UsageError` if the gateway is not connected."""
        ticket = self.gateway.query(query, deadline_ns=now_ns + timeout_ns)
        self._waiting[ticket] = _Waiting(on_reply, is_query=True)

    # -- the subscription line ----------------------------------------------------------------

    def streams_connected(self, now_ns: int) -> list[DeskEvent]:
        """The subscription socket is open."""
        restored = self.streams.connection_made(now_ns)
        for product, snapshots in self._snapshots.items():
            snapshots.connection += 1
            snapshots.in_flight = False
            snapshots.retry.reset()
            snapshots.not_before_ns = 0
            # From here on every update is kept, also those that come before the acknowledgement.
            self.books[product].subscribed()
            self._news.append(BookChanged(product, BookState.SYNCING))
        self._take(restored, now_ns)
        return self._take_news()

    def stream_frame(self, frame: str | bytes, now_ns: int) -> list[DeskEvent]:
        """Apply one frame of the subscription socket; return what it means, in order."""
        return self.stream_events(self.streams.frame_received(frame, now_ns), now_ns)

    def stream_events(self, events: Sequence[Event | SessionEvent], now_ns: int) -> list[DeskEvent]:
        """Apply what one frame was decoded to: the second half of `stream_frame`, to measure them apart."""
        self._take(events, now_ns)
        return self._take_news()

    def streams_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The subscription socket is gone: every book is STALE."""
        self.streams.connection_lost(now_ns)
        for book in self.books.values():
            if book.state is not BookState.STALE:
                book.lost()
                self._news.append(BookChanged(book.product_id, book.state))
        self._lost(STREAMS, reason, now_ns)
        return self._take_news()

    # -- the gateway line ---------------------------------------------------------------------

    def gateway_connected(self, now_ns: int) -> list[DeskEvent]:
        """The gateway socket is open."""
        self.gateway.connection_made(now_ns)
        self._back(GATEWAY, now_ns)
        self._introduce_account(now_ns)
        self._ask_snapshots(now_ns)
        return self._take_news()

    def gateway_frame(self, frame: str | bytes, now_ns: int) -> list[DeskEvent]:
        """Hand an answer to whoever asked."""
        for answer in self.gateway.frame_received(frame, now_ns):
            self._answered(answer)
        self._ask_snapshots(now_ns)
        return self._take_news()

    def gateway_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The gateway socket is gone: what was in flight is unknown."""
        for lost in self.gateway.connection_lost(now_ns):
            self._unanswered(lost)
        self._lost(GATEWAY, reason, now_ns)
        return self._take_news()

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tick` has something to do (ns, monotonic), ``None`` if nothing is due ever."""
        due = [self.streams.next_deadline(), self.gateway.next_deadline(), self._next_snapshot()]
        return min((at for at in due if at is not None), default=None)

    def tick(self, now_ns: int) -> list[DeskEvent]:
        """Do what is due."""
        self._news += self.streams.tick(now_ns)
        for lost in self.gateway.tick(now_ns):
            self._unanswered(lost)
        self._ask_snapshots(now_ns)
        return self._take_news()

    # -- what it knows ------------------------------------------------------------------------

    def state_hash(self) -> str:
        """Hash everything known of the market and of one's own trading (sha-256, hex).

        Desks that were told the same have the same hash, on any machine and at any speed: books with all
        their levels, orders, positions, which fills were seen, and how often something was amiss.
        """
        parts = [
            f"snapshots {self.snapshots} {self.failed_snapshots}",
            *(f"session {session.malformed} {session.strays}" for session in (self.streams, self.gateway)),
            *(
                f"book {book.digest()} {book.updates} {book.gaps} {book.repeats}"
                for _, book in sorted(self.books.items())
            ),
        ]
        if self.account is not None:
            parts += self.account.lines()
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    # -- inside: events -----------------------------------------------------------------------

    def _take_news(self) -> list[DeskEvent]:
        news, self._news = self._news, []
        return news

    def _take(self, events: Sequence[Event | SessionEvent], now_ns: int) -> None:
        for event in events:
            self._apply(event, now_ns)
            self._news.append(event)

    def _apply(self, event: Event | SessionEvent, now_ns: int) -> None:
        match event:
            case BookDepth():
                book = self.books.get(event.product_id)
                if book is not None:
                    before = book.state
                    self._book_moved(book, before, book.apply(event), now_ns)
            case Fill() | OrderUpdate() | PositionChange():
                if self.account is not None:
                    self.account.apply(event)
            case Subscribed(stream) if stream.type == "book_depth":
                self._ask_snapshots(now_ns)
            case SubscribeRefused(stream):
                self._drop_book(stream)
            case Restored():
                self._back(STREAMS, now_ns)
                self._introduce_account(now_ns)
            case _:
                pass

    def _book_moved(self, book: Book, before: BookState, after: BookState, now_ns: int) -> None:
        if after is not before:
            self._news.append(BookChanged(book.product_id, after))
            self._ask_snapshots(now_ns)

    def _drop_book(self, stream: Stream) -> None:
        if stream.type != "book_depth" or not isinstance(stream.product_id, int):
            return
        self._snapshots.pop(stream.product_id, None)
        book = self.books[stream.product_id]
        if book.state is not BookState.STALE:
            book.lost()
            self._news.append(BookChanged(book.product_id, book.state))

    def _lost(self, line: str, reason: str, now_ns: int) -> None:
        down = self._down[line]
        if down.ever_up and down.since_ns is None:
            down.since_ns = now_ns
            self._news.append(Disconnected(line, reason))

    def _back(self, line: str, now_ns: int) -> None:
        down = self._down[line]
        if down.since_ns is not None:
            self._news.append(Reconnected(line, now_ns - down.since_ns))
        down.ever_up, down.since_ns = True, None

    # -- inside: requests ---------------------------------------------------------------------

    def _answered(self, answer: Answer) -> None:
        waiting = self._waiting.pop(answer.ticket)
        if self.account is not None:
            for digest in waiting.digests:
                if answer.reply.status == "success":
                    self.account.accepted(digest)
                else:
                    self.account.refused(digest, answer.reply.error or "no reason given")
        waiting.on_reply(answer.reply)

    def _unanswered(self, lost: Lost) -> None:
        waiting = self._waiting.pop(lost.ticket)
        digest = waiting.digests[0] if waiting.digests else None
        if not lost.sent or waiting.is_query:
            waiting.on_reply(TransportError(f"{lost.reason}; nothing was changed by the request, ask again"))
            return
        if self.account is not None:
            for placed in waiting.digests:
                self.account.answer_lost(placed)
        waiting.on_reply(OrderUnknown(f"{lost.reason}; whether the request took effect is not known", digest))

    def _introduce_account(self, now_ns: int) -> None:
        """Ask for the balances, once both lines are there: events only tell of changes."""
        account = self.account
        if account is None or not self.gateway.is_up or self.streams.state is not LineState.LIVE:
            return

        def on_reply(reply: Reply | NadowsError) -> None:
            try:
                account.introduce(messages.reply_data(checked(reply), "query_subaccount_info"))
            except NadowsError:
                # Refused, lost or broken; the next connection asks again.
                self.failed_introductions += 1

        self.query(messages.SubaccountInfoQuery(account.subaccount), now_ns=now_ns, on_reply=on_reply)

    # -- inside: snapshots --------------------------------------------------------------------

    def _wants_snapshot(self, product: int) -> bool:
        return (
            self.gateway.is_up
            and self.books[product].needs_snapshot
            and not self._snapshots[product].in_flight
            # Updates are complete only from the acknowledgement on.
            and Stream.book_depth(product).key in self.streams.acknowledged
        )

    def _next_snapshot(self) -> int | None:
        waits = [s.not_before_ns for product, s in self._snapshots.items() if self._wants_snapshot(product)]
        return min(waits, default=None)

    def _ask_snapshots(self, now_ns: int) -> None:
        for product, snapshots in self._snapshots.items():
            if self._wants_snapshot(product) and now_ns >= snapshots.not_before_ns:
                snapshots.in_flight = True
                # The pause until the next try counts from the asking, so that answers which never join
                # cannot turn into a storm of snapshots.
                snapshots.not_before_ns = now_ns + snapshots.retry.next()
                self.snapshots += 1
                self.query(
                    messages.MarketLiquidityQuery(product_id=product, depth=self._snapshot_depth),
                    now_ns=now_ns,
                    on_reply=self._on_snapshot(product),
                )

    def _on_snapshot(self, product: int) -> OnReply:
        asked = self._snapshots[product]
        connection = asked.connection

        def on_reply(reply: Reply | NadowsError) -> None:
            snapshots = self._snapshots.get(product)
            if snapshots is not asked or snapshots.connection != connection:
                # Asked for on an earlier connection or subscription: it may miss what came between.
                return
            snapshots.in_flight = False
            book = self.books[product]
            if not book.needs_snapshot:
                return
            try:
                book.load(_snapshot(reply), depth=self._snapshot_depth)
            except NadowsError:
                # Refused, lost, broken, or older than the updates kept: the next try is already timed.
                self.failed_snapshots += 1
                return
            if book.is_live:
                snapshots.retry.reset()
                snapshots.not_before_ns = 0
            self._news.append(BookChanged(product, book.state))

        return on_reply


def _snapshot(reply: Reply | NadowsError) -> MarketLiquidity:
    data = messages.reply_data(checked(reply), "query_market_liquidity")
    assert isinstance(data, MarketLiquidity)
    return data


def checked(reply: Reply | NadowsError) -> Reply:
    """Return a successful answer, raise anything else as its exception."""
    if isinstance(reply, NadowsError):
        raise reply
    if reply.status != "success":
        raise venue_error(reply.error or "no reason given", reply.error_code, reply.request_type)
    return reply
