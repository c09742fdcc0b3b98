"""Finding out what a client was not told: lost fills, orders of unknown fate, balances.

The streams have no replay, and have been seen to lose events while heartbeats flow. So after every
reconnect, and from time to time while all seems well, the client compares what it knows with what the venue
has on record. `Recovery` decides what to ask, in which order, and what follows from the answers:

* **fills**: the archive's ``matches``, newest first, down to what the archive itself has confirmed before.
  Pages overlap by one index and are joined only if they do, so neither a tie at a border nor an answer from
  a copy that trails can hide a match. What was not received is delivered as `LateFill`, in order of index,
  before newer fills that were held back for it;
* **orders**: those the gateway does not list as open any more, and those whose answer was lost, are in
  doubt. The gateway's ``order`` says whether one is open; the archive's ``orders``, how much of it was
  filled; silence is taken for an answer only when the archive has had time, and for one that was never
  acknowledged, when its receive time is over. Nothing is ever sent again;
* **balances**: ``subaccount_info``.

Source: protocol.md 2.6 and 3.1 (lost answers), 6.1, 6.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nadows import messages
from nadows.account import Account, OrderEvent, OrderStatus, TrackedOrder
from nadows.bookkeeping import Ask
from nadows.errors import MalformedFrame, NadowsError, VenueError
from nadows.messages import Fill, LateFill, PositionChange, Reply
from nadows.messages.archive import (
    ArchivedOrder,
    ArchiveError,
    ArchiveQuery,
    Match,
    Matches,
    MatchesQuery,
    OrderHistoryQuery,
    decode_archive_answer,
    encode_archive_request,
)
from nadows.pacing import WindowLimit
from nadows.session import checked
from nadows.throttle import RATE_LIMIT_CODES, Throttled, archive_queries
from nadows.timings import Timings
from nadows.units import ONE_X18, X18, Nanos, StrInt
from nadows.weights import archive_weight

__all__ = ["ARCHIVE", "FillsBackfilled", "OrderSettled", "Recovery", "RecoveryNews"]

ARCHIVE: Final = "archive"
"""Name of the archive in `Throttled`, and to a tap, which sees its answers in the order of the requests."""

_MANY: Final = 50
"""Orders that are asked for at once."""
_RETRY_NS: Final = 250_000_000
"""Pause after the first answer of the archive that could not be used; doubles."""
_ORDER_GONE: Final = 2020
_OPEN: Final = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL)


class FillsBackfilled(NamedTuple):
    """Fills that the stream did not deliver were found in the archive, and delivered before this event."""

    fills: int
    first_index: int
    last_index: int


class OrderSettled(NamedTuple):
    """The fate of an order that was in doubt is known."""

    digest: str
    status: OrderStatus


RecoveryNews = Fill | FillsBackfilled | OrderSettled | Throttled


@dataclass(slots=True)
class _Pass:
    """One walk through the archive's matches, newest first."""

    floor: int | None
    """Index at which to stop; ``None`` for the first walk, which only finds out where to start from."""
    began_ns: int
    found: dict[tuple[int, str], Match] = field(default_factory=dict)
    seconds: dict[int, int] = field(default_factory=dict)
    """When each index was matched, s since the epoch."""
    newest: int = 0
    idx: int | None = None
    """Index that the page asked for begins with; ``None`` for the first page."""
    must_join: bool = True


@dataclass(slots=True)
class _Doubt:
    """An order whose fate is not known."""

    asked: int = 0
    due_ns: int = 0
    in_flight: bool = False
    checked_ns: int = 0
    """When the gateway was last asked."""
    gone_ns: int | None = None
    """When it was first found not to be open."""
    awaits_archive: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing that was asked about it is on its way."""
        return not (self.in_flight or self.awaits_archive)


class Recovery:
    """What an account was not told, and how to find it out.

    Args:
        account: Takes what is found.
        ask: Asks the gateway.
        tell: Takes events, in the order in which they are to be delivered.
        timings: How long to wait for what.
        clients: How many clients share the address's limit at the archive.
    """

    def __init__(
        self,
        account: Account,
        ask: Ask,
        tell: Callable[[RecoveryNews], None],
        timings: Timings,
        *,
        clients: int = 1,
    ) -> None:
        self.verified: int | None = None
        """Largest index that the archive has confirmed; every fill up to it was delivered."""
        self.late_fills = 0
        self.held = 0
        """Fills that were held back for a moment, for older ones."""
        self.passes = 0
        self.failures = 0
        """Answers that could not be used."""
        self.drifts = 0
        """Balances that were not what they were thought to be."""
        self.is_up = False
        """Whether the gateway can be asked."""
        self._account = account
        self._ask = ask
        self._tell = tell
        self._timings = timings
        self._limit = WindowLimit(archive_queries(clients))
        self._now_ns = 0
        self._every_ns = timings.reconcile_ns
        """Between two comparisons: shorter while nothing else tells."""
        self._was_restored = False
        self._passes_due: list[int] = []
        self._pass: _Pass | None = None
        self._began_at = 0
        """Where the archive stood when this client came: what is older is history to it, save own orders."""
        self._floors: deque[tuple[int, int]] = deque()
        """When the archive had confirmed up to which index, oldest first."""
        self._walked_ns = 0
        """When the last walk that came to its end began."""
        self._holding = False
        self._hold_until: int | None = None
        self._held: dict[tuple[int, str], Fill] = {}
        self._asked: ArchiveQuery | None = None
        self._deadline_ns = 0
        self._archive_calm_ns = 0
        self._archive_failures = 0
        self._is_throttled = False
        """Whether it was said that the archive has had enough, and it has answered nothing since."""
        self._out: list[bytes] = []
        self._census_due: list[int] = []
        self._touched: set[int] | None = None
        self._orders_asked: set[str] | None = None
        self._doubts: dict[str, _Doubt] = {}

    # -- an earlier life of this client -------------------------------------------------------

    @property
    def floor(self) -> int | None:
        """Index down to which the next walk goes; every fill up to it was delivered, and the archive settled.

        ``None`` until the archive has answered for the first time.
        """
        return self._floors[0][1] if self._floors else None

    @property
    def known_until_ns(self) -> int:
        """Every own match before this instant was found, if the archive did not trail by more than it may."""
        return self._floors[0][0] - self._timings.settle_ns if self._floors else 0

    def resume(self, floor: int | None, now_ns: int) -> None:
        """Go on where an earlier life of this client stopped, before the first connection.

        Args:
            floor: Its `floor`.
            now_ns: Monotonic clock.
        """
        if floor is not None:
            self.verified = self._began_at = floor
            # When it was confirmed, is not known on this clock.
            self._floors.append((0, floor))
            # As after a reconnect: what is new waits for what was missed.
            self._holding = True
        for order in self._account.open_orders():
            # When it was sent is not known on this clock: as late as possible, so that no request that may
            # still take effect is given up.
            order.sent_ns = now_ns
            order.on(OrderEvent.ANSWER_LOST)
            order.on(OrderEvent.MISSED)
            self.doubt(order.digest, now_ns)

    # -- what happens on the lines ------------------------------------------------------------

    def begun(self, now_ns: int) -> None:
        """A subscription socket was opened: before anything is missed, find out where the archive stands."""
        if self.verified is None and not self._passes_due:
            self._passes_due = [now_ns]

    def restored(self, now_ns: int) -> None:
        """Everything asked for is acknowledged: look for what was missed meanwhile."""
        self._was_restored = True
        self._every_ns = self._timings.reconcile_ns
        self._passes_due = [now_ns + wait for wait in self._timings.after_reconnect_ns]
        self._census_due = [now_ns, now_ns + self._timings.after_reconnect_ns[-1]]
        if self._holding:
            self._hold_until = now_ns + self._timings.hold_ns

    def poll(self, now_ns: int) -> None:
        """The stream stays away: ask all the time, until it is `restored`."""
        self._every_ns = self._timings.poll_ns
        self._passes_due, self._census_due = [now_ns], [now_ns]

    def gateway_connected(self, now_ns: int) -> None:
        """The gateway can be asked, over its socket or over REST: compare with it, if that was put off."""
        self.is_up = True
        if self._was_restored:
            self._census_due.insert(0, now_ns)

    def gateway_lost(self) -> None:
        """It cannot be asked any more; what was on its way is answered as lost, by the session."""
        self.is_up = False

    def lost(self) -> None:
        """The subscription socket is gone: fills may be missed from here on."""
        # Before the first reconnect nothing was missed that anybody could wait for.
        self._holding, self._hold_until = self.verified is not None, None

    def take(self, fill: Fill) -> bool:
        """Look at a fill from the stream; return whether it is to be applied and delivered now."""
        if self._holding and fill.index > (self.verified or 0):
            if fill.key not in self._held and not self._account.has_seen(fill.key):
                self._held[fill.key] = fill
                self.held += 1
            return False
        return True

    def saw(self, change: PositionChange) -> None:
        """Note that a balance changed while a question about it may be on its way."""
        if self._touched is not None:
            self._touched.add(change.product_id)

    def doubt(self, digest: str, now_ns: int) -> None:
        """The fate of an order is not known: find it out."""
        self._doubts.setdefault(digest, _Doubt(due_ns=now_ns))

    @property
    def in_doubt(self) -> int:
        """Orders whose fate is being found out."""
        return len(self._doubts)

    # -- the archive --------------------------------------------------------------------------

    def requests(self) -> list[bytes]:
        """Take what is to be sent to the archive: one request at most, until it is answered or lost."""
        out, self._out = self._out, []
        return out

    def archive_answered(self, body: bytes, now_ns: int) -> None:
        """Take the archive's answer to the request that is out."""
        query, self._asked = self._asked, None
        if query is None:
            return
        self._now_ns = now_ns
        try:
            answer = decode_archive_answer(body, query)
        except MalformedFrame:
            self._archive_failed(now_ns)
            return
        if isinstance(answer, ArchiveError):
            if answer.error_code in RATE_LIMIT_CODES and not self._is_throttled:
                self._is_throttled = True
                self._tell(Throttled(ARCHIVE, answer.error))
            self._archive_failed(now_ns, least_ns=self._timings.calm_ns)
            return
        self._archive_failures = 0
        self._is_throttled = False
        if isinstance(query, MatchesQuery):
            self._page(answer, now_ns)
        else:
            assert isinstance(query, OrderHistoryQuery)
            self._records(query, answer.orders)
        self.tend(now_ns)

    def archive_lost(self, now_ns: int) -> None:
        """The request that is out will not be answered."""
        if self._asked is not None:
            self._asked = None
            self._archive_failed(now_ns)

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tend` has something to do (ns), ``None`` if nothing is due ever."""
        due: list[int] = []
        if self._asked is None:
            if self._wants_archive():
                due.append(self._archive_calm_ns)
            if self._pass is None:
                due += self._passes_due[:1]
        else:
            due.append(self._deadline_ns)
        if self._hold_until is not None:
            due.append(self._hold_until)
        if self.is_up:
            if self._may_take_census:
                due += self._census_due[:1]
            due += (each.due_ns for each in self._doubts.values() if each.is_idle)
        return min(due, default=None)

    def tend(self, now_ns: int) -> None:
        """Do what is due."""
        self._now_ns = now_ns
        if self._asked is not None and now_ns >= self._deadline_ns:
            self.archive_lost(now_ns)
        if self._hold_until is not None and now_ns >= self._hold_until:
            self._holding, self._hold_until = False, None
            self._release(self._held.values())
        if self._passes_due and now_ns >= self._passes_due[0] and self._pass is None:
            self._begin_pass(now_ns)
        if self.is_up:
            if self._may_take_census and self._census_due and now_ns >= self._census_due[0]:
                self._begin_census(now_ns)
            for digest, doubt in tuple(self._doubts.items()):
                self._look_after(digest, doubt, now_ns)
        self._ask_archive(now_ns)

    # -- inside: asking the archive -----------------------------------------------------------

    def _wants_archive(self) -> bool:
        return self._pass is not None or any(doubt.awaits_archive for doubt in self._doubts.values())

    def _ask_archive(self, now_ns: int) -> None:
        if self._asked is not None or now_ns < self._archive_calm_ns or not self._wants_archive():
            return
        query: ArchiveQuery
        if self._pass is not None:
            page = messages.UNSET if self._pass.idx is None else self._pass.idx
            query = MatchesQuery(subaccounts=(self._account.subaccount,), idx=page, limit=self._timings.page)
        else:
            waiting = [digest for digest, doubt in self._doubts.items() if doubt.awaits_archive]
            query = OrderHistoryQuery(digests=tuple(waiting[:_MANY]), limit=_MANY)
        wait_ns = self._limit.try_spend(archive_weight(query), now_ns)
        if wait_ns:
            self._archive_calm_ns = now_ns + wait_ns
            return
        self._asked = query
        self._deadline_ns = now_ns + self._timings.archive_ns
        self._out.append(encode_archive_request(query))

    def _archive_failed(self, now_ns: int, least_ns: int = 0) -> None:
        self.failures += 1
        self._archive_failures += 1
        pause_ns = min(_RETRY_NS << min(self._archive_failures - 1, 8), self._timings.calm_cap_ns)
        self._archive_calm_ns = now_ns + max(pause_ns, least_ns)
        if self._pass is not None:
            # What was found so far may not join what the next answer shows.
            self._pass = None
            self._passes_due.insert(0, self._archive_calm_ns)

    # -- inside: fills ------------------------------------------------------------------------

    def _begin_pass(self, now_ns: int) -> None:
        while self._passes_due and self._passes_due[0] <= now_ns:
            del self._passes_due[0]
        if not self._passes_due:
            self._passes_due.append(now_ns + self._every_ns)
        # Only what a walk has gone over again that began long enough after it was confirmed lies behind us:
        # an archive that files its entries out of order, by a few seconds, hides nothing either.
        while len(self._floors) > 1 and self._floors[1][0] <= self._walked_ns - self._timings.settle_ns:
            self._floors.popleft()
        self._pass = _Pass(self._floors[0][1] if self._floors else None, now_ns)
        self.passes += 1

    def _page(self, answer: Matches, now_ns: int) -> None:
        walk, page = self._pass, answer.matches
        assert walk is not None
        indices = [int(match.submission_idx) for match in page]
        if walk.idx is not None and walk.must_join and max(indices, default=0) != walk.idx:
            # Another copy of the archive answered, one that trails: the pages do not join.
            self._archive_failed(now_ns)
            return
        walk.found |= {match.key: match for match in page}
        walk.seconds |= {int(tx.submission_idx): int(tx.timestamp) for tx in answer.txs}
        walk.newest = max(walk.newest, *indices, 0)
        lowest = min(indices, default=0)
        if len(page) >= self._timings.page and self._goes_on(walk, page, lowest):
            # From the same index again, for a match has two sides; from the next one if it fills a page.
            walk.must_join = lowest != walk.idx
            walk.idx = lowest if walk.must_join else lowest - 1
            return
        self._end_pass(walk, now_ns)

    def _goes_on(self, walk: _Pass, page: tuple[Match, ...], lowest: int) -> bool:
        if walk.floor is not None:
            return lowest > walk.floor
        # The first walk: what was traded before this client came is none of its business.
        return any(self._is_own(match.digest) for match in page)

    def _is_own(self, digest: str) -> bool:
        order = self._account.orders.get(digest)
        return order is not None and order.is_sent

    def _end_pass(self, walk: _Pass, now_ns: int) -> None:
        self._pass = None
        if self.verified is None:
            self._began_at = walk.newest
        wanted = (
            match
            for match in walk.found.values()
            if match.submission_idx > self._began_at or self._is_own(match.digest)
        )
        late = [
            _late_fill(match, walk.seconds.get(int(match.submission_idx), 0), self._account)
            for match in wanted
            if match.key not in self._held and not self._account.has_seen(match.key)
        ]
        self.verified = max(self.verified or 0, walk.newest)
        self._floors.append((now_ns, self.verified))
        if walk.newest >= self.verified:
            # Else a copy of the archive that trails was walked, which cannot confirm what it does not have.
            self._walked_ns = walk.began_ns
        joined = [fill for fill in self._held.values() if fill.index <= self.verified]
        self._release([*late, *joined])
        if late:
            self.late_fills += len(late)
            indices = [fill.index for fill in late]
            self._tell(FillsBackfilled(len(late), min(indices), max(indices)))

    def _release(self, fills: Iterable[Fill]) -> None:
        """Apply and deliver fills, oldest first."""
        for fill in sorted(fills, key=lambda each: each.index):
            self._held.pop(fill.key, None)
            if self._account.apply(fill):
                self._tell(fill)

    # -- inside: what is open, and what is held -----------------------------------------------

    @property
    def _may_take_census(self) -> bool:
        return self._touched is None and self._orders_asked is None

    def _begin_census(self, now_ns: int) -> None:
        """Ask for balances and open orders."""
        account, touched = self._account, set[int]()

        def on_balances(reply: Reply | NadowsError) -> None:
            self._touched = None
            try:
                info = messages.reply_data(checked(reply), "query_subaccount_info")
                self.drifts += account.introduce(info, skip=touched)
            except NadowsError:
                self._census_failed()

        self._touched = touched
        query = messages.SubaccountInfoQuery(account.subaccount)
        wait_ns = self._ask(query, now_ns, on_balances)
        if wait_ns:
            self._touched = None
            self._census_due.insert(0, now_ns + wait_ns)
            return
        while self._census_due and self._census_due[0] <= now_ns:
            del self._census_due[0]
        if not self._census_due:
            self._census_due.append(now_ns + self._census_pause_ns())
        self._ask_orders(now_ns)

    def _census_pause_ns(self) -> int:
        products = {order.product_id for order in self._account.open_orders() if order.status in _OPEN}
        # Two for the balances, and two for each product with open orders (protocol.md 7).
        return max(self._every_ns, self._timings.poll_weight_ns * (2 + 2 * len(products)))

    def _census_failed(self) -> None:
        self.failures += 1
        self._census_due.insert(0, self._now_ns + self._timings.calm_ns)

    def _ask_orders(self, now_ns: int) -> None:
        # An order that is open to our knowledge before the question must be in the answer, if it still is.
        known = {order.digest: order for order in self._account.open_orders() if order.status in _OPEN}
        products = tuple(sorted({order.product_id for order in known.values()}))
        if not products:
            return
        asked = set(known)

        def on_orders(reply: Reply | NadowsError) -> None:
            self._orders_asked = None
            try:
                listed: messages.Orders = messages.reply_data(checked(reply), "query_orders")
            except NadowsError:
                self._census_failed()
                return
            found = [order for group in listed.product_orders for order in group.orders]
            for order in found:
                self._account.reconcile_order(order)
            for digest in asked - {order.digest for order in found}:
                if not known[digest].is_done:
                    self.doubt(digest, self._now_ns)

        self._orders_asked = asked
        if self._ask(messages.OrdersQuery(self._account.subaccount, products), now_ns, on_orders):
            self._orders_asked = None
            self._census_failed()

    # -- inside: orders in doubt --------------------------------------------------------------

    def _look_after(self, digest: str, doubt: _Doubt, now_ns: int) -> None:
        order = self._account.orders[digest]
        if order.is_done:
            self._settled(order)
        elif doubt.is_idle and now_ns >= doubt.due_ns:
            self._ask_order(order, doubt, now_ns)

    def _ask_order(self, order: TrackedOrder, doubt: _Doubt, now_ns: int) -> None:
        def on_reply(reply: Reply | NadowsError) -> None:
            if self._doubts.get(order.digest) is not doubt:
                return
            doubt.in_flight = False
            self._next_look(doubt)
            try:
                found = messages.reply_data(checked(reply), "query_order")
            except VenueError as refusal:
                if refusal.code == _ORDER_GONE:
                    self._gone(order, doubt)
                return
            except NadowsError:
                return
            self._is_open(order, found)

        doubt.in_flight = True
        doubt.checked_ns = now_ns
        wait_ns = self._ask(messages.OrderQuery(order.product_id, order.digest), now_ns, on_reply)
        if wait_ns:
            doubt.in_flight = False
            doubt.due_ns = now_ns + wait_ns

    def _next_look(self, doubt: _Doubt) -> None:
        doubt.asked += 1
        waits = self._timings.doubt_ns
        doubt.due_ns = self._now_ns + waits[min(doubt.asked, len(waits) - 1)]

    def _is_open(self, order: TrackedOrder, found: messages.OrderObject) -> None:
        self._account.reconcile_order(found)
        self._account.cancel_failed(order.digest)
        self._settled(order)

    def _gone(self, order: TrackedOrder, doubt: _Doubt) -> None:
        if doubt.gone_ns is None:
            doubt.gone_ns = self._now_ns
        order.on(OrderEvent.MISSED)
        doubt.awaits_archive = True

    def _records(self, query: OrderHistoryQuery, found: tuple[ArchivedOrder, ...]) -> None:
        records = {record.digest: record for record in found}
        for digest in query.digests or ():
            doubt = self._doubts.get(digest)
            if doubt is None:
                continue
            doubt.awaits_archive = False
            order, record = self._account.orders[digest], records.get(digest)
            if record is not None:
                self._account.reconcile_filled(digest, abs(int(record.base_filled)))
            self._conclude(order, doubt)

    def _conclude(self, order: TrackedOrder, doubt: _Doubt) -> None:
        """Take silence for an answer, if it has lasted long enough."""
        timings = self._timings
        assert doubt.gone_ns is not None
        if not order.is_done and doubt.checked_ns - doubt.gone_ns >= timings.settle_ns:
            if order.is_acked:
                order.on(OrderEvent.CANCELED)
            elif doubt.checked_ns - order.sent_ns >= timings.takes_effect_ns:
                order.on(OrderEvent.EXPIRED)
        if order.is_done:
            self._settled(order)

    def _settled(self, order: TrackedOrder) -> None:
        del self._doubts[order.digest]
        self._tell(OrderSettled(order.digest, order.status))


def _late_fill(match: Match, at_s: int, account: Account) -> LateFill:
    """Tell a match as the stream would have told it."""
    is_bid = match.order.amount > 0
    qty, ordered = abs(int(match.base_filled)), abs(int(match.order.amount))
    fee = int(match.fee) + int(match.builder_fee)
    # The quote is net of fees: a buyer paid them on top, a seller got that much less (protocol.md 6.1).
    notional = abs(int(match.quote_filled)) + (-fee if is_bid else fee)
    known = account.orders.get(match.digest)
    return LateFill(
        timestamp=Nanos(at_s * 10**9),
        product_id=match.product_id or 0,
        subaccount=account.subaccount,
        order_digest=match.digest,
        appendix=match.order.appendix,
        filled_qty=X18(qty),
        remaining_qty=X18(max(ordered - abs(int(match.cumulative_base_filled)), 0)),
        original_qty=X18(ordered),
        price=X18((2 * notional * ONE_X18 + qty) // (2 * qty)),
        is_taker=match.is_taker,
        is_bid=is_bid,
        fee=X18(fee),
        submission_idx=StrInt(match.submission_idx),
        id=messages.UNSET if known is None or known.client_id is None else known.client_id,
    )
