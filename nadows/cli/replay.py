"""``nadows replay``: a capture or market data, through the client's own machines."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from nadows.book import Book, Level
from nadows.capture import Reader, Record
from nadows.cli.options import AsJson, LogLevel, LogLevelOption, Quiet, parse_speed
from nadows.cli.output import Output, set_up_logging
from nadows.cli.screens import BookView, ladder
from nadows.errors import NadowsError
from nadows.replay import Replay, records_of
from nadows.units import format_x18

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SECOND_NS: Final = 1_000_000_000


@app.command()
def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="From `nadows tail --record`, or market data; .gz or not.")
    ],
    speed: Annotated[
        str, typer.Option("--speed", help="1 is as recorded, 10 ten times as fast, max without waiting.")
    ] = "max",
    book: Annotated[
        str | None, typer.Option("--book", help="Show this product's book as it is at the end.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, help="Levels a side of that book.")] = 15,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take a recording that was interrupted as far as it goes.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    log_level: LogLevelOption = LogLevel.WARNING,
) -> None:
    """Play a capture or market data through the client's own machines.

    Play a file, without a network, and end with counts, gaps, and a hash of the state.

    A whole capture holds the hash of the client that recorded it; ending in another one is a failure.
    """
    set_up_logging(log_level, quiet=quiet)
    output = Output(as_json=as_json, quiet=quiet)
    pace = parse_speed(speed)
    started_ns = time.perf_counter_ns()
    with Reader(file) as reader:
        player = Replay(reader.header)
        records = records_of(reader, partial=partial)
        _play(player, records if pace is None else _paced(records, pace))
    seconds = (time.perf_counter_ns() - started_ns) / _SECOND_NS
    shown = player.find(book) if book is not None else None
    state_hash = player.desk.state_hash()
    if output.as_json:
        _print_json(player, seconds, state_hash, shown, depth, output)
    else:
        _print_text(player, seconds, state_hash, shown, depth, output)
    output.flush()
    if player.end is not None and player.end.state_hash != state_hash:
        raise NadowsError(
            f"{file}: the replay ends in state {state_hash}, the recording ended in {player.end.state_hash}: "
            "the file was changed, or another version of nadows recorded it"
        )


def _play(player: Replay, records: Iterator[Record]) -> None:
    # Nothing that a replay makes has cycles, and what was there before need not be looked at again and again.
    gc.freeze()
    try:
        for record in records:
            player.take(record)
    finally:
        gc.unfreeze()


def _paced(records: Iterator[Record], pace: Fraction) -> Iterator[Record]:
    """Hold each record back until it is due."""
    began_ns = time.monotonic_ns()
    first_ns: int | None = None
    for record in records:
        first_ns = record.m if first_ns is None else first_ns
        due_ns = began_ns + int((record.m - first_ns) / pace)
        wait_ns = due_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / _SECOND_NS)
        yield record


def _price_qty(level: Level | None) -> list[str] | None:
    return None if level is None else [format_x18(level.price), format_x18(level.qty)]


def _levels(levels: list[Level]) -> list[list[str]]:
    return [[format_x18(level.price), format_x18(level.qty)] for level in levels]


def _summary_of(book: Book) -> dict[str, Any]:
    """Describe a book's top; one that is not LIVE has no prices."""
    return {
        "bid": _price_qty(book.best_bid) if book.is_live else None,
        "ask": _price_qty(book.best_ask) if book.is_live else None,
        "levels": [len(book.bids), len(book.asks)],
        "state": book.state.value,
        "timestamp": str(book.max_timestamp),
        "updates": book.updates,
        "gaps": book.gaps,
    }


def _print_json(
    player: Replay, seconds: float, state_hash: str, shown: int | None, depth: int, output: Output
) -> None:
    books = player.desk.books
    if shown is not None and books[shown].is_live:
        bids, asks = books[shown].levels(depth)
        output.json(
            {"type": "book", "symbol": player.symbol(shown), "bids": _levels(bids), "asks": _levels(asks)}
        )
    output.json(
        {
            "type": "replay",
            "frames": player.frames,
            "seconds": round(seconds, 6),
            "frames_per_s": round(player.frames / seconds, 1),
            "gaps": player.gaps,
            "state_hash": state_hash,
            "recorded_hash": player.end.state_hash if player.end else None,
            "books": {symbol: _summary_of(books[product_id]) for product_id, symbol in player.products()},
        }
    )


def _print_text(
    player: Replay, seconds: float, state_hash: str, shown: int | None, depth: int, output: Output
) -> None:
    if shown is not None:
        view = BookView.of(player.desk.books[shown], player.product(shown), depth, network="replay")
        output.text(ladder(view, width=output.console.width, height=2 * depth + 6))
        output.text("")
    for product_id, symbol in player.products():
        book = player.desk.books[product_id]
        line = Text(f"{symbol:10}  {book.state.name:8}")
        if book.is_live:
            for level in (book.best_bid, book.best_ask):
                line.append(f"  {format_x18(level.price)} x {format_x18(level.qty)}" if level else "  -")
        output.text(line.append(f"  {len(book.bids)}/{len(book.asks)} levels  {book.gaps} gaps"))
    output.text(f"{player.frames} frames in {seconds:.3f} s: {player.frames / seconds:,.0f} a second")
    output.text(f"{player.gaps} gaps, state {state_hash}")
