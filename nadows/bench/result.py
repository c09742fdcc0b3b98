"""The result of a run as plain values: what ``result.json`` holds and ``--json`` prints.

Times are integers in nanoseconds. A percentile with fewer than ten samples beyond it is ``null``. Every
histogram is there in full, as an HdrHistogram V2 blob beside its exact minimum, maximum and sum, so that
results can be merged, compared and drawn again without loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from nadows import __version__
from nadows.bench.engine import RunRecord
from nadows.bench.histogram import Histogram, enough_samples
from nadows.bench.outcome import ALL, CLOCKS, FAMILIES, FOLLOW_UP, Counts, PhaseOutcome, Usage
from nadows.bench.plan import Plan
from nadows.bench.scenario import Scenario
from nadows.bench.thresholds import Judgement
from nadows.bench.verdict import Verdict

__all__ = ["PERCENTILES", "SCHEMA", "plan_sha256", "result_of", "run_id"]

SCHEMA: Final = 1
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
HASHED: Final = 10_000
"""Requests that a plan's hash covers; their number is part of it too."""
_MS: Final = 1_000_000


def run_id(record: RunRecord) -> str:
    """Name a run: when it began, its scenario, and four digits that tell two of a second apart."""
    when = datetime.fromtimestamp(record.started_ns / 10**9, UTC).strftime("%Y%m%dT%H%M%SZ")
    digits = hashlib.sha256(str(record.started_ns).encode()).hexdigest()[:4]
    return f"{when}_{record.scenario.name}_{digits}"


def plan_sha256(scenario: Scenario) -> str | None:
    """Hash which request is due when, what it does and who sends it; of an open model's first `HASHED`."""
    if scenario.model == "closed":
        return None
    plan = Plan(scenario)
    digest = hashlib.sha256(str(len(plan)).encode())
    for index in range(min(len(plan), HASHED)):
        digest.update(f"{plan.due(index)} {plan.kind(index)} {plan.connection(index)}\n".encode())
    return digest.hexdigest()


def result_of(
    record: RunRecord, verdict: Verdict, judgements: Sequence[Judgement], command: Sequence[str]
) -> dict[str, Any]:
    """Return the whole result; keys are stable within a schema."""
    scenario = record.scenario
    return {
        "schema": SCHEMA,
        "tool": {"name": "nadows", "version": __version__},
        "id": run_id(record),
        "verdict": {
            "state": verdict.state,
            "exit": verdict.exit,
            "reasons": list(verdict.reasons),
            "warnings": list(verdict.warnings),
        },
        "ci": _ci(record),
        "run": {
            "started": datetime.fromtimestamp(record.started_ns / 10**9, UTC)
            .isoformat()
            .replace("+00:00", "Z"),
            "started_ns": record.started_ns,
            "duration_ns": record.wall_ns,
            "interrupted": record.interrupted,
            "faults": [fault._asdict() for fault in record.faults],
            "command": list(command),
            "scenario": scenario.as_dict(),
            "scenario_sha256": scenario.sha256(),
            "plan_sha256": plan_sha256(scenario),
            "seed": scenario.seed,
            "shards": record.processes,
            "driver": "client",
            "sign": "live",
        },
        "env": record.environment | _usage_of(record),
        "connect_ns": record.connect_ns,
        "client": record.stats,
        "phases": [_phase(outcome) for outcome in record.outcomes],
        "series": _series(record),
        "thresholds": [
            {
                "expr": each.expr,
                "phase": each.phase,
                "value": each.value,
                "ok": each.ok,
                "reason": each.reason or None,
            }
            for each in judgements
        ],
    }


def _ci(record: RunRecord) -> dict[str, Any]:
    """Give the numbers that a dashboard wants: all recorded phases together, in ms."""
    recorded = [outcome for outcome in record.outcomes if outcome.recorded]
    counts = Counts()
    for outcome in recorded:
        counts.add(outcome.counts())
    response = Histogram.merged(outcome.histogram(ALL, "response") for outcome in recorded)
    lag = Histogram.merged(outcome.histogram(ALL, "lag") for outcome in recorded)
    event = Histogram.merged(outcome.histogram(ALL, "event") for outcome in recorded)
    duration_ns = sum(outcome.duration_ns for outcome in recorded)
    in_time = sum(outcome.in_time for outcome in recorded)
    return {
        "rps": round(in_time * 10**9 / duration_ns, 1) if duration_ns else 0.0,
        "sent_ratio": round(in_time / counts.planned, 6) if counts.planned else 0.0,
        "p50_ms": _ms(response, 50),
        "p99_ms": _ms(response, 99),
        "p999_ms": _ms(response, 99.9),
        "max_ms": response.maximum / _MS,
        "error_rate": (counts.failed + counts.unfinished) / counts.sent if counts.sent else 0.0,
        "lag_p99_ms": _ms(lag, 99),
        "fill_p50_ms": _ms(event, 50),
        "fill_p99_ms": _ms(event, 99),
    }


def _ms(histogram: Histogram, percentile: float) -> float | None:
    if not enough_samples(histogram.count, percentile):
        return None
    return histogram.percentile(percentile) / _MS


def _usage_of(record: RunRecord) -> dict[str, Any]:
    """Sum what the processes used in the recorded phases."""
    used = [outcome.usage for outcome in record.outcomes if outcome.recorded]
    wall_ns = sum(usage.wall_ns for usage in used)

    def share(part: float) -> float:
        return round(100 * part / wall_ns, 2) if wall_ns else 0.0

    return {
        "steal_pct": share(sum(usage.steal * usage.wall_ns for usage in used)),
        "other_cpu_pct": share(sum(usage.other_cpu * usage.wall_ns for usage in used)),
        "ctx_invol": sum(usage.involuntary_switches for usage in used),
        "rss_bytes": max((usage.rss_bytes for usage in used), default=0),
    }


def _phase(outcome: PhaseOutcome) -> dict[str, Any]:
    counts = outcome.counts()
    operations = {name: outcome.counts(name) for name in FAMILIES}
    kinds = sorted(kind for kind in outcome.kinds if kind != FOLLOW_UP)
    return {
        "name": outcome.name,
        "recorded": outcome.recorded,
        "target_rps": float(outcome.target_rate),
        "duration_ns": outcome.duration_ns,
        "achieved_rps": outcome.in_time * 10**9 / outcome.duration_ns if outcome.duration_ns else 0.0,
        # Of the schedule. What follows from it is counted under its own operation.
        **_counts(counts),
        "ops": {
            name: _counts(each) | _clocks(outcome, name)
            for name, each in operations.items()
            if each.planned or name == ALL
        },
        "kinds": {kind: _counts(outcome.counts(kind)) | _clocks(outcome, kind) for kind in kinds},
        "crossing": {
            "accepted": outcome.crossing.accepted,
            "filled": outcome.crossing.filled,
            "missing": outcome.crossing.missing,
        },
        "late_answers": outcome.late_answers,
        "instrument": _instrument(outcome),
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "planned": counts.planned,
        "sent": counts.sent,
        "dropped": counts.dropped,
        "done": counts.acked + counts.failed,
        "acked": counts.acked,
        "failed": counts.failed,
        "unfinished": counts.unfinished,
        "errors": dict(counts.errors),
        "drops": dict(counts.drops),
    }


def _clocks(outcome: PhaseOutcome, operation: str) -> dict[str, Any]:
    clocks: dict[str, Any] = {
        clock: _distribution(outcome.histogram(operation, clock))
        for clock in CLOCKS
        if clock != "event" or outcome.histogram(operation, clock).count
    }
    failed = outcome.histogram(operation, "errors")
    if failed.count:
        clocks["error_latency"] = _distribution(failed)
    return clocks


def _distribution(histogram: Histogram) -> dict[str, Any]:
    values = histogram.percentiles(PERCENTILES)
    shown = [each for each in PERCENTILES if enough_samples(histogram.count, each)]
    return {
        "count": histogram.count,
        "min": histogram.minimum,
        "mean": round(histogram.mean),
        "max": histogram.maximum,
        "sum": histogram.total,
        "p": {_name(each): values[each] if each in shown else None for each in PERCENTILES},
        "ci95": {_name(each): list(histogram.confidence(each)) for each in shown},
        "hdr": histogram.encode(),
    }


def _name(percentile: float) -> str:
    return f"{percentile:g}"


def _instrument(outcome: PhaseOutcome) -> dict[str, Any]:
    lag = outcome.histogram(ALL, "lag")
    usage: Usage = outcome.usage
    return {
        "sent_ratio": round(outcome.sent_ratio, 6),
        "late_pct": _percent(outcome.late, lag.count),
        "late_busy_pct": _percent(outcome.late_busy, lag.count),
        "cpu_pct": _percent(usage.generator_cpu_ns, usage.wall_ns),
        "venue_cpu_pct": None if usage.venue_cpu_ns is None else _percent(usage.venue_cpu_ns, usage.wall_ns),
        "cpu_us_per_request": round(usage.generator_cpu_ns / 1000 / lag.count, 1) if lag.count else None,
        "steal_pct": round(100 * usage.steal, 2),
        "other_cpu_pct": round(100 * usage.other_cpu, 2),
        "ctx_invol": usage.involuntary_switches,
        "rss_bytes": usage.rss_bytes,
        "inflight_max": outcome.inflight_max,
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _series(record: RunRecord) -> dict[str, Any]:
    points = record.series
    return {
        "interval_ns": 1_000_000_000,
        "t": [each.at_ns for each in points],
        "phase": [each.phase for each in points],
        "sent": [each.sent for each in points],
        "done": [each.acked + each.failed for each in points],
        "err": [each.failed for each in points],
        "p50": [each.p50 for each in points],
        "p99": [each.p99 for each in points],
        "max": [each.max for each in points],
        "lag_p99": [each.lag_p99 for each in points],
        "inflight": [each.in_flight for each in points],
    }
