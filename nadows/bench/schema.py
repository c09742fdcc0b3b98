"""The shape of ``result.json``, from which its JSON Schema is made.

Keys are stable within a schema number: none is renamed or dropped, new ones may come. Times are integers in
nanoseconds unless the name says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

__all__ = ["Result", "result_schema"]


class Distribution(Struct, frozen=True, forbid_unknown_fields=True):
    """A histogram and what is read off it; a percentile with fewer than ten samples beyond it is null."""

    count: int
    min: int
    mean: int
    max: int
    sum: int
    p: dict[str, int | None]
    ci95: dict[str, tuple[int, int]]
    """95 % ranges of the percentiles that are given."""
    hdr: str
    """HdrHistogram V2, zlib, base64."""


class Counted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of requests: planned = sent + dropped, sent = acked + failed + unfinished."""

    planned: int
    sent: int
    dropped: int
    done: int
    acked: int
    failed: int
    unfinished: int
    errors: dict[str, int]
    drops: dict[str, int]


class Operation(Counted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One operation on its clocks."""

    response: Distribution
    service: Distribution
    lag: Distribution
    event: Distribution | UnsetType = UNSET
    error_latency: Distribution | UnsetType = UNSET


class Crossing(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders that must fill."""

    accepted: int
    filled: int
    missing: int


class Instrument(Struct, frozen=True, forbid_unknown_fields=True):
    """How well the generator did its own work."""

    sent_ratio: float
    late_pct: float
    late_busy_pct: float
    cpu_pct: float
    venue_cpu_pct: float | None
    cpu_us_per_request: float | None
    steal_pct: float
    other_cpu_pct: float
    ctx_invol: int
    rss_bytes: int
    inflight_max: int


class Phase(Counted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One phase; its counts are of the schedule."""

    name: str
    recorded: bool
    target_rps: float
    duration_ns: int
    achieved_rps: float
    ops: dict[str, Operation]
    kinds: dict[str, Operation]
    crossing: Crossing
    late_answers: int
    instrument: Instrument


class Series(Struct, frozen=True, forbid_unknown_fields=True):
    """The run second by second; lists of equal length."""

    interval_ns: int
    t: list[int]
    phase: list[str]
    sent: list[int]
    done: list[int]
    err: list[int]
    p50: list[int]
    p99: list[int]
    max: list[int]
    lag_p99: list[int]
    inflight: list[int]


class Judged(Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold."""

    expr: str
    phase: str
    value: float | None
    ok: bool
    reason: str | None


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """What measured."""

    name: Literal["nadows"]
    version: str


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """What to make of it."""

    state: str
    exit: int
    reasons: list[str]
    warnings: list[str]


class Summary(Struct, frozen=True, forbid_unknown_fields=True):
    """All recorded phases together, for dashboards."""

    rps: float
    sent_ratio: float
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float
    error_rate: float
    lag_p99_ms: float | None
    fill_p50_ms: float | None
    fill_p99_ms: float | None


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the scenario had done to the venue or the sockets."""

    kind: Literal["stall", "disconnect"]
    at_ns: int
    length_ns: int


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """What was done."""

    started: str
    started_ns: int
    duration_ns: int
    interrupted: bool
    faults: list[Fault]
    command: list[str]
    scenario: dict[str, Any]
    scenario_sha256: str
    """Of the work alone; runs with equal ones may be compared."""
    plan_sha256: str | None
    """Of what each request does and when it is due; null in a closed model."""
    seed: int
    shards: int
    driver: str
    sign: str


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    schema: Literal[1]
    tool: Tool
    id: str
    verdict: Verdict
    ci: Summary
    run: Run
    env: dict[str, Any]
    connect_ns: list[int]
    client: dict[str, int]
    """The client's own counters."""
    phases: list[Phase]
    series: Series
    thresholds: list[Judged]


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a result."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return schema | msgspec.json.schema(Result)
