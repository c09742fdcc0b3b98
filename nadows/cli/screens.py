"""What people see of a book: state in, styled text out. Nothing here reads a clock or writes anywhere.

Styled text and not tables: a table of 20 levels costs ten times as much to draw, and a ladder is drawn up to
ten times a second beside a client that has better things to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from rich.text import Text

from nadows.book import Book, BookState, Level
from nadows.cli.figures import ALERT, BUY, FAINT, SELL, clock, fixed, span
from nadows.products import Product
from nadows.units import ONE_X18

__all__ = ["BookView", "LastTrade", "beside", "grouped", "ladder"]

_BASIS_POINTS: Final = 10_000
_SNAPSHOT: Final = 100
"""Levels a side that a snapshot proves."""
_TRADES: Final = 4
"""Trades shown below a ladder, if there is room."""
_GAP: Final = 2
"""Columns between two ladders."""


class LastTrade(NamedTuple):
    """A match, as it is shown below the ladder."""

    instant_ns: int
    is_buy: bool
    """Whether the taker bought."""
    price: int
    qty: int


@dataclass(frozen=True)
class BookView:
    """A book at one moment, and what is known about it. Prices and sizes are x18."""

    symbol: str
    state: BookState
    price_decimals: int
    size_decimals: int
    bids: Sequence[Level] = ()
    """Best first; empty unless the book is LIVE or POLLED."""
    asks: Sequence[Level] = ()
    timestamp: int = 0
    """Venue time up to which the book is complete (ns)."""
    microprice: int | None = None
    imbalance: int | None = None
    """Of the levels shown: from -1 (only asks) to 1 (only bids), x18."""
    own: Mapping[int, int] = field(default_factory=dict)
    """What own orders have left, by price; grouped as the levels are."""
    trades: Sequence[LastTrade] = ()
    """The last ones, newest first."""
    group: int = 0
    """Prices are grouped into steps of it; 0 for the product's own."""
    age_ns: int | None = None
    """Since the last change was seen; ``None`` if that is not followed."""
    updates_per_s: float | None = None
    network: str = ""
    hint: str = ""
    """What keys do, in the last line."""

    @classmethod
    def of(
        cls,
        book: Book,
        product: Product,
        depth: int,
        *,
        group: int = 0,
        own: Iterable[tuple[bool, int, int]] = (),
        **about: Any,
    ) -> BookView:
        """Look at a book; one that gives no prices shows none.

        Args:
            book: The book.
            product: Its product.
            depth: Levels a side.
            group: Join levels into steps of it (x18); 0 leaves them as they are.
            own: Own orders: whether they buy, price, and what is left of them.
            about: The other members.
        """
        known = book.levels(_SNAPSHOT if group else depth) if book.is_readable else ((), ())
        bids = grouped(known[0], group, is_buy=True)[:depth]
        asks = grouped(known[1], group, is_buy=False)[:depth]
        mine: dict[int, int] = {}
        for is_buy, price, left in own:
            at = _step(price, group, is_buy=is_buy)
            mine[at] = mine.get(at, 0) + left
        shown = [sum(level.qty for level in side) for side in (bids, asks)]
        return cls(
            symbol=product.symbol,
            state=book.state,
            price_decimals=product.price_decimals,
            size_decimals=product.size_decimals,
            bids=bids,
            asks=asks,
            timestamp=book.max_timestamp,
            microprice=book.microprice if book.is_readable else None,
            imbalance=(shown[0] - shown[1]) * ONE_X18 // sum(shown) if sum(shown) else None,
            own=mine,
            group=group,
            **about,
        )

    @property
    def spread(self) -> int | None:
        """Best ask minus best bid (x18), ``None`` if there are not both."""
        return self.asks[0].price - self.bids[0].price if self.asks and self.bids else None


def grouped(levels: Sequence[Level], group: int, *, is_buy: bool) -> Sequence[Level]:
    """Join levels whose prices fall into one step; bids move down and asks up, so that none looks better.

    Args:
        levels: Best first.
        group: The step (x18); 0 leaves them as they are.
        is_buy: Whether they are bids.
    """
    if not group:
        return levels
    joined: dict[int, int] = {}
    for level in levels:
        price = _step(level.price, group, is_buy=is_buy)
        joined[price] = joined.get(price, 0) + level.qty
    return [Level(price, qty) for price, qty in joined.items()]


def _step(price: int, group: int, *, is_buy: bool) -> int:
    if not group:
        return price
    return price // group * group if is_buy else -(-price // group) * group


class _Row(NamedTuple):
    price: str
    size: str
    total: str
    share: float
    """Of the largest total shown, 0 to 1."""
    is_own: bool
    """Whether own orders are among it."""


_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_SHOWN: Final = (BookState.LIVE, BookState.POLLED)
_STATE_STYLES: Final = {
    BookState.LIVE: "bold green",
    BookState.SYNCING: "bold yellow",
    BookState.POLLED: "bold yellow",
    BookState.STALE: "bold red",
}


def ladder(view: BookView, *, width: int = 80, height: int = 24) -> Text:
    """Draw a book as a ladder: asks above, bids below, best prices in the middle.

    Args:
        view: The book.
        width: Of the terminal, in columns; what does not fit is left out, the bars first, then the totals.
        height: Of the terminal, in lines; the worst levels are left out first.
    """
    return _joined(_ladder(view, width, height))


def beside(views: Sequence[BookView], *, width: int, height: int) -> Text:
    """Draw several books beside each other, each in its share of the width; see `ladder`."""
    share = (width + _GAP) // len(views) - _GAP
    columns = [_ladder(view, share, height) for view in views]
    lines = []
    for cells in zip_longest(*columns, fillvalue=Text()):
        line = Text()
        for number, cell in enumerate(cells):
            # Up to where its column begins.
            line.append(" " * (number * (share + _GAP) - len(line))).append_text(cell)
        lines.append(line)
    return _joined(lines)


def _joined(lines: Sequence[Text]) -> Text:
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines):
        text.append("\n" if number else "").append_text(line)
    return text


def _ladder(view: BookView, width: int, height: int) -> list[Text]:
    lines = [_title(view, width)]
    if view.state in _SHOWN:
        lines += [_summary(view), Text()]
        # Title, summary, the line in the middle, two empty ones, and the hint.
        room = height - 6
        below = min(_TRADES, max(0, room // 2 - 4)) if view.trades else 0
        rows = max(1, (room - below - bool(below)) // 2)
        lines += _levels(view, rows, width)
        if below:
            # What the levels leave over belongs to the trades, so that a picture keeps its height.
            below = room - 1 - 2 * rows if len(lines) == 4 + 2 * rows else below
            trades = [_trade(view, trade, width) for trade in view.trades[:below]]
            lines += [Text(), *trades, *([Text()] * (below - len(trades)))]
    else:
        waits = (
            "waits for a snapshot that joins the updates"
            if view.state is BookState.SYNCING
            else "not connected"
        )
        lines += [Text(), Text(f" no prices: {waits}", style=ALERT)]
    if view.hint:
        lines += [Text(), Text(f" {view.hint}", style=FAINT)]
    for line in lines[:height]:
        if len(line) > width:
            line.truncate(width)
    return lines[:height]


def _title(view: BookView, width: int) -> Text:
    title = Text(" ").append(f"{view.symbol} ", "bold").append(view.state.name, _STATE_STYLES[view.state])
    about = []
    if view.updates_per_s is not None:
        about.append(f"{view.updates_per_s:.1f} updates/s")
    if view.age_ns is not None:
        about.append(f"{span(view.age_ns)} old")
    if view.state in _SHOWN:
        about.append(f"as of {clock(view.timestamp)} UTC")
    if view.network:
        about.append(view.network)
    # From the most useful to the least, as many as fit.
    while about and len(title) + 3 + len(" · ".join(about)) > width:
        del about[0]
    right = " · ".join(about)
    return title.append(right.rjust(max(len(right) + 2, width - len(title) - 1)), style=FAINT)


def _summary(view: BookView) -> Text:
    text = Text()
    spread = view.spread
    if spread is None or view.microprice is None:
        return text.append(" one side is empty", style=ALERT)
    mid_twice = view.asks[0].price + view.bids[0].price
    points = spread * 2 * _BASIS_POINTS * 100 // mid_twice
    text.append(" spread ", style=FAINT).append(fixed(spread, view.price_decimals))
    text.append(f" ({points // 100}.{points % 100:02} bp)", style=FAINT)
    # Two decimals finer than the tick: between two prices is where it lives.
    decimals = view.price_decimals + 2
    micro = fixed(view.microprice - view.microprice % 10 ** (18 - decimals), decimals)
    text.append("   microprice ", style=FAINT).append(micro)
    if view.imbalance is not None:
        # In per cent, which need no more digits than that.
        text.append("   imbalance ", style=FAINT)
        text.append(f"{view.imbalance * 100 // ONE_X18:+d} %", BUY if view.imbalance > 0 else SELL)
    if view.group:
        text.append("   by ", style=FAINT).append(fixed(view.group, view.price_decimals))
    return text


def _trade(view: BookView, trade: LastTrade, width: int) -> Text:
    """Write a match in one line; the time goes first where it is narrow."""
    what = f"{fixed(trade.price, view.price_decimals):>10}  {fixed(trade.qty, view.size_decimals):>10}"
    line = Text(f" {what}", style=BUY if trade.is_buy else SELL)
    if len(line) + 19 <= width:
        line.append(f"  {'buy ' if trade.is_buy else 'sell'} {clock(trade.instant_ns)}", style=FAINT)
    return line


def _levels(view: BookView, rows: int, width: int) -> list[Text]:
    asks, bids = view.asks[:rows], view.bids[:rows]
    most = max(sum(level.qty for level in side) for side in (asks, bids)) or 1
    above = list(reversed(_rows(asks, view, most)))
    below = _rows(bids, view, most)
    columns = _column_widths(above + below)
    between = Text("─" * min(width - 1, 1 + sum(columns) + 2 * len(columns)), style=FAINT)
    return [
        *(_line(row, columns, width, SELL) for row in above),
        Text(" ").append_text(between),
        *(_line(row, columns, width, BUY) for row in below),
    ]


def _rows(levels: Sequence[Level], view: BookView, most: int) -> list[_Row]:
    rows, total = [], 0
    for level in levels:
        total += level.qty
        rows.append(
            _Row(
                fixed(level.price, view.price_decimals),
                fixed(level.qty, view.size_decimals),
                fixed(total, view.size_decimals),
                # For the length of a bar, which is no number of anybody's.
                total / most,
                level.price in view.own,
            )
        )
    return rows


def _column_widths(rows: Sequence[_Row]) -> tuple[int, int, int]:
    """Widths of price, size and total; never narrower than usual, so that columns do not dance."""
    return (
        max([10, *(len(row.price) for row in rows)]),
        max([10, *(len(row.size) for row in rows)]),
        max([11, *(len(row.total) for row in rows)]),
    )


def _line(row: _Row, columns: tuple[int, int, int], width: int, style: str) -> Text:
    price, size, total = columns
    line = Text().append("▸" if row.is_own else " ", ALERT).append(row.price.rjust(price), style)
    # A column is there whole or not at all: half a number is another number.
    if len(line) + 2 + size <= width:
        line.append(f"  {row.size.rjust(size)}")
    if len(line) + 2 + total <= width:
        line.append(f"  {row.total.rjust(total)}", style=FAINT)
        room = min(width - len(line) - 3, 40)
        if room >= 8:
            line.append(f"  {_bar(row.share, room)}", style=style)
    return line


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    full, part = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + _EIGHTHS[part]).rstrip()
