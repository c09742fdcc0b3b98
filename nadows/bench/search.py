"""The highest rate that still meets an objective: double, bisect, confirm.

Short trials find the neighbourhood, longer ones the place: the rate is doubled until a trial fails, the gap
is halved until it is narrow, and the winner must hold twice in a row for longer, or it is lowered step by
step.
When trials fail because the generator could not keep its schedule, the answer is "at least", never "is".

Source of the idea of growing trials: MLRsearch (draft-ietf-bmwg-mlrsearch).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from nadows.errors import UsageError

__all__ = ["Found", "Result", "Trial", "search"]

CONFIRMATIONS: Final = 2
STEP_DOWN: Final = Fraction(95, 100)


class Result(Enum):
    """What became of a trial."""

    MET = "met"
    MISSED = "missed"
    GENERATOR = "generator-limited"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run to be made."""

    rate: Fraction
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search."""

    rate: Fraction | None
    """The highest rate that held; ``None`` if not even the lowest did."""
    is_lower_bound: bool
    """Whether the generator gave up before the venue did, or the search ran into its own limit."""


def search(
    start: Fraction,
    most: Fraction,
    *,
    width: Fraction = Fraction(5, 100),
    trial_ns: int = 3_000_000_000,
    confirm_ns: int = 10_000_000_000,
) -> Generator[Trial, Result, Found]:
    """Yield trials, be sent their results, return what was found.

    Args:
        start: The first rate; it is halved until it holds, a few times.
        most: Never tried beyond.
        width: How close, relative to it, the answer must be to a rate that fails.
        trial_ns: Length of the first trials; those of the bisection are half as long again.
        confirm_ns: Length of the confirmations.

    Raises:
        UsageError: If a number makes no sense.
    """
    if not 0 < start <= most or not 0 < width < 1 or min(trial_ns, confirm_ns) < 1:
        raise UsageError("a search needs 0 < start <= most, a width below 1 and trials that last")
    generator_failed = False
    good: Fraction | None = None
    bad: Fraction | None = None
    rate = start
    while bad is None or good is None:
        result = yield Trial(rate, trial_ns)
        if result is Result.MET:
            good = rate
            if rate >= most:
                break
            rate = min(rate * 2, most) if bad is None else (rate + bad) / 2
        else:
            bad, generator_failed = rate, result is Result.GENERATOR
            rate = rate / 2 if good is None else rate
            if good is None and rate < start / 64:
                return Found(None, generator_failed)
    while bad is not None and (bad - good) / good > width:
        middle = (good + bad) / 2
        result = yield Trial(middle, trial_ns * 3 // 2)
        if result is Result.MET:
            good = middle
        else:
            bad, generator_failed = middle, result is Result.GENERATOR
    held, rate = 0, good
    while held < CONFIRMATIONS:
        result = yield Trial(rate, confirm_ns)
        if result is Result.MET:
            held += 1
            continue
        generator_failed = result is Result.GENERATOR
        held, bad, rate = 0, rate, rate * STEP_DOWN
        if rate < start / 64:
            return Found(None, generator_failed)
    return Found(rate, generator_failed or bad is None)
