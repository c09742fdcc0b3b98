"""``nadows bench list``, ``show``, ``validate`` and ``schema``: scenarios and results, without a run."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from nadows.bench.quantities import show_duration
from nadows.bench.scenario_file import find_scenario, scenario_names
from nadows.bench.schema import result_schema

__all__ = ["list_scenarios", "schema", "show", "validate"]

Name = Annotated[str, typer.Argument(metavar="SCENARIO", help="Name in scenarios/, or path of a .toml file.")]


def list_scenarios() -> None:
    """List the scenarios there are."""
    for name in scenario_names():
        scenario = find_scenario(name)
        length = show_duration(sum(phase.duration_ns for phase in scenario.phases))
        typer.echo(f"{name:<22}{length:>7}  {scenario.about}")


def show(name: Name) -> None:
    """Print a scenario as it will be run, complete, as JSON."""
    _print_json(find_scenario(name).as_dict())


def validate(name: Name) -> None:
    """Check a scenario file; exit code 2 says what is wrong with it."""
    scenario = find_scenario(name)
    typer.echo(
        f"{scenario.name} is right: {len(scenario.phases)} phases, {len(scenario.mix)} kinds of requests"
    )


def schema() -> None:
    """Print the JSON Schema of result.json."""
    _print_json(result_schema())


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
