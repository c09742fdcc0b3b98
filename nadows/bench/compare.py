"""Is the new run slower than the old one, or is that noise?

One run a side: a metric has changed when the 95 % ranges of both sides do not touch and they lie more than
`MIN_EFFECT` apart. With four or more a side, the ranks of the runs decide instead of the ranges within them:
the spread between runs is the larger one. Metrics are those of the block ``ci`` of a result; all of them are
about the recorded phases together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any, Final

from nadows.bench.histogram import Histogram
from nadows.bench.outcome import ALL, Clock
from nadows.bench.ranks import mann_whitney
from nadows.errors import UsageError

__all__ = ["Change", "Comparison", "FailOn", "compare"]

MIN_EFFECT: Final = 0.05
"""A change below it is of no interest, however certain."""
RANKED: Final = 4
"""Runs a side from which on their ranks decide: with three even the clearest difference may be chance."""
SIGNIFICANT: Final = 0.05

_METRICS: Final[Mapping[str, tuple[str, int]]] = {
    "rps": ("rps", -1),
    "errors": ("error_rate", +1),
    "p50": ("p50_ms", +1),
    "p99": ("p99_ms", +1),
    "p99.9": ("p999_ms", +1),
    "fill_p50": ("fill_p50_ms", +1),
    "fill_p99": ("fill_p99_ms", +1),
}
"""Key in ``ci``, and which way is worse."""
_TIMED: Final[Mapping[str, tuple[Clock, float]]] = {
    "p50": ("response", 50.0),
    "p99": ("response", 99.0),
    "p99.9": ("response", 99.9),
    "fill_p50": ("event", 50.0),
    "fill_p99": ("event", 99.0),
}
_FAIL_ON: Final = re.compile(
    r"([a-z_]+\d*(?:\.\d+)?)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%", re.ASCII
).fullmatch
_COMPARED_ENVIRONMENT: Final = ("cpu", "cores", "python", "loop", "transport", "versions", "pacer", "kernel")


@dataclass(frozen=True, slots=True)
class Change:
    """One metric on both sides."""

    metric: str
    old: float | None
    """Median of the runs; ``None`` if none of them has it."""
    new: float | None
    delta: float | None
    """Relative to the old one; ``None`` if that is missing or 0."""
    verdict: str
    """``same``, ``better``, ``worse``, or ``unknown``."""
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, metric by metric."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    """How the two sides differ beyond what was measured."""

    def failures(self, fail_on: Sequence[FailOn] = ()) -> list[str]:
        """Say what got worse: by the given conditions, or else whatever is *worse*."""
        if not fail_on:
            return [f"{each.metric}: {each.why}" for each in self.changes if each.verdict == "worse"]
        found = {each.metric: each for each in self.changes}
        return [text for each in fail_on if (text := each.broken_by(found[each.metric]))]


@dataclass(frozen=True, slots=True)
class FailOn:
    """A condition such as ``p99>+10%``: how far a metric may move."""

    metric: str
    relation: str
    bound: Fraction

    @classmethod
    def parse(cls, text: str) -> list[FailOn]:
        """Read conditions, joined by commas.

        Raises:
            UsageError: If one is none, or of a metric that does not exist.
        """
        found = []
        for part in text.split(","):
            match = _FAIL_ON(part.strip())
            if match is None or match[1] not in _METRICS:
                raise UsageError(
                    f"--fail-on {part.strip()!r}: write a metric and how far it may move, such as p99>+10%; "
                    f"metrics are {', '.join(_METRICS)}"
                )
            found.append(cls(match[1], match[2], Fraction(match[3]) / 100))
        return found

    def broken_by(self, change: Change) -> str:
        """Say how a change breaks it; nothing if it does not."""
        if change.delta is None:
            return ""
        moved = change.delta > self.bound if self.relation == ">" else change.delta < self.bound
        bound = f"{self.metric}{self.relation}{float(self.bound):+.0%}"
        return f"{self.metric}: {change.delta:+.1%}, and {bound} fails" if moved else ""


def compare(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], *, force: bool = False
) -> Comparison:
    """Compare results, one or more a side.

    Args:
        old: As ``result.json`` holds them.
        new: The same.
        force: Compare also what did different work.

    Raises:
        UsageError: If a side is empty, or the work differs.
    """
    if not old or not new:
        raise UsageError("a comparison needs a result on both sides")
    hashes = {each["run"]["scenario_sha256"] for each in (*old, *new)}
    warnings = []
    if len(hashes) > 1:
        if not force:
            raise UsageError(
                "these runs did different work, so their numbers say nothing; --force compares them"
            )
        warnings.append("the runs did different work")
    warnings += _environments(old[0]["env"], new[0]["env"])
    for name, side in (("old", old), ("new", new)):
        states = sorted({each["verdict"]["state"] for each in side} - {"valid"})
        if states:
            warnings.append(f"{name}: a run is {', '.join(states)}")
    return Comparison(tuple(_change(metric, old, new) for metric in _METRICS), tuple(warnings))


def _environments(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} differs: {old.get(key)} and {new.get(key)}"
        for key in _COMPARED_ENVIRONMENT
        if old.get(key) != new.get(key)
    ]


def _change(metric: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Change:
    key, worse = _METRICS[metric]
    before = [value for each in old if (value := each["ci"].get(key)) is not None]
    after = [value for each in new if (value := each["ci"].get(key)) is not None]
    if not before or not after:
        return Change(
            metric,
            median(before or [0]) if before else None,
            median(after) if after else None,
            None,
            "unknown",
            "not measured on both sides",
        )
    first, second = median(before), median(after)
    delta = second / first - 1 if first else None
    is_apart, why = _apart(metric, old, new, before, after)
    if delta is None:
        # From nothing to something: of errors even one is worth a word.
        verdict = "same" if second == first else "worse" if (second - first) * worse > 0 else "better"
        return Change(metric, first, second, None, verdict, f"{first:g} and {second:g}")
    if not is_apart or abs(delta) <= MIN_EFFECT:
        return Change(metric, first, second, delta, "same", f"{delta:+.1%}, {why}")
    return Change(
        metric, first, second, delta, "worse" if delta * worse > 0 else "better", f"{delta:+.1%}, {why}"
    )


def _apart(
    metric: str,
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    before: Sequence[float],
    after: Sequence[float],
) -> tuple[bool, str]:
    """Say whether the sides differ by more than chance, and how that was found."""
    if len(before) >= RANKED and len(after) >= RANKED:
        chance = mann_whitney(before, after)
        return chance < SIGNIFICANT, f"rank test of {len(before)} and {len(after)} runs: p = {chance:.3f}"
    if metric not in _TIMED:
        return True, "one number a side"
    clock, percentile = _TIMED[metric]
    first, second = (_merged(side, clock).confidence(percentile) for side in (old, new))
    touching = first[0] <= second[1] and second[0] <= first[1]
    return not touching, f"95 % ranges {'touch' if touching else 'lie apart'}"


def _merged(results: Sequence[Mapping[str, Any]], clock: Clock) -> Histogram:
    entries = [
        entry
        for result in results
        for phase in result["phases"]
        if phase["recorded"] and (entry := phase["ops"][ALL].get(clock)) is not None
    ]
    return Histogram.merged(Histogram.decode(entry["hdr"], entry) for entry in entries)
