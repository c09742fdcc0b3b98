"""What a phase of a run gave: counts that must add up, and one histogram for each clock.

Three clocks start or stop for each request, all on the generator's monotonic clock: *due* (the schedule),
*sent* (the generator turns to it: signing and encoding are the client's work and come after), and *received*
(the answer reaches the caller).

======== ======================= ===========================================================
response received - due          the headline: what somebody waits who wanted it at that time
service  received - sent         the client's work and the venue's, without waiting in line
lag      sent - due              the generator's own lateness
event    fill on the stream - due  only for orders that cross
======== ======================= ===========================================================

What a request does is its *kind*; kinds are reported under *operations*, of which ``all`` is the whole
schedule.

Every request that was sent is in response and service: refused ones too, and those without an answer at their
age when they were given up. Leaving them out would flatter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal

from nadows.bench.histogram import Histogram

__all__ = [
    "ALL",
    "CLOCKS",
    "FAMILIES",
    "FOLLOW_UP",
    "LATE_NS",
    "OPERATIONS",
    "QUERIES",
    "Clock",
    "Counts",
    "Crossing",
    "Kind",
    "KindOutcome",
    "PhaseOutcome",
    "Usage",
]

Kind = str
"""What a request does: a name of `OPERATIONS` that stands for itself alone."""
Clock = Literal["response", "service", "lag", "event", "errors"]

CLOCKS: Final[tuple[Clock, ...]] = ("response", "service", "lag", "event")
LATE_NS: Final = 1_000_000
"""A request is late when it is sent so long after it was due: half of what any timer but ours is off."""
ALL: Final = "all"
"""The operation that is the whole schedule."""
FOLLOW_UP: Final[Kind] = "cancel_product_orders"
"""The one kind that the schedule does not ask for: it follows from orders that rest, and is counted apart."""
QUERIES: Final[tuple[Kind, ...]] = (
    "query_all_products",
    "query_contracts",
    "query_fee_rates",
    "query_market_liquidity",
    "query_market_price",
    "query_status",
    "query_subaccount_info",
    "query_subaccount_orders",
    "query_symbols",
)
FAMILIES: Final = (ALL, *("place_order", "cancel_and_place", "cancel_orders", "query", "connect"), FOLLOW_UP)
"""The operations that a report lists; the others are parts of these."""
_SINGLE: Final[tuple[Kind, ...]] = (
    *("cross", "rest", "cancel_and_place", "cancel_orders"),
    *(*QUERIES, "connect"),
)
_OPERATIONS: Final[dict[str, tuple[Kind, ...]]] = {
    ALL: _SINGLE,
    "place_order": ("cross", "rest"),
    "query": QUERIES,
    **{kind: (kind,) for kind in (*_SINGLE, FOLLOW_UP)},
}
OPERATIONS: Final = tuple(_OPERATIONS)
"""Names under which kinds are reported, the whole schedule first."""


@dataclass(slots=True)
class Counts:
    """What became of requests: ``planned = sent + dropped`` and ``sent = acked + failed + unfinished``."""

    planned: int = 0
    sent: int = 0
    dropped: int = 0
    """Due, but never sent: the generator could not, or had no connection."""
    acked: int = 0
    failed: int = 0
    """Refused, or given up after the time-out."""
    unfinished: int = 0
    """Without an answer when the run was cut short."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failures by the venue's code, or ``timeout``, ``connection``."""
    drops: Counter[str] = field(default_factory=Counter)
    """Dropped requests by reason."""

    def add(self, other: Counts) -> None:
        """Add the counts of *other*."""
        self.planned += other.planned
        self.sent += other.sent
        self.dropped += other.dropped
        self.acked += other.acked
        self.failed += other.failed
        self.unfinished += other.unfinished
        self.errors.update(other.errors)
        self.drops.update(other.drops)

    def leaks(self) -> list[str]:
        """Say where the counts do not add up; nothing if they do."""
        sums = [
            ("planned", self.planned, "sent + dropped", self.sent + self.dropped),
            ("sent", self.sent, "acked + failed + unfinished", self.acked + self.failed + self.unfinished),
            ("failed", self.failed, "sum of errors", self.errors.total()),
            ("dropped", self.dropped, "sum of reasons", self.drops.total()),
        ]
        return [f"{name} {value} is not {of} {total}" for name, value, of, total in sums if value != total]


@dataclass(slots=True)
class KindOutcome:
    """Counts and clocks of one kind of request."""

    counts: Counts = field(default_factory=Counts)
    clocks: dict[Clock, Histogram] = field(default_factory=dict)

    def clock(self, clock: Clock) -> Histogram:
        """Return a histogram, empty if nothing was recorded."""
        return self.clocks.setdefault(clock, Histogram())


@dataclass(slots=True)
class Crossing:
    """What became of the orders that must fill."""

    accepted: int = 0
    """Answered with success."""
    filled: int = 0
    """Accepted, and their fill was seen on the stream."""
    missing: int = 0
    """Accepted, but no fill was seen until the end of the drain."""


@dataclass(slots=True)
class Usage:
    """What the processes used during a phase."""

    wall_ns: int = 0
    generator_cpu_ns: int = 0
    venue_cpu_ns: int | None = None
    """``None`` if the venue is not ours."""
    involuntary_switches: int = 0
    """How often the generator was taken off its CPU."""
    rss_bytes: int = 0
    """Peak memory of the generator."""
    steal: float = 0.0
    """Share of all CPUs' time that the hypervisor gave to others."""
    other_cpu: float = 0.0
    """Share of all CPUs' time that other processes of this machine used."""


@dataclass(slots=True)
class PhaseOutcome:
    """What one phase gave."""

    name: str
    target_rate: Fraction
    duration_ns: int
    """As planned; shorter if the run was cut."""
    recorded: bool = True
    kinds: dict[Kind, KindOutcome] = field(default_factory=dict)
    in_time: int = 0
    """Scheduled requests sent before the end of the phase."""
    late_busy: int = 0
    """Scheduled requests that were late because the generator was busy; the other late ones had no CPU."""
    inflight_max: int = 0
    late_answers: int = 0
    """Answers that came after their request had been given up."""
    crossing: Crossing = field(default_factory=Crossing)
    usage: Usage = field(default_factory=Usage)

    def counts(self, operation: str = ALL) -> Counts:
        """Return the counts of an operation (see `OPERATIONS`)."""
        total = Counts()
        for outcome in self._of(operation):
            total.add(outcome.counts)
        return total

    def histogram(self, operation: str, clock: Clock) -> Histogram:
        """Return the distribution of an operation on a clock."""
        return Histogram.merged(outcome.clock(clock) for outcome in self._of(operation))

    @property
    def sent_ratio(self) -> float:
        """Share of the schedule that was sent before the phase ended."""
        planned = self.counts().planned
        return self.in_time / planned if planned else 0.0

    @property
    def late(self) -> int:
        """Scheduled requests that were sent late (see `LATE_NS`)."""
        lag = self.histogram(ALL, "lag")
        return lag.count - lag.count_within(LATE_NS)

    def leaks(self) -> list[str]:
        """Say where counts and histograms do not add up; nothing if they do."""
        found: list[str] = []
        for kind, outcome in self.kinds.items():
            counts = outcome.counts
            found += [f"{kind}: {leak}" for leak in counts.leaks()]
            clocks: Sequence[Clock] = ("response", "service", "lag")
            found += [
                f"{kind}: {clock} holds {held} samples of {counts.sent} sent"
                for clock in clocks
                if (held := outcome.clock(clock).count) != counts.sent
            ]
        crossing = self.crossing
        if crossing.accepted != crossing.filled + crossing.missing:
            found.append(
                f"cross: accepted {crossing.accepted} is not filled {crossing.filled} "
                f"+ missing {crossing.missing}"
            )
        return found

    def _of(self, operation: str) -> Iterable[KindOutcome]:
        return [self.kinds[kind] for kind in _OPERATIONS[operation] if kind in self.kinds]
