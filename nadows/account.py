"""Own orders, fills and positions, from whatever the venue sends, in whatever order it arrives.

An order is known by its digest before it is sent, so that a fill which overtakes its acknowledgement
is a normal case. Statuses carry the names of FIX ``OrdStatus``; UNKNOWN is ours: a request was sent and
its outcome is not known until an event or a query settles it.

What the streams say, and what follows (protocol.md 2.5):

* ``order_update.amount`` is what remains, and 0 both when filled and when cancelled: how much was filled
  before a cancel is known only from earlier events and from fills, so both are kept, and the larger counts;
* a fill is one per match and side, identified by ``(submission_idx, order_digest)``;
* nothing is promised about the order of event types, and ``placed`` may follow fills.

`TRANSITIONS` is the whole life of an order as data.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from nadows.errors import UsageError
from nadows.messages import Fill, OrderObject, OrderUpdate, PositionChange, SubaccountInfo

__all__ = [
    "FINAL",
    "TRANSITIONS",
    "Account",
    "OrderEvent",
    "OrderStatus",
    "Position",
    "TrackedOrder",
]


class OrderStatus(enum.Enum):
    """Where an order stands; names of FIX OrdStatus, and UNKNOWN."""

    PENDING_NEW = "pending_new"
    """Sent, not answered."""
    NEW = "new"
    """Accepted, nothing filled yet."""
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    """Open; a request to cancel it is out."""
    CANCELED = "canceled"
    """Gone with something unfilled, on request or by the venue."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Sent, never answered, and the time is over in which it could have taken effect; it left no trace."""
    UNKNOWN = "unknown"
    """Its fate is not known: the answer is lost, or it is gone from the venue's book and no event said how.

    An event or a query settles it, never sending again.
    """


FINAL: Final = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
)
"""Statuses that no market event leaves."""


class OrderEvent(enum.Enum):
    """What can happen to an order."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    ANSWER_LOST = "answer_lost"
    MISSED = "missed"
    """It is not open at the venue any more, and no event said why."""
    CANCEL_SENT = "cancel_sent"
    CANCEL_FAILED = "cancel_failed"
    """A request to cancel it was refused, or is known to have had no effect yet."""
    FILLED_SOME = "filled_some"
    FILLED_ALL = "filled_all"
    CANCELED = "canceled"
    EXPIRED = "expired"


_OPEN_EXITS: Final = {
    OrderEvent.FILLED_SOME: OrderStatus.PARTIALLY_FILLED,
    OrderEvent.FILLED_ALL: OrderStatus.FILLED,
    OrderEvent.CANCELED: OrderStatus.CANCELED,
}

TRANSITIONS: Final[dict[tuple[OrderStatus, OrderEvent], OrderStatus]] = {
    **{
        (status, event): after
        for status in (
            OrderStatus.PENDING_NEW,
            OrderStatus.UNKNOWN,
            OrderStatus.NEW,
            OrderStatus.PARTIALLY_FILLED,
        )
        for event, after in _OPEN_EXITS.items()
    },
    (OrderStatus.PENDING_CANCEL, OrderEvent.FILLED_ALL): OrderStatus.FILLED,
    (OrderStatus.PENDING_CANCEL, OrderEvent.CANCELED): OrderStatus.CANCELED,
    (OrderStatus.PENDING_CANCEL, OrderEvent.CANCEL_FAILED): OrderStatus.NEW,
    **{
        (status, OrderEvent.MISSED): OrderStatus.UNKNOWN
        for status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL)
    },
    **{
        (status, OrderEvent.CANCEL_SENT): OrderStatus.PENDING_CANCEL
        for status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
    },
    (OrderStatus.UNKNOWN, OrderEvent.EXPIRED): OrderStatus.EXPIRED,
    # Whatever was thought of it: an order that is filled in full was not cancelled.
    (OrderStatus.CANCELED, OrderEvent.FILLED_ALL): OrderStatus.FILLED,
    (OrderStatus.EXPIRED, OrderEvent.FILLED_ALL): OrderStatus.FILLED,
    (OrderStatus.PENDING_NEW, OrderEvent.ACCEPTED): OrderStatus.NEW,
    (OrderStatus.PENDING_NEW, OrderEvent.REFUSED): OrderStatus.REJECTED,
    (OrderStatus.PENDING_NEW, OrderEvent.ANSWER_LOST): OrderStatus.UNKNOWN,
    (OrderStatus.UNKNOWN, OrderEvent.ACCEPTED): OrderStatus.NEW,
    (OrderStatus.UNKNOWN, OrderEvent.REFUSED): OrderStatus.REJECTED,
    # An IOC or FOK that met nothing gets a (0, cancelled) event and a failure answer, in either order;
    # the outcome must not depend on which came first.
    (OrderStatus.CANCELED, OrderEvent.REFUSED): OrderStatus.REJECTED,
}
"""Every change of status. A pair that is not here changes nothing.

It is late news about an order that has moved on.
"""


_PROOFS: Final = frozenset(
    {OrderEvent.ACCEPTED, OrderEvent.FILLED_SOME, OrderEvent.FILLED_ALL, OrderEvent.CANCELED}
)
"""What can only happen to an order that the venue has."""


@dataclass(slots=True)
class TrackedOrder:
    """One own order. Prices and quantities are x18; quantities are absolute, the side is apart."""

    digest: str
    product_id: int
    is_buy: bool
    price: int
    """Limit price; 0 while unknown (an order first met in an event of another session)."""
    qty: int
    """Ordered quantity; 0 while unknown."""
    client_id: int | None = None
    status: OrderStatus = OrderStatus.PENDING_NEW
    reason: str = ""
    """Why it was rejected, in the venue's words."""
    sent_ns: int = 0
    """When it was sent, on the caller's clock."""
    updated: int = 0
    """Venue time of the last event about it (ns)."""
    notional: int = 0
    """Sum of fill price times quantity, in units of 10**-36."""
    fees: int = 0
    """Sum of fees paid in quote (x18); negative is a rebate."""
    filled_qty: int = 0
    """Sum over the fills received (x18)."""
    told_qty: int = 0
    """Filled quantity that follows from remaining amounts the venue told (x18)."""
    is_sent: bool = False
    """Whether this very client sent it."""
    is_acked: bool = False
    """Whether the venue is known to have taken it: by its answer, an event, or a query."""

    @property
    def cum_qty(self) -> int:
        """Filled so far (x18): the larger of what fills add up to and what the venue told."""
        return max(self.filled_qty, self.told_qty)

    @property
    def leaves_qty(self) -> int:
        """Still open for execution (x18); 0 once the order is done, as in FIX."""
        return 0 if self.is_done else max(self.qty - self.cum_qty, 0)

    @property
    def avg_px(self) -> int:
        """Average price of the fills received (x18, rounded down); 0 without one."""
        return self.notional // self.filled_qty if self.filled_qty else 0

    @property
    def is_done(self) -> bool:
        """Whether its status is final."""
        return self.status in FINAL

    def on(self, event: OrderEvent) -> bool:
        """Follow the table; return whether the status changed."""
        after = TRANSITIONS.get((self.status, event), self.status)
        if event is OrderEvent.CANCEL_FAILED and after is OrderStatus.NEW and self.cum_qty:
            after = OrderStatus.PARTIALLY_FILLED
        self.is_acked |= event in _PROOFS
        changed = after is not self.status
        self.status = after
        return changed


@dataclass(slots=True)
class Position:
    """Balance of one product: a perpetual's position, or a spot balance."""

    product_id: int
    amount: int
    """Signed (x18)."""
    v_quote: int
    """Minus the signed entry cost including fees (x18); 0 for spot."""
    timestamp: int
    """Venue time of the change (ns); 0 if it was learnt from a query, which has none."""
    isolated: bool = False

    @property
    def entry_price(self) -> int:
        """Average entry price including fees (x18, rounded down); 0 when flat."""
        return abs(self.v_quote) * 10**18 // abs(self.amount) if self.amount else 0


@dataclass(slots=True)
class Account:
    """State of one subaccount, fed by its events and answers.

    Args:
        subaccount: The bytes32 in lower-case hex; events of others are refused.
    """

    subaccount: str
    orders: dict[str, TrackedOrder] = field(default_factory=dict)
    """By digest, in the order first heard of; orders that are done stay."""
    positions: dict[tuple[int, bool], Position] = field(default_factory=dict)
    """By (product id, isolated)."""
    watermark: int = 0
    """Largest ``submission_idx`` among the fills received."""
    duplicate_fills: int = 0
    """Fills received again and ignored."""
    _seen: set[tuple[int, str]] = field(default_factory=set)
    _forgotten: int = 0
    """Fills up to this index were all received, also those of which nothing is kept."""

    # -- what an earlier life of the client knew ---------------------------------------------

    def recall(self, order: TrackedOrder) -> None:
        """Take what was known of an order; its fills are applied apart, before or after."""
        known = self.orders.get(order.digest)
        if known is not None:
            order.filled_qty, order.notional, order.fees = known.filled_qty, known.notional, known.fees
            order.updated = max(order.updated, known.updated)
        self.orders[order.digest] = order

    def forget(self, index: int) -> None:
        """Take every fill up to *index* for received, known or not."""
        self._forgotten = index
        self.watermark = max(self.watermark, index)

    # -- what the client did -----------------------------------------------------------------

    def sent(
        self,
        digest: str,
        *,
        product_id: int,
        price: int,
        amount: int,
        client_id: int | None = None,
        now_ns: int = 0,
    ) -> TrackedOrder:
        """Register an order before its bytes leave, so that no event can arrive for a stranger.

        Args:
            digest: EIP-712 hash, 0x hex.
            product_id: The venue's number of the product.
            price: Limit price (x18).
            amount: Signed quantity (x18): > 0 buys.
            client_id: The id that travels with the order, if any.
            now_ns: The caller's clock.

        Raises:
            UsageError: If this very order was sent before: equal digests are one order at the venue (2013).
        """
        if digest in self.orders:
            raise UsageError(f"order {digest} was sent already; an equal order needs a new nonce")
        order = TrackedOrder(
            digest=digest,
            product_id=product_id,
            is_buy=amount > 0,
            price=price,
            qty=abs(amount),
            client_id=client_id,
            sent_ns=now_ns,
            is_sent=True,
        )
        self.orders[digest] = order
        return order

    def accepted(self, digest: str) -> None:
        """The venue answered the placement with success."""
        self.orders[digest].on(OrderEvent.ACCEPTED)

    def refused(self, digest: str, reason: str) -> None:
        """The venue answered the placement with a failure."""
        order = self.orders[digest]
        if order.on(OrderEvent.REFUSED):
            order.reason = reason

    def answer_lost(self, digest: str) -> None:
        """No answer came: time-out, or the connection ended."""
        self.orders[digest].on(OrderEvent.ANSWER_LOST)

    def cancel_sent(self, digest: str) -> None:
        """A request to cancel the order is out; one that nobody here knows is left alone."""
        if digest in self.orders:
            self.orders[digest].on(OrderEvent.CANCEL_SENT)

    def cancel_failed(self, digest: str) -> None:
        """That request was refused, or the order was seen open after it."""
        if digest in self.orders:
            self.orders[digest].on(OrderEvent.CANCEL_FAILED)

    # -- what the venue said -----------------------------------------------------------------

    def apply(self, event: OrderUpdate | Fill | PositionChange) -> bool:
        """Take an event of this subaccount.

        Returns:
            Whether it was news: ``False`` for a fill received before, for an update of an order that is
            done, and for events of another subaccount.
        """
        match event:
            case Fill():
                return event.subaccount == self.subaccount and self._fill(event)
            case OrderUpdate():
                return self._order_update(event)
            case _:
                return event.subaccount == self.subaccount and self._position(event)

    def reconcile_order(self, found: OrderObject) -> TrackedOrder:
        """Settle an order that the venue reports as open (gateway ``order`` or ``orders``)."""
        amount = int(found.amount)
        order = self._order(found.digest, found.product_id, is_buy=amount > 0)
        order.price, order.qty = int(found.price_x18), abs(amount)
        order.on(OrderEvent.ACCEPTED)
        self._told(order, abs(int(found.unfilled_amount)))
        return order

    def reconcile_cancelled(self, found: OrderObject) -> None:
        """Take an order that the venue has just cancelled, as its answer shows it."""
        self.reconcile_order(found).on(OrderEvent.CANCELED)

    def reconcile_filled(self, digest: str, filled: int) -> None:
        """Learn how much of an order was filled (x18), from the archive's record of it."""
        order = self.orders[digest]
        order.is_acked = True
        order.told_qty = max(order.told_qty, filled)
        if order.qty and filled >= order.qty:
            order.on(OrderEvent.FILLED_ALL)

    def introduce(self, info: SubaccountInfo, skip: Collection[int] = ()) -> bool:
        """Learn the balances (answer to ``subaccount_info``).

        Args:
            info: The answer. It carries no time.
            skip: Products of which an event came while it was on its way: that may be the newer of the two.

        Returns:
            Whether a balance that was known turned out to be another.
        """
        drifted = False
        spot = ((each.product_id, each.balance.amount, 0) for each in info.spot_balances)
        perp = (
            (each.product_id, each.balance.amount, each.balance.v_quote_balance)
            for each in info.perp_balances
        )
        for product_id, amount, v_quote in (*spot, *perp):
            held = self.positions.get((product_id, False))
            if product_id in skip or (held is None and not (amount or v_quote)):
                continue
            # An event that names a later time than the last one known is news all the same.
            known_ns = held.timestamp if held else 0
            told = Position(product_id, int(amount), int(v_quote), timestamp=known_ns)
            drifted |= held is not None and held.amount != told.amount
            self.positions[product_id, False] = told
        return drifted

    def has_seen(self, key: tuple[int, str]) -> bool:
        """Whether this fill, by `Fill.key`, was received."""
        return key in self._seen or key[0] <= self._forgotten

    def position(self, product_id: int, *, isolated: bool = False) -> int:
        """Signed amount held (x18), 0 if nothing was ever heard."""
        held = self.positions.get((product_id, isolated))
        return held.amount if held else 0

    def open_orders(self) -> Iterator[TrackedOrder]:
        """Orders that are not done, oldest first; those UNKNOWN included."""
        return (order for order in self.orders.values() if not order.is_done)

    def lines(self) -> Iterator[str]:
        """Everything known, as lines of text in an order that does not depend on how it came to be known."""
        yield f"account {self.subaccount} {self.watermark} {self.duplicate_fills}"
        for digest, order in sorted(self.orders.items()):
            yield (
                f"order {digest} {order.product_id} {order.is_buy} {order.price} {order.qty} "
                f"{order.client_id} {order.status.value} {order.updated} {order.notional} {order.fees} "
                f"{order.filled_qty} {order.told_qty} {order.is_acked} {order.reason!r}"
            )
        for key, position in sorted(self.positions.items()):
            yield f"position {key} {position.amount} {position.v_quote} {position.timestamp}"
        if self._forgotten:
            yield f"forgotten {self._forgotten}"
        yield from (f"fill {index} {digest}" for index, digest in sorted(self._seen))

    # -- inside ------------------------------------------------------------------------------

    def _order(self, digest: str, product_id: int, *, is_buy: bool) -> TrackedOrder:
        order = self.orders.get(digest)
        if order is None:
            # Placed by another session of the same wallet, or before this one began.
            order = TrackedOrder(digest=digest, product_id=product_id, is_buy=is_buy, price=0, qty=0)
            order.on(OrderEvent.ACCEPTED)
            self.orders[digest] = order
        return order

    def _fill(self, fill: Fill) -> bool:
        key = (fill.index, fill.order_digest)
        if self.has_seen(key):
            self.duplicate_fills += 1
            return False
        order = self._order(fill.order_digest, fill.product_id, is_buy=fill.is_bid)
        # The sign of a sell's quantities is not documented: absolute values and is_bid (protocol.md
        # 9, question 3).
        qty = abs(fill.filled_qty)
        order.is_buy = fill.is_bid
        order.qty = order.qty or abs(fill.original_qty)
        order.filled_qty += qty
        order.notional += qty * fill.price
        order.fees += fill.fee
        order.updated = int(fill.timestamp)
        order.on(OrderEvent.FILLED_SOME if order.cum_qty < order.qty else OrderEvent.FILLED_ALL)
        # Marked after it is applied: an error above must not make the venue's next copy look like a repeat.
        self._seen.add(key)
        self.watermark = max(self.watermark, fill.index)
        return True

    def _order_update(self, update: OrderUpdate) -> bool:
        order = self.orders.get(update.digest)
        if order is None:
            # The event says neither side nor size; the fills and queries that follow do.
            order = self._order(update.digest, update.product_id, is_buy=update.amount >= 0)
        if order.is_done:
            return False
        order.updated = int(update.timestamp)
        if update.reason == "cancelled":
            order.on(OrderEvent.CANCELED)
            return True
        order.on(OrderEvent.ACCEPTED)
        self._told(order, abs(update.amount))
        return True

    def _told(self, order: TrackedOrder, remaining: int) -> None:
        if not order.qty:
            # Its size is unknown; at least what remains was ordered. A later fill or query says it in full.
            if not remaining:
                order.on(OrderEvent.FILLED_ALL)
            return
        order.told_qty = max(order.told_qty, order.qty - remaining)
        if not remaining:
            order.on(OrderEvent.FILLED_ALL)
        elif order.told_qty:
            order.on(OrderEvent.FILLED_SOME)

    def _position(self, change: PositionChange) -> bool:
        key = (change.product_id, change.isolated)
        held = self.positions.get(key)
        if held is not None and held.timestamp > change.timestamp:
            return False
        self.positions[key] = Position(
            product_id=change.product_id,
            amount=int(change.amount),
            v_quote=int(change.v_quote_amount),
            timestamp=int(change.timestamp),
            isolated=change.isolated,
        )
        return True
