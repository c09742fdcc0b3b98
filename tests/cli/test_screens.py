"""The ladder: what a person sees of a book."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from nadows.book import Book, BookState, Level
from nadows.cli.figures import clock, fixed, span
from nadows.cli.screens import BookView, LastTrade, beside, grouped, ladder
from nadows.cli.terminal import ansi
from nadows.messages import MarketLiquidity
from nadows.products import Product
from nadows.units import Nanos, format_x18

ONE = 10**18
ETH = Product(4, "ETH-PERP", True, 10**17, 10**15, 100 * ONE, 0, 0)
VIEW = BookView(
    symbol="ETH-PERP",
    state=BookState.LIVE,
    price_decimals=1,
    size_decimals=3,
    bids=(Level(2999 * ONE, 2 * ONE), Level(2998 * ONE + 5 * 10**17, ONE), Level(2990 * ONE, 10**15)),
    asks=(Level(3001 * ONE, ONE), Level(3002 * ONE, 3 * ONE)),
    timestamp=(11 * 3600 + 2 * 60 + 3) * 10**9 + 45_600_000,
    microprice=2999 * ONE + 666_666_666_666_666_666,
    age_ns=23_400_000,
    updates_per_s=19.84,
    network="sim",
    hint="q quit",
)


def drawn(view: BookView, width: int, height: int) -> list[str]:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(ladder(view, width=width, height=height))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_live_book_is_a_ladder() -> None:
    """Asks above and bids below, the best in the middle, with exact numbers, totals and bars."""
    assert [
        " ETH-PERP LIVE        19.8 updates/s · 23 ms old · as of 11:02:03.045 UTC · sim",
        " spread 2.0 (6.66 bp)   microprice 2999.666",
        "",
        "     3002.0       3.000        4.000  ████████████████████████████████████████",
        "     3001.0       1.000        1.000  ██████████",
        " ──────────────────────────────────────",
        "     2999.0       2.000        2.000  ████████████████████",
        "     2998.5       1.000        3.000  ██████████████████████████████",
        "     2990.0       0.001        3.001  ██████████████████████████████",
        "",
        " q quit",
    ] == drawn(VIEW, 80, 24)


def test_a_low_terminal_keeps_the_best_levels() -> None:
    """What is far from the middle goes first."""
    lines = drawn(VIEW, 80, 8)
    assert 8 >= len(lines)
    assert "3001.0" in lines[3]
    assert "2999.0" in lines[5]
    assert not any("3002.0" in line for line in lines)


@pytest.mark.parametrize(
    ("width", "columns"), [(80, 4), (47, 4), (46, 3), (36, 3), (35, 2), (23, 2), (22, 1), (12, 1)]
)
def test_a_narrow_terminal_drops_whole_columns(width: int, columns: int) -> None:
    """Bars go first, then totals, then sizes; a number is never cut in two."""
    row = next(line for line in drawn(VIEW, width, 24) if "2999.0" in line)
    assert ["2999.0", "2.000", "2.000"][:columns] == row.split()[:3]
    assert columns == len(row.split())


@given(width=st.integers(1, 200), height=st.integers(1, 80))
def test_a_picture_never_exceeds_its_terminal(width: int, height: int) -> None:
    """Neither in columns nor in lines, whatever the size."""
    text = ladder(VIEW, width=width, height=height).plain.split("\n")
    assert len(text) <= height
    assert max(map(len, text)) <= width


def test_a_polled_book_is_shown_as_what_it_is() -> None:
    """With its prices, if they are given, and its state and time beside them."""
    book = Book(4)
    book.load(
        MarketLiquidity(
            product_id=4,
            timestamp=Nanos(7),
            bids=((str(2999 * ONE), str(ONE)),),
            asks=((str(3001 * ONE), str(ONE)),),
        )
    )
    assert not any("2999" in line for line in drawn(BookView.of(book, ETH, 5), 80, 24))
    book.serves_polled = True
    lines = drawn(BookView.of(book, ETH, 5, age_ns=1_500_000_000), 80, 24)
    assert "ETH-PERP POLLED" in lines[0]
    assert "1500 ms old" in lines[0]
    assert any("2999.0" in line for line in lines)


@pytest.mark.parametrize(
    ("state", "says"),
    [(BookState.SYNCING, "waits for a snapshot"), (BookState.STALE, "not connected")],
)
def test_a_book_that_is_not_live_shows_no_prices(state: BookState, says: str) -> None:
    """Its state stands where the prices would."""
    book = Book(4)
    book.subscribed()
    book.load(MarketLiquidity(product_id=4, timestamp=Nanos(7), bids=((str(2999 * ONE), str(ONE)),), asks=()))
    if state is BookState.SYNCING:
        book.subscribed()
    else:
        book.lost()

    lines = drawn(BookView.of(book, ETH, 5), 80, 24)

    assert state.name in lines[0]
    assert any(says in line for line in lines)
    assert not any("2999" in line for line in lines)


def test_a_book_with_one_side_says_so() -> None:
    """There is no spread to show, and nothing to divide by."""
    book = Book(4)
    book.subscribed()
    book.load(MarketLiquidity(product_id=4, timestamp=Nanos(7), bids=((str(2999 * ONE), str(ONE)),), asks=()))
    lines = drawn(BookView.of(book, ETH, 5), 80, 24)
    assert "one side is empty" in lines[1]
    assert any("2999.0" in line for line in lines)


def test_an_empty_book_is_drawn_too() -> None:
    """A market without an order is a market."""
    book = Book(4)
    book.subscribed()
    book.load(MarketLiquidity(product_id=4, timestamp=Nanos(7), bids=(), asks=()))
    assert "one side is empty" in drawn(BookView.of(book, ETH, 5), 80, 24)[1]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (3000 * ONE, 1, "3000.0"),
        (3000 * ONE, 0, "3000"),
        (3 * ONE // 2, 0, "1.5"),
        (123 * 10**15, 2, "0.123"),
        (-(10**17), 2, "-0.10"),
        (0, 3, "0.000"),
        (1, 2, "0.000000000000000001"),
    ],
)
def test_figures_have_their_decimals_and_lose_none(value: int, decimals: int, text: str) -> None:
    """Columns line up, and a digit more than usual is shown rather than rounded away."""
    assert text == fixed(value, decimals)


def test_clock_and_span() -> None:
    """Instants are times of day in UTC; lengths of time have a fitting unit."""
    assert "22:04:03.113" == clock(1795385043_113_992_037)
    assert ["12 s", "9999 ms", "10 ms", "9.9 ms", "0.0 ms"] == [
        span(ns) for ns in (12_345_678_901, 9_999_999_999, 10_000_000, 9_900_000, 1)
    ]


def live_book() -> Book:
    book = Book(4)
    book.subscribed()
    bids = [(f"{price}{'0' * 17}", str(ONE)) for price in (29_999, 29_998, 29_994)]
    asks = [(f"{price}{'0' * 17}", str(2 * ONE)) for price in (30_001, 30_005, 30_006)]
    book.load(MarketLiquidity(product_id=4, timestamp=Nanos(7), bids=tuple(bids), asks=tuple(asks)))
    return book


def test_prices_are_grouped_so_that_none_looks_better() -> None:
    """Bids go down to their step and asks up, quantities add up, and nothing is lost."""
    levels = [Level(tenths * ONE // 10, ONE) for tenths in (101, 104, 109, 110)]
    step = ONE // 2
    assert [Level(10 * ONE, 2 * ONE), Level(21 * ONE // 2, ONE), Level(11 * ONE, ONE)] == grouped(
        levels, step, is_buy=True
    )
    assert [Level(21 * ONE // 2, 2 * ONE), Level(11 * ONE, 2 * ONE)] == grouped(levels, step, is_buy=False)
    assert levels is grouped(levels, 0, is_buy=True)


def test_a_ladder_tells_imbalance_and_grouping() -> None:
    """Of the levels that are shown."""
    view = BookView.of(live_book(), ETH, 5, group=ONE // 2)
    assert [3000 * ONE + ONE // 2, 3001 * ONE] == [level.price for level in view.asks]
    summary = drawn(view, 80, 24)[1]
    assert summary.endswith("imbalance -34 %   by 0.5")


def test_own_orders_are_marked_at_their_level() -> None:
    """Also when levels are grouped; what lies at no level shown is not."""
    own = [(True, 29_998 * ONE // 10, ONE), (False, 30_006 * ONE // 10, ONE), (True, ONE, ONE)]
    marked = [
        line for line in drawn(BookView.of(live_book(), ETH, 5, own=own), 80, 24) if line.startswith("▸")
    ]
    assert ["3000.6", "2999.8"] == [line.removeprefix("▸").split()[0] for line in marked]
    view = BookView.of(live_book(), ETH, 5, own=own, group=ONE)
    assert {2999 * ONE: ONE, 3001 * ONE: ONE, ONE: ONE} == view.own


def test_the_last_trades_stand_below_where_there_is_room() -> None:
    """Newest first; the ladder comes first where there is little."""
    trades = [LastTrade(number * 10**9, number % 2 == 0, 3000 * ONE, number * ONE) for number in range(8)]
    view = replace(VIEW, trades=trades)
    lines = drawn(view, 80, 24)
    assert "     3000.0       0.000  buy  00:00:00.000" in lines
    assert "     3000.0       1.000  sell 00:00:01.000" in lines
    assert 4 == sum(line.startswith("     3000.0") for line in lines)
    assert not any("00:00:00.000" in line for line in drawn(view, 80, 12))
    assert "     3000.0       1.000" in drawn(view, 30, 24)


def test_ladders_stand_beside_each_other() -> None:
    """Each in its share; a shorter one is filled up."""
    short = replace(VIEW, bids=VIEW.bids[:1], hint="")
    lines = beside([VIEW, short], width=120, height=24).plain.split("\n")
    assert max(map(len, lines)) <= 120
    assert lines[0][61:].startswith(" ETH-PERP LIVE")
    assert " q quit" == lines[-1].rstrip()
    assert ladder(VIEW, width=59, height=24) == beside([VIEW], width=59, height=24)


@pytest.mark.parametrize("colour", [None, "256", "truecolor"])
def test_a_picture_is_written_as_rich_would_print_it(colour: Any) -> None:
    """With the same escapes, only quicker; without colour, and without a terminal that has any."""
    for no_color in (False, True):
        console = Console(
            width=80,
            height=24,
            color_system=colour,
            force_terminal=True,
            no_color=no_color,
            file=io.StringIO(),
        )
        picture = ladder(VIEW, width=80, height=24)
        with console.capture() as printed:
            console.print(picture, end="")
        assert visible(printed.get()) == visible(ansi(picture, console))
        assert ("[32m" in ansi(picture, console)) is (colour is not None and not no_color)


def visible(text: str) -> str:
    """What a terminal shows: each character with what is switched on for it."""
    style, shown = "", []
    for escape, character in re.findall(r"\x1b\[([0-9;]*)m|(.)", text, re.DOTALL):
        if character:
            # Nobody sees the colour of nothing.
            shown.append(f"{'' if character.isspace() else style}{character}")
        else:
            style = "" if escape == "0" else escape
    return "".join(shown)


def test_a_picture_costs_a_fraction_of_a_table() -> None:
    """Two books on a large terminal, beside a table of as many cells; processor time, side by side."""
    levels = [Level((30_000 + number) * ONE // 10, (number % 7 + 1) * ONE) for number in range(20)]
    view = replace(VIEW, bids=levels[::-1], asks=levels)
    console = Console(width=200, height=50, color_system="256", force_terminal=True, file=io.StringIO())

    def table() -> None:
        cells = Table(*(("price", "size", "total") * 2), width=200)
        for level in (*levels, *levels):
            cells.add_row(*([format_x18(level.price), format_x18(level.qty), format_x18(level.qty)] * 2))
        console.print(cells)

    def picture() -> None:
        ansi(beside([view] * 2, width=200, height=50), console)

    rounds = [(cpu_of(picture), cpu_of(table)) for _ in range(3)]
    assert min(ours for ours, _ in rounds) * 3 < min(theirs for _, theirs in rounds)


def cpu_of(draw: Callable[[], object], times: int = 20) -> float:
    began = time.process_time()
    for _ in range(times):
        draw()
    return (time.process_time() - began) / times
