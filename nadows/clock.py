"""The venue's clock, as seen from here.

Nonces and authentications carry instants that the venue compares with its own clock; a machine whose clock is
a minute off would have every order refused (codes 2011 and 2012).
"""

from __future__ import annotations

from typing import Final

__all__ = ["VenueClock"]

_DRIFT: Final = 10_000
"""A clock may drift by one part in so many (100 ppm) since it was read."""
_RESOLUTION_NS: Final = 1_000_000
"""The venue tells milliseconds."""
_EVERY_NS: Final = 300 * 10**9
"""How often to ask: in between a clock that drifts as much as that goes wrong by 30 ms."""


class VenueClock:
    """Estimates the venue's clock from readings of it, against the monotonic clock.

    A reading was made at some time between sending and receiving; in the middle, at best guess, so half the
    round trip is its error. The best reading is kept until one that has aged less is better. The monotonic
    clock is the base, so that setting this machine's clock does not move the estimate.

    Until there is a reading, this machine's clock is taken for the venue's.
    """

    __slots__ = ("_asked_ns", "_error_ns", "_offset_ns", "_read_ns", "readings")

    def __init__(self) -> None:
        self.readings = 0
        """How often the venue's clock was read."""
        self._asked_ns: int | None = None
        self._read_ns = 0
        self._offset_ns = 0
        self._error_ns = 0

    def ask(self, now_ns: int) -> bool:
        """Tell whether it is time to ask the venue (again), and take it that it is done."""
        if self._asked_ns is not None and now_ns < self._asked_ns + _EVERY_NS:
            return False
        self._asked_ns = now_ns
        return True

    def read(self, server_time_ms: int, *, round_trip_ns: int, received_ns: int) -> None:
        """Take a reading.

        Args:
            server_time_ms: What the venue said, ms since the epoch.
            round_trip_ns: From sending the question to receiving the answer.
            received_ns: When the answer came (monotonic).
        """
        error_ns = round_trip_ns // 2 + _RESOLUTION_NS
        if self.readings and error_ns > self.error_ns(received_ns):
            self.readings += 1
            return
        self.readings += 1
        self._read_ns, self._error_ns = received_ns, error_ns
        self._offset_ns = server_time_ms * 10**6 + round_trip_ns // 2 - received_ns

    def error_ns(self, now_ns: int) -> int:
        """Return how far off the estimate may be (ns); meaningless without a reading."""
        return self._error_ns + (now_ns - self._read_ns) // _DRIFT

    def now_ms(self, now_ns: int, wall_ns: int) -> int:
        """Return the venue's time, ms since the epoch.

        Args:
            now_ns: Monotonic clock.
            wall_ns: This machine's clock (ns since the epoch), for as long as there is no reading.
        """
        return (now_ns + self._offset_ns if self.readings else wall_ns) // 10**6

    def skew_ns(self, now_ns: int, wall_ns: int) -> int:
        """Return how far the venue's clock is ahead of this machine's (ns); 0 without a reading."""
        return now_ns + self._offset_ns - wall_ns if self.readings else 0
