"""What people see of a book: state in, styled text out. Nothing here reads a clock or writes anywhere.

Styled text and not tables: a table of 20 levels costs ten times as much to draw, and a ladder is drawn up to
ten times a second beside a client that has better things to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rich.text import Text

from nadows.book import Book, BookState, Level
from nadows.cli.figures import ALERT, BUY, FAINT, SELL, clock, fixed, span
from nadows.products import Product

__all__ = ["BookView", "ladder"]

_BASIS_POINTS: Final = 10_000


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
    age_ns: int | None = None
    """Since the last change was seen; ``None`` if that is not followed."""
    updates_per_s: float | None = None
    network: str = ""
    hint: str = ""
    """What keys do, in the last line."""

    @classmethod
    def of(cls, book: Book, product: Product, depth: int, **about: Any) -> BookView:
        """Look at a book; one that gives no prices shows none."""
        bids, asks = book.levels(depth) if book.is_readable else ((), ())
        return cls(
            symbol=product.symbol,
            state=book.state,
            price_decimals=product.price_decimals,
            size_decimals=product.size_decimals,
            bids=bids,
            asks=asks,
            timestamp=book.max_timestamp,
            microprice=book.microprice if book.is_readable else None,
            **about,
        )

    @property
    def spread(self) -> int | None:
        """Best ask minus best bid (x18), ``None`` if there are not both."""
        return self.asks[0].price - self.bids[0].price if self.asks and self.bids else None


class _Row(NamedTuple):
    price: str
    size: str
    total: str
    share: float
    """Of the largest total shown, 0 to 1."""


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
    lines = [_title(view, width)]
    if view.state in _SHOWN:
        lines += [_summary(view), Text()]
        # Title, summary, the line in the middle, two empty ones, and the hint.
        rows = max(1, (height - 6) // 2)
        lines += _levels(view, rows, width)
    else:
        waits = (
            "waits for a snapshot that joins the updates"
            if view.state is BookState.SYNCING
            else "not connected"
        )
        lines += [Text(), Text(f" no prices: {waits}", style=ALERT)]
    if view.hint:
        lines += [Text(), Text(f" {view.hint}", style=FAINT)]
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines[:height]):
        line.truncate(width)
        text.append("\n" if number else "").append_text(line)
    return text


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
    return text.append("   microprice ", style=FAINT).append(micro)


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
    line = Text(" ").append(row.price.rjust(price), style=style)
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
