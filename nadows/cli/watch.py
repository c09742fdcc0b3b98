"""``nadows watch``: one's own orders, fills, positions and PnL, live."""

from __future__ import annotations

from typing import Annotated

import typer

from nadows.cli.given import Given, given_options

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@given_options(key=True)
def watch(
    once: Annotated[bool, typer.Option("--once", help="Print the account once, and end.")] = False,
    *,
    given: Given,
) -> None:
    """Watch one's own orders, fills, positions and PnL.

    On a terminal the account is drawn when it has changed, at most ten times a second; elsewhere it is one
    JSON object for each change. PnL is what closing at the mid would leave, without the fees of doing so.

    Example: nadows watch --network testnet --account trader
    """
    # Completion must not wait for the client.
    from nadows.cli.live_account import watch_account  # noqa: PLC0415

    watch_account(given, is_once=once)
