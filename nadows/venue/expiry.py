"""When open orders expire."""

from __future__ import annotations

from heapq import heappop, heappush

from nadows.venue.orders import LiveOrder

__all__ = ["Expiry"]


class Expiry:
    """Open orders by the second in which they expire.

    Orders leave much more often by a fill or a cancel than by expiring; each must then be forgotten at
    once, or a day of quoting fills the memory. So the heap holds distinct seconds only.
    """

    def __init__(self) -> None:
        self._orders: dict[int, dict[str, LiveOrder]] = {}
        self._seconds: list[int] = []

    def add(self, order: LiveOrder) -> None:
        """Watch *order*."""
        second = order.expiration
        if second not in self._orders:
            self._orders[second] = {}
            heappush(self._seconds, second)
        self._orders[second][order.digest] = order

    def discard(self, order: LiveOrder) -> None:
        """Stop watching *order*."""
        watched = self._orders.get(order.expiration)
        if watched is not None:
            watched.pop(order.digest, None)

    def next_s(self) -> int | None:
        """Return the next second (Unix time) in which something may expire, ``None`` when nothing can."""
        while self._seconds and not self._orders[self._seconds[0]]:
            del self._orders[heappop(self._seconds)]
        return self._seconds[0] if self._seconds else None

    def due(self, now_s: int) -> list[LiveOrder]:
        """Return the orders whose expiration lies at or before *now_s*, by expiration, then by arrival."""
        due: list[LiveOrder] = []
        while (second := self.next_s()) is not None and second <= now_s:
            due += self._orders[second].values()
            self._orders[second] = {}
        return due
