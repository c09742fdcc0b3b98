"""Keeping a journal up with a desk: fills before they are delivered, orders before they are sent.

The order of writing is what makes a crash harmless, wherever it falls:

* a fill is written before anybody hears of it. If it was not, the archive still has it, because
* a watermark is written only after every fill below it;
* an order is written before it is sent. If it was, and its answer was not, it is UNKNOWN after a restart and
  is settled by asking; if it was not written, it was not sent.

What became of orders is written a moment later (`Scribe.tend`): what a crash takes of it is asked again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from nadows.account import Account, TrackedOrder
from nadows.desk import DeskEvent
from nadows.journal.journal import Journal
from nadows.journal.records import Closed, OrderRecord, Record, Watermark
from nadows.messages import Fill, JournaledFill
from nadows.messages.events import as_kind
from nadows.recovery import Recovery
from nadows.units import StrInt

__all__ = ["Scribe"]


class Scribe:
    """Stands between a desk and whoever is told, and writes the journal.

    Every method may raise `JournalError`; then nothing more must be delivered or sent.

    Args:
        journal: What to write; the desk was restored from its past.
        account: The desk's.
        recovery: The desk's.
        hand_over: Takes events that may be delivered.
        defer: Arranges that a function is called when the wake-up is over.
        now_ns: Monotonic clock.
    """

    def __init__(
        self,
        journal: Journal,
        account: Account,
        recovery: Recovery,
        hand_over: Callable[[Sequence[DeskEvent]], None],
        defer: Callable[[Callable[[], None]], object],
        now_ns: int,
    ) -> None:
        self._journal = journal
        self._account = account
        self._recovery = recovery
        self._hand_over = hand_over
        self._defer = defer
        self._fills: list[Fill] = []
        """To be written."""
        self._held: list[DeskEvent] = []
        """To be delivered once that is done."""
        self._is_flush_due = False
        self._known_orders = len(account.orders)
        self._acked = {order.digest: order.is_acked for order in account.open_orders()}
        """Orders that are not written as done, and whether they are written as taken by the venue."""
        self._done = deque((now_ns, order.digest) for order in account.orders.values() if order.is_done)
        """When each of the others was done, those left out that are written as closed."""
        self._watermark = recovery.floor

    def deliver(self, events: Sequence[DeskEvent]) -> None:
        """Hand events over, in order, once the fills among them are written.

        Where writing waits for the disk, those of one wake-up are written together.
        """
        own = self._account.subaccount
        fills = [event for event in events if isinstance(event, Fill) and event.subaccount == own]
        if not fills and not self._held:
            self._hand_over(events)
            return
        self._fills += fills
        self._held += events
        if not self._journal.groups:
            self.flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._defer(self.flush)

    def flush(self) -> None:
        """Write what is to be written first, then hand over what waited for it."""
        self._is_flush_due = False
        self._write()
        held, self._held = self._held, []
        if held:
            self._hand_over(held)

    def before_sending(self) -> None:
        """Write new orders; call before anything leaves for the gateway."""
        if len(self._account.orders) != self._known_orders:
            self._write()

    def tend(self, now_ns: int) -> None:
        """Write what became of orders, and how far the archive has confirmed; not from within the desk."""
        self._write()
        records: list[Record] = [OrderRecord.of(order) for order in self._changed_orders(now_ns)]
        floor = self._recovery.floor
        if floor is not None and floor != self._watermark:
            records.append(Watermark(index=StrInt(floor)))
            self._watermark = floor
        if closed := self._closed_orders():
            records.append(Closed(digests=closed))
        if records:
            self._journal.write(records, urgent=False)
        self._journal.tend(now_ns)

    def redeliver(self) -> int:
        """Hand over, as `JournaledFill`, every fill that is not confirmed; return how many."""
        self._write()
        held, self._held = self._held, []
        # What waits was never handed over; it is newer than the rest and comes after it, or confirming it
        # would confirm what nobody has heard of.
        waiting = {event.key for event in held if isinstance(event, Fill)}
        again = [
            as_kind(JournaledFill, entry.fill)
            for entry in self._journal.unconfirmed()
            if entry.fill.key not in waiting
        ]
        self._hand_over([*again, *held])
        return len(again)

    def close(self, now_ns: int) -> None:
        """Write and hand over what is left, and close the journal."""
        try:
            self.flush()
            self.tend(now_ns)
        finally:
            self._journal.close()

    # -- inside -------------------------------------------------------------------------------

    def _write(self) -> None:
        orders = self._new_orders()
        if not self._fills and not orders:
            return
        records = self._journal.number(self._fills)
        records += [OrderRecord.of(order) for order in orders]
        is_urgent = bool(self._fills) or any(order.is_sent for order in orders)
        self._journal.write(records, urgent=is_urgent)
        # Only now: what could not be written must be in the way of everything that comes later.
        self._fills = []
        self._known_orders += len(orders)
        # Also those that are done already: written once more, as done.
        self._acked |= {order.digest: order.is_acked for order in orders}

    def _new_orders(self) -> list[TrackedOrder]:
        """Find the orders met since the last time: the newest of the account."""
        orders = self._account.orders
        newest = reversed(orders.values())
        return [next(newest) for _ in range(len(orders) - self._known_orders)][::-1]

    def _changed_orders(self, now_ns: int) -> list[TrackedOrder]:
        orders = self._account.orders
        changed = [
            orders[digest]
            for digest, is_acked in self._acked.items()
            if orders[digest].is_done or orders[digest].is_acked != is_acked
        ]
        for order in changed:
            if order.is_done:
                del self._acked[order.digest]
                self._done.append((now_ns, order.digest))
            else:
                self._acked[order.digest] = order.is_acked
        return changed

    def _closed_orders(self) -> tuple[str, ...]:
        """Find the orders that were done before everything that the archive has confirmed."""
        closed = []
        while self._done and self._done[0][0] < self._recovery.known_until_ns:
            closed.append(self._done.popleft()[1])
        return tuple(closed)
