"""Scenario files: TOML, strict, with the line of a mistake and the nearest name that exists.

The grammar is the `msgspec` structs below; docs/benchmarks.md explains it by example.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from nadows.bench.outcome import QUERIES
from nadows.bench.quantities import parse_duration, parse_rate
from nadows.bench.scenario import (
    Arrival,
    Disconnect,
    Flow,
    LoadPhase,
    MixEntry,
    Model,
    OnFull,
    Scenario,
    Stall,
    Which,
)
from nadows.bench.thresholds import Threshold
from nadows.errors import UsageError

__all__ = ["build", "change", "find_scenario", "read_scenario", "scenario_names"]


MAX_STEPS: Final = 100

_Number = int | float | str


class _Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"first": "from"}):
    """A ramp (from, to) or steps (start, step, count)."""

    first: _Number | None = None
    to: _Number | None = None
    start: _Number | None = None
    step: _Number | None = None
    count: int | None = None


class _Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    rate: _Number | _Rate = 0
    duration: str
    record: bool = True


class _Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    op: Literal["place_order", "cancel_and_place", "cancel_orders", "query", "connect"] = "place_order"
    price: Literal["cross", "rest"] | None = None
    of: Which | None = None
    type: str | None = None
    weight: int = 1


class _Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    expr: str
    phase: str | None = None
    abort: bool = False
    after: str = "0s"
    window: str = "0s"


class _Stall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"lasts": "for"}):
    at: str | None = None
    every: str | None = None
    lasts: str


class _Disconnect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    at: str | None = None
    every: str | None = None


class _Sim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    stall: _Stall | None = None
    disconnect: _Disconnect | None = None


class _Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["sim"] = "sim"
    flow: Flow = "busy"
    sim: _Sim = _Sim()


class _Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Model = "open"
    users: int = 1
    think: str = "0s"
    arrival: Arrival = "uniform"
    burst: int = 10
    connections: int = 1
    max_inflight: int = 20_000
    on_full: OnFull = "queue"
    product: str = "ETH-PERP"
    seed: int = 0
    timeout: str = "2s"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1]
    name: str
    about: str = ""
    extends: str | None = None
    phase: tuple[_Phase, ...]
    mix: tuple[_Mix, ...] = (_Mix(price="cross", weight=1), _Mix(price="rest", weight=1))
    threshold: tuple[_Threshold, ...] = ()
    target: _Target = _Target()
    load: _Load = _Load()


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "": _File,
    "phase": _Phase,
    "phase.rate": _Rate,
    "mix": _Mix,
    "threshold": _Threshold,
    "target": _Target,
    "target.sim": _Sim,
    "target.sim.stall": _Stall,
    "target.sim.disconnect": _Disconnect,
    "load": _Load,
}
_UNKNOWN: Final = re.compile(
    r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$(?P<path>.*)`)?"
).match
_AT: Final = re.compile(r"^(?P<what>.*) - at `\$(?P<path>.*)`$").match


def read_scenario(text: str, source: str, settings: Sequence[str] = ()) -> Scenario:
    """Read a scenario.

    Args:
        text: TOML.
        source: What to call it in errors: the file's name.
        settings: Changes such as ``phase.steady.rate=2000`` or ``load.seed=3``; see `change`.

    Raises:
        UsageError: Naming the source, the line where it can be told, and what to do.
    """
    table = _extended(_table_of(text, source), source, ())
    for setting in settings:
        change(table, setting)
    return build(table, source, text)


def _table_of(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: this is no TOML: {error}") from None


def _extended(table: dict[str, Any], source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """Lay a file over the one that it extends: tables key by key, lists and values whole."""
    name = table.pop("extends", None)
    if name is None:
        return table
    if not isinstance(name, str) or name in seen:
        raise UsageError(f"{source}: extends names another scenario, got {name!r}")
    path, text = _find(name)
    return _over(_extended(_table_of(text, str(path)), str(path), (*seen, name)), table)


def _over(base: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in table.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def change(table: dict[str, Any], setting: str) -> None:
    """Set one value of a scenario's table.

    Args:
        table: As TOML gives it.
        setting: ``path=value``. The path is of keys joined by dots; an entry of a list is named by its
            number, from 0, or by its ``name``. The value is TOML, or text if it is none.

    Raises:
        UsageError: If there is no such entry.
    """
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(f"--set {setting!r}: write a path and a value, such as phase.steady.rate=2000")
    at: Any = table
    for key in keys[:-1]:
        at = at.setdefault(key, {}) if isinstance(at, dict) else _entry(at, key)
        if at is None:
            raise UsageError(f"--set {setting!r}: there is no {key!r}")
    if not isinstance(at, dict):
        raise UsageError(f"--set {setting!r}: {path} is no table")
    at[keys[-1]] = _value(text.strip())


def _entry(entries: Any, key: str) -> Any:
    if not isinstance(entries, list):
        return None
    named = [each for number, each in enumerate(entries) if key in (str(number), each.get("name"))]
    return named[0] if named else None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build(table: dict[str, Any], source: str, text: str = "") -> Scenario:
    """Make a scenario of the contents of its file.

    Args:
        table: As TOML or JSON gives it.
        source: What to call it in errors.
        text: Where lines are looked up for errors.

    Raises:
        UsageError: As `read_scenario`.
    """
    try:
        file = msgspec.convert(table, _File)
    except msgspec.ValidationError as error:
        raise UsageError(_explain(str(error), text, source)) from None
    try:
        return _scenario(file)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _scenario(file: _File) -> Scenario:
    return Scenario(
        name=file.name,
        about=file.about,
        phases=tuple(phase for each in file.phase for phase in _phases(each, file.load.model)),
        mix=tuple(_mix_entry(each) for each in file.mix),
        thresholds=tuple(_threshold(each) for each in file.threshold),
        product=file.load.product,
        flow=file.target.flow,
        arrival=file.load.arrival,
        burst=file.load.burst,
        model=file.load.model,
        users=file.load.users,
        think_ns=parse_duration(file.load.think, "think"),
        max_inflight=file.load.max_inflight,
        on_full=file.load.on_full,
        stall=_stall(file.target.sim.stall),
        disconnect=_disconnect(file.target.sim.disconnect),
        connections=file.load.connections,
        timeout_ns=parse_duration(file.load.timeout, "timeout"),
        seed=file.load.seed,
    )


def _phases(phase: _Phase, model: Model) -> list[LoadPhase]:
    """Make phases of what a file says; steps are one phase each, so that each is reported."""
    what = f"rate of phase {phase.name!r}"
    duration_ns = parse_duration(phase.duration, f"duration of phase {phase.name!r}")
    rate = phase.rate
    if not isinstance(rate, _Rate):
        # A closed model has no rate; whether there may be none is for the scenario to say.
        value = Fraction(0) if rate == 0 and model == "closed" else parse_rate(rate, what)
        return [LoadPhase(phase.name, value, duration_ns, phase.record)]
    given = {name for name in ("first", "to", "start", "step", "count") if getattr(rate, name) is not None}
    if given == {"first", "to"}:
        assert rate.first is not None
        assert rate.to is not None
        first, to = parse_rate(rate.first, what), parse_rate(rate.to, what)
        return [LoadPhase(phase.name, first, duration_ns, phase.record, to)]
    if given == {"start", "step", "count"} and rate.count is not None and 1 <= rate.count <= MAX_STEPS:
        assert rate.start is not None
        assert rate.step is not None
        start, step = parse_rate(rate.start, what), parse_rate(rate.step, f"step of phase {phase.name!r}")
        rates = [start + number * step for number in range(rate.count)]
        return [LoadPhase(f"{phase.name}-{float(each):g}", each, duration_ns, phase.record) for each in rates]
    raise UsageError(
        f"{what}: give a number, {{ from, to }} for a ramp, or {{ start, step, count }} for 1 to {MAX_STEPS} "
        "steps of the phase's duration each"
    )


def _threshold(threshold: _Threshold) -> Threshold:
    return Threshold.parse(
        threshold.expr,
        threshold.phase,
        abort=threshold.abort,
        after_ns=parse_duration(threshold.after, "after"),
        window_ns=parse_duration(threshold.window, "window"),
    )


def _mix_entry(entry: _Mix) -> MixEntry:
    """Make one kind of request of what a file says; an option that does not belong to it is refused."""
    op = entry.op
    belongs = {"place_order": "price", "query": "type", "cancel_and_place": "of", "cancel_orders": "of"}.get(
        op
    )
    for name in ("price", "of", "type"):
        if getattr(entry, name) is not None and name != belongs:
            raise UsageError(f"mix: {op} has no {name}")
    if op == "place_order":
        if entry.price is None:
            raise UsageError('mix: place_order needs a price, "cross" or "rest"')
        return MixEntry(entry.price, entry.weight)
    if op == "query":
        kind = f"query_{entry.type}"
        if kind not in QUERIES:
            known = [each.removeprefix("query_") for each in QUERIES]
            near = difflib.get_close_matches(entry.type or "", known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"mix: no query is called {entry.type!r}; {hint}")
        return MixEntry(kind, entry.weight)
    return MixEntry(op, entry.weight, entry.of or "oldest")


def _stall(stall: _Stall | None) -> Stall | None:
    if stall is None:
        return None
    at_ns, every_ns = _instants(stall, "stall")
    return Stall(at_ns, parse_duration(stall.lasts, "for of stall"), every_ns)


def _disconnect(disconnect: _Disconnect | None) -> Disconnect | None:
    return None if disconnect is None else Disconnect(*_instants(disconnect, "disconnect"))


def _instants(fault: _Stall | _Disconnect, what: str) -> tuple[int, int | None]:
    """Read when a fault comes: first at ``at``, or after one ``every``."""
    every_ns = None if fault.every is None else parse_duration(fault.every, f"every of {what}")
    if fault.at is not None:
        return parse_duration(fault.at, f"at of {what}"), every_ns
    if every_ns is None:
        raise UsageError(f"{what}: say when: at, every, or both")
    return every_ns, every_ns


def _explain(error: str, text: str, source: str) -> str:
    unknown = _UNKNOWN(error)
    if unknown is not None:
        key = unknown["key"]
        known = [field.encode_name for field in msgspec.structs.fields(_table_at(unknown["path"] or ""))]
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return f"{source}{_line_of(key, text)}: no key is called {key!r} here; {hint}"
    at = _AT(error)
    if at is None:
        return f"{source}: {error[0].lower()}{error[1:]}"
    path = at["path"].strip(".")
    return f"{source}{_line_of(_last_key(path), text)}: {path}: {at['what'][0].lower()}{at['what'][1:]}"


def _table_at(path: str) -> type[msgspec.Struct]:
    return _TABLES.get(re.sub(r"\[[^]]*\]", "", path).strip("."), _File)


def _last_key(path: str) -> str:
    keys: list[str] = re.findall(r"\w+", re.sub(r"\[[^]]*\]", "", path))
    return keys[-1]


def _line_of(key: str, text: str) -> str:
    """Tell where a key stands first; its value or table may be of several with that name."""
    wanted = re.compile(rf"(?<![\w\"'.-])[\"']?{re.escape(key)}[\"']?\s*=|^\s*\[+\s*{re.escape(key)}\s*\]")
    for number, line in enumerate(text.splitlines(), 1):
        if wanted.search(line):
            return f", line {number}"
    return ""


def _folders() -> list[Path]:
    """Where scenarios are looked for by name: here, and in the checkout that this package belongs to."""
    return [Path("scenarios"), Path(__file__).parents[2] / "scenarios"]


def scenario_names() -> list[str]:
    """Return the names that `find_scenario` knows."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.toml")})


def find_scenario(name: str, settings: Sequence[str] = ()) -> Scenario:
    """Read a scenario by its path, or by its name in ``scenarios/``.

    Args:
        name: Which.
        settings: See `change`.

    Raises:
        UsageError: If there is none, it cannot be read, or it is wrong.
    """
    path, text = _find(name)
    return read_scenario(text, str(path), settings)


def _find(name: str) -> tuple[Path, str]:
    candidates = [Path(name), *(folder / f"{name}.toml" for folder in _folders())]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None:
        names = scenario_names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none here'}"
        raise UsageError(f"no scenario is called {name!r}; {hint} (or give the path of a .toml file)")
    try:
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
