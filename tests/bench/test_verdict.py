"""The verdict: which of several faults decides, and what is only a remark."""

from __future__ import annotations

from collections import Counter

import pytest

from nadows.bench.outcome import Crossing, PhaseOutcome
from nadows.bench.thresholds import Judgement, Threshold
from nadows.bench.verdict import judge

from .outcomes import MS, kind_outcome, phase_outcome

MET = Judgement("rate > 1", "steady", 5.0, ok=True)
MISSED = Judgement("rate > 9", "steady", 5.0, ok=False)


def slow_generator() -> PhaseOutcome:
    outcome = phase_outcome()
    outcome.in_time = 990
    return outcome


def leaking() -> PhaseOutcome:
    outcome = phase_outcome()
    outcome.kinds["rest"].counts.acked -= 1
    return outcome


def disconnected() -> PhaseOutcome:
    outcome = slow_generator()
    outcome.kinds["rest"].counts.planned += 5
    outcome.kinds["rest"].counts.dropped = 5
    outcome.kinds["rest"].counts.drops = Counter({"not connected": 5})
    return outcome


def late(*, busy: int) -> PhaseOutcome:
    """Return a phase with 30 of 1000 requests 5 ms late, *busy* of them by the generator's own fault."""
    lags = [0] * 470 + [5 * MS] * 30
    outcome = phase_outcome(rest=kind_outcome([lag + MS for lag in lags], lags=lags))
    outcome.late_busy = busy
    return outcome


def test_requests_between_sockets_that_were_cut_are_a_finding() -> None:
    """A scenario that cuts sockets expects some requests to fall between; the generator is not blamed."""
    outcome = phase_outcome()
    outcome.kinds["rest"].counts.planned += 50
    outcome.kinds["rest"].counts.dropped = 50
    outcome.kinds["rest"].counts.drops = Counter({"not connected": 30, "full": 20})

    verdict = judge([outcome], [], is_cut=True)

    assert ("valid", 0) == (verdict.state, verdict.exit)
    assert ("steady: 30 requests could not be sent because the sockets were cut",) == verdict.warnings


def test_good_run_is_valid() -> None:
    """Nothing to remark on is exit code 0."""
    verdict = judge([phase_outcome()], [MET])

    assert ("valid", 0, (), ()) == (verdict.state, verdict.exit, verdict.reasons, verdict.warnings)


@pytest.mark.parametrize(
    ("outcome", "state", "code", "reason"),
    [
        (slow_generator(), "generator-limited", 97, "99.00% of the schedule was sent in time"),
        (leaking(), "invalid", 97, "rest: sent 500 is not acked + failed + unfinished 499"),
        (disconnected(), "disconnected", 1, "5 requests could not be sent because the venue was gone"),
        (late(busy=11), "generator-limited", 97, "1.1% of the requests were sent more than 1.00 ms late"),
    ],
)
def test_instrument_is_judged_before_thresholds(
    outcome: PhaseOutcome, state: str, code: int, reason: str
) -> None:
    """A fault of the instrument decides, whatever the thresholds say."""
    verdict = judge([outcome], [MISSED])

    assert (state, code) == (verdict.state, verdict.exit)
    assert reason in verdict.reasons[0]


def test_generator_at_its_limit_of_cpu() -> None:
    """A generator that uses nearly all of its CPU cannot be trusted to be on time."""
    outcome = phase_outcome()
    outcome.usage.generator_cpu_ns = 900 * MS

    verdict = judge([outcome], [])

    assert ("generator-limited", 97) == (verdict.state, verdict.exit)
    assert "the generator used 90% of its CPU" in verdict.reasons[0]


def test_failed_threshold_fails_the_run() -> None:
    """A threshold that is not met, or cannot be judged, is exit code 99 and is named."""
    unclear = Threshold.parse("response.p99.9 < 1s").judge(phase_outcome())

    verdict = judge([phase_outcome()], [MISSED, MET, unclear])

    assert ("thresholds-failed", 99) == (verdict.state, verdict.exit)
    assert (
        "steady: threshold rate > 9 was not met",
        "steady: threshold response.p99.9 < 1s cannot be judged: 1000 samples are too few for p99.9",
    ) == verdict.reasons


def test_venue_that_does_not_keep_up_is_a_finding() -> None:
    """Time-outs beyond one per cent are the result, not a fault: exit code 0, but no plain `valid`."""
    outcome = phase_outcome(rest=kind_outcome([MS] * 500, errors={"timeout": 11}))

    verdict = judge([outcome], [])

    assert ("saturated", 0) == (verdict.state, verdict.exit)
    assert (
        "steady: 1.1% of the requests were not answered in time; the venue did not keep up",
    ) == verdict.reasons


def test_interruption_comes_first() -> None:
    """A run that was stopped says so, whatever else is wrong with it."""
    assert ("interrupted", 130) == (
        (verdict := judge([leaking()], [MISSED], interrupted=True)).state,
        verdict.exit,
    )


@pytest.mark.parametrize("outcome", [slow_generator(), leaking()])
def test_lenient_turns_faults_of_the_instrument_into_warnings(outcome: PhaseOutcome) -> None:
    """With --lenient the reader is warned and the run stands."""
    verdict = judge([outcome], [MET], lenient=True)

    assert ("valid", 0) == (verdict.state, verdict.exit)
    assert 1 <= len(verdict.warnings)


def test_lateness_by_the_machines_fault_is_a_warning() -> None:
    """A generator that was not given its CPU makes latencies longer, not shorter: upper bounds."""
    verdict = judge([late(busy=2)], [])

    assert ("valid", 0) == (verdict.state, verdict.exit)
    assert (
        "2.8% of the requests were sent more than 1.00 ms late because the generator was not given"
        in (verdict.warnings[0])
    )


def test_busy_generator_on_a_busy_machine_is_not_blamed() -> None:
    """Where other processes take the CPU, answers come in bursts; whose fault lateness is cannot be told."""
    outcome = late(busy=30)
    outcome.usage.other_cpu = 0.5

    verdict = judge([outcome], [])

    assert ("valid", 0) == (verdict.state, verdict.exit)
    assert (
        "3.0% of the requests were sent more than 1.00 ms late because the generator was not given"
        in (verdict.warnings[0])
    )


def test_lateness_that_does_not_matter_is_not_mentioned() -> None:
    """Where responses take 100 ms, being 5 ms late changes little."""
    lags = [0] * 470 + [5 * MS] * 30
    outcome = phase_outcome(rest=kind_outcome([100 * MS] * 500, lags=lags))
    outcome.late_busy = 30

    assert ("valid", ()) == ((verdict := judge([outcome], [])).state, verdict.warnings)


def test_findings_about_the_venue_are_warnings() -> None:
    """Failures, missing answers and fills are findings; a threshold decides whether they matter."""
    outcome = phase_outcome(
        rest=kind_outcome([MS] * 500, errors={"2008 X": 3}, unfinished=2),
        cancel_product_orders=kind_outcome([MS], errors={"2020 Y": 1}),
    )
    outcome.crossing = Crossing(accepted=500, filled=499, missing=1)
    outcome.usage.steal, outcome.usage.other_cpu = 0.1, 0.3

    verdict = judge([outcome], [])

    assert 0 == verdict.exit
    assert [
        "steady: 4 requests failed: 2008 X (3), 2020 Y (1)",
        "steady: 2 requests had no answer when the run ended",
        "steady: 1 accepted orders that must fill had no fill on the stream",
        (
            "steady: a busy machine: the hypervisor gave 10% of the CPU time to others; "
            "other processes used 30% of the CPU time; the tails are upper bounds"
        ),
    ] == list(verdict.warnings)


def test_phases_that_are_not_recorded_are_judged_only_on_their_sums() -> None:
    """A warm-up may be late; its counts must add up all the same."""
    warmup, leaky = slow_generator(), leaking()
    warmup.recorded = leaky.recorded = False
    warmup.name = leaky.name = "warmup"

    assert "valid" == judge([warmup, phase_outcome()], []).state
    assert "invalid" == judge([leaky, phase_outcome()], []).state


def test_phase_cut_before_it_began_is_not_judged() -> None:
    """An interrupted run may have phases in which nothing was planned."""
    empty = phase_outcome(cross=kind_outcome([]), rest=kind_outcome([]))
    empty.crossing = Crossing()
    empty.usage.wall_ns = 0

    assert "interrupted" == judge([empty], [], interrupted=True).state
