"""Thresholds that are looked at while a run goes on: those that end it, and those of a window.

A window slides over the run in steps of the generator's intervals (a second); its condition must hold in each
of them. Histograms add up, so a window is the sum of its intervals. What has too few samples to be judged is
not judged until it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from nadows.bench.outcome import Counts, Kind, KindOutcome, PhaseOutcome
from nadows.bench.scenario import Scenario
from nadows.bench.thresholds import Judgement, Threshold

__all__ = ["Part", "Watch", "judge_all"]


class Part(NamedTuple):
    """What one interval gave of one phase."""

    phase: int
    at_ns: int
    """Its end, ns after the start."""
    kinds: dict[Kind, KindOutcome]
    """Only the clocks."""


def judge_all(
    thresholds: Iterable[Threshold],
    outcomes: Iterable[PhaseOutcome],
    broken: Mapping[tuple[Threshold, str], Judgement],
) -> list[Judgement]:
    """Judge thresholds at the end of a run.

    Args:
        thresholds: Of the scenario.
        outcomes: Of all phases; only recorded ones count.
        broken: What did not hold while the run went on, by threshold and phase.
    """
    recorded = [outcome for outcome in outcomes if outcome.recorded]
    judgements = []
    for threshold in thresholds:
        for outcome in recorded:
            if threshold.phase not in (None, outcome.name):
                continue
            found = broken.get((threshold, outcome.name))
            if found is not None:
                judgements.append(found)
                continue
            judgement = threshold.judge(outcome)
            # It held in each window; the whole phase may be worse than any of them may be.
            held = threshold.window_ns > 0 and judgement.value is not None
            judgements.append(replace(judgement, ok=True) if held else judgement)
    return judgements


class Watch:
    """Follows a run interval by interval."""

    def __init__(self, scenario: Scenario) -> None:
        self._phases = scenario.phases
        self._thresholds = [each for each in scenario.thresholds if each.abort or each.window_ns]
        self._parts: dict[int, deque[Part]] = {number: deque() for number in range(len(self._thresholds))}
        self.broken: dict[tuple[Threshold, str], Judgement] = {}
        """The first time in each phase that a condition did not hold."""

    def take(self, parts: Sequence[Part]) -> Judgement | None:
        """Take an interval; return the judgement that ends the run, if one does."""
        ending: Judgement | None = None
        for number, threshold in enumerate(self._thresholds):
            kept = self._parts[number]
            kept.extend(part for part in parts if self._counts(threshold, part.phase))
            if not parts or not kept:
                continue
            now_ns = parts[-1].at_ns
            # Each phase is judged by itself, and a window does not look back into the one before.
            while kept and kept[0].phase != kept[-1].phase:
                kept.popleft()
            while threshold.window_ns and kept and kept[0].at_ns <= now_ns - threshold.window_ns:
                kept.popleft()
            if now_ns < threshold.after_ns or not kept:
                continue
            judgement = threshold.judge(self._sum(kept))
            if judgement.value is None or judgement.ok:
                continue
            self.broken.setdefault((threshold, judgement.phase), judgement)
            if threshold.abort and ending is None:
                ending = judgement
        return ending

    def _counts(self, threshold: Threshold, phase: int) -> bool:
        return self._phases[phase].record and threshold.phase in (None, self._phases[phase].name)

    def _sum(self, parts: Sequence[Part] | deque[Part]) -> PhaseOutcome:
        kinds: dict[Kind, KindOutcome] = {}
        for part in parts:
            for kind, outcome in part.kinds.items():
                whole = kinds.setdefault(kind, KindOutcome())
                for clock, histogram in outcome.clocks.items():
                    whole.clock(clock).add(histogram)
        for outcome in kinds.values():
            answered, failed = outcome.clock("response").count, outcome.clock("errors").count
            outcome.counts = Counts(sent=answered, acked=answered - failed, failed=failed)
        last = self._phases[parts[-1].phase]
        return PhaseOutcome(last.name, last.mean_rate, last.duration_ns, kinds=kinds)
