"""Conditions on events, as people type them: ``price>3000 and side=buy``.

::

    where     := condition ("and" condition)*
    condition := FIELD ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") VALUE
    FIELD     := a member of the wire, or one of symbol, type, side, qty
    VALUE     := number | word | 'text' | "text"

Numbers are in the units of people (a price of 3000, not of 3000 * 10**18) and compared exactly. An event
without the field does not meet the condition.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from nadows.errors import UsageError
from nadows.messages import EVENTS, LateFill
from nadows.products import Products
from nadows.units import X18, to_x18

__all__ = ["FIELDS", "Where", "parse_where"]

_X18: Final = "a decimal number"
_INTEGER: Final = "a whole number"
_FLAG: Final = "true or false"
_TEXT: Final = "a text"


_TAGS: Final[dict[type, str]] = {kind: tag for tag, kind in EVENTS.items()} | {LateFill: "fill"}


def _fields() -> dict[str, str]:
    """List every member that can be compared, with what it is compared to."""
    found = {"type": _TEXT, "symbol": _TEXT, "side": _TEXT, "qty": _X18}
    for event in EVENTS.values():
        for name, hint in get_type_hints(event).items():
            # Of what may be missing, what it is if it is there.
            kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
            for kind, values in ((X18, _X18), (bool, _FLAG), (int, _INTEGER), (str, _TEXT)):
                if any(isinstance(each, type) and issubclass(each, kind) for each in kinds):
                    found.setdefault(name, values)
                    break
    return found


FIELDS: Final = _fields()
"""What can be compared, and to what."""
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<word>[A-Za-z0-9_.+-]+)|(?P<operator>==|!=|<=|>=|=|<|>)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")"
)


class _Token(NamedTuple):
    kind: str
    text: str
    column: int
    """Of its first character, from 1."""


class _Condition(NamedTuple):
    field: str
    compare: Callable[[Any, Any], bool]
    value: Any


class Where:
    """Conditions that must all be met; made by `parse_where`."""

    def __init__(self, conditions: tuple[_Condition, ...]) -> None:
        self._conditions = conditions

    def __call__(self, event: Any, products: Products) -> bool:
        """Tell whether an event of the venue meets them."""
        return all(
            (found := _value(event, field, products)) is not None and compare(found, value)
            for field, compare, value in self._conditions
        )


def parse_where(text: str) -> Where:
    """Read conditions.

    Raises:
        UsageError: With the column of what is wrong, and the nearest field for one that is none.
    """
    tokens = iter(_tokens(text))
    conditions = []
    while True:
        conditions.append(_condition(tokens))
        joint = next(tokens)
        if joint.kind == "end":
            return Where(tuple(conditions))
        if joint.text != "and":
            raise _wrong(joint, "conditions are joined by and")


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            column = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            raise _wrong(_Token("", text[column - 1], column), "it belongs to no condition; quote texts")
        assert found.lastgroup is not None
        tokens.append(_Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1))
        position = found.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


def _condition(tokens: Iterator[_Token]) -> _Condition:
    # The end is refused by each of the three, so nobody reads past it.
    field = next(tokens)
    if field.kind != "word":
        raise _wrong(field, "a condition is FIELD OPERATOR VALUE, such as price>3000")
    if field.text not in FIELDS:
        near = difflib.get_close_matches(field.text, FIELDS, n=1)
        raise _wrong(field, f"no field is called so: {f'did you mean {near[0]}?' if near else _all_fields()}")
    sign = next(tokens)
    if sign.kind != "operator":
        raise _wrong(sign, f"after {field.text} comes one of {' '.join(_OPERATORS)}")
    if FIELDS[field.text] in (_FLAG, _TEXT) and sign.text not in ("=", "==", "!="):
        raise _wrong(sign, f"{field.text} is equal or it is not: use = or !=")
    value = next(tokens)
    if value.kind in ("end", "operator"):
        raise _wrong(value, f"{field.text} is compared to {FIELDS[field.text]}")
    return _Condition(field.text, _OPERATORS[sign.text], _read(field.text, value))


def _read(field: str, token: _Token) -> Any:
    kind = FIELDS[field]
    if kind == _TEXT:
        return token.text.upper() if field == "symbol" else token.text
    try:
        if kind == _X18:
            return to_x18(token.text)
        return {"true": True, "false": False}[token.text] if kind == _FLAG else int(token.text)
    except (ValueError, KeyError):
        raise _wrong(token, f"{field} is compared to {kind}") from None


def _value(event: Any, field: str, products: Products) -> Any:
    match field:
        case "type":
            # What is of no known type tells its own.
            return _TAGS.get(type(event), getattr(event, "type", None))
        case "symbol":
            product_id = getattr(event, "product_id", None)
            return None if product_id is None else products.symbol(product_id).upper()
        case "side":
            return _side(event)
        case "qty":
            quantity = getattr(event, "taker_qty", getattr(event, "filled_qty", None))
            return abs(quantity) if isinstance(quantity, int) else None
        case _:
            value = getattr(event, field, None)
            return value if isinstance(value, int | str) else None


def _side(event: Any) -> str | None:
    is_buy = getattr(event, "is_taker_buyer", getattr(event, "is_bid", None))
    return None if is_buy is None else "buy" if is_buy else "sell"


def _all_fields() -> str:
    return f"there are {', '.join(FIELDS)}"


def _wrong(token: _Token, why: str) -> UsageError:
    what = f"{token.text!r}" if token.text else "the end"
    return UsageError(f"--where, column {token.column}, {what}: {why}")
