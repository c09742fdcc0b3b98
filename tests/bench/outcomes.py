"""Outcomes to judge: a phase that went well, to be bent by each test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from nadows.bench.histogram import Histogram
from nadows.bench.outcome import Counts, Crossing, Kind, KindOutcome, PhaseOutcome, Usage

MS = 1_000_000


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def kind_outcome(
    responses: Sequence[int],
    *,
    lags: Sequence[int] | None = None,
    events: Sequence[int] = (),
    errors: dict[str, int] | None = None,
    unfinished: int = 0,
) -> KindOutcome:
    """Return an outcome whose counts and histograms agree."""
    failed = Counter(errors or {})
    lags = [0] * len(responses) if lags is None else lags
    counts = Counts(
        planned=len(responses),
        sent=len(responses),
        acked=len(responses) - failed.total() - unfinished,
        failed=failed.total(),
        unfinished=unfinished,
        errors=failed,
    )
    services = [response - lag for response, lag in zip(responses, lags, strict=True)]
    return KindOutcome(
        counts,
        {
            "response": histogram_of(*responses),
            "service": histogram_of(*services),
            "lag": histogram_of(*lags),
            "event": histogram_of(*events),
            "errors": histogram_of(*responses[: failed.total()]),
        },
    )


def phase_outcome(**kinds: KindOutcome) -> PhaseOutcome:
    """Return a phase of 1000 requests at 1000 a second, or of the kinds given."""
    chosen: dict[Kind, KindOutcome] = {"cross": kind_outcome([2 * MS] * 500, events=[3 * MS] * 500)}
    chosen["rest"] = kind_outcome([MS] * 500)
    chosen |= kinds
    return PhaseOutcome(
        name="steady",
        target_rate=Fraction(1000),
        duration_ns=10**9,
        kinds=chosen,
        in_time=sum(each.counts.sent for kind, each in chosen.items() if kind != "cancel_product_orders"),
        crossing=Crossing(accepted=500, filled=500),
        usage=Usage(wall_ns=10**9, generator_cpu_ns=400 * MS, venue_cpu_ns=450 * MS, rss_bytes=50_000_000),
    )
