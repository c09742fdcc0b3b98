"""``nadows book``: the live order book of one product, or of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nadows.cli.completion import complete_product
from nadows.cli.given import Given, given_options

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

MAX_DEPTH = 100
"""Levels a side that a snapshot proves."""


@app.command()
@given_options(key=True)
def book(
    products: Annotated[
        list[str],
        typer.Argument(
            metavar="PRODUCT...", help="Symbol or id: ETH, ETH-PERP, 4.", autocompletion=complete_product
        ),
    ],
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, max=MAX_DEPTH, help="Levels a side.")] = 15,
    once: Annotated[
        bool, typer.Option("--once", help="Wait until the book is LIVE, print it once, and end.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw it once into a picture, and end.")
    ] = None,
    *,
    given: Given,
) -> None:
    """Show the live order book of a product.

    Show the book as a ladder on a terminal, drawn at most ten times a second, or as JSON elsewhere. Several
    products stand beside each other where the terminal is wide enough; with a key, own orders are marked.

    Keys: + and - depth, [ and ] grouping of prices, n and p next and previous product, q quit.

    Example: nadows book ETH BTC --depth 10
    """
    # Completion must not wait for the client.
    from nadows.cli.live_book import BookOptions, show_books  # noqa: PLC0415

    show_books(BookOptions(products, depth, is_once=once or svg is not None, svg=svg), given)
