"""``nadows bench compare``: two results, or two sets of repeats, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from nadows.bench.compare import Change, Comparison, FailOn
from nadows.bench.compare import compare as compare_results
from nadows.bench.result import SCHEMA
from nadows.cli.output import Output
from nadows.errors import UsageError

__all__ = ["REGRESSED", "compare", "comparison_table", "read_results"]

REGRESSED: Final = 98
"""The exit code when something got worse."""
_STYLES: Final = {"worse": "bold red", "better": "green", "same": "", "unknown": "dim"}

FailOnOption = Annotated[
    str | None,
    typer.Option("--fail-on", help="What is too much, instead of whatever got worse: 'p99>+10%,rps<-5%'."),
]


def compare(
    old: Annotated[Path, typer.Argument(help="A result.json, a report's folder, or a folder of several.")],
    new: Annotated[Path, typer.Argument(help="The same.")],
    fail_on: FailOnOption = None,
    force: Annotated[bool, typer.Option("--force", help="Compare also what did different work.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")] = False,
) -> None:
    """Compare results; exit code 98 if the new ones are worse.

    With four or more runs a side a rank test over the runs decides, else the 95 % ranges within them.
    """
    conditions = FailOn.parse(fail_on) if fail_on else []
    output = Output(as_json=as_json)
    comparison = compare_results(read_results(old), read_results(new), force=force)
    failures = comparison.failures(conditions)
    if output.as_json:
        output.json(
            {
                "changes": [msgspec.to_builtins(each) for each in comparison.changes],
                "warnings": list(comparison.warnings),
                "failures": failures,
            }
        )
    else:
        output.console.print(comparison_table(comparison))
        for warning in comparison.warnings:
            output.text(Text(f"note: {warning}", style="yellow"))
        for failure in failures:
            output.text(Text(f"worse: {failure}", style="bold red"))
    output.flush()
    raise typer.Exit(REGRESSED if failures else 0)


def read_results(path: Path) -> list[Mapping[str, Any]]:
    """Read a result, or all of a folder.

    Raises:
        UsageError: If there is none, or one cannot be read.
    """
    files = [path]
    if path.is_dir():
        inside = path / "result.json"
        files = (
            [inside]
            if inside.is_file()
            else sorted(path.glob("*/result.json")) or sorted(path.glob("*.json"))
        )
    if not files:
        raise UsageError(f"{path}: there is no result.json in this folder or in those below it")
    return [_read(file) for file in files]


def _read(file: Path) -> Mapping[str, Any]:
    try:
        result = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{file}: is no result of `nadows bench`: {error}") from None
    if result.get("schema") != SCHEMA or "ci" not in result or "phases" not in result:
        raise UsageError(f"{file}: is no result of `nadows bench` with schema {SCHEMA}")
    return result


def comparison_table(comparison: Comparison) -> Table:
    """Return a table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("metric", "old", "new", "change"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    table.add_column("")
    for each in comparison.changes:
        table.add_row(
            *(each.metric, _value(each, each.old), _value(each, each.new)),
            *("-" if each.delta is None else f"{each.delta:+.1%}", f"{each.verdict} ({each.why})"),
            style=_STYLES[each.verdict],
        )
    return table


def _value(change: Change, value: float | None) -> str:
    if value is None:
        return "-"
    if change.metric == "rps":
        return f"{value:.1f}/s"
    return f"{value:.3%}" if change.metric == "errors" else f"{value:.3f} ms"
