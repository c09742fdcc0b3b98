"""What the metrics of a client say at one moment."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from nadows.distribution import Distribution

__all__ = ["QUANTILES", "EventCount", "Report", "Stage", "StageSummary"]

QUANTILES: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
"""Percentiles that every report shows, by name."""


class Stage(enum.Enum):
    """A part of an event's way through the client, or of an order's life."""

    SOCKET_TO_DECODED = "socket_to_decoded"
    """From the frame's arrival in the reader until it is a checked event."""
    DECODED_TO_APPLIED = "decoded_to_applied"
    """Until books and account have taken it."""
    APPLIED_TO_CALLBACK = "applied_to_callback"
    """Until every callback has run and every subscription holds it."""
    ORDER_TO_ACK = "order_to_ack"
    """From sending an order until the venue's answer, whichever it is."""
    ORDER_TO_FILL = "order_to_fill"
    """From sending an order until its first fill arrives, however long it rests."""


class EventCount(NamedTuple):
    """How often an event came."""

    total: int
    per_s: float
    """Over the last whole seconds, ten at most."""


class StageSummary(NamedTuple):
    """One stage's times (ns), to three digits; the maximum is exact."""

    samples: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    @classmethod
    def of(cls, times: Distribution) -> StageSummary:
        """Summarize *times*."""
        p50, p95, p99, p999 = times.percentiles(QUANTILES.values()).values()
        return cls(times.count, p50, p95, p99, p999, times.maximum)


@dataclass(frozen=True, slots=True)
class Report:
    """Counts, rates, times and counters of one client, since its metrics were made."""

    elapsed_ns: int
    events: Mapping[str, EventCount]
    """By the wire's event type; ``control`` is what the venue says about the line itself."""
    stages: Mapping[tuple[str, Stage], Distribution]
    """Times by event type, or by request for the stages of an order. They do not change any more."""
    counters: Mapping[str, int]
    """Everything else that is counted, by name: drops, gaps, retries, snapshots."""

    def summary(self, event: str, stage: Stage) -> StageSummary:
        """One stage in six numbers; all 0 if nothing was measured."""
        return StageSummary.of(self.stages.get((event, stage), Distribution()))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON: times are integers of nanoseconds."""
        stages: dict[str, dict[str, dict[str, int]]] = {}
        for (event, stage), times in self.stages.items():
            stages.setdefault(event, {})[stage.value] = StageSummary.of(times)._asdict()
        return {
            "elapsed_ns": self.elapsed_ns,
            "events": {name: count._asdict() for name, count in self.events.items()},
            "stages": stages,
            "counters": dict(self.counters),
        }

    def as_json(self) -> str:
        """`as_dict` on one line."""
        return json.dumps(self.as_dict(), separators=(",", ":"))

    def as_line(self) -> str:
        """One line for a log: ``name=value`` pairs; counters that are 0 are left out.

        Times are ``p50/p95/p99/p99.9/max`` in microseconds, stages in the order of `Stage`.
        """
        total = sum(count.total for count in self.events.values())
        rate = sum(count.per_s for count in self.events.values())
        words = [f"metrics elapsed={self.elapsed_ns / 10**9:.1f}s events={total} rate={rate:.1f}/s"]
        for name, count in self.events.items():
            words.append(f"{name}={count.total} {name}.rate={count.per_s:.1f}/s")
        for (event, stage), times in self.stages.items():
            _, *values = StageSummary.of(times)
            words.append(f"{event}.{stage.value}={'/'.join(f'{value / 1000:.1f}' for value in values)}us")
        words += [f"{name}={count}" for name, count in self.counters.items() if count]
        return " ".join(words)
