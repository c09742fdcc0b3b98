"""Scenario files: TOML, strict, with the line of a mistake and the nearest name that exists."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, get_type_hints

import msgspec

from nadows.bench.quantities import parse_duration, parse_rate
from nadows.bench.scenario import Arrival, Flow, LoadPhase, MixEntry, Price, Scenario
from nadows.bench.thresholds import Threshold
from nadows.errors import UsageError

__all__ = ["build", "find_scenario", "read_scenario", "scenario_names"]


class _Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    rate: int | float | str
    duration: str
    record: bool = True


class _Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    op: Literal["place_order"] = "place_order"
    price: Price
    weight: int


class _Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    expr: str
    phase: str | None = None


class _Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["sim"] = "sim"
    flow: Flow = "busy"


class _Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    arrival: Arrival = "uniform"
    connections: int = 1
    product: str = "ETH-PERP"
    seed: int = 0
    timeout: str = "2s"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1]
    name: str
    about: str = ""
    phase: tuple[_Phase, ...]
    mix: tuple[_Mix, ...] = (_Mix(price="cross", weight=1), _Mix(price="rest", weight=1))
    threshold: tuple[_Threshold, ...] = ()
    target: _Target = _Target()
    load: _Load = _Load()


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "phase": _Phase,
    "mix": _Mix,
    "threshold": _Threshold,
    "target": _Target,
    "load": _Load,
}
_UNKNOWN: Final = re.compile(
    r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$(?P<path>.*)`)?"
).match
_AT: Final = re.compile(r"^(?P<what>.*) - at `\$(?P<path>.*)`$").match


def read_scenario(text: str, source: str) -> Scenario:
    """Read a scenario.

    Args:
        text: TOML.
        source: What to call it in errors: the file's name.

    Raises:
        UsageError: Naming the source, the line where it can be told, and what to do.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: this is no TOML: {error}") from None
    return build(table, source, text)


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
        phases=tuple(
            LoadPhase(
                each.name,
                parse_rate(each.rate, f"rate of phase {each.name!r}"),
                parse_duration(each.duration, f"duration of phase {each.name!r}"),
                each.record,
            )
            for each in file.phase
        ),
        mix=tuple(MixEntry(each.price, each.weight) for each in file.mix),
        thresholds=tuple(Threshold.parse(each.expr, each.phase) for each in file.threshold),
        product=file.load.product,
        flow=file.target.flow,
        arrival=file.load.arrival,
        connections=file.load.connections,
        timeout_ns=parse_duration(file.load.timeout, "timeout"),
        seed=file.load.seed,
    )


def _explain(error: str, text: str, source: str) -> str:
    unknown = _UNKNOWN(error)
    if unknown is not None:
        key = unknown["key"]
        known = list(get_type_hints(_table_at(unknown["path"] or "")))
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return f"{source}{_line_of(key, text)}: no key is called {key!r} here; {hint}"
    at = _AT(error)
    if at is None:
        return f"{source}: {error[0].lower()}{error[1:]}"
    path = at["path"].strip(".")
    return f"{source}{_line_of(_last_key(path), text)}: {path}: {at['what'][0].lower()}{at['what'][1:]}"


def _table_at(path: str) -> type[msgspec.Struct]:
    found = re.match(r"\.(\w+)", path)
    return _TABLES.get(found[1], _File) if found else _File


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


def find_scenario(name: str) -> Scenario:
    """Read a scenario by its path, or by its name in ``scenarios/``.

    Raises:
        UsageError: If there is none, it cannot be read, or it is wrong.
    """
    candidates = [Path(name), *(folder / f"{name}.toml" for folder in _folders())]
    path = next((each for each in candidates if each.is_file()), None)
    if path is None:
        names = scenario_names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none here'}"
        raise UsageError(f"no scenario is called {name!r}; {hint} (or give the path of a .toml file)")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    return read_scenario(text, str(path))
