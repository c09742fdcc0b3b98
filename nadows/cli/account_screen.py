"""What people see of their account: state in, styled text out. Nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rich.text import Text

from nadows.cli.figures import ALERT, BUY, FAINT, SELL, clock, fixed
from nadows.products import Product
from nadows.units import ONE_X18

__all__ = ["AccountView", "FillRow", "OrderRow", "PositionRow", "account_screen"]

_CENTS: Final = 2


class PositionRow(NamedTuple):
    """A balance that is not nothing. Prices and amounts are x18."""

    product: Product
    amount: int
    """Signed."""
    v_quote: int
    """Minus the signed entry cost with its fees; 0 for spot."""
    entry: int
    mark: int | None
    """Mid price, if there is one."""

    @property
    def pnl(self) -> int | None:
        """What closing at the mark would leave, in USDT0 (x18), fees of the close not counted; perps only."""
        if self.mark is None or not self.product.is_perp:
            return None
        return self.amount * self.mark // ONE_X18 + self.v_quote


class OrderRow(NamedTuple):
    """An open order."""

    product: Product
    is_buy: bool
    price: int
    """0 while it is not known."""
    qty: int
    leaves: int
    status: str
    digest: str


class FillRow(NamedTuple):
    """A fill."""

    product: Product
    instant_ns: int
    is_buy: bool
    price: int
    qty: int
    fee: int
    is_taker: bool
    is_late: bool
    """Whether the stream missed it, and the archive told."""


@dataclass(frozen=True)
class AccountView:
    """An account at one moment."""

    title: str
    state: str
    """Of the lines to the venue; empty while all is well."""
    positions: Sequence[PositionRow]
    orders: Sequence[OrderRow]
    fills: Sequence[FillRow]
    """Newest first."""
    hint: str = ""

    @property
    def pnl(self) -> int | None:
        """Sum over the positions; ``None`` while a mark is missing."""
        known = [row.pnl for row in self.positions if row.product.is_perp]
        return None if None in known else sum(pnl for pnl in known if pnl is not None)


def account_screen(view: AccountView, *, width: int = 80, height: int = 24) -> Text:
    """Draw an account: positions, open orders and the last fills, each with its share of the lines.

    Args:
        view: The account.
        width: Of the terminal, in columns; lines are cut there.
        height: Of the terminal, in lines; the oldest fills go first, then the orders.
    """
    room = height - 6
    positions = [_position(row) for row in view.positions[: max(1, room)]]
    room -= len(positions)
    orders = [_order(row) for row in view.orders[: max(1, room // 2)]]
    fills = [_fill(row) for row in view.fills[: max(0, room - len(orders))]]
    left_out = len(view.orders) - len(orders)
    lines = [
        _title(view),
        _heading("positions", "amount", "entry", "mark", "PnL"),
        *(positions or [_nothing()]),
        _heading(f"orders{f' ({left_out} more)' if left_out else ''}", "left", "price", "of").append(
            "  state", FAINT
        ),
        *(orders or [_nothing()]),
        _heading("fills", "size", "price", "fee"),
        *(fills or [_nothing()]),
    ]
    if view.hint:
        lines = [*lines[: height - 1], Text(f" {view.hint}", style=FAINT)]
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines[:height]):
        line.truncate(width)
        text.append("\n" if number else "").append_text(line)
    return text


def _title(view: AccountView) -> Text:
    title = Text().append(f" {view.title}", "bold")
    if view.state:
        title.append(f"   {view.state}", ALERT)
    return title.append("   PnL ", FAINT).append_text(_money(view.pnl))


def _heading(*cells: str) -> Text:
    first, *others = cells
    return Text(f" {first:23}" + "".join(f"{cell:>13}" for cell in others), style=FAINT)


def _nothing() -> Text:
    return Text(" none", style=FAINT)


def _position(row: PositionRow) -> Text:
    decimals = row.product.price_decimals
    text = Text(f" {row.product.symbol:23}")
    text.append(f"{fixed(row.amount, row.product.size_decimals):>13}", BUY if row.amount > 0 else SELL)
    # An average has no end of digits: two more than a price has will do.
    text.append(f"{fixed(_cut(row.entry, decimals + 2), decimals) if row.entry else '-':>13}")
    text.append(f"{fixed(_cut(row.mark, decimals + 2), decimals) if row.mark else '-':>13}")
    return text.append_text(_money(row.pnl, 13) if row.product.is_perp else Text())


def _order(row: OrderRow) -> Text:
    text = Text(f" {row.product.symbol:10}").append(_side(row.is_buy), BUY if row.is_buy else SELL)
    text.append(f" {row.digest[:8]}").append(f"{fixed(row.leaves, row.product.size_decimals):>13}")
    text.append(f"{fixed(row.price, row.product.price_decimals) if row.price else '?':>13}")
    return text.append(f"{fixed(row.qty, row.product.size_decimals):>13}  {row.status}")


def _fill(row: FillRow) -> Text:
    text = Text(f" {row.product.symbol:10}").append(_side(row.is_buy), BUY if row.is_buy else SELL)
    text.append("         ").append(f"{fixed(row.qty, row.product.size_decimals):>13}")
    text.append(f"{fixed(row.price, row.product.price_decimals):>13}{fixed(_cut(row.fee, 6), _CENTS):>13}")
    text.append(f"  {'taker' if row.is_taker else 'maker'} {clock(row.instant_ns)}", FAINT)
    return text.append("  found later", ALERT) if row.is_late else text


def _side(is_buy: bool) -> str:
    return "buy " if is_buy else "sell"


def _money(value: int | None, width: int = 0) -> Text:
    if value is None:
        return Text(f"{'-':>{width}}")
    shown = fixed(_cut(value, _CENTS), _CENTS)
    return Text().append(f"{'+' + shown if value > 0 else shown:>{width}}", BUY if value >= 0 else SELL)


def _cut(value: int, decimals: int) -> int:
    """Leave out digits beyond *decimals*, towards 0."""
    unit: int = 10 ** (18 - decimals)
    return value // unit * unit if value >= 0 else -(-value // unit * unit)
