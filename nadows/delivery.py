"""From the reader to whoever listens: sinks that never stop it.

The reader applies an event to the state and then calls every sink, synchronously. A callback is one kind of
sink; a `Subscription` is the other: a bounded buffer that an ``async for`` empties at its own pace. Slow user
code can thus never delay the books, the account, or another listener.

What decides is in `nadows.inbox`: the order of delivery, the filters, and what happens at the bound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, TypeVar

from nadows.desk import DeskEvent
from nadows.errors import NadowsError, UsageError
from nadows.inbox import Inbox, Interest, Overflow, Tally, Wakeup
from nadows.messages import Stream

__all__ = ["DEFAULT_MAXLEN", "Batches", "Callback", "Router", "SlowConsumer", "Subscription"]

_T = TypeVar("_T")

Callback = Callable[[DeskEvent], None]
Defer = Callable[[Callable[[], None]], object]
"""Arranges that a function is called when the wake-up is over, for example ``loop.call_soon``."""

DEFAULT_MAXLEN: Final = 65_536
"""Events a subscription holds for a slow consumer: some minutes of a busy venue."""

_SECOND: Final = 10**9

_log = logging.getLogger("nadows")


class SlowConsumer(NadowsError):
    """A subscription overflowed; what was delivered until then is complete, what came after is lost to it."""


class Subscription:
    """An async iterator over events, with a bound; for one consumer.

    What happens at the bound is the `Overflow` policy. Where a listener is cut off, what it holds is still
    delivered, in order and complete, and then `SlowConsumer` is raised: own fills and orders are never
    dropped in silence.

    Args:
        close: Called when the consumer stops listening.
        maxlen: How many events may wait; ``None`` for any number.
        overflow: What happens when there are more.
        tally: Counts what is lost here together with what is lost elsewhere.
    """

    def __init__(
        self,
        close: Callable[[Subscription], None],
        maxlen: int | None,
        overflow: Overflow = Overflow.CONFLATE,
        tally: Tally | None = None,
    ) -> None:
        self.inbox = Inbox(maxlen, overflow, tally)
        """What waits, and what was lost."""
        self._close = close
        self._closed = False
        self._error: NadowsError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: DeskEvent) -> None:
        """Take an event from the reader; never blocks."""
        if not self._closed:
            self.inbox.put(event)
            self._wake()

    def end(self, error: NadowsError | None = None) -> None:
        """No more events will come; after those held, iteration stops, or raises *error*."""
        self._closed, self._error = True, error
        self._wake()

    def close(self) -> None:
        """Stop listening."""
        self._close(self)
        self.end()

    def __len__(self) -> int:
        return len(self.inbox)

    def __aiter__(self) -> AsyncIterator[DeskEvent]:
        return self

    async def __anext__(self) -> DeskEvent:
        await self._first()
        return self.inbox.pop()

    async def take(self, max_events: int, max_wait_ns: int = 0) -> list[DeskEvent]:
        """Wait for an event, then for more of them; return them in order.

        Cancelling loses nothing: events are taken out only when they are returned.

        Args:
            max_events: Return as soon as there are so many.
            max_wait_ns: Wait no longer than this for more, once there is one; 0 takes what is there.

        Raises:
            StopAsyncIteration: If there will be none.
            SlowConsumer: If the listener was cut off and everything held has been taken.
        """
        await self._first()
        if max_wait_ns and len(self.inbox) < max_events:
            try:
                async with asyncio.timeout(max_wait_ns / _SECOND):
                    while len(self.inbox) < max_events and not self._is_over():
                        await self._wait()
            except TimeoutError:
                pass
        return [self.inbox.pop() for _ in range(min(max_events, len(self.inbox)))]

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def _is_over(self) -> bool:
        return self._closed or self.inbox.has_overflowed

    async def _first(self) -> None:
        while not len(self.inbox):
            if self.inbox.has_overflowed:
                raise SlowConsumer(
                    f"more than {self.inbox.maxlen} events were waiting: "
                    "read faster, ask for less, or raise maxlen"
                )
            if self._closed:
                raise self._error if self._error is not None else StopAsyncIteration
            await self._wait()

    async def _wait(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            raise UsageError("a subscription has one consumer: make one for each")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Batches:
    """An async iterator over lists of events, for consumers that do better with many at a time.

    Args:
        subscription: Where the events come from; closed with this.
        max_events: The longest list.
        max_wait_ns: How long the first event of a list may wait for others; 0 takes what is there.

    Raises:
        UsageError: If *max_events* is not positive or *max_wait_ns* negative.
    """

    def __init__(self, subscription: Subscription, max_events: int, max_wait_ns: int) -> None:
        if max_events < 1 or max_wait_ns < 0:
            subscription.close()
            raise UsageError(
                f"a batch holds at least 1 event and waits at least 0 ns, got {max_events} and {max_wait_ns}"
            )
        self.subscription = subscription
        self._max_events = max_events
        self._max_wait_ns = max_wait_ns

    def close(self) -> None:
        """Stop listening."""
        self.subscription.close()

    def __aiter__(self) -> AsyncIterator[list[DeskEvent]]:
        return self

    async def __anext__(self) -> list[DeskEvent]:
        return await self.subscription.take(self._max_events, self._max_wait_ns)

    async def __aenter__(self) -> Batches:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class Router:
    """Hands every event to every sink that wants it; own events first, see `Wakeup`.

    Args:
        defer: Arranges that a function is called when the wake-up is over. Without it every `deliver` is a
            wake-up of its own.
    """

    def __init__(self, defer: Defer | None = None) -> None:
        self.callback_errors = 0
        """Exceptions raised by callbacks; each is logged and harms nobody else."""
        self.tally = Tally()
        """What slow listeners cost."""
        self._defer = defer
        self._wakeup = Wakeup()
        self._is_flush_due = False
        self._sinks: tuple[tuple[Callable[[DeskEvent], None], Interest], ...] = ()

    def add(self, sink: Callback, interest: Interest | Iterable[Stream] = ()) -> None:
        """Call *sink* with each event that it wants: those of some streams, or as an `Interest` says.

        All, if no streams are named.
        """
        if not isinstance(interest, Interest):
            interest = Interest(interest)
        # A new tuple, so that a sink may add or remove sinks while it is being called.
        self._sinks = (*self._sinks, (sink, interest))

    def contained(self, taker: Callable[[_T], None]) -> Callable[[_T], None]:
        """Give a function that calls *taker*; what that raises is logged and counted, and goes no further."""

        def take(answer: _T) -> None:
            try:
                taker(answer)
            except Exception:  # noqa: BLE001
                # The border to foreign code, which is called in the middle of handing out what came.
                self.callback_errors += 1
                _log.exception("a callback failed on %s", type(answer).__name__)

        return take

    def remove(self, sink: Callback) -> None:
        """Stop calling *sink*; unknown ones are ignored."""
        self._sinks = tuple(entry for entry in self._sinks if entry[0] != sink)

    def deliver(self, events: Sequence[DeskEvent]) -> None:
        """Call the sinks with own events now, and with market data when the wake-up is over."""
        for event in self._wakeup.take(events):
            self._hand_out(event)
        if not self._wakeup.is_holding:
            return
        if self._defer is None:
            self.flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            self._defer(self.flush)

    def flush(self) -> None:
        """End the wake-up."""
        self._is_flush_due = False
        for event in self._wakeup.rest():
            self._hand_out(event)

    def _hand_out(self, event: DeskEvent) -> None:
        for sink, interest in self._sinks:
            if interest.wants_all or interest.wants(event):
                try:
                    sink(event)
                except Exception:  # noqa: BLE001
                    # The border to foreign code: its failure must not stop the reader or the other sinks.
                    self.callback_errors += 1
                    _log.exception("a callback failed on %s", type(event).__name__)
