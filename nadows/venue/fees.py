"""Who pays what for a match, exactly.

All amounts are x18 integers and every division rounds towards minus infinity. Rounding never
creates or loses money: what one side pays beyond what the other receives is what the venue books
as fees, computed from the same integers.

Source: protocol.md 3.10, matching and fees (from the exchange's contracts).
"""

from __future__ import annotations

from typing import Final

from nadows.units import ONE_X18, mul_x18

__all__ = ["builder_fee", "maker_fee", "notional", "taker_fee"]

_BUILDER_UNITS: Final = 100_000
"""Builder rates count tenths of a basis point (protocol.md 3.3)."""


def notional(price: int, qty: int) -> int:
    """Return the quote value of *qty* (absolute) at *price*."""
    return mul_x18(price, qty)


def _rated(quote: int, rate: int, is_bid: bool) -> int:
    """Return the fee: a buyer pays ``quote / (1 - rate)`` in all, a seller gets ``quote * (1 - rate)``."""
    return quote * ONE_X18 // (ONE_X18 - rate) - quote if is_bid else mul_x18(quote, rate)


def maker_fee(quote: int, rate: int, is_bid: bool) -> int:
    """Return the fee of the resting side on a match worth *quote*; negative for a rebate."""
    return _rated(quote, rate, is_bid)


def taker_fee(quote: int, rate: int, is_bid: bool, *, matched: int, min_size: int) -> int:
    """Return the fee of the arriving side on a match worth *quote*.

    The first match of an order pays at least the fee on *min_size*; later ones pay only on what lifts
    the order's total above it, so that an order pays the minimum once however it is split.

    Args:
        quote: Value of this match.
        rate: Taker rate.
        is_bid: Whether the taker buys.
        matched: Value that this order matched before.
        min_size: The product's smallest order, in quote.
    """
    metered = max(0, matched + quote - max(min_size, matched))
    if not matched:
        metered += min_size
    return _rated(metered, rate, is_bid)


def builder_fee(quote: int, units: int) -> int:
    """Return what the builder named in the order's appendix gets; *units* of 0.1 basis points."""
    return quote * units // _BUILDER_UNITS
