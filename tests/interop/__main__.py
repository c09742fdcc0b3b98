"""``make interop``: a table of what the official SDK can do with this venue; exits with 1 if it fails."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nadows.errors import NadowsError
from tests.interop.runner import DEFAULT_PYTHON, VENUES, Check, run_checks


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument(
        "--sdk-python", type=Path, default=DEFAULT_PYTHON, help="Python of the SDK's own environment"
    )
    sdk_python: Path = parser.parse_args().sdk_python
    if not sdk_python.exists():
        parser.error(f"there is no {sdk_python}; `make interop` makes it")
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        failed = asyncio.run(_run(sdk_python.absolute(), console))
    except NadowsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 1 if failed else 0


async def _run(sdk_python: Path, console: Console) -> int:
    failed = 0
    for name, venue in VENUES.items():
        async with venue() as network:
            checks = await run_checks(sdk_python, network)
        bad = sum(not check.ok for check in checks)
        failed += bad
        console.print(_table(f"nado-protocol 2.0.0 against {name}", checks))
        console.print(f"{len(checks) - bad} of {len(checks)} checks passed\n", highlight=False)
    return failed


def _table(title: str, checks: list[Check]) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("check")
    table.add_column("")
    table.add_column("ms", justify="right")
    table.add_column("detail")
    for check in checks:
        verdict = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        detail = check.detail if not check.ok or len(check.detail) <= 64 else f"{check.detail[:63]}…"
        table.add_row(str(check.check), Text(check.title), verdict, str(check.ms), Text(detail))
    return table


if __name__ == "__main__":
    sys.exit(main())
