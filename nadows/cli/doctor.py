"""``nadows doctor``: what works from here, and what to do about the rest."""

from __future__ import annotations

import os
from collections import Counter

import typer
from rich.text import Text

from nadows.cli.checks import Check, Verdict, local_checks, venue_checks
from nadows.cli.connecting import reach
from nadows.cli.figures import ALERT, BUY, FAINT, SELL
from nadows.cli.given import Given, given_options
from nadows.cli.output import Output
from nadows.cli.run import run
from nadows.config_file import config_path
from nadows.errors import NadowsError
from nadows.keys import without_keys

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_STYLES = {Verdict.OK: BUY, Verdict.WARN: ALERT, Verdict.FAIL: SELL}


@app.command()
@given_options(key=True)
def doctor(given: Given) -> None:
    """Check what works from here, and say what to do about the rest.

    One line each for Python, packages, limits, settings, key, proxy, names, certificates, every endpoint of
    the venue, compression and clock. Ends with 1 if something failed; warnings do not count.

    Example: nadows doctor --network testnet
    """
    run(_doctor(given))


async def _doctor(given: Given) -> None:
    counts: Counter[Verdict] = Counter()

    def tell(check: Check) -> None:
        counts[check.verdict] += 1
        _print(check, given.output)

    environment = without_keys(os.environ)
    for check in local_checks(given.settings, environment, config_path(environment)):
        tell(check)
    try:
        async with reach(given) as network:
            async for check in venue_checks(network):
                tell(check)
    except NadowsError as error:
        tell(Check("venue", Verdict.FAIL, str(error), "see the lines above"))
    given.output.say(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict))
    if counts[Verdict.FAIL]:
        raise typer.Exit(1)


def _print(check: Check, output: Output) -> None:
    if output.as_json:
        output.json({"type": "check"} | check._asdict())
    else:
        text = Text(f"{check.verdict:5}", style=_STYLES[check.verdict]).append(f"{check.name:15}", "default")
        text.append(check.found, "default")
        output.text(text.append(f"\n     {'':15}-> {check.remedy}", FAINT) if check.remedy else text)
    output.flush()
