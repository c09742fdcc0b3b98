"""What a phase gave must add up, and says so where it does not."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from nadows.bench.outcome import Counts, KindOutcome, PhaseOutcome

from .outcomes import MS, kind_outcome, phase_outcome


def test_good_phase_leaks_nothing() -> None:
    """Counts and histograms that agree are not remarked on."""
    assert [] == phase_outcome().leaks()


def test_operations_add_up_their_kinds() -> None:
    """The whole schedule is crossing and resting orders; cancellations that follow are no part of it."""
    outcome = phase_outcome(cancel_product_orders=kind_outcome([5 * MS]))

    assert 1000 == outcome.counts().sent
    assert 1000 == outcome.histogram("place_order", "response").count
    assert (1, 500) == (outcome.counts("cancel_product_orders").sent, outcome.counts("rest").sent)


def test_lost_requests_are_named() -> None:
    """Each sum that is wrong is told with both of its sides."""
    counts = Counts(planned=10, sent=8, dropped=1, acked=5, failed=2, unfinished=0, errors=Counter(x=1))

    assert [
        "planned 10 is not sent + dropped 9",
        "sent 8 is not acked + failed + unfinished 7",
        "failed 2 is not sum of errors 1",
        "dropped 1 is not sum of reasons 0",
    ] == counts.leaks()


def test_lost_samples_and_fills_are_named() -> None:
    """A histogram must hold every request that was sent; an accepted order is filled or missing."""
    outcome = phase_outcome(rest=KindOutcome(Counts(planned=1, sent=1, acked=1), {}))
    outcome.crossing.filled = 499

    assert [
        "rest: response holds 0 samples of 1 sent",
        "rest: service holds 0 samples of 1 sent",
        "rest: lag holds 0 samples of 1 sent",
        "cross: accepted 500 is not filled 499 + missing 0",
    ] == outcome.leaks()


def test_phase_without_requests_has_sent_nothing_of_nothing() -> None:
    """An empty phase divides by no zero."""
    outcome = PhaseOutcome(name="empty", target_rate=Fraction(1), duration_ns=1)

    assert (0.0, 0, []) == (outcome.sent_ratio, outcome.late, outcome.leaks())


def test_late_is_more_than_a_millisecond() -> None:
    """Requests sent 1 ms after they were due are in time, those after 2 ms are late."""
    lags = [MS // 2] * 480 + [2 * MS] * 20

    assert 20 == phase_outcome(rest=kind_outcome([5 * MS] * 500, lags=lags)).late
