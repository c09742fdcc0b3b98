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
from nadows.batching import outcomes
from nadows.book import Book
from nadows.bookkeeping import BookChanged, BookDrifted, BookGapped, Bookkeeper, BookNews, BookPolled
from nadows.errors import MalformedFrame, OrderUnknown, TransportError, UsageError
from nadows.journal.records import Record, recall
from nadows.messages import BookDepth, Event, Fill, OrderUpdate, PositionChange, Query, Reply, Stream
from nadows.pacing import WindowLimit
from nadows.polling import Degraded, Polling
from nadows.recovery import ARCHIVE, FillsBackfilled, OrderSettled, Recovery, RecoveryNews
from nadows.session import (
    Answer,
    Authenticator,
    AuthRefused,
    GatewaySession,
    Lost,
    OnReply,
    Overdue,
    Restored,
    SessionEvent,
    StreamSession,
    Subscribed,
    SubscribeRefused,
    checked,
)
from nadows.signing import SignedCancelAndPlace, SignedOrder, SignedPlaceOrders
from nadows.throttle import RATE_LIMIT_CODES, Throttled, own_queries
from nadows.timings import Timings
from nadows.weights import query_weight

__all__ = [
    "ARCHIVE",
    "GATEWAY",
    "REST",
    "SNAPSHOT_DEPTH",
    "STREAMS",
    "BookChanged",
    "BookDrifted",
    "BookGapped",
    "BookPolled",
    "CopyLost",
    "CopyRestored",
    "Degraded",
    "DepthGap",
    "Desk",
    "DeskEvent",
    "Disconnected",
    "FillsBackfilled",
    "OnReply",
    "OrderSettled",
    "Reconnected",
    "Throttled",
    "checked",
]

SNAPSHOT_DEPTH: Final = 100
"""Levels a side that ``market_liquidity`` gives at most. Source: protocol.md 5.1."""

STREAMS: Final = "subscriptions"
GATEWAY: Final = "gateway"
"""Names of the two lines in `Disconnected` and `Reconnected`."""
REST: Final = "rest"
"""Name under which a tap sees the gateway's answers over HTTP, in the order of the requests."""

_CANCELS: Final = ("execute_cancel_orders", "execute_cancel_product_orders")


class Disconnected(NamedTuple):
    """A line was lost. What happens on the venue until `Reconnected` is not seen."""

    line: str
    reason: str


class Reconnected(NamedTuple):
    """A line is back and everything asked for on it is restored."""

    line: str
    downtime_ns: int


class CopyLost(NamedTuple):
    """One of several connections that carry the same was lost; the others go on and nothing is missed."""

    copy: int
    reason: str


class CopyRestored(NamedTuple):
    """It is back, and could go on alone again."""

    copy: int
    downtime_ns: int


class DepthGap(NamedTuple):
    """In place of ``book_depth`` events that a slow listener missed.

    What follows does not join what came before; books of one's own begin again from a snapshot.
    """

    product_id: int
    dropped: int
    """How many events are missing."""


DeskEvent = (
    Event
    | SessionEvent
    | Disconnected
    | Degraded
    | Reconnected
    | CopyLost
    | CopyRestored
    | Throttled
    | DepthGap
    | BookNews
    | RecoveryNews
)


@dataclass(slots=True)
class _Waiting:
    on_reply: OnReply
    digests: tuple[str, ...] = ()
    """Orders that the request places."""
    cancels: tuple[str, ...] = ()
    """Orders that it cancels."""
    request_type: str = ""
    is_query: bool = False
    is_batch: bool = False
    """Whether the answer has an outcome for each of the orders."""


OnRefused = Callable[[str | None, int, int], None]
"""Hears that the venue refused a request for a rate limit: its type, the code, and the clock (ns)."""


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
        timings: How long to wait for what.
        clients: How many clients share the address: each has that part of what goes into questions of the
            clients' own.
        on_refused: Hears of every request that the venue refused for a rate limit, at once. Nothing that
            it does reaches the desk, so a replay can go without it.
    """

    def __init__(
        self,
        *,
        subaccount: str | None = None,
        authenticate: Authenticator | None = None,
        serial: bool = False,
        rng: random.Random,
        snapshot_depth: int = SNAPSHOT_DEPTH,
        timings: Timings | None = None,
        clients: int = 1,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.timings = timings or Timings()
        self.streams = StreamSession(authenticate, ack_timeout_ns=self.timings.ack_ns)
        self.gateway = GatewaySession(serial=serial)
        self.account = Account(subaccount) if subaccount is not None else None
        self.throttled = 0
        """Times that the venue began to say that there were too many requests."""
        self.overdue = 0
        """Acknowledgements and answers that did not come in time."""
        self._waiting: dict[int, _Waiting] = {}
        self._down = {STREAMS: _Downtime(), GATEWAY: _Downtime()}
        self._news: list[DeskEvent] = []
        self._cuts: dict[str, str] = {}
        self._now_ns = 0
        self._own_limit = WindowLimit(own_queries(clients))
        self._on_refused = on_refused
        self._calm_until_ns = 0
        self._calm_ns = 0
        self.polling = Polling(self._news_of, self._heed, rng, self.timings)
        self.bookkeeper = Bookkeeper(
            self._ask, self._news_of, self._has_depth, rng, snapshot_depth, self.timings
        )
        self.recovery = (
            Recovery(self.account, self._ask, self._news_of, self.timings, clients=clients)
            if self.account
            else None
        )

    @property
    def books(self) -> dict[int, Book]:
        """By product id."""
        return self.bookkeeper.books

    @property
    def snapshots(self) -> int:
        """Snapshots asked for."""
        return self.bookkeeper.snapshots

    @property
    def failed_snapshots(self) -> int:
        """Snapshots that could not be used: refused, lost, broken, or too old to join the updates."""
        return self.bookkeeper.failed_snapshots

    # -- an earlier life ----------------------------------------------------------------------

    def restore(self, records: Sequence[Record], now_ns: int) -> None:
        """Take up what a journal kept of an earlier life of this client, before the first connection.

        Orders that were not done are UNKNOWN until they are settled, by asking; fills missed since are found
        in the archive. Raises `UsageError` if there is no account.
        """
        if self.account is None or self.recovery is None:
            raise UsageError("a journal needs an account: connect with a signer")
        self.recovery.resume(recall(records, self.account), now_ns)

    # -- intentions ---------------------------------------------------------------------------

    def subscribe(self, stream: Stream, now_ns: int) -> bool:
        """Ask for a stream; a depth stream makes a book. Returns whether it is new."""
        new = self.streams.subscribe(stream, now_ns)
        product = stream.product_id
        if new and stream.type == "book_depth" and isinstance(product, int):
            self.bookkeeper.add(product, connected=self.streams.is_connected)
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
        cancels: tuple[str, ...] = (),
        is_batch: bool = False,
        timeout_ns: int | None = None,
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
            cancels: Orders that it cancels.
            is_batch: Whether the answer has an outcome for each order that it places.
            timeout_ns: How long to wait; as the desk's timings say, if ``None``.

        Raises:
            ConnectionLost: If the gateway is not connected; nothing was sent.
        """
        ticket = self.gateway.execute(
            frame,
            request_type=request_type,
            signature=signature,
            client_id=client_id,
            deadline_ns=now_ns + (timeout_ns or self.timings.request_ns),
        )
        self._waiting[ticket] = _Waiting(on_reply, digests, cancels, request_type, is_batch=is_batch)
        if self.account is not None:
            for digest in cancels:
                self.account.cancel_sent(digest)

    def place(
        self, order: SignedOrder, *, now_ns: int, on_reply: OnReply, timeout_ns: int | None = None
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

    def place_orders(
        self,
        batch: SignedPlaceOrders,
        *,
        now_ns: int,
        on_reply: OnReply,
        timeout_ns: int | None = None,
    ) -> None:
        """Send a batch and follow each of its orders; `nadows.batching.outcomes` reads its answer.

        Raises as `execute`; also `UsageError` if one of the orders is in there twice or was sent before.
        """
        digests = tuple(order.digest for order in batch.orders)
        known = self.account.orders if self.account is not None else {}
        if len(set(digests)) < len(digests) or not known.keys().isdisjoint(digests):
            # Looked at before any is followed, so that a refusal leaves nothing behind.
            raise UsageError("an order of the batch was sent already; an equal order needs a new nonce")
        for order in batch.orders:
            self._follow(order, now_ns)
        self.execute(
            batch.frame,
            request_type="execute_place_orders",
            # The venue echoes the signature of the first order (frames.jsonl, place_orders.ok_*).
            signature=batch.orders[0].signature,
            now_ns=now_ns,
            on_reply=on_reply,
            digests=digests,
            is_batch=True,
            timeout_ns=timeout_ns,
        )

    def cancel_and_place(
        self,
        both: SignedCancelAndPlace,
        *,
        now_ns: int,
        on_reply: OnReply,
        timeout_ns: int | None = None,
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
            cancels=tuple(both.cancel.digests),
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

    def query(self, query: Query, *, now_ns: int, on_reply: OnReply, timeout_ns: int | None = None) -> None:
        """Send a query; over REST if the gateway socket has been down for long.

        Raises `ConnectionLost` if the gateway is not connected, and not degraded either.
        """
        if self.polling.is_open and not self.gateway.is_up:
            self.polling.ask(query, on_reply)
            return
        ticket = self.gateway.query(query, deadline_ns=now_ns + (timeout_ns or self.timings.request_ns))
        request_type = f"query_{messages.query_type(query)}"
        self._waiting[ticket] = _Waiting(on_reply, request_type=request_type, is_query=True)

    # -- the subscription line ----------------------------------------------------------------

    def streams_connected(self, now_ns: int) -> list[DeskEvent]:
        """The subscription socket is open."""
        self._now_ns = now_ns
        restored = self.streams.connection_made(now_ns)
        self.bookkeeper.connected()
        if self.recovery is not None:
            self.recovery.begun(now_ns)
        self._take(restored, now_ns)
        return self._tended(now_ns)

    def stream_frame(self, frame: str | bytes, now_ns: int) -> list[DeskEvent]:
        """Apply one frame of the subscription socket; return what it means, in order."""
        return self.stream_events(self.streams.frame_received(frame, now_ns), now_ns)

    def stream_events(self, events: Sequence[Event | SessionEvent], now_ns: int) -> list[DeskEvent]:
        """Apply what one frame was decoded to: the second half of `stream_frame`, to measure them apart."""
        self._now_ns = now_ns
        self._take(events, now_ns)
        return self._take_news()

    def streams_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The subscription socket is gone: every book is STALE."""
        self._now_ns = now_ns
        self._cuts.pop(STREAMS, None)
        self.streams.connection_lost(now_ns)
        self.bookkeeper.lost()
        if self.recovery is not None:
            self.recovery.lost()
        self._lost(STREAMS, reason, now_ns)
        return self._take_news()

    # -- the gateway line ---------------------------------------------------------------------

    def gateway_connected(self, now_ns: int) -> list[DeskEvent]:
        """The gateway socket is open."""
        self._now_ns = now_ns
        self.gateway.connection_made(now_ns)
        self._back(GATEWAY, now_ns)
        return self._tended(now_ns)

    def gateway_frame(self, frame: str | bytes, now_ns: int) -> list[DeskEvent]:
        """Hand an answer to whoever asked."""
        self._now_ns = now_ns
        for answer in self.gateway.frame_received(frame, now_ns):
            self._answered(answer)
        return self._tended(now_ns)

    def gateway_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The gateway socket is gone: what was in flight is unknown."""
        self._now_ns = now_ns
        self._cuts.pop(GATEWAY, None)
        unanswered = self.gateway.connection_lost(now_ns)
        self._reach(now_ns)
        for lost in unanswered:
            self._unanswered(lost)
        self._lost(GATEWAY, reason, now_ns)
        return self._take_news()

    def lines_to_cut(self) -> dict[str, str]:
        """Return, and forget, the lines that are not to be trusted any more, and why: close them now."""
        cuts, self._cuts = self._cuts, {}
        return cuts

    # -- the archive --------------------------------------------------------------------------

    def archive_requests(self) -> list[bytes]:
        """Take what is to be posted to the archive now: at most one request until its answer is told."""
        return self.recovery.requests() if self.recovery is not None else []

    def archive_frame(self, body: bytes, now_ns: int) -> list[DeskEvent]:
        """The archive answered, whatever it said."""
        self._now_ns = now_ns
        if self.recovery is not None:
            self.recovery.archive_answered(body, now_ns)
        return self._tended(now_ns)

    def archive_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The request that is out will not be answered."""
        self._now_ns = now_ns
        if self.recovery is not None:
            self.recovery.archive_lost(now_ns)
        return self._tended(now_ns)

    # -- REST ---------------------------------------------------------------------------------

    def rest_requests(self) -> list[bytes]:
        """Take what is to be posted to the gateway's ``/query`` now: at most one until its answer is told."""
        return self.polling.requests()

    def rest_frame(self, body: bytes, now_ns: int) -> list[DeskEvent]:
        """The gateway answered over HTTP, whatever it said."""
        self._now_ns = now_ns
        self.polling.answer(body, now_ns)
        return self._tended(now_ns)

    def rest_lost(self, reason: str, now_ns: int) -> list[DeskEvent]:
        """The request that is out over HTTP will not be answered."""
        self._now_ns = now_ns
        self.polling.failed(reason, now_ns)
        return self._tended(now_ns)

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tick` has something to do (ns, monotonic), ``None`` if nothing is due ever."""
        due = [self.streams.next_deadline(), self.gateway.next_deadline(), self.bookkeeper.next_deadline()]
        due.append(self.polling.next_deadline())
        if self.recovery is not None:
            due.append(self.recovery.next_deadline())
        return min((at for at in due if at is not None), default=None)

    def tick(self, now_ns: int) -> list[DeskEvent]:
        """Do what is due."""
        self._now_ns = now_ns
        self._take(self.streams.tick(now_ns), now_ns)
        for lost in self.gateway.tick(now_ns):
            self._unanswered(lost)
            self.overdue += 1
            if lost.is_query:
                self._cuts[GATEWAY] = f"{lost.request_type}: {lost.reason}"
        self._poll(now_ns)
        return self._tended(now_ns)

    # -- what it knows ------------------------------------------------------------------------

    def state_hash(self) -> str:
        """Hash everything known of the market and of one's own trading (sha-256, hex).

        Desks that were told the same have the same hash, on any machine and at any speed: books with all
        their levels, orders, positions, which fills were seen, and how often something was amiss.
        """
        parts = [
            f"snapshots {self.snapshots} {self.failed_snapshots}",
            f"rest {self.polling.asked} {self.polling.failures}",
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

    def _news_of(self, event: DeskEvent) -> None:
        self._news.append(event)

    def _take_news(self) -> list[DeskEvent]:
        news, self._news = self._news, []
        return news

    def _tended(self, now_ns: int) -> list[DeskEvent]:
        self.bookkeeper.tend(now_ns)
        if self.recovery is not None:
            self.recovery.tend(now_ns)
        return self._take_news()

    def _take(self, events: Sequence[Event | SessionEvent], now_ns: int) -> None:
        for event in events:
            if self._apply(event, now_ns):
                self._news.append(event)

    def _apply(self, event: Event | SessionEvent, now_ns: int) -> bool:
        """Take an event into the state; return whether it is to be delivered, now."""
        match event:
            case BookDepth():
                self.bookkeeper.apply(event, now_ns)
            case Fill():
                return self._apply_fill(event)
            case OrderUpdate() | PositionChange() if self.account is not None:
                self.account.apply(event)
                if self.recovery is not None and isinstance(event, PositionChange):
                    self.recovery.saw(event)
            case Subscribed(stream) if stream.type == "book_depth":
                self.bookkeeper.tend(now_ns)
            case SubscribeRefused(stream):
                self._drop_book(stream)
            case Restored():
                self._back(STREAMS, now_ns)
                if self.recovery is not None:
                    self.recovery.restored(now_ns)
                    self.recovery.tend(now_ns)
            case AuthRefused(error):
                self._cuts[STREAMS] = f"authentication refused: {error}"
            case Overdue(what):
                self.overdue += 1
                self._cuts[STREAMS] = f"no acknowledgement of {what} in time"
            case _:
                pass
        return True

    def _apply_fill(self, fill: Fill) -> bool:
        if self.account is None or self.recovery is None or fill.subaccount != self.account.subaccount:
            return True
        return self.recovery.take(fill) and self.account.apply(fill)

    def _drop_book(self, stream: Stream) -> None:
        if stream.type == "book_depth" and isinstance(stream.product_id, int):
            self.bookkeeper.drop(stream.product_id)

    def _has_depth(self, product: int) -> bool:
        return Stream.book_depth(product).key in self.streams.acknowledged

    def _lost(self, line: str, reason: str, now_ns: int) -> None:
        down = self._down[line]
        if down.ever_up and down.since_ns is None:
            down.since_ns = now_ns
            self.polling.lost(line, now_ns)
            self._news.append(Disconnected(line, reason))

    def _back(self, line: str, now_ns: int) -> None:
        down = self._down[line]
        if down.since_ns is not None:
            self._news.append(Reconnected(line, now_ns - down.since_ns))
        down.ever_up, down.since_ns = True, None
        self.polling.back(line)
        self.bookkeeper.is_polling = STREAMS in self.polling.degraded
        self._reach(now_ns)

    def _poll(self, now_ns: int) -> None:
        """Begin to poll for a line that has been down for too long."""
        was_polling = self.bookkeeper.is_polling
        self.polling.tend(now_ns)
        self.bookkeeper.is_polling = STREAMS in self.polling.degraded
        self._reach(now_ns)
        if self.recovery is not None and self.bookkeeper.is_polling and not was_polling:
            self.recovery.poll(now_ns)

    def _reach(self, now_ns: int) -> None:
        """Tell whether questions can be asked at all."""
        is_up = self.gateway.is_up or self.polling.is_open
        was_up, self.bookkeeper.is_up = self.bookkeeper.is_up, is_up
        if self.recovery is not None and is_up is not was_up:
            if is_up:
                self.recovery.gateway_connected(now_ns)
            else:
                self.recovery.gateway_lost()

    # -- inside: requests ---------------------------------------------------------------------

    def _answered(self, answer: Answer) -> None:
        waiting, reply = self._waiting.pop(answer.ticket), answer.reply
        self._heed(reply)
        account = self.account
        try:
            results = outcomes(waiting.digests, reply) if waiting.is_batch else [reply] * len(waiting.digests)
        except MalformedFrame as broken:
            self._unknown(waiting, f"the answer cannot be read ({broken.reason})")
            return
        if account is not None:
            for digest, result in zip(waiting.digests, results, strict=True):
                if result.ok:
                    account.accepted(digest)
                else:
                    account.refused(digest, result.error or "no reason given")
            if reply.status != "success":
                for digest in waiting.cancels:
                    account.cancel_failed(digest)
            elif waiting.request_type in _CANCELS:
                self._take_cancelled(account, reply, waiting.request_type)
        waiting.on_reply(reply)

    def _take_cancelled(self, account: Account, reply: Reply, request_type: str) -> None:
        try:
            cancelled = messages.reply_data(reply, request_type)
        except MalformedFrame:
            # Whoever asked reads the same answer and is told; the events and the next comparison settle it.
            return
        for order in cancelled.cancelled_orders if cancelled is not None else ():
            if order.sender == account.subaccount:
                account.reconcile_cancelled(order)

    def _unanswered(self, lost: Lost) -> None:
        waiting = self._waiting.pop(lost.ticket)
        if not lost.sent or waiting.is_query:
            waiting.on_reply(TransportError(f"{lost.reason}; nothing was changed by the request, ask again"))
            return
        self._unknown(waiting, lost.reason)

    def _unknown(self, waiting: _Waiting, reason: str) -> None:
        if self.account is not None and self.recovery is not None:
            for placed in waiting.digests:
                self.account.answer_lost(placed)
                self.recovery.doubt(placed, self._now_ns)
            for cancelled in waiting.cancels:
                if cancelled in self.account.orders:
                    self.recovery.doubt(cancelled, self._now_ns)
        digest = waiting.digests[0] if waiting.digests else None
        waiting.on_reply(OrderUnknown(f"{reason}; whether the request took effect is not known", digest))

    def _heed(self, reply: Reply) -> None:
        """Leave the venue alone for a while when it says that there was too much."""
        if reply.error_code not in RATE_LIMIT_CODES:
            if self._now_ns >= self._calm_until_ns:
                self._calm_ns = 0
            return
        if self._on_refused is not None:
            self._on_refused(reply.request_type, reply.error_code, self._now_ns)
        if not self._calm_ns:
            self.throttled += 1
            self._news.append(Throttled(GATEWAY, reply.error or ""))
        if self._now_ns >= self._calm_until_ns:
            self._calm_ns = min(2 * self._calm_ns or self.timings.calm_ns, self.timings.calm_cap_ns)
            self._calm_until_ns = self._now_ns + self._calm_ns

    def _ask(self, query: Query, now_ns: int, on_reply: OnReply) -> int:
        if now_ns < self._calm_until_ns:
            return self._calm_until_ns - now_ns
        rest_wait_ns = self.polling.wait_ns(now_ns)
        by_rest = self.polling.is_open and not rest_wait_ns
        if not by_rest and not self.gateway.is_up:
            return rest_wait_ns
        # A question heavier than the share of many clients would never fit: it goes when nothing else has.
        weight = min(query_weight(query), self._own_limit.most)
        wait_ns = self._own_limit.try_spend(weight, now_ns)
        if wait_ns:
            return wait_ns
        if by_rest:
            self.polling.ask(query, on_reply)
        else:
            self.query(query, now_ns=now_ns, on_reply=on_reply)
        return 0
