"""When to do something: retries, rate limits, and the schedule of a load test.

Nothing here waits or reads a clock; each class answers "when" in integer nanoseconds and leaves
the waiting to its caller.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, lcm
from typing import Final

from nadows.errors import UsageError

__all__ = [
    "EVEN",
    "IP_QUERY_LIMITS",
    "WALLET_EXECUTE_LIMITS",
    "Arrivals",
    "Backoff",
    "Phase",
    "Schedule",
    "Window",
    "WindowLimit",
    "retry_after_ns",
]

_SECOND: Final = 1_000_000_000


class Backoff:
    """Delays between attempts: the first retry at once, then exponential with full jitter up to a cap.

    Retry n waits a random time up to ``min(cap, base * 2**(n - 2))``. Most breaks heal at once; for those
    that do not, full jitter best spreads the clients that were cut off together.
    """

    __slots__ = ("_base_ns", "_cap_ns", "_retries", "_rng")

    def __init__(
        self, rng: random.Random, *, base_ns: int = _SECOND // 4, cap_ns: int = 10 * _SECOND
    ) -> None:
        """Start before the first retry.

        Args:
            rng: Where the jitter comes from.
            base_ns: Longest wait before the second retry.
            cap_ns: Longest wait of all.

        Raises:
            UsageError: If not ``0 < base_ns <= cap_ns``.
        """
        if not 0 < base_ns <= cap_ns:
            raise UsageError(f"backoff needs 0 < base_ns <= cap_ns, got {base_ns} and {cap_ns}")
        self._rng = rng
        self._base_ns = base_ns
        self._cap_ns = cap_ns
        self._retries = 0

    @property
    def retries(self) -> int:
        """How many delays were handed out since the start or the last `reset`."""
        return self._retries

    def next(self, retry_after_ns: int = 0) -> int:
        """Count one more retry and return how long to wait before it, ns.

        Args:
            retry_after_ns: The least wait the other side has asked for; it is kept, also beyond the cap.
        """
        self._retries += 1
        if self._retries == 1:
            return max(0, retry_after_ns)
        # A line that is down for days must not build numbers of thousands of bits.
        doublings = min(self._retries - 2, 64)
        longest = min(self._cap_ns, self._base_ns << doublings)
        return max(self._rng.randrange(longest + 1), retry_after_ns)

    def reset(self) -> None:
        """Forget the failures: call when the connection has proved to work, not when it was made."""
        self._retries = 0


def retry_after_ns(header: str) -> int:
    """Read an HTTP header ``Retry-After`` (ns); 0 for its form as a date, which nobody here uses."""
    return int(header) * _SECOND if header.isascii() and header.isdigit() and len(header) < 6 else 0


@dataclass(frozen=True, slots=True)
class Window:
    """At most *weight* within any *span_ns*."""

    weight: int
    span_ns: int


WALLET_EXECUTE_LIMITS: Final = (Window(100, 10 * _SECOND), Window(600, 60 * _SECOND))
"""What all subaccounts of a wallet may execute together. Source: protocol.md 7 (Rate limits)."""
IP_QUERY_LIMITS: Final = (Window(400, 10 * _SECOND), Window(2400, 60 * _SECOND))
"""What an address may query at the gateway, and again at the archive. Source: protocol.md 7."""


class WindowLimit:
    """Sliding windows of weight, all of which must have room.

    A token bucket that allows the same burst and rate would let nearly twice the weight into one window, so
    the spends of the longest window are remembered one by one.
    """

    __slots__ = ("_spends", "_used", "windows")

    def __init__(self, windows: Sequence[Window]) -> None:
        """Start with nothing spent.

        Raises:
            UsageError: If a window has no room or no length, or there is none.
        """
        if not windows or any(window.weight < 1 or window.span_ns < 1 for window in windows):
            raise UsageError(f"a limit needs windows of positive weight and span, got {list(windows)}")
        self.windows = tuple(windows)
        self._spends: tuple[deque[tuple[int, int]], ...] = tuple(deque() for _ in windows)
        self._used = [0] * len(self.windows)

    @property
    def most(self) -> int:
        """The largest weight for which there is ever room."""
        return min(window.weight for window in self.windows)

    def try_spend(self, weight: int, now_ns: int) -> int:
        """Spend *weight* if every window has room for it, else nothing.

        Args:
            weight: At least 0, at most the smallest window's.
            now_ns: Monotonic clock; must not go back.

        Returns:
            0 if it was spent; otherwise how many ns to wait until there is room, if nobody else spends.

        Raises:
            UsageError: If there will never be room.
        """
        wait_ns = self.wait_ns(weight, now_ns)
        if wait_ns == 0:
            self.spend(weight, now_ns)
        return wait_ns

    def wait_ns(self, weight: int, now_ns: int) -> int:
        """Return how long to wait until there is room for *weight*, 0 if there is; as `try_spend`."""
        if not 0 <= weight <= self.most:
            raise UsageError(f"a weight must lie between 0 and {self.most}, got {weight}; split the request")
        return max(self._wait(index, weight, now_ns) for index in range(len(self.windows)))

    def spend(self, weight: int, now_ns: int) -> None:
        """Spend *weight* whether there is room or not: it is gone already."""
        for index, spends in enumerate(self._spends):
            spends.append((now_ns, weight))
            self._used[index] += weight

    def _wait(self, index: int, weight: int, now_ns: int) -> int:
        window, spends = self.windows[index], self._spends[index]
        while spends and spends[0][0] + window.span_ns <= now_ns:
            self._used[index] -= spends.popleft()[1]
        missing = self._used[index] + weight - window.weight
        wait_ns = 0
        for spent_ns, spent in spends:
            if missing <= 0:
                break
            missing -= spent
            wait_ns = spent_ns + window.span_ns - now_ns
        return wait_ns


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a load test: a rate that stays, or changes evenly.

    Raises:
        UsageError: If the duration is not positive or a rate is negative.
    """

    duration_ns: int
    rate: int | Fraction
    """Requests per second at its beginning."""
    to: int | Fraction | None = None
    """Requests per second at its end; the same if ``None``."""

    def __post_init__(self) -> None:
        if self.duration_ns < 1:
            raise UsageError(f"a phase must last at least 1 ns, got {self.duration_ns}")
        if self.rate < 0 or self.end_rate < 0:
            raise UsageError(f"a rate must not be negative, got {self.rate} to {self.end_rate} a second")

    @property
    def end_rate(self) -> int | Fraction:
        """Requests per second at its end."""
        return self.rate if self.to is None else self.to


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How requests lie around the even spacing of their rate.

    ``Arrivals()`` is even, ``Arrivals(rng=rng)`` a Poisson process, ``Arrivals(burst=10)`` ten at once at a
    tenth of the rate, and both together bursts at random instants.

    Raises:
        UsageError: If *burst* is less than 1.
    """

    burst: int = 1
    rng: random.Random | None = None

    def __post_init__(self) -> None:
        if self.burst < 1:
            raise UsageError(f"a burst has at least 1 request, got {self.burst}")


EVEN: Final = Arrivals()
"""One by one, evenly spaced."""


class Schedule:
    r"""When each request of an open-loop load test is due, decided before the test begins.

    Let r(t) be the rate of the phases, and N(t) the area under it: how many requests are due by t.
    Request i sits at a mark m(i) on the axis of N (evenly spaced: m(i) = i), and is due at the last t with
    N(t) <= m(i). So spacing and rate are chosen apart, and phases join without losing or doubling a request::

        N |            ___/        within a ramp from r0 to r1 over T:
        m |- - - - -_/ .               N(t) = r0 t + (r1 - r0) t^2 / 2T
          |      _/    .           due = the quadratic's root, by integer square root
          |___-^       .
          +------------+------ t

    Everything is an integer (t in ns, N in requests / U), so that nothing drifts: the ten-millionth request
    of a constant rate is due exactly when arithmetic says. ``due`` depends on nothing but i, hence shard k
    of n can own the requests with ``i % n == k`` without talking to the others.
    """

    __slots__ = (
        "_arrivals",
        "_count",
        "_marks",
        "_phases",
        "_start_marks",
        "_starts_ns",
        "_total",
        "_unit",
        "duration_ns",
    )

    duration_ns: int
    """Length of all phases together; every request is due before it."""

    def __init__(self, phases: Sequence[Phase], arrivals: Arrivals = EVEN) -> None:
        """Lay out the requests; random arrivals are drawn here, all of them.

        Raises:
            UsageError: If the phases hold no request at all.
        """
        # D is the common denominator of all rates. A rate times D is whole, and so is the area under a phase,
        # a trapezium, in units of 1 / (2 D) requests times 1 ns: U = 2 D 10**9 of them make one request.
        scale = lcm(
            1, *(Fraction(rate).denominator for each in phases for rate in (each.rate, each.end_rate))
        )
        self._unit = 2 * scale * _SECOND
        self._phases: list[tuple[int, int, int]] = []
        self._starts_ns: list[int] = []
        self._start_marks: list[int] = []
        elapsed_ns = total = 0
        for phase in phases:
            first, last = int(phase.rate * scale), int(phase.end_rate * scale)
            self._phases.append((phase.duration_ns, first, last))
            self._starts_ns.append(elapsed_ns)
            self._start_marks.append(total)
            elapsed_ns += phase.duration_ns
            total += (first + last) * phase.duration_ns
        self.duration_ns = elapsed_ns
        self._total = total
        self._arrivals = arrivals
        if not total:
            raise UsageError("the schedule holds no request; give a rate above 0")
        self._marks = None if arrivals.rng is None else self._draw_marks(arrivals.rng)
        # Even spacing puts a request on each whole number below N(end), and so may cut the last burst short.
        self._count = -(-total // self._unit) if self._marks is None else len(self._marks) * arrivals.burst

    @classmethod
    def constant(cls, rate: int | Fraction, duration_ns: int, arrivals: Arrivals = EVEN) -> Schedule:
        """Keep one rate (requests per second)."""
        return cls([Phase(duration_ns, rate)], arrivals)

    @classmethod
    def ramp(
        cls, rate: int | Fraction, to: int | Fraction, duration_ns: int, arrivals: Arrivals = EVEN
    ) -> Schedule:
        """Change evenly from one rate to another (requests per second)."""
        return cls([Phase(duration_ns, rate, to)], arrivals)

    @classmethod
    def steps(cls, rates: Sequence[int | Fraction], each_ns: int, arrivals: Arrivals = EVEN) -> Schedule:
        """Keep each rate (requests per second) for *each_ns*."""
        return cls([Phase(each_ns, rate) for rate in rates], arrivals)

    def __len__(self) -> int:
        """How many requests there are."""
        return self._count

    def due(self, index: int) -> int:
        """Return when a request is due, ns after the start; never decreases with *index*.

        Args:
            index: From 0 to ``len(self) - 1``.

        Raises:
            UsageError: If there is no such request.
        """
        if not 0 <= index < self._count:
            raise UsageError(f"the schedule holds requests 0 to {self._count - 1}, got {index}")
        group = index // self._arrivals.burst
        mark = group * self._arrivals.burst * self._unit if self._marks is None else self._marks[group]
        # Of phases that begin at the same mark the last: in a pause (rate 0) nothing is due.
        number = bisect_right(self._start_marks, mark) - 1
        return self._starts_ns[number] + _invert(*self._phases[number], mark - self._start_marks[number])

    def count(self, duration_ns: int) -> int:
        """Return how many requests are due before *duration_ns* (ns after the start)."""
        return bisect_left(range(self._count), duration_ns, key=self.due)

    def _draw_marks(self, rng: random.Random) -> list[int]:
        """Draw a Poisson process of bursts along N, where its intensity is constant in every phase."""
        spacing = self._unit * self._arrivals.burst
        marks = []
        mark = int(rng.expovariate(1.0) * spacing)
        while mark < self._total:
            marks.append(mark)
            mark += int(rng.expovariate(1.0) * spacing)
        return marks


def _invert(duration_ns: int, first: int, last: int, area: int) -> int:
    """Find the last t (ns) of a phase with no more than *area* before it.

    In the units of `Schedule` the area up to t is ``2 first t + (last - first) t^2 / duration``. Times the
    duration that is ``a t^2 + 2 b t = c``, and ``c / (b + sqrt(b^2 + a c))`` is its root for a = 0 as well.
    """
    a, b, c = last - first, first * duration_ns, area * duration_ns
    if not c:
        return 0
    t = c // (b + isqrt(b * b + a * c))
    # The square root was rounded down, so t may be too late, by a nanosecond or so.
    while t * (a * t + 2 * b) > c:
        t -= 1
    return t
