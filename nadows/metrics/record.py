"""Recording what a client does, cheaply enough to leave it on.

While events come, only instants are noted: three readings of the clock and one tuple for each frame. They
are folded into distributions some frames at a time, after delivery. A client without metrics runs none of
this: `Metrics` wraps the two functions that the reader calls, and without it the reader calls them bare.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nadows.batching import outcomes
from nadows.desk import Desk, DeskEvent, OnReply
from nadows.distribution import HIGHEST_NS, Distribution
from nadows.errors import NadowsError, OrderUnknown
from nadows.messages import EVENTS, Fill, OrderUpdate, Reply, UnknownEvent
from nadows.metrics.report import EventCount, Report, Stage

__all__ = ["CONTROL", "MAX_WATCHED", "RATE_SECONDS", "Metrics"]

CONTROL: Final = "control"
"""Stands for what the venue says about the line: acknowledgements, pongs, frames that mean nothing."""
RATE_SECONDS: Final = 10
"""Whole seconds that a rate looks back at most."""
MAX_WATCHED: Final = 65_536
"""Orders whose first fill is awaited; beyond, the oldest are given up and counted."""

_FOLD: Final = 64
"""Frames noted before they are folded: 64 take some 60 us, during which no other frame is read."""
_SECOND_NS: Final = 10**9

_NAMES: Final[Mapping[type, str]] = {kind: name for name, kind in EVENTS.items()} | {UnknownEvent: "unknown"}

_OF_ORDERS: Final = frozenset({Fill, OrderUpdate})
"""Types looked at for the orders that are watched."""

_Frame = tuple[int, int, int, int]
"""When a frame was received, decoded, applied, and delivered (ns); the last is -1 if it gave no news."""

Take = Callable[[str | bytes, int], Sequence[DeskEvent]]
Deliver = Callable[[Sequence[DeskEvent]], None]


class _Series:
    """All frames of one event type."""

    __slots__ = ("applied", "decoded", "delivered", "frames", "seconds", "total")

    def __init__(self) -> None:
        self.frames: list[_Frame] = []
        """Noted, not folded."""
        self.total = 0
        self.decoded = Distribution()
        self.applied = Distribution()
        self.delivered = Distribution()
        self.seconds: Counter[int] = Counter()
        """Frames by second of the clock, of the last ones only."""

    def fold(self) -> int:
        """Move what was noted into the distributions; return how many times did not fit."""
        frames, self.frames = self.frames, []
        self.total += len(frames)
        self.seconds.update([frame[0] // _SECOND_NS for frame in frames])
        if len(self.seconds) > 2 * RATE_SECONDS:
            oldest = max(self.seconds) - RATE_SECONDS
            self.seconds = Counter({at: n for at, n in self.seconds.items() if at >= oldest})
        return (
            _record(self.decoded, [decoded - received for received, decoded, _, _ in frames])
            + _record(self.applied, [applied - decoded for _, decoded, applied, _ in frames])
            + _record(self.delivered, [sent - applied for _, _, applied, sent in frames if sent >= 0])
        )


class Metrics:
    """Times and counts of one client.

    Give it to `nadows.connect`, and ask for a `report` whenever one is wanted.

    Args:
        clock: Monotonic, in nanoseconds; the same as the client's.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.orders_sent = 0
        self.orders_refused = 0
        """Answered with a failure."""
        self.orders_unknown = 0
        """Sent, and no answer came."""
        self.orders_not_sent = 0
        """Given up before they left, for want of a connection."""
        self.orders_unwatched = 0
        """Orders of which the first fill is not awaited any more, because too many others are."""
        self.overlong = 0
        """Times above an hour, which are recorded as an hour."""
        self._clock = clock
        self._start_ns = clock()
        self._series: dict[str, _Series] = {}
        self._by_type: dict[type, _Series] = {}
        # Applied and not delivered yet: (events, received, decoded, applied).
        self._applied: list[tuple[Sequence[object], int, int, int]] = []
        # By request.
        self._acked: dict[str, Distribution] = {}
        self._filled: dict[str, Distribution] = {}
        self._watched: dict[str, tuple[str, int]] = {}
        """Orders without a fill yet, oldest first: under which request and when they were sent."""

    # -- what the client calls ----------------------------------------------------------------

    def taking(self, desk: Desk) -> Take:
        """Wrap `Desk.stream_frame`: the same, measured."""
        decode, apply = desk.streams.frame_received, desk.stream_events
        clock, applied = self._clock, self._applied

        def take(frame: str | bytes, now_ns: int) -> Sequence[DeskEvent]:
            events = decode(frame, now_ns)
            decoded_ns = clock()
            news = apply(events, now_ns)
            if news:
                applied.append((events, now_ns, decoded_ns, clock()))
            else:
                self._note(events, (now_ns, decoded_ns, clock(), -1))
            return news

        return take

    def delivering(self, deliver: Deliver) -> Deliver:
        """Wrap a delivery: the same, and what was applied before it counts as delivered after it."""
        clock, applied, note = self._clock, self._applied, self._note

        def measured(events: Sequence[DeskEvent]) -> None:
            deliver(events)
            if applied:
                delivered_ns = clock()
                for taken, received_ns, decoded_ns, applied_ns in applied:
                    note(taken, (received_ns, decoded_ns, applied_ns, delivered_ns))
                applied.clear()

        return measured

    def answering(self, request: str, digests: Sequence[str], now_ns: int, on_reply: OnReply) -> OnReply:
        """Wrap what is to be called with the answer to orders: the same, measured.

        Args:
            request: ``place_order``, ``place_orders`` or ``cancel_and_place``: the times are kept under it.
            digests: Of the orders.
            now_ns: When they are sent.
            on_reply: Gets the answer, after it is noted.
        """

        def answered(reply: Reply | NadowsError) -> None:
            gone: Sequence[str] = ()
            if isinstance(reply, Reply):
                self._record(self._acked, request, self._clock() - now_ns)
                gone = _refused(request, digests, reply)
                self.orders_refused += len(gone)
            elif isinstance(reply, OrderUnknown):
                # They may be live: their fills are still awaited.
                self.orders_unknown += len(digests)
            else:
                self.orders_not_sent += len(digests)
                gone = digests
            for digest in gone:
                self._watched.pop(digest, None)
            on_reply(reply)

        return answered

    def sent(self, request: str, digests: Sequence[str], now_ns: int) -> None:
        """Wait for the first fill of each of these orders; call when the desk has taken them."""
        self.orders_sent += len(digests)
        for digest in digests:
            self._watched[digest] = (request, now_ns)
        while len(self._watched) > MAX_WATCHED:
            del self._watched[next(iter(self._watched))]
            self.orders_unwatched += 1

    # -- what it says -------------------------------------------------------------------------

    def report(self, counters: Mapping[str, int] | None = None) -> Report:
        """Say what was measured until now.

        Args:
            counters: What the client counts itself: ``client.stats()``.
        """
        now_ns = self._clock()
        for series in self._series.values():
            self.overlong += series.fold()
        stages: dict[tuple[str, Stage], Distribution] = {}
        for name, series in sorted(self._series.items()):
            stages[name, Stage.SOCKET_TO_DECODED] = series.decoded
            stages[name, Stage.DECODED_TO_APPLIED] = series.applied
            stages[name, Stage.APPLIED_TO_CALLBACK] = series.delivered
        for stage, by_request in ((Stage.ORDER_TO_ACK, self._acked), (Stage.ORDER_TO_FILL, self._filled)):
            stages |= {(request, stage): times for request, times in by_request.items()}
        return Report(
            elapsed_ns=now_ns - self._start_ns,
            events={
                name: EventCount(series.total, self._rate(series, now_ns))
                for name, series in sorted(self._series.items())
            },
            stages={key: Distribution.merged([times]) for key, times in stages.items() if times.count},
            counters={**(counters or {}), **self._counters()},
        )

    # -- inside -------------------------------------------------------------------------------

    def _note(self, events: Sequence[object], frame: _Frame) -> None:
        # A frame is one event, whatever news follows from it; an acknowledgement may be none.
        event = events[0] if events else None
        kind = type(event)
        series = self._by_type.get(kind)
        if series is None:
            series = self._by_type[kind] = self._series.setdefault(_NAMES.get(kind, CONTROL), _Series())
        series.frames.append(frame)
        if kind in _OF_ORDERS:
            self._follow(event, frame[0])
        if len(series.frames) >= _FOLD:
            self.overlong += series.fold()

    def _follow(self, event: object, received_ns: int) -> None:
        if isinstance(event, Fill):
            watched = self._watched.pop(event.order_digest, None)
            if watched is not None:
                request, sent_ns = watched
                self._record(self._filled, request, received_ns - sent_ns)
        elif isinstance(event, OrderUpdate) and event.reason == "cancelled":
            # Else the orders of a market maker, of which most are cancelled, would push out those that rest.
            self._watched.pop(event.digest, None)

    def _record(self, by_request: dict[str, Distribution], request: str, time_ns: int) -> None:
        self.overlong += _record(by_request.setdefault(request, Distribution()), [time_ns])

    def _counters(self) -> dict[str, int]:
        return {
            "orders_sent": self.orders_sent,
            "orders_refused": self.orders_refused,
            "orders_unknown": self.orders_unknown,
            "orders_not_sent": self.orders_not_sent,
            "orders_unwatched": self.orders_unwatched,
            "overlong_times": self.overlong,
        }

    def _rate(self, series: _Series, now_ns: int) -> float:
        """Frames a second over the clock's last whole seconds since the start, at most `RATE_SECONDS`."""
        this, first = now_ns // _SECOND_NS, -(-self._start_ns // _SECOND_NS)
        since = max(first, this - RATE_SECONDS)
        if since >= this:
            return 0.0
        return sum(n for at, n in series.seconds.items() if since <= at < this) / (this - since)


def _refused(request: str, digests: Sequence[str], reply: Reply) -> Sequence[str]:
    if request == "place_orders":
        each = zip(digests, outcomes(digests, reply), strict=True)
        return [digest for digest, outcome in each if not outcome.ok]
    return () if reply.ok else digests


def _record(times: Distribution, values: list[int]) -> int:
    """Record *values*; those above an hour count as an hour. Returns how many they are."""
    overlong = 0
    if values and max(values) > HIGHEST_NS:
        overlong = sum(value > HIGHEST_NS for value in values)
        values = [min(value, HIGHEST_NS) for value in values]
    times.record(values)
    return overlong
