"""Fixed point and instants: the numbers of the venue, exact.

The venue sends every price, size and amount of money as ``value * 10**18`` in a decimal
string ("x18"), and instants as decimal strings too, because both exceed 2**53. Inside
nadows they are plain integers; `decimal.Decimal` appears only where a person reads or
types a number; ``float`` never holds one of them.

`StrInt` and its subclasses are ``int`` and compute like ``int``; the type only says how
the number travels. The result of arithmetic on them is a plain ``int``.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

__all__ = [
    "MAX_I128",
    "NO_ASK",
    "ONE_X18",
    "X18",
    "Millis",
    "Nanos",
    "StrInt",
    "format_x18",
    "from_x18",
    "mul_x18",
    "parse_int",
    "round_down",
    "round_nearest",
    "round_up",
    "to_x18",
]


class StrInt(int):
    """An integer that travels as a decimal string, because it may exceed 64 bits or 2**53."""

    __slots__ = ()


class X18(StrInt):
    """A price, size or amount of money in units of 10**-18."""

    __slots__ = ()


class Nanos(StrInt):
    """An instant or a span in nanoseconds."""

    __slots__ = ()


class Millis(StrInt):
    """An instant in milliseconds since the epoch."""

    __slots__ = ()


ONE_X18: Final = X18(10**18)
MAX_I128: Final = 2**127 - 1
NO_ASK: Final = X18(MAX_I128)
"""The ask price of an empty side. Source: protocol.md 2.5, best_bid_offer (live capture)."""

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch
# 60 digits hold every int128 times 10**18; Inexact is trapped so that nothing is rounded in silence.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])


def parse_int(text: str) -> int:
    """Read a canonical decimal integer.

    Python's own ``int()`` also takes "1_0", " 1", "+1" and other scripts' digits, and JSON
    readers turn "1e3" or "1.0" into integers; each of them is refused here, because two
    spellings of one price would be two levels of a book.

    Raises:
        ValueError: If *text* is anything but an optional minus sign and digits without a leading zero.
    """
    if _INTEGER(text) is None or text == "-0":
        raise ValueError(f"expected an integer such as '1000' or '-1', got {text!r}")
    return int(text)


def to_x18(value: Decimal | str | int) -> X18:
    """Convert a number as people write it to fixed point, exactly.

    Args:
        value: For example ``Decimal("0.1")``, ``"3000.5"`` or ``12``. A ``float`` is refused: it has already
            lost digits.

    Raises:
        ValueError: If *value* is not a finite number, has more than 18 decimals, or exceeds what the venue's
            128-bit integers hold.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        got = f"{type(value).__name__} {value!r}"
        raise ValueError(f"expected a Decimal, a string or an int, got {got}; write it as a string")
    if isinstance(value, int):
        return _in_range(value * ONE_X18, value)
    try:
        number = value if isinstance(value, Decimal) else Decimal(value)
        scaled = number.scaleb(18, context=_EXACT)
        whole = scaled.to_integral_exact(context=_EXACT)
    except Inexact:
        raise ValueError(f"{value} has more digits than fixed point holds (18 decimals)") from None
    except InvalidOperation:
        raise ValueError(f"expected a number such as '3000.5', got {value!r}") from None
    if not whole.is_finite():
        raise ValueError(f"expected a finite number, got {value!r}")
    return _in_range(whole, value)


def _in_range(scaled: Decimal | int, value: Decimal | str | int) -> X18:
    # Compared while still a Decimal: to write "1e900000" out as an integer takes tens of seconds.
    if not -MAX_I128 <= scaled <= MAX_I128:
        raise ValueError(f"{value} is too large: fixed point holds less than {MAX_I128 // 10**18 + 1}")
    return X18(int(scaled))


def from_x18(value: int) -> Decimal:
    """Convert fixed point to a `Decimal`, exactly and without trailing zeros."""
    return Decimal(format_x18(value))


def format_x18(value: int) -> str:
    """Write fixed point as the shortest exact decimal: ``format_x18(1500 * 10**15) == "1.5"``."""
    sign = "-" if value < 0 else ""
    whole, part = divmod(abs(value), 10**18)
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:018d}".rstrip("0")


def mul_x18(a: int, b: int) -> int:
    """Multiply two fixed point numbers, rounding towards minus infinity."""
    return a * b // 10**18


def round_down(value: int, step: int) -> int:
    """Round to a multiple of *step* towards minus infinity (both in the same unit)."""
    return value - value % step


def round_up(value: int, step: int) -> int:
    """Round to a multiple of *step* towards plus infinity (both in the same unit)."""
    return value + -value % step


def round_nearest(value: int, step: int) -> int:
    """Round to the nearest multiple of *step*, halves up (both in the same unit)."""
    return round_down(value + step // 2, step)
