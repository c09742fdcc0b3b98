"""The load: signed orders on a schedule, half of them to be filled, through the toolkit's real client.

For each request that is due the generator turns to it (*sent*), the client signs, encodes and writes it, and
the answer and the fill are noted when the client hands them over. No task, future or queue is made for an
order. What an order does:

cross
    An immediate-or-cancel order of the smallest size, priced through the book so that it must fill. Buys and
    sells alternate, so the position never exceeds one of them.
rest
    A post-only order away from the market, on alternating sides. After every fifty of them everything that
    rests is cancelled with one request, so neither the book nor the venue's limit of 500 open orders ever
    fills up. The cancellation goes out right behind the fiftieth order and does not wait for its answer: on
    one connection the venue takes them in that order, so the bound holds however long it stalls. It is due
    when that order was, but counted apart from the orders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from nadows.bench.outcome import LATE_NS, Kind
from nadows.bench.pacer import make_pacer
from nadows.bench.plan import Plan
from nadows.bench.recorder import Recorder
from nadows.client import Client
from nadows.desk import DeskEvent
from nadows.errors import ERROR_CODES, NadowsError, OrderUnknown, UsageError, VenueError
from nadows.messages import Fill, Reply, Stream
from nadows.products import Product
from nadows.signing import Appendix, OrderType, SignedOrder
from nadows.units import round_down, round_up

__all__ = ["Load", "Trader", "error_name"]

MAX_RESTING: Final = 50
"""Resting orders between two cancellations."""
MAX_BATCH: Final = 64
"""Requests sent in one go when the generator is behind; then answers are read before it goes on."""

_CROSS_PERMILLE: Final = 50
"""How far beyond the best price a crossing order is priced: it is a market order with a safety limit."""
_REST_PERMILLE: Final = 20
"""How far from the market an order rests: the flow moves less in the time until it is cancelled."""
_REST_LEVELS: Final = 16
"""Resting orders are spread over so many price levels a side."""
_PRICE_MARGIN: Final = 5
"""The size is the smallest that is accepted also if the price falls by a fifth."""

_CROSS: Final = Appendix(order_type=OrderType.IOC)
_REST: Final = Appendix(order_type=OrderType.POST_ONLY)


class Trader:
    """One connection of the load: a client, what it orders, and what of it rests.

    Args:
        client: Connected, with its private streams.
        product: What to trade; its book must be live.
    """

    def __init__(self, client: Client, product: Product) -> None:
        self.client = client
        self.product = product
        self._book = client.desk.books[product.product_id]
        self._crosses = 0
        self._rests = 0
        bid = self._book.best_bid
        if bid is None:
            raise UsageError(f"{product.symbol} has no bid; the load needs a market to trade in")
        self._size = product.min_size(bid.price - bid.price // _PRICE_MARGIN)
        self._buy_through = self._sell_through = self._bid_rest = self._ask_rest = 0
        self.book_moved()

    def book_moved(self) -> None:
        """Follow the market; a book that is not live, or one-sided, leaves the prices as they are."""
        if not self._book.is_live:
            return
        bid, ask = self._book.best_bid, self._book.best_ask
        if bid is None or ask is None:
            return
        tick = self.product.tick
        self._buy_through = round_up(ask.price + ask.price * _CROSS_PERMILLE // 1000, tick)
        self._sell_through = round_down(bid.price - bid.price * _CROSS_PERMILLE // 1000, tick)
        self._bid_rest = round_down(bid.price - bid.price * _REST_PERMILLE // 1000, tick)
        self._ask_rest = round_up(ask.price + ask.price * _REST_PERMILLE // 1000, tick)

    def next_order(self, kind: Kind) -> SignedOrder:
        """Sign the next order of a kind; the same again until `advance`."""
        if kind == "cross":
            is_buy = self._crosses % 2 == 0
            amount = self._size if is_buy else -self._size
            price = self._buy_through if is_buy else self._sell_through
            return self.client.sign(self.product.product_id, amount, price, _CROSS)
        number, is_sell = divmod(self._rests, 2)
        step = number % _REST_LEVELS * self.product.tick
        amount = -self._size if is_sell else self._size
        price = self._ask_rest + step if is_sell else self._bid_rest - step
        return self.client.sign(self.product.product_id, amount, price, _REST)

    def advance(self, kind: Kind) -> None:
        """Go on to the order after, because this one was sent."""
        if kind == "cross":
            self._crosses += 1
        else:
            self._rests += 1

    @property
    def is_full(self) -> bool:
        """Whether it is time to cancel what rests."""
        return self._rests > 0 and self._rests % MAX_RESTING == 0

    async def cancel_all(self) -> None:
        """Cancel everything that rests. Raises as `Client.cancel_product_orders`."""
        await self.client.cancel_product_orders(self.product.product_id)


class Load:
    """Sends a plan through traders and notes what becomes of it.

    Args:
        plan: What is due when.
        traders: One for each connection of the plan.
        tasks: Where cancellations run.
        timeout_ns: How long an answer may take, and how long the generator may stay behind after the end.
    """

    def __init__(
        self, plan: Plan, traders: Sequence[Trader], tasks: asyncio.TaskGroup, timeout_ns: int
    ) -> None:
        self._plan = plan
        self._traders = traders
        self._tasks = tasks
        self._timeout_ns = timeout_ns
        self._next = 0
        self._count = len(plan)
        self._stopped_at_ns: int | None = None
        self._start_ns = 0
        self._cancels = 0
        self._stretch_ns = self._stretch_cpu_ns = 0
        self._removers: list[Callable[[], None]] = []
        self.recorder = Recorder(())
        self.all_sent = asyncio.Event()
        """Set when the schedule is through, or was stopped."""
        self.pacer = make_pacer(asyncio.get_running_loop(), self._fire)

    def start(self, start_ns: int) -> None:
        """Begin at an instant of the monotonic clock."""
        self._start_ns = start_ns
        self.recorder = Recorder([start_ns + end_ns for end_ns in self._plan.ends_ns])
        for trader in self._traders:
            subaccount = trader.client.subaccount
            assert subaccount is not None
            depth = Stream.book_depth(trader.product.product_id)
            self._removers += [
                trader.client.on(self._on_own_event, Stream.fill(subaccount.hex)),
                trader.client.on(partial(_on_book, trader), depth),
            ]
        self._rest_until(start_ns + self._plan.due(0))

    def stop(self, now_ns: int) -> None:
        """Send no more; what is due by now and was not sent counts as dropped."""
        if not self.all_sent.is_set():
            self._stopped_at_ns = now_ns - self._start_ns
            self._drop_until(self._plan.due_before(self._stopped_at_ns), "stopped")
            self._end()

    @property
    def stopped_at_ns(self) -> int | None:
        """When it was stopped, ns after the start; ``None`` if it ran through."""
        return self._stopped_at_ns

    @property
    def is_settled(self) -> bool:
        """Whether everything is sent, answered and filled."""
        return self.all_sent.is_set() and not self.recorder.in_flight and not self.recorder.awaited_fills

    def close(self) -> None:
        """Listen no more."""
        self.pacer.close()
        for remove in self._removers:
            remove()

    # -- inside: sending ----------------------------------------------------------------------

    def _fire(self) -> None:
        """Send what is due, then sleep until the next is."""
        start_ns, due, clock = self._start_ns, self._plan.due, time.monotonic_ns
        latest_ns = start_ns + self._plan.ends_ns[-1] + self._timeout_ns
        for _ in range(MAX_BATCH):
            if self._next >= self._count:
                self._end()
                return
            due_ns = start_ns + due(self._next)
            now_ns = clock()
            if now_ns < due_ns:
                self._rest_until(due_ns)
                return
            if now_ns > latest_ns:
                self._drop_until(self._count, "behind")
                self._end()
                return
            if now_ns - due_ns > LATE_NS:
                self._blame(self._next, now_ns, now_ns - due_ns)
            self._send(self._next, due_ns, now_ns)
            self._next += 1
        # Still behind: let answers be read first, then go on at once.
        self.pacer.arm(start_ns)

    def _rest_until(self, due_ns: int) -> None:
        """Nothing is due before *due_ns*: set the timer, and note where the next busy stretch begins."""
        self.pacer.arm(due_ns)
        self._stretch_ns, self._stretch_cpu_ns = due_ns, time.thread_time_ns()

    def _blame(self, index: int, now_ns: int, lateness_ns: int) -> None:
        """Find out whose fault it is that a request is late.

        Since the generator last had nothing to do, it has lost what the clock advanced beyond its CPU time.
        If the request would be late without that loss too, the generator was busy; else the machine had given
        its CPU to somebody else.
        """
        lost_ns = now_ns - self._stretch_ns - (time.thread_time_ns() - self._stretch_cpu_ns)
        if lateness_ns - max(0, lost_ns) > LATE_NS:
            self.recorder.late_by_own_fault(self._plan.phase(index))

    def _send(self, index: int, due_ns: int, now_ns: int) -> None:
        kind, phase = self._plan.kind(index), self._plan.phase(index)
        trader = self._traders[self._plan.connection(index)]
        order = trader.next_order(kind)
        try:
            trader.client.submit(order, partial(self._answered, index, phase))
        except UsageError:
            # Between two connections; a user would not know either how long to wait.
            self.recorder.dropped(phase, kind, "not connected")
            return
        trader.advance(kind)
        must_fill = kind == "cross"
        self.recorder.sent(index, phase, kind, due_ns, now_ns, order.digest if must_fill else None)
        if not must_fill and trader.is_full:
            self._tasks.create_task(self._cancel(trader, phase, due_ns))

    def _end(self) -> None:
        self.pacer.close()
        self.all_sent.set()

    def _drop_until(self, index: int, reason: str) -> None:
        """Count the requests from the next one to *index* (exclusive) as dropped."""
        for each in range(self._next, index):
            self.recorder.dropped(self._plan.phase(each), self._plan.kind(each), reason)
        self._next = max(self._next, index)

    # -- inside: receiving --------------------------------------------------------------------

    def _answered(self, key: int, phase: int, reply: Reply | NadowsError) -> None:
        if not self.recorder.answered(key, time.monotonic_ns(), error_name(reply)):
            self.recorder.late(phase)

    async def _cancel(self, trader: Trader, phase: int, due_ns: int) -> None:
        recorder = self.recorder
        self._cancels += 1
        key = -self._cancels
        recorder.sent(key, phase, "cancel_product_orders", due_ns, time.monotonic_ns())
        error: str | None = None
        try:
            await trader.cancel_all()
        except NadowsError as failed:
            error = error_name(failed)
        if not recorder.answered(key, time.monotonic_ns(), error):
            recorder.late(phase)

    def _on_own_event(self, event: DeskEvent) -> None:
        if isinstance(event, Fill):
            self.recorder.filled(event.order_digest, time.monotonic_ns())


def _on_book(trader: Trader, event: DeskEvent) -> None:
    trader.book_moved()


def error_name(reply: Reply | NadowsError) -> str | None:
    """Return under which name a failure is counted; ``None`` for success."""
    match reply:
        case Reply(status="success"):
            return None
        case Reply():
            return _code_name(reply.error_code)
        case VenueError():
            return _code_name(reply.code)
        case OrderUnknown():
            return "unknown"
        case _:
            return "connection"


def _code_name(code: int | None) -> str:
    if code is None:
        return "no code"
    known = ERROR_CODES.get(code)
    return f"{code} {known.name}" if known else str(code)
