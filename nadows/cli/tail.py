"""``nadows tail``: events as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nadows.cli.completion import complete_product, complete_stream
from nadows.cli.given import Given, given_options
from nadows.cli.options import parse_duration

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
@given_options(key=True)
def tail(
    streams: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STREAM",
            help="book_depth:ETH, trade:2, latest_candlestick:ETH:60, fill, all ...; "
            "without any: trades and best bid/offer of all products.",
            autocompletion=complete_stream,
        ),
    ] = None,
    product: Annotated[
        list[str] | None,
        typer.Option(
            "--product",
            "-p",
            metavar="PRODUCT",
            help="Only this product; may be repeated.",
            autocompletion=complete_product,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", "-w", help="Only events that meet this: 'price>3000 and side=buy'."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", "-o", help="Write a capture, for `nadows replay`; .gz compresses."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file of --record if it exists.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="End after so many events.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="End after this time: 10s, 500ms, 2m.")
    ] = None,
    *,
    given: Given,
) -> None:
    """Print events as they come, and record them.

    Print one line an event: for people on a terminal, with the time it took from the venue to here; elsewhere
    the venue's JSON with the symbol added. Lost and restored connections, and books that go out of and into
    service, are lines too. --where compares any member of an event, and symbol, type, side and qty, to
    numbers and texts.

    Example: nadows tail trade --product ETH --where 'qty>=1 and side=sell'
    """
    # Completion must not wait for the client.
    from nadows.cli.tailing import Tailing, TailOptions  # noqa: PLC0415

    options = TailOptions.read(
        streams or [],
        products=product or [],
        where=where,
        record=record,
        force=force,
        limit=limit,
        seconds=None if duration is None else parse_duration(duration),
    )
    Tailing(options, given).start()
