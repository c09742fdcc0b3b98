"""Prices on the tick and sizes on the step, exactly; the one place where a strategy's numbers come in.

A tick is an increment, and a price must be a multiple of it: rounding to as many decimals as the tick has, as
the public project's base class does, leaves 0.07 on a tick of 0.05. Everything is x18.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final

from nadows.errors import UsageError
from nadows.products import Product
from nadows.units import from_x18, round_down, round_nearest, round_up, to_x18

__all__ = ["close_price", "open_price", "read", "round_to", "size_of"]

_DUST: Final = Decimal("1e-12")
"""Finer than any increment of the venue, coarser than the dust of ``Decimal(0.1)``."""
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

Number = Decimal | int | str | float


def read(value: Number) -> int:
    """Read a number to twelve decimals, so that the dust of ``Decimal(0.1)`` falls off.

    Args:
        value: A ``float`` is taken as its shortest spelling.

    Raises:
        UsageError: If it is no finite number, or out of range.
    """
    try:
        number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        return to_x18(number.quantize(_DUST, context=_WIDE))
    except (InvalidOperation, ValueError):
        raise UsageError(f"expected a number such as '0.1', got {value!r}") from None


def round_to(tick: Number, price: Number) -> Decimal:
    """Round a price to the nearest multiple of *tick*, halves up."""
    return from_x18(round_nearest(read(price), read(tick)))


def size_of(product: Product, quantity: Number) -> int:
    """Read a quantity to trade.

    Raises:
        UsageError: If it is not positive, or not a multiple of the product's increment.
    """
    size = read(quantity)
    if size <= 0 or size % product.step:
        raise UsageError(
            f"{product.symbol}: quantity {from_x18(size)} must be a positive multiple "
            f"of {from_x18(product.step)}"
        )
    return size


def open_price(product: Product, bid: int | None, ask: int | None, *, is_buy: bool) -> int:
    """Return the best price that does not trade at once: one tick from the other side.

    Raises:
        UsageError: If a side of the book is empty or unknown.
    """
    if bid is None or ask is None:
        raise UsageError(f"{product.symbol}: invalid bid/ask prices: a side of the book is empty")
    return ask - product.tick if is_buy else bid + product.tick


def close_price(product: Product, wanted: int, bid: int | None, ask: int | None, *, is_buy: bool) -> int:
    """Put a closing price on the tick, never to the worse, and off the other side if it would trade at once.

    A closing order sells above or buys below what was paid, so the tick is searched in that direction.
    """
    if is_buy:
        price = round_down(wanted, product.tick)
        return price if ask is None else min(price, round_up(ask, product.tick) - product.tick)
    price = round_up(wanted, product.tick)
    return price if bid is None else max(price, round_down(bid, product.tick) + product.tick)
