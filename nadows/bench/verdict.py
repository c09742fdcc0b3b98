"""The verdict: the instrument is judged before the venue.

A slow venue is a finding; a generator that could not keep its own schedule makes every finding worthless, so
that is looked at first. In this order, the first that applies:

==================  ====  =============================================================================
state               exit  when
==================  ====  =============================================================================
interrupted          130  somebody stopped it; the report holds what was measured until then
disconnected           1  requests could not be sent because the venue was gone
invalid               97  the counts do not add up, or a generator of several was lost
generator-limited     97  the generator did not keep the schedule, so the venue was not really tested
thresholds-failed     99  a threshold was not met
regressed             98  worse than the baseline (said by ``nadows bench``, which knows it)
saturated              0  over 1 % of the requests were not answered in time: what was found is a limit
valid                  0  otherwise
==================  ====  =============================================================================

``lenient`` turns *invalid* and *generator-limited* into warnings.

That the machine was busy with other things is a warning too. It makes latencies longer and never shorter,
since they count from the schedule: what is reported then is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nadows.bench.outcome import ALL, FOLLOW_UP, LATE_NS, PhaseOutcome
from nadows.bench.quantities import show_ns
from nadows.bench.recorder import TIMEOUT
from nadows.bench.thresholds import Judgement

__all__ = ["Verdict", "generator_faults", "judge", "warnings"]

SENT_RATIO: Final = 0.995
"""Share of the schedule that must have been sent while it lasted."""
LATE_SHARE: Final = 0.01
LAG_SHARE: Final = 0.1
"""The generator's own lateness may make up so much of the 99th percentile of the response."""
GENERATOR_CPU: Final = 0.85
"""Beyond it requests queue in the generator, whatever the venue does."""
UNANSWERED_SHARE: Final = 0.01
STEAL: Final = 0.05
OTHER_CPU: Final = 0.2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to make of a run."""

    state: str
    exit: int
    reasons: tuple[str, ...]
    """Why it is not valid; empty if it is."""
    warnings: tuple[str, ...]
    """What to bear in mind when reading the numbers."""


def judge(
    outcomes: Sequence[PhaseOutcome],
    judgements: Iterable[Judgement],
    *,
    interrupted: bool = False,
    lenient: bool = False,
    is_cut: bool = False,
    lost: Sequence[str] = (),
    processes: int = 1,
) -> Verdict:
    """Judge a run.

    Args:
        outcomes: Of all phases; only recorded ones count.
        judgements: Of the thresholds.
        interrupted: Whether it was stopped before its end.
        lenient: Warn of faults of the instrument instead of failing.
        is_cut: Whether the scenario itself cuts the sockets; requests that fall between two connections are
            then a finding, and not the end of the venue.
        lost: Generators that ended before they were through.
        processes: How many generators there were.
    """
    recorded = [outcome for outcome in outcomes if outcome.recorded]
    # What a lost generator had measured is in the histograms and not in the counts; that is said once.
    leaks = list(lost) or [f"{outcome.name}: {leak}" for outcome in outcomes for leak in outcome.leaks()]
    faults = [
        f"{outcome.name}: {fault}" for outcome in recorded for fault in generator_faults(outcome, processes)
    ]
    cut_off = [
        f"{outcome.name}: {count} requests could not be sent because "
        + ("the sockets were cut" if is_cut else "the venue was gone")
        for outcome in recorded
        if (count := outcome.counts().drops["not connected"])
    ]
    drowned = [f"{outcome.name}: {note}" for outcome in recorded if (note := _drowned(outcome))]
    failed = [f"{each.phase}: {_why(each)}" for each in judgements if not each.ok]
    notes = [f"{outcome.name}: {note}" for outcome in recorded for note in warnings(outcome)]
    if is_cut:
        notes = cut_off + notes
    if lenient:
        notes, leaks, faults = leaks + faults + notes, [], []
    for state, code, reasons in (
        ("interrupted", 130, ["stopped before the end of the schedule"] if interrupted else []),
        ("disconnected", 1, [] if is_cut else cut_off),
        ("invalid", 97, leaks),
        ("generator-limited", 97, faults),
        ("thresholds-failed", 99, failed),
        ("saturated", 0, drowned),
    ):
        if reasons:
            return Verdict(state, code, tuple(reasons), tuple(notes))
    return Verdict("valid", 0, (), tuple(notes))


def generator_faults(outcome: PhaseOutcome, processes: int = 1) -> list[str]:
    """Say how the generator failed to keep the schedule of a phase; nothing if it kept it."""
    if not outcome.counts().planned:
        return []
    faults = []
    counts = outcome.counts()
    # What nobody could have sent is no fault of the generator's.
    tried = outcome.in_time + counts.drops["not connected"] + counts.drops["full"]
    if tried < SENT_RATIO * counts.planned:
        faults.append(
            f"{outcome.sent_ratio:.2%} of the schedule was sent in time, {SENT_RATIO:.1%} must be; "
            "lower the rate or give the generator more of a CPU"
        )
    late = outcome.late_busy / outcome.counts().sent if outcome.counts().sent else 0.0
    # On a busy machine a venue that got its CPU back answers in bursts, which make the generator late too;
    # who is to blame cannot be told then, and the busy machine is noted.
    if late > LATE_SHARE and _lag_matters(outcome) and not _is_noisy(outcome):
        faults.append(
            f"{late:.1%} of the requests were sent more than {show_ns(LATE_NS)} late "
            "because the generator was busy; response times hold its own lateness"
        )
    wall_ns = outcome.usage.wall_ns * processes
    used = outcome.usage.generator_cpu_ns / wall_ns if wall_ns else 0.0
    if used > GENERATOR_CPU:
        faults.append(f"the generator used {used:.0%} of its CPU, more than {GENERATOR_CPU:.0%} of it")
    return faults


def _lag_matters(outcome: PhaseOutcome) -> bool:
    """Say whether the generator's lateness is a good part of what was measured."""
    response = outcome.histogram(ALL, "response").percentile(99)
    return outcome.histogram(ALL, "lag").percentile(99) > max(LATE_NS, LAG_SHARE * response)


def _drowned(outcome: PhaseOutcome) -> str:
    """Say how far the venue fell behind; nothing if it kept up."""
    counts = outcome.counts()
    unanswered = counts.errors[TIMEOUT] + counts.unfinished
    if unanswered <= UNANSWERED_SHARE * counts.sent:
        return ""
    return (
        f"{unanswered / counts.sent:.1%} of the requests were not answered in time; the venue did not keep up"
    )


def _is_noisy(outcome: PhaseOutcome) -> bool:
    return outcome.usage.steal > STEAL or outcome.usage.other_cpu > OTHER_CPU


def warnings(outcome: PhaseOutcome) -> list[str]:
    """Say what else a reader of the numbers should know."""
    notes = []
    counts, cancels, crossing = outcome.counts(), outcome.counts(FOLLOW_UP), outcome.crossing
    failed = counts.errors + cancels.errors
    if failed:
        listed = ", ".join(f"{name} ({count})" for name, count in failed.most_common(3))
        notes.append(f"{failed.total()} requests failed: {listed}")
    if counts.unfinished:
        notes.append(f"{counts.unfinished} requests had no answer when the run ended")
    if crossing.missing:
        notes.append(f"{crossing.missing} accepted orders that must fill had no fill on the stream")
    return notes + _noise(outcome)


def _noise(outcome: PhaseOutcome) -> list[str]:
    """Say what the machine did to the numbers. It can only make them worse, so they stand as upper bounds."""
    usage, signs = outcome.usage, []
    sent = outcome.counts().sent
    waited = outcome.late - (0 if _is_noisy(outcome) else outcome.late_busy)
    if sent and waited > LATE_SHARE * sent and _lag_matters(outcome):
        signs.append(
            f"{waited / sent:.1%} of the requests were sent more than {show_ns(LATE_NS)} late because the "
            "generator was not given its CPU"
        )
    if usage.steal > STEAL:
        signs.append(f"the hypervisor gave {usage.steal:.0%} of the CPU time to others")
    if usage.other_cpu > OTHER_CPU:
        signs.append(f"other processes used {usage.other_cpu:.0%} of the CPU time")
    return [f"a busy machine: {'; '.join(signs)}; the tails are upper bounds"] if signs else []


def _why(judgement: Judgement) -> str:
    if judgement.value is None:
        return f"threshold {judgement.expr} cannot be judged: {judgement.reason}"
    return f"threshold {judgement.expr} was not met"
