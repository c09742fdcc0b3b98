"""Thresholds: what a run must meet, written as ``metric[.op].aggregate OP value``.

::

    response.p99 < 10ms            response.place_order.p99.9 <= 50ms      event.max < 1s
    response.share(10ms) > 99.5%   lag.mean < 200us
    errors.rate < 0.1%             errors.count == 0                       dropped.count == 0
    rate >= 995rps

``event`` is the time from due to the fill on the stream; ``fill`` says the same. A name that does not exist
is an error before the run, not a pass after it.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

from nadows.bench.histogram import Histogram, enough_samples
from nadows.bench.outcome import ALL, CLOCKS, OPERATIONS, Clock, PhaseOutcome
from nadows.bench.quantities import TIME_UNITS
from nadows.errors import UsageError

__all__ = ["Judgement", "Threshold"]

_GRAMMAR: Final = re.compile(
    r"(?P<metric>[a-z]+)"
    r"(?:\.(?P<op>[a-z][a-z_]*(?=\.)))?"
    r"(?:\.(?P<aggregate>p\d+(?:\.\d+)?|[a-z]+)(?:\((?P<limit>[^)]*)\))?)?"
    r"\s*(?P<relation><=|>=|==|<|>)\s*"
    r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)",
    re.ASCII,
).fullmatch
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII).fullmatch
_RELATIONS: Final[Mapping[str, Callable[[Fraction, Fraction], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_ALIASES: Final = {"fill": "event"}
_COUNTED: Final = ("errors", "dropped")
_METRICS: Final = (*CLOCKS, *_ALIASES, *_COUNTED, "rate")
_TIMED: Final = ("min", "max", "mean")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a threshold."""

    expr: str
    phase: str
    value: float | None
    """In the unit of the comparison: ns, a share (0 to 1), a count, or requests a second; ``None`` if the
    run does not say."""
    ok: bool
    reason: str = ""
    """Why it could not be judged."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition, checked when it is read."""

    expr: str
    metric: str
    op: str
    aggregate: str
    limit_ns: int
    """For ``share(limit)``."""
    relation: str
    bound: Fraction
    """In ns, as a share, as a count, or in requests a second."""
    phase: str | None = None
    """Only this phase; every recorded one if ``None``."""
    abort: bool = False
    """Whether the run ends as soon as it does not hold."""
    after_ns: int = 0
    """When it is first looked at during the run, ns after the start."""
    window_ns: int = 0
    """It must hold in each stretch of this length; 0 for the whole phase."""

    @classmethod
    def parse(
        cls,
        expr: str,
        phase: str | None = None,
        *,
        abort: bool = False,
        after_ns: int = 0,
        window_ns: int = 0,
    ) -> Threshold:
        """Read a condition.

        Raises:
            UsageError: If it is not one, names an unknown metric, operation or aggregate, its unit does not
                fit, or it cannot be looked at during the run although that is asked for.
        """
        found = _GRAMMAR(expr.strip())
        if found is None:
            raise UsageError(
                f"threshold {expr!r} is not understood: write metric.aggregate OP value, "
                "such as response.p99<10ms"
            )
        metric = _known(expr, "metric", found["metric"], _METRICS)
        metric = _ALIASES.get(metric, metric)
        op = _known(expr, "operation", found["op"] or ALL, OPERATIONS)
        aggregate, limit_ns = _aggregate(expr, metric, found["aggregate"], found["limit"])
        bound = _bound(expr, _unit_of(metric, aggregate), found["number"], found["unit"])
        if (abort or window_ns) and metric in ("dropped", "rate"):
            raise UsageError(
                f"threshold {expr!r}: {metric} is known at the end alone; leave abort and window out"
            )
        relation = found["relation"]
        return cls(
            *(expr.strip(), metric, op, aggregate, limit_ns, relation, bound, phase),
            abort=abort,
            after_ns=after_ns,
            window_ns=window_ns,
        )

    def judge(self, outcome: PhaseOutcome) -> Judgement:
        """Compare with what a phase gave. What cannot be judged has failed."""
        value, reason = self._value(outcome)
        ok = value is not None and _RELATIONS[self.relation](value, self.bound)
        return Judgement(self.expr, outcome.name, None if value is None else float(value), ok, reason)

    def _value(self, outcome: PhaseOutcome) -> tuple[Fraction | None, str]:
        if self.metric == "rate":
            return Fraction(outcome.in_time * 10**9, outcome.duration_ns), ""
        counts = outcome.counts(self.op)
        if self.metric in _COUNTED:
            count = counts.failed + counts.unfinished if self.metric == "errors" else counts.dropped
            whole = counts.sent if self.metric == "errors" else counts.planned
            if self.aggregate == "count":
                return Fraction(count), ""
            return (Fraction(count, whole), "") if whole else (None, "nothing was sent")
        return self._timed(outcome.histogram(self.op, cast(Clock, self.metric)))

    def _timed(self, histogram: Histogram) -> tuple[Fraction | None, str]:
        if not histogram.count:
            return None, "there is no sample"
        match self.aggregate:
            case "min":
                return Fraction(histogram.minimum), ""
            case "max":
                return Fraction(histogram.maximum), ""
            case "mean":
                return Fraction(histogram.total, histogram.count), ""
            case "share":
                return Fraction(histogram.count_within(self.limit_ns), histogram.count), ""
        percentile = float(self.aggregate[1:])
        if not enough_samples(histogram.count, percentile) and percentile < 100:
            return None, f"{histogram.count} samples are too few for {self.aggregate}"
        return Fraction(histogram.percentile(percentile)), ""


def _known(expr: str, what: str, name: str, known: tuple[str, ...]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UsageError(f"threshold {expr!r}: no {what} is called {name!r}; {hint}")


def _aggregate(expr: str, metric: str, name: str | None, limit: str | None) -> tuple[str, int]:
    if metric == "rate":
        if name is not None:
            raise UsageError(f"threshold {expr!r}: rate stands alone, as in rate >= 995rps")
        return "", 0
    if name is None:
        example = f"{metric}.count" if metric in _COUNTED else f"{metric}.p99"
        raise UsageError(f"threshold {expr!r}: say which aggregate of {metric}, such as {example}")
    if metric in _COUNTED:
        return _known(expr, f"aggregate of {metric}", name, ("rate", "count")), 0
    if name == "share":
        return name, _share_limit(expr, limit or "")
    if limit is not None:
        raise UsageError(f"threshold {expr!r}: only share takes a time in parentheses")
    if name[0] == "p" and name[1:2].isdigit():
        if Fraction(name[1:]) > 100:
            raise UsageError(f"threshold {expr!r}: a percentile lies between 0 and 100")
        return name, 0
    return _known(expr, f"aggregate of {metric}", name, (*_TIMED, "share", "p99")), 0


def _share_limit(expr: str, text: str) -> int:
    found = _TIME(text.strip())
    if found is None or found[2] not in TIME_UNITS:
        raise UsageError(f"threshold {expr!r}: share needs a time, as in response.share(10ms) > 99.5%")
    return int(Fraction(found[1]) * TIME_UNITS[found[2]])


def _unit_of(metric: str, aggregate: str) -> str:
    if metric == "rate":
        return "rps"
    if aggregate == "share" or (metric in _COUNTED and aggregate == "rate"):
        return "%"
    return "" if aggregate == "count" else "time"


def _bound(expr: str, kind: str, number: str, unit: str) -> Fraction:
    value = Fraction(number)
    if kind == "time" and unit in TIME_UNITS:
        return value * TIME_UNITS[unit]
    if kind == "%" and unit == "%":
        return value / 100
    # A bare share or rate is clear; a bare time is not.
    if unit == "" and kind != "time":
        return value
    if unit == kind:
        return value
    fitting = {"time": "ns, us, ms or s", "%": "%", "rps": "rps", "": "no unit"}[kind]
    raise UsageError(f"threshold {expr!r}: its value takes {fitting}, got {number}{unit}")
