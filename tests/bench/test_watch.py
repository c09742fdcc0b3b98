"""Thresholds during a run: windows slide, phases are kept apart, and what ends it is told once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from nadows.bench.outcome import Clock, KindOutcome
from nadows.bench.scenario import LoadPhase, Scenario
from nadows.bench.thresholds import Threshold
from nadows.bench.watch import Part, Watch, judge_all
from nadows.errors import UsageError

from .outcomes import MS, histogram_of, phase_outcome

SECOND = 10**9


def part(second: int, *values: int, phase: int = 1, clock: Clock = "response", errors: int = 0) -> Part:
    outcome = KindOutcome(clocks={clock: histogram_of(*values), "errors": histogram_of(*values[:errors])})
    return Part(phase, second * SECOND, {"cross": outcome})


def watch(*thresholds: Threshold) -> Watch:
    phases = (
        LoadPhase("warmup", Fraction(1), SECOND, record=False),
        LoadPhase("steady", Fraction(1), 10 * SECOND),
    )
    return Watch(Scenario(name="x", phases=phases, thresholds=thresholds))


def test_condition_that_fails_ends_the_run() -> None:
    """Everything measured so far is looked at, interval by interval."""
    watching = watch(Threshold.parse("response.max < 5ms", abort=True))

    assert watching.take([part(1, MS)]) is None
    ending = watching.take([part(2, 6 * MS)])

    assert ending is not None
    assert (6 * MS, False, "steady") == (ending.value, ending.ok, ending.phase)


def test_warm_up_and_other_phases_are_not_looked_at() -> None:
    """Only what counts is judged, and only where the threshold says."""
    threshold = Threshold.parse("response.max < 5ms", "steady", abort=True)

    assert watch(threshold).take([part(1, 6 * MS, phase=0)]) is None
    assert watch(threshold).take([part(1, 6 * MS)]) is not None


def test_nothing_is_judged_before_its_time() -> None:
    """A condition may be given time to settle."""
    watching = watch(Threshold.parse("response.max < 5ms", abort=True, after_ns=3 * SECOND))

    assert watching.take([part(2, 6 * MS)]) is None
    assert watching.take([part(3, 1 * MS)]) is not None


def test_window_forgets() -> None:
    """What lies further back than the window does not count any more."""
    watching = watch(
        Threshold.parse("errors.rate < 50%", window_ns=2 * SECOND, after_ns=2 * SECOND, abort=True)
    )

    assert watching.take([part(1, MS, MS, errors=2)]) is None
    assert watching.take([part(3, MS, MS, errors=0)]) is None
    assert watching.take([part(4, MS, MS, errors=2)]) is not None


def test_window_is_broken_without_ending_the_run() -> None:
    """It is judged as not met at the end, also if the whole phase would do."""
    threshold = Threshold.parse("response.max < 5ms", window_ns=SECOND)
    watching = watch(threshold)

    assert watching.take([part(1, 6 * MS)]) is None
    assert watching.take([part(2, 7 * MS)]) is None

    assert 6 * MS == watching.broken[threshold, "steady"].value
    assert [False] == [each.ok for each in judge_all([threshold], [phase_outcome()], watching.broken)]


def test_window_that_held_has_held() -> None:
    """The phase as a whole may be worse than any of its windows may be."""
    threshold = Threshold.parse("response.max < 1ns", window_ns=SECOND)

    assert [True] == [each.ok for each in judge_all([threshold], [phase_outcome()], {})]
    whole = replace(threshold, window_ns=0)
    assert [False] == [each.ok for each in judge_all([whole], [phase_outcome()], {})]


def test_each_phase_is_judged_by_itself() -> None:
    """What one phase broke does not fail the next, and what it measured does not count there."""
    threshold = Threshold.parse("response.max < 5ms", window_ns=9 * SECOND)
    named = Threshold.parse("response.max < 9ms", "second", window_ns=SECOND)
    phases = (LoadPhase("first", Fraction(1), SECOND), LoadPhase("second", Fraction(1), SECOND))
    watching = Watch(Scenario(name="x", phases=phases, thresholds=(threshold, named)))
    watching.take([part(1, 6 * MS, phase=0)])
    watching.take([part(2, MS, phase=1)])
    outcomes = [phase_outcome(), phase_outcome()]
    outcomes[0].name, outcomes[1].name = "first", "second"

    judged = judge_all([threshold, named], outcomes, watching.broken)

    assert [("first", False), ("second", True), ("second", True)] == [
        (each.phase, each.ok) for each in judged
    ]


def test_too_few_samples_are_not_judged() -> None:
    """A percentile of a second may have nothing to say."""
    watching = watch(Threshold.parse("response.p99 < 1ns", abort=True))

    assert watching.take([part(1, *[MS] * 20)]) is None
    assert watching.take([]) is None
    assert watching.take([part(2, *[MS] * 2000)]) is not None


@pytest.mark.parametrize("expr", ["dropped.count == 0", "rate >= 9rps"])
def test_what_is_known_at_the_end_cannot_end_the_run(expr: str) -> None:
    """Neither is part of what an interval tells."""
    with pytest.raises(UsageError, match="known at the end alone"):
        Threshold.parse(expr, abort=True)
