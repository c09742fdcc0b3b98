"""The ladder: what a person sees of a book."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nadows.book import Book, BookState, Level
from nadows.cli.figures import clock, fixed, span
from nadows.cli.screens import BookView, ladder
from nadows.messages import MarketLiquidity
from nadows.products import Product
from nadows.units import Nanos

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
