"""``nadows symbols``: what the venue lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from nadows.cli.connecting import reach
from nadows.cli.figures import FAINT
from nadows.cli.given import Given, given_options
from nadows.cli.run import run
from nadows.client import connect
from nadows.products import Product
from nadows.units import format_x18

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_TITLES: Final = (
    "symbol",
    "id",
    "type",
    "price step",
    "size step",
    "min notional",
    "maker",
    "taker",
    "status",
)
_BASIS_POINT: Final = 10**14


@app.command()
@given_options()
def symbols(
    products: Annotated[
        list[str] | None, typer.Argument(metavar="PRODUCT", help="Only these: ETH, ETH-PERP, 4.")
    ] = None,
    *,
    given: Given,
) -> None:
    """List the products of the venue, with their increments and limits.

    Prices and sizes are multiples of the steps; price times size must reach the minimum notional (USDT0).
    Fees are basis points on a terminal, and fractions in JSON; a negative one is a rebate.

    Example: nadows symbols ETH BTC --json
    """
    run(_symbols(products or [], given))


async def _symbols(names: Sequence[str], given: Given) -> None:
    output = given.output
    async with reach(given) as network, connect(network) as client:
        listed = [client.products.find(name) for name in names] or list(client.products)
    if output.as_json:
        for product in listed:
            output.json(_json(product))
    else:
        rows = [_row(product) for product in listed]
        widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
        for number, row in enumerate([_TITLES, *rows]):
            # Words to the left, numbers to the right.
            cells = [
                cell.ljust(width) if title in ("symbol", "type", "status") else cell.rjust(width)
                for cell, width, title in zip(row, widths, _TITLES, strict=True)
            ]
            output.text(Text("  ".join(cells).rstrip(), style="default" if number else FAINT))
    output.flush()


def _json(product: Product) -> dict[str, Any]:
    return {
        "type": "symbol",
        "symbol": product.symbol,
        "product_id": product.product_id,
        "kind": "perp" if product.is_perp else "spot",
        "price_increment": format_x18(product.tick),
        "size_increment": format_x18(product.step),
        "min_notional": format_x18(product.min_notional),
        "maker_fee": format_x18(product.maker_fee),
        "taker_fee": format_x18(product.taker_fee),
        "status": product.status,
    }


def _row(product: Product) -> tuple[str, ...]:
    return (
        product.symbol,
        str(product.product_id),
        "perp" if product.is_perp else "spot",
        format_x18(product.tick),
        format_x18(product.step),
        format_x18(product.min_notional),
        *(f"{format_x18(fee * 10**18 // _BASIS_POINT)} bp" for fee in (product.maker_fee, product.taker_fee)),
        product.status,
    )
