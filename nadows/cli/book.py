"""``nadows book``: the live order book of a product."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import typer

from nadows.book import Book
from nadows.cli.connecting import reach
from nadows.cli.given import Given, given_options
from nadows.cli.output import Output
from nadows.cli.run import run
from nadows.cli.screens import BookView, ladder
from nadows.cli.terminal import Screen
from nadows.client import Client, connect
from nadows.desk import BookPolled, DeskEvent
from nadows.messages import BookDepth, Stream
from nadows.products import Product
from nadows.units import format_x18

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_REDRAW_NS: Final = 100_000_000
"""The shortest time between two pictures: ten a second."""
_RATE_NS: Final = 2_000_000_000
"""Over how long the rate of updates is taken."""
_SECOND_NS: Final = 1_000_000_000
MAX_DEPTH: Final = 100
"""Levels a side that a snapshot proves."""
_DEPTH_KEYS: Final = {"+": 5, "=": 5, "-": -5}
_HINT: Final = "q quit   + - depth"


@app.command()
@given_options()
def book(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Symbol or id: ETH, ETH-PERP, 4.")],
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, max=MAX_DEPTH, help="Levels a side.")] = 15,
    once: Annotated[
        bool, typer.Option("--once", help="Wait until the book is LIVE, print it once, and end.")
    ] = False,
    *,
    given: Given,
) -> None:
    """Show the live order book of a product.

    Show the book as a ladder on a terminal, drawn at most ten times a second, or as JSON elsewhere.
    """
    run(_book(product, depth, once, given), until_stopped=not once)


async def _book(name: str, depth: int, once: bool, given: Given) -> None:
    output = given.output
    async with reach(given) as network, connect(network) as client:
        product = client.products.find(name)
        live = await client.book(product.product_id)
        # Shown as what they are: the state and the age stand beside them.
        live.serves_polled = True
        if once:
            _print_once(live, product, depth, network.name, output)
        elif output.as_json:
            await _stream(live, product, depth, output)
        else:
            await _show(client, live, product, depth)


def _print_once(live: Book, product: Product, depth: int, network: str, output: Output) -> None:
    if output.as_json:
        output.json(_book_json(live, product, depth))
    else:
        view = BookView.of(live, product, depth, network=network)
        output.text(ladder(view, width=output.console.width, height=2 * depth + 6))
    output.flush()


def _book_json(live: Book, product: Product, depth: int) -> dict[str, Any]:
    """Describe a book as JSON; prices and sizes are exact decimal strings, if it is LIVE or POLLED."""
    described: dict[str, Any] = {
        "type": "book",
        "product_id": product.product_id,
        "symbol": product.symbol,
        "state": live.state.value,
    }
    if not live.is_readable:
        return described
    bids, asks = live.levels(depth)
    return described | {
        "timestamp": str(live.max_timestamp),
        "spread": None if live.spread is None else format_x18(live.spread),
        "microprice": None if live.microprice is None else format_x18(live.microprice),
        "bids": [[format_x18(level.price), format_x18(level.qty)] for level in bids],
        "asks": [[format_x18(level.price), format_x18(level.qty)] for level in asks],
    }


async def _stream(live: Book, product: Product, depth: int, output: Output) -> None:
    """Print the top levels whenever they have changed, at most ten times a second."""
    shown = None
    async for _ in _beats():
        described = _book_json(live, product, depth)
        what = described | {"timestamp": None}
        if what != shown:
            output.json(described)
            output.flush()
            shown = what


async def _show(client: Client, live: Book, product: Product, depth: int) -> None:
    """Draw the book until the user has seen enough: when it has changed, and once a second for its age."""
    watch = _Watch(live)
    client.on(watch.saw, Stream.book_depth(product.product_id))
    drawn_ns, drawn = 0, None
    with Screen() as screen, screen.keys() as typed:
        async for now_ns in _beats():
            while typed:
                key = typed.pop(0)
                if key in "qQ\x04":
                    return
                depth = min(max(depth + _DEPTH_KEYS.get(key, 0), 1), MAX_DEPTH)
            watch.look(now_ns)
            seen = (live.updates, live.max_timestamp, live.state, depth, screen.size)
            if seen == drawn and now_ns - drawn_ns < _SECOND_NS:
                continue
            drawn_ns, drawn = now_ns, seen
            view = BookView.of(
                live,
                product,
                depth,
                network=client.network.name,
                age_ns=now_ns - watch.changed_ns,
                updates_per_s=watch.per_second,
                hint=_HINT,
            )
            width, height = screen.size
            screen.draw(ladder(view, width=width, height=height))


async def _beats() -> AsyncIterator[int]:
    """Yield the monotonic clock at most ten times a second: draws follow time, not what is received."""
    while True:
        now_ns = time.monotonic_ns()
        yield now_ns
        rest_ns = now_ns + _REDRAW_NS - time.monotonic_ns()
        await asyncio.sleep(max(rest_ns, 0) / _SECOND_NS)


class _Watch:
    """When a book last changed, and how often it does."""

    def __init__(self, live: Book) -> None:
        self._live = live
        self._looks: deque[tuple[int, int]] = deque()
        self.changed_ns = time.monotonic_ns()
        """When an update last came (monotonic)."""

    def saw(self, event: DeskEvent) -> None:
        """Take note of what came for the book."""
        if isinstance(event, BookDepth | BookPolled):
            self.changed_ns = time.monotonic_ns()

    def look(self, now_ns: int) -> None:
        """Take note of how many updates there have been until *now_ns*."""
        self._looks.append((now_ns, self._live.updates))
        while now_ns - self._looks[0][0] > _RATE_NS:
            self._looks.popleft()

    @property
    def per_second(self) -> float | None:
        """Updates a second of late; ``None`` until it has been looked at for long enough to say."""
        (first_ns, first), (last_ns, last) = self._looks[0], self._looks[-1]
        return (
            (last - first) * _SECOND_NS / (last_ns - first_ns) if last_ns - first_ns >= _SECOND_NS else None
        )
