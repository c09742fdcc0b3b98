"""What a run shall do, checked: phases, mix, load, thresholds.

A `Scenario` comes from a file (`nadows.bench.scenario_file`) or from flags, and checks itself, so that a
mistake is found before anything is started.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal, get_args

import msgspec

from nadows.bench.outcome import FOLLOW_UP, OPERATIONS
from nadows.bench.quantities import parse_duration, parse_rate, show_duration
from nadows.bench.thresholds import Threshold
from nadows.errors import UsageError

__all__ = [
    "Arrival",
    "Disconnect",
    "Flow",
    "LoadPhase",
    "MixEntry",
    "Model",
    "OnFull",
    "Scenario",
    "Stall",
    "Which",
]

Arrival = Literal["uniform", "poisson", "burst"]
Flow = Literal["off", "calm", "busy", "storm"]
Model = Literal["open", "closed"]
OnFull = Literal["queue", "drop"]
Which = Literal["oldest", "newest", "random"]

MAX_REQUESTS: Final = 100_000_000
MAX_CONNECTIONS: Final = 50
"""Half of what the venue allows an address (protocol.md 1): each connection here is two sockets."""
MAX_TIMEOUT_NS: Final = 60_000_000_000
MAX_BURST: Final = 10_000
MAX_INFLIGHT: Final = 1_000_000
MIN_EVERY_NS: Final = 100_000_000
WARMUP: Final = "warmup"
STEADY: Final = "steady"


@dataclass(frozen=True, slots=True)
class LoadPhase:
    """A stretch of the run at one rate, or at one that changes evenly."""

    name: str
    rate: Fraction
    """Requests a second at its beginning, all connections together; 0 in a closed model, which has none."""
    duration_ns: int
    record: bool = True
    """Whether it counts; a warm-up does not."""
    to: Fraction | None = None
    """Requests a second at its end; the same if ``None``."""

    @property
    def mean_rate(self) -> Fraction:
        """Requests a second over the whole phase."""
        return self.rate if self.to is None else (self.rate + self.to) / 2


@dataclass(frozen=True, slots=True)
class MixEntry:
    """A share of the requests."""

    kind: str
    """``cross`` fills at once (IOC), ``rest`` waits in the book (post-only); see `nadows.bench.outcome`."""
    weight: int
    of: Which = "oldest"
    """Which of the resting orders is replaced or cancelled."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a scenario file would."""
        op: dict[str, Any] = {"op": self.kind}
        if self.kind in ("cross", "rest"):
            op = {"op": "place_order", "price": self.kind}
        elif self.kind.startswith("query_"):
            op = {"op": "query", "type": self.kind.removeprefix("query_")}
        elif self.kind in ("cancel_and_place", "cancel_orders"):
            op["of"] = self.of
        return op | {"weight": self.weight}


@dataclass(frozen=True, slots=True)
class Stall:
    """The embedded venue stands still: its process is stopped, its sockets stay open."""

    at_ns: int
    """When first, ns after the start."""
    length_ns: int
    every_ns: int | None = None
    """From one to the next; ``None`` for once."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """All sockets of the generator are cut under its clients."""

    at_ns: int
    every_ns: int | None = None


_HALF_AND_HALF: Final = (MixEntry("cross", 1), MixEntry("rest", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run, complete and checked.

    Raises:
        UsageError: If something in it cannot be.
    """

    name: str
    about: str = ""
    phases: tuple[LoadPhase, ...]
    mix: tuple[MixEntry, ...] = _HALF_AND_HALF
    thresholds: tuple[Threshold, ...] = ()
    product: str = "ETH-PERP"
    flow: Flow = "busy"
    """Background of the embedded venue."""
    arrival: Arrival = "uniform"
    burst: int = 10
    """Requests that are due at once, if the arrival is ``burst``."""
    model: Model = "open"
    users: int = 1
    """Of a closed model: each has one request in flight."""
    think_ns: int = 0
    """Of a closed model: from an answer to the user's next request."""
    max_inflight: int = 20_000
    on_full: OnFull = "queue"
    """With so many in flight, further requests wait (which counts as response time), or are dropped."""
    stall: Stall | None = None
    disconnect: Disconnect | None = None
    connections: int = 1
    """Clients, each with a wallet, a gateway socket and a subscription socket of its own."""
    timeout_ns: int = 2_000_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_phases()
        self._check_mix()
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise UsageError(f"connections must lie between 1 and {MAX_CONNECTIONS}, got {self.connections}")
        if not 1_000_000 <= self.timeout_ns <= MAX_TIMEOUT_NS:
            raise UsageError("timeout must lie between 1ms and 60s")
        for what, value, choices in (
            ("arrival", self.arrival, get_args(Arrival)),
            ("flow", self.flow, get_args(Flow)),
            ("model", self.model, get_args(Model)),
            ("on_full", self.on_full, get_args(OnFull)),
        ):
            if value not in choices:
                raise UsageError(f"{what} must be one of {', '.join(choices)}, got {value!r}")
        for what, number, most in (
            ("burst", self.burst, MAX_BURST),
            ("users", self.users, MAX_INFLIGHT),
            ("max_inflight", self.max_inflight, MAX_INFLIGHT),
        ):
            if not 1 <= number <= most:
                raise UsageError(f"{what} must lie between 1 and {most}, got {number}")
        self._check_faults()

    def _check_faults(self) -> None:
        if self.stall is not None and not 0 < self.stall.length_ns < (self.stall.every_ns or MAX_TIMEOUT_NS):
            raise UsageError("a stall must last some time, less than the time to the next one, below 60s")
        for what, fault in (("stall", self.stall), ("disconnect", self.disconnect)):
            if fault is not None and (fault.every_ns or MIN_EVERY_NS) < MIN_EVERY_NS:
                raise UsageError(f"a {what} comes at most every 100ms")

    def _check_phases(self) -> None:
        names = [phase.name for phase in self.phases]
        if not any(phase.record for phase in self.phases):
            raise UsageError("nothing would be measured: at least one phase must be recorded")
        if len(set(names)) != len(names):
            raise UsageError(f"phases need names of their own, got {', '.join(names)}")
        for phase in self.phases:
            if phase.duration_ns < 1:
                raise UsageError(f"phase {phase.name!r} has no duration; give it one, such as 10s")
            if (self.model == "closed") != (phase.rate == 0 and phase.to is None):
                raise UsageError(
                    f"phase {phase.name!r}: an open model needs a rate, and a closed one has none: "
                    "its users send when they are answered"
                )
        requests = sum(int(phase.mean_rate * phase.duration_ns // 10**9) for phase in self.phases)
        if requests > MAX_REQUESTS:
            raise UsageError(
                f"{requests} requests are more than {MAX_REQUESTS}: lower the rate or the duration"
            )
        for threshold in self.thresholds:
            if threshold.phase is not None and threshold.phase not in names:
                raise UsageError(
                    f"threshold {threshold.expr!r}: no phase is called {threshold.phase!r}; "
                    f"there are {', '.join(names)}"
                )

    def _check_mix(self) -> None:
        if not self.mix or any(entry.weight < 0 for entry in self.mix) or not self.total_weight:
            raise UsageError("a mix needs weights of at least 0, and one above")
        if self.total_weight > 10_000:
            raise UsageError(f"the weights of a mix must sum to at most 10000, got {self.total_weight}")
        weights: Counter[str] = Counter()
        for entry in self.mix:
            if entry.kind not in OPERATIONS or entry.kind == FOLLOW_UP:
                raise UsageError(f"a mix has no {entry.kind!r}")
            if entry.kind in weights:
                raise UsageError(
                    f"a mix has each kind once, and {entry.kind} is there twice: add the weights"
                )
            weights[entry.kind] += entry.weight
        if self.is_quoting and weights["rest"] != weights["cancel_orders"]:
            raise UsageError(
                "a mix that replaces or cancels orders must cancel as many as it rests: give place_order "
                f"with price rest (weight {weights['rest']}) and cancel_orders "
                f"(weight {weights['cancel_orders']}) the same weight"
            )

    @property
    def is_quoting(self) -> bool:
        """Whether orders are replaced or cancelled one by one, so that some must rest all the time."""
        return any(entry.kind in ("cancel_and_place", "cancel_orders") for entry in self.mix if entry.weight)

    @property
    def total_weight(self) -> int:
        """Sum of the weights of the mix."""
        return sum(entry.weight for entry in self.mix)

    @classmethod
    def from_flags(
        cls,
        *,
        rate: str | int | float = 1000,
        duration: str = "10s",
        warmup: str = "3s",
    ) -> Scenario:
        """Make what ``nadows bench --rps 1000 --duration 10s`` runs: a warm-up and one steady phase."""
        steady = LoadPhase(STEADY, parse_rate(rate, "--rps"), parse_duration(duration, "--duration"))
        scenario = cls(name="bench", phases=(steady,))
        return scenario.with_warmup(warmup)

    def with_rate(self, rate: str | int | float) -> Scenario:
        """Change the rate of all phases, of which only one may be recorded."""
        self._only_recorded("--rps")
        value = parse_rate(rate, "--rps")
        return replace(self, phases=tuple(replace(phase, rate=value, to=None) for phase in self.phases))

    def with_duration(self, duration: str) -> Scenario:
        """Change the duration of the one recorded phase."""
        only = self._only_recorded("--duration")
        longer = replace(only, duration_ns=parse_duration(duration, "--duration"))
        return replace(self, phases=tuple(longer if phase is only else phase for phase in self.phases))

    def with_warmup(self, warmup: str) -> Scenario:
        """Replace what is not recorded by a warm-up at the first recorded rate; ``0s`` for none."""
        duration_ns = parse_duration(warmup, "--warmup")
        recorded = tuple(phase for phase in self.phases if phase.record)
        first = LoadPhase(WARMUP, recorded[0].rate, duration_ns, record=False)
        return replace(self, phases=(first, *recorded) if duration_ns else recorded)

    def _only_recorded(self, flag: str) -> LoadPhase:
        recorded = [phase for phase in self.phases if phase.record]
        if len(recorded) > 1:
            raise UsageError(
                f"{flag} does not say which phase of scenario {self.name!r} is meant; change the file instead"
            )
        return recorded[0]

    def with_thresholds(self, exprs: Sequence[str]) -> Scenario:
        """Add conditions to those it has."""
        return replace(self, thresholds=(*self.thresholds, *map(Threshold.parse, exprs)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as a scenario file would hold it, complete; `scenario_file.build` reads it back."""
        return {
            "schema": 1,
            "name": self.name,
            "about": self.about,
            "phase": [
                {
                    "name": phase.name,
                    "duration": show_duration(phase.duration_ns),
                    "record": phase.record,
                }
                | _rate_of(phase)
                for phase in self.phases
            ],
            "mix": [entry.as_dict() for entry in self.mix],
            "threshold": [
                {"expr": each.expr}
                | ({"phase": each.phase} if each.phase else {})
                | ({"abort": True} if each.abort else {})
                | ({"after": show_duration(each.after_ns)} if each.after_ns else {})
                | ({"window": show_duration(each.window_ns)} if each.window_ns else {})
                for each in self.thresholds
            ],
            "target": {"kind": "sim", "flow": self.flow, "sim": self._faults()},
            "load": {
                "model": self.model,
                "users": self.users,
                "think": show_duration(self.think_ns),
                "arrival": self.arrival,
                "burst": self.burst,
                "connections": self.connections,
                "max_inflight": self.max_inflight,
                "on_full": self.on_full,
                "product": self.product,
                "seed": self.seed,
                "timeout": show_duration(self.timeout_ns),
            },
        }

    def _faults(self) -> dict[str, dict[str, str]]:
        faults: dict[str, dict[str, str]] = {}
        for name, fault in (("stall", self.stall), ("disconnect", self.disconnect)):
            if fault is not None:
                faults[name] = {"at": show_duration(fault.at_ns)}
                if fault.every_ns is not None:
                    faults[name]["every"] = show_duration(fault.every_ns)
        if self.stall is not None:
            faults["stall"]["for"] = show_duration(self.stall.length_ns)
        return faults

    def sha256(self) -> str:
        """Hash the work: runs with equal hashes may be compared. Name, text and thresholds do not count."""
        work = {
            key: value for key, value in self.as_dict().items() if key not in {"name", "about", "threshold"}
        }
        return hashlib.sha256(msgspec.json.encode(work, order="deterministic")).hexdigest()


def _rate_of(phase: LoadPhase) -> dict[str, Any]:
    if phase.to is not None:
        return {"rate": {"from": _number(phase.rate), "to": _number(phase.to)}}
    return {"rate": _number(phase.rate)} if phase.rate else {}


def _number(rate: Fraction) -> int | float:
    return int(rate) if rate.denominator == 1 else float(rate)
