"""The load: requests on a schedule, or by users who wait, through the toolkit's real client.

For each request that is due the generator turns to it (*sent*), the client signs, encodes and writes it, and
the answer and the fill are noted when the client hands them over. No task, future or queue is made for a
single order; what else there is (`nadows.bench.trader`) is awaited as a user would.

`OpenLoad` sends when the plan says so, whatever the venue does (an open model). `ClosedLoad` sends when a
user has been answered; a stall then holds the users back and is seen by a request each, which is why it is
not the default.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from nadows.bench.outcome import FOLLOW_UP, LATE_NS, Kind
from nadows.bench.pacer import make_pacer
from nadows.bench.plan import Plan, Turns
from nadows.bench.recorder import Recorder
from nadows.bench.scenario import OnFull
from nadows.bench.trader import Trader
from nadows.desk import DeskEvent
from nadows.errors import ERROR_CODES, ConnectionLost, NadowsError, OrderUnknown, VenueError
from nadows.messages import Fill, Reply, Stream

__all__ = ["ClosedLoad", "Load", "OpenLoad", "error_name"]

MAX_BATCH: Final = 64
"""Requests sent in one go when the generator is behind; then answers are read before it goes on."""


class Load(ABC):
    """Sends requests and notes what becomes of them; when, is for its kinds to say.

    Args:
        turns: What each request does, and which connection sends it.
        traders: One for each connection that is ours, by its number.
        tasks: Where tasks live that wait for what is not a single order.
        timeout_ns: How long an answer may take.
    """

    def __init__(
        self, turns: Turns, traders: Mapping[int, Trader], tasks: asyncio.TaskGroup, timeout_ns: int
    ) -> None:
        self._turns = turns
        self._traders = traders
        self._tasks = tasks
        self._timeout_ns = timeout_ns
        self._next = turns.shard
        self._stopped_at_ns: int | None = None
        self._start_ns = 0
        self._cancels = 0
        self._removers: list[Callable[[], None]] = []
        self.recorder = Recorder(())
        self.all_sent = asyncio.Event()
        """Set when the schedule is through, or was stopped."""
        self.pacer = make_pacer(asyncio.get_running_loop(), self._fire)

    def start(self, start_ns: int) -> None:
        """Begin at an instant of the monotonic clock."""
        self._start_ns = start_ns
        self.recorder = Recorder([start_ns + end_ns for end_ns in self._turns.ends_ns])
        for trader in self._traders.values():
            subaccount = trader.client.subaccount
            assert subaccount is not None
            depth = Stream.book_depth(trader.product.product_id)
            self._removers += [
                trader.client.on(self._on_own_event, Stream.fill(subaccount.hex)),
                trader.client.on(partial(_on_book, trader), depth),
            ]
        self._begin()

    def stop(self, now_ns: int) -> None:
        """Send no more; what is due by now and was not sent counts as dropped."""
        if not self.all_sent.is_set():
            self._stopped_at_ns = now_ns - self._start_ns
            self._cut_short(self._stopped_at_ns)
            self._end()

    @property
    def stopped_at_ns(self) -> int | None:
        """When it was stopped, ns after the start; ``None`` if it ran through."""
        return self._stopped_at_ns

    @property
    def is_settled(self) -> bool:
        """Whether everything is sent, answered and filled."""
        return self.all_sent.is_set() and not self.recorder.in_flight and not self.recorder.awaited_fills

    @abstractmethod
    def planned(self, phase: int) -> Mapping[Kind, int] | None:
        """Return what a phase asked for until the end, or the stop; ``None`` if nobody knew beforehand."""

    def give_up(self, now_ns: int) -> None:
        """Count what has waited too long as failed."""
        for _ in range(self.recorder.give_up(now_ns, self._timeout_ns)):
            self._landed()

    def close(self) -> None:
        """Listen no more."""
        self.pacer.close()
        for remove in self._removers:
            remove()

    # -- inside: when to send -----------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> None:
        """Set the pacer for the first request."""

    @abstractmethod
    def _cut_short(self, at_ns: int) -> None:
        """Forget what is due after an instant (ns after the start)."""

    @abstractmethod
    def _fire(self) -> None:
        """Send what is due, and set the pacer for what comes next."""

    @abstractmethod
    def _landed(self) -> None:
        """A request that was sent has its answer, or was given up."""

    def _dropped(self, phase: int, kind: Kind, reason: str) -> None:
        """A request is due and will not be sent."""
        self.recorder.dropped(phase, kind, reason)

    def _end(self) -> None:
        self.pacer.close()
        self.all_sent.set()

    # -- inside: sending ----------------------------------------------------------------------

    def _send(self, index: int, phase: int, due_ns: int, now_ns: int) -> None:
        kind = self._turns.kind(index)
        trader = self._traders[self._turns.connection(index)]
        if kind in ("cross", "rest"):
            self._send_order(index, phase, kind, trader, due_ns, now_ns)
            return
        work, reason = None, "not connected"
        if trader.is_connected:
            work, reason = trader.begin(kind), "nothing rests"
        if work is None:
            self._dropped(phase, kind, reason)
            return
        self.recorder.sent(index, phase, kind, due_ns, now_ns)
        self._tasks.create_task(self._follow(index, phase, work))

    def _send_order(
        self, index: int, phase: int, kind: Kind, trader: Trader, due_ns: int, now_ns: int
    ) -> None:
        order = trader.next_order(kind)
        try:
            trader.client.submit(order, partial(self._answered, index, phase))
        except ConnectionLost:
            # Between two connections; a user would not know either how long to wait.
            self._dropped(phase, kind, "not connected")
            return
        trader.advance(kind, order)
        must_fill = kind == "cross"
        self.recorder.sent(index, phase, kind, due_ns, now_ns, order.digest if must_fill else None)
        if not must_fill and trader.is_full:
            self._cancels += 1
            key = -self._cancels
            self.recorder.sent(key, phase, FOLLOW_UP, due_ns, time.monotonic_ns())
            self._tasks.create_task(self._follow(key, phase, trader.cancel_all()))

    # -- inside: receiving --------------------------------------------------------------------

    def _answered(self, key: int, phase: int, reply: Reply | NadowsError) -> None:
        self._note(key, phase, error_name(reply))

    async def _follow(self, key: int, phase: int, work: Coroutine[Any, Any, object]) -> None:
        error: str | None = None
        try:
            await work
        except NadowsError as failed:
            error = error_name(failed)
        self._note(key, phase, error)

    def _note(self, key: int, phase: int, error: str | None) -> None:
        if not self.recorder.answered(key, time.monotonic_ns(), error):
            self.recorder.late(phase)
        elif key >= 0:
            self._landed()

    def _on_own_event(self, event: DeskEvent) -> None:
        if isinstance(event, Fill):
            self.recorder.filled(event.order_digest, time.monotonic_ns())


class OpenLoad(Load):
    """A schedule that no slow answer holds back.

    Args:
        plan: Which request is due when.
        traders: See `Load`.
        tasks: See `Load`.
        timeout_ns: How long an answer may take, and how long after the end of the plan it is worth sending.
        max_inflight: With so many requests in flight, further ones wait or are dropped.
        on_full: Which of the two.
    """

    def __init__(
        self,
        plan: Plan,
        traders: Mapping[int, Trader],
        tasks: asyncio.TaskGroup,
        timeout_ns: int,
        *,
        max_inflight: int = 20_000,
        on_full: OnFull = "queue",
    ) -> None:
        super().__init__(plan, traders, tasks, timeout_ns)
        self._plan = plan
        self._max_inflight = max_inflight
        self._on_full = on_full
        self._is_held = False
        self._stretch_ns = self._stretch_cpu_ns = 0

    def planned(self, phase: int) -> Mapping[Kind, int] | None:
        """See `Load.planned`."""
        return self._plan.planned(phase, self._stopped_at_ns)

    def _begin(self) -> None:
        # With fewer requests than shards there may be none for us.
        first_ns = self._plan.due(self._next) if self._next < len(self._plan) else 0
        self._rest_until(self._start_ns + first_ns)

    def _cut_short(self, at_ns: int) -> None:
        self._drop_until(self._plan.due_before(at_ns), "stopped")

    def _fire(self) -> None:
        """Send what is due, then sleep until the next is."""
        plan = self._plan
        start_ns, due, clock, count = self._start_ns, plan.due, time.monotonic_ns, len(plan)
        latest_ns = start_ns + plan.ends_ns[-1] + self._timeout_ns
        for _ in range(MAX_BATCH):
            if self._next >= count:
                self._end()
                return
            due_ns = start_ns + due(self._next)
            now_ns = clock()
            if now_ns < due_ns:
                self._rest_until(due_ns)
                return
            if now_ns > latest_ns:
                self._drop_until(count, "behind")
                self._end()
                return
            if self.recorder.in_flight >= self._max_inflight:
                if self._on_full == "queue":
                    # The next answer wakes it.
                    self._is_held = True
                    return
                self._drop_until(self._next + 1, "full")
                continue
            if now_ns - due_ns > LATE_NS:
                self._blame(self._next, now_ns, now_ns - due_ns)
            self._send(self._next, plan.phase(self._next), due_ns, now_ns)
            self._next += plan.shards
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

    def _drop_until(self, index: int, reason: str) -> None:
        """Count the requests from the next one to *index* (exclusive) as dropped."""
        while self._next < index:
            self.recorder.dropped(self._plan.phase(self._next), self._plan.kind(self._next), reason)
            self._next += self._plan.shards

    def _landed(self) -> None:
        if self._is_held:
            self._is_held = False
            self.pacer.arm(self._start_ns)


class ClosedLoad(Load):
    """Users of whom each sends, waits for the answer, thinks, and sends again.

    Nothing is ever late here, and nobody knows beforehand how much is sent: the rate is a result.

    Args:
        turns: What each request does.
        traders: See `Load`.
        tasks: See `Load`.
        timeout_ns: See `Load`.
        users: How many.
        think_ns: From an answer to the next request.
    """

    def __init__(
        self,
        turns: Turns,
        traders: Mapping[int, Trader],
        tasks: asyncio.TaskGroup,
        timeout_ns: int,
        *,
        users: int,
        think_ns: int = 0,
    ) -> None:
        super().__init__(turns, traders, tasks, timeout_ns)
        self._users = users
        self._think_ns = think_ns
        # All think equally long, so those who are answered first come first.
        self._due: deque[int] = deque()

    def planned(self, phase: int) -> Mapping[Kind, int] | None:
        """See `Load.planned`."""
        return None

    def _begin(self) -> None:
        self._due.extend([self._start_ns] * self._users)
        self.pacer.arm(self._start_ns)

    def _cut_short(self, at_ns: int) -> None:
        self._due.clear()

    def _fire(self) -> None:
        end_ns = self._start_ns + self._turns.ends_ns[-1]
        for _ in range(MAX_BATCH):
            now_ns = time.monotonic_ns()
            if now_ns >= end_ns:
                self._end()
                return
            if not self._due or now_ns < self._due[0]:
                self.pacer.arm(min([end_ns, *list(self._due)[:1]]))
                return
            self._due.popleft()
            # A user's request is due when the generator turns to it: that is what a closed model measures.
            self._send(self._next, self._turns.phase_at(now_ns - self._start_ns), now_ns, now_ns)
            self._next += self._turns.shards
        self.pacer.arm(self._start_ns)

    def _dropped(self, phase: int, kind: Kind, reason: str) -> None:
        super()._dropped(phase, kind, reason)
        # Whoever could not send looks again a little later.
        self._due.append(time.monotonic_ns() + max(self._think_ns, LATE_NS))

    def _landed(self) -> None:
        if not self.all_sent.is_set():
            self._due.append(time.monotonic_ns() + self._think_ns)
            self.pacer.arm(self._due[0])


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
