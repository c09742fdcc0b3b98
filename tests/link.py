"""A desk and a venue joined in memory, on a virtual clock.

Every message takes a seeded random time on its way and keeps its place in its direction, as on a TCP
connection. Nothing sleeps: time is the next thing that happens.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from nadows.desk import Desk, DeskEvent
from nadows.venue.exchange import ConnectionKind, Exchange

__all__ = ["Link"]

STREAMS, GATEWAY = 1, 2


class Link:
    """The two machines and what is on its way between them.

    Args:
        desk: The client's machine.
        exchange: The venue's machine.
        rng: Draws how long each message travels.
        now_ns: Start of the clock they share.
        delay_ns: The longest that a message travels.
    """

    def __init__(
        self, desk: Desk, exchange: Exchange, rng: random.Random, *, now_ns: int, delay_ns: int = 5_000_000
    ) -> None:
        self.desk = desk
        self.exchange = exchange
        self.now_ns = now_ns
        self.events: list[DeskEvent] = []
        """Everything that the desk made of what it heard, in order."""
        self._rng = rng
        self._delay_ns = delay_ns
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._arrivals = {(side, connection): 0 for side in ("desk", "venue") for connection in (1, 2)}

    def connect(self) -> None:
        """Open both connections now."""
        self.exchange.connection_made(GATEWAY, ConnectionKind.GATEWAY_V2, self.now_ns)
        self.exchange.connection_made(STREAMS, ConnectionKind.SUBSCRIBE, self.now_ns)
        self.events += self.desk.gateway_connected(self.now_ns)
        self.events += self.desk.streams_connected(self.now_ns)
        self._pump()

    def run(self, span_ns: int) -> None:
        """Let time pass."""
        end = self.now_ns + span_ns
        while (at := self._next()) <= end:
            self.now_ns = max(self.now_ns, at)
            while self._due and self._due[0][0] <= self.now_ns:
                heapq.heappop(self._due)[2]()
            self.exchange.tick(self.now_ns)
            self.events += self.desk.tick(self.now_ns)
            self._pump()
        self.now_ns = end

    def flush(self) -> None:
        """Put on the way what the desk wants to say now, after a test has asked it for something."""
        self._pump()

    def _next(self) -> int:
        due = [
            self.exchange.next_deadline(),
            self.desk.next_deadline(),
            self._due[0][0] if self._due else None,
        ]
        return min(at for at in due if at is not None)

    def _pump(self) -> None:
        for connection, frame in self.exchange.frames_to_send():
            self._send("desk", connection, frame)
        for connection, session in ((STREAMS, self.desk.streams), (GATEWAY, self.desk.gateway)):
            for frame in session.frames_to_send():
                self._send("venue", connection, frame)

    def _send(self, to: str, connection: int, frame: bytes) -> None:
        # Never before the message sent before it on the same connection.
        at = max(self.now_ns + self._rng.randrange(self._delay_ns), self._arrivals[to, connection])
        self._arrivals[to, connection] = at

        def arrive() -> None:
            if to == "venue":
                self.exchange.frame_received(connection, frame, self.now_ns)
            elif connection == STREAMS:
                self.events += self.desk.stream_frame(frame, self.now_ns)
            else:
                self.events += self.desk.gateway_frame(frame, self.now_ns)

        heapq.heappush(self._due, (at, next(self._order), arrive))
