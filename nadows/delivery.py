"""From the reader to whoever listens: sinks that never stop it.

The reader applies an event to the state and then calls every sink, synchronously. A callback is one kind of
sink; a `Subscription` is the other: a bounded buffer that an ``async for`` empties at its own pace. Slow user
code can thus never delay the books, the account, or another listener.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from nadows.desk import DeskEvent
from nadows.errors import NadowsError
from nadows.messages import EVENT_TYPES, Stream

__all__ = ["DEFAULT_MAXLEN", "Callback", "Router", "SlowConsumer", "Subscription"]

Callback = Callable[[DeskEvent], None]

DEFAULT_MAXLEN: Final = 65_536
"""Events a subscription holds for a slow consumer: some minutes of a busy venue."""

_log = logging.getLogger("nadows")


class SlowConsumer(NadowsError):
    """A subscription overflowed; what was delivered until then is complete, what came after is lost to it."""


class Subscription:
    """An async iterator over events, with a bound.

    When the bound is reached the subscription ends: what it holds is still delivered, in order and complete,
    and then `SlowConsumer` is raised. Nothing is dropped silently.
    """

    def __init__(self, close: Callable[[Subscription], None], maxlen: int) -> None:
        self.maxlen = maxlen
        self.overflowed = False
        self._close = close
        self._buffer: deque[DeskEvent] = deque()
        self._closed = False
        self._error: NadowsError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: DeskEvent) -> None:
        """Take an event from the reader; never blocks."""
        if self._closed or self.overflowed:
            return
        if len(self._buffer) >= self.maxlen:
            self.overflowed = True
        else:
            self._buffer.append(event)
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
        return len(self._buffer)

    def __aiter__(self) -> AsyncIterator[DeskEvent]:
        return self

    async def __anext__(self) -> DeskEvent:
        while not self._buffer:
            if self.overflowed:
                raise SlowConsumer(
                    f"more than {self.maxlen} events were waiting: read faster, ask for less, or raise maxlen"
                )
            if self._closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._buffer.popleft()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Router:
    """Hands every event to every sink that wants it."""

    def __init__(self) -> None:
        self.callback_errors = 0
        """Exceptions raised by callbacks; each is logged and harms nobody else."""
        self._sinks: tuple[tuple[Callback, tuple[Stream, ...]], ...] = ()

    def add(self, sink: Callback, streams: Iterable[Stream]) -> None:
        """Call *sink* with each event of *streams*, and with every event that belongs to no stream.

        All, if none are named.
        """
        # A new tuple, so that a sink may add or remove sinks while it is being called.
        self._sinks = (*self._sinks, (sink, tuple(streams)))

    def remove(self, sink: Callback) -> None:
        """Stop calling *sink*; unknown ones are ignored."""
        self._sinks = tuple(entry for entry in self._sinks if entry[0] != sink)

    def deliver(self, events: Sequence[DeskEvent]) -> None:
        """Call the sinks, event by event, in order."""
        for event in events:
            for sink, streams in self._sinks:
                if not streams or _wanted(event, streams):
                    try:
                        sink(event)
                    except Exception:  # noqa: BLE001
                        # The border to foreign code: its failure must not stop the reader or the other sinks.
                        self.callback_errors += 1
                        _log.exception("a callback failed on %s", type(event).__name__)


def _wanted(event: DeskEvent, streams: tuple[Stream, ...]) -> bool:
    if not isinstance(event, EVENT_TYPES):
        # What happens to the connection concerns every listener.
        return True
    return any(stream.matches(event) for stream in streams)
