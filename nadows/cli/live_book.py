"""What `nadows book` does: follow books and draw them."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from nadows.book import Book
from nadows.cli.beats import beats
from nadows.cli.connecting import load_key, reach
from nadows.cli.given import Given
from nadows.cli.output import Output
from nadows.cli.own_orders import learn_orders, unknown_orders
from nadows.cli.run import run
from nadows.cli.screens import BookView, LastTrade, beside, ladder
from nadows.cli.symbol_cache import remember
from nadows.cli.terminal import Screen
from nadows.client import Client, connect
from nadows.desk import BookPolled, DeskEvent
from nadows.errors import UsageError
from nadows.messages import BookDepth, Stream, Trade
from nadows.products import Product
from nadows.signing import Signer
from nadows.units import format_x18

__all__ = ["BookOptions", "show_books"]

_RATE_NS: Final = 2_000_000_000
"""Over how long the rate of updates is taken."""
_SECOND_NS: Final = 1_000_000_000
_MAX_DEPTH: Final = 100
_GROUPS: Final = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Price steps joined into one; 0 for none."""
_NARROWEST: Final = 60
"""Columns that a ladder should have, where several stand beside each other."""
_LAST_TRADES: Final = 8
_PICTURE: Final = (82, 40)
"""Size of a picture in a file, one product wide (columns, lines)."""
_HINT: Final = "q quit   + - depth   [ ] group"
_HINT_SEVERAL: Final = f"{_HINT}   n p product"


@dataclass(frozen=True)
class BookOptions:
    """What is wanted."""

    names: Sequence[str]
    """Products, as typed."""
    depth: int
    is_once: bool
    svg: Path | None


def show_books(options: BookOptions, given: Given) -> None:
    """Load the key, if there is one, and show books until it is enough."""
    signer = load_key(given)
    run(_books(options, given, signer), until_stopped=not options.is_once)


async def _books(options: BookOptions, given: Given, signer: Signer | None) -> None:
    output = given.output
    async with (
        reach(given) as network,
        connect(network, signer, subaccount=given.settings.subaccount) as client,
    ):
        remember(client.products)
        # Each once, in the order in which they were typed.
        products = list(dict.fromkeys(client.products.find(name) for name in options.names))
        live = [_Live(client, product, await client.book(product.product_id)) for product in products]
        for each in live:
            # Shown as what they are: the state and the age stand beside them.
            each.book.serves_polled = True
        await learn_orders(client, (product.product_id for product in products))
        if options.svg is not None:
            _draw(live, options, options.svg, output)
        elif options.is_once:
            _print_once(live, options.depth, output)
        elif output.as_json:
            await _stream(live, options.depth, output)
        else:
            await _show(client, live, options.depth)


class _Live:
    """A book that is followed: when it last changed, how often it does, and its last trades."""

    def __init__(self, client: Client, product: Product, book: Book) -> None:
        self.product = product
        self.book = book
        self.trades: deque[LastTrade] = deque(maxlen=_LAST_TRADES)
        """Newest first."""
        self.changed_ns = time.monotonic_ns()
        """When an update last came (monotonic)."""
        self._client = client
        self._looks: deque[tuple[int, int]] = deque()

    def saw(self, event: DeskEvent) -> None:
        """Take note of what came for the product."""
        if isinstance(event, BookDepth | BookPolled):
            self.changed_ns = time.monotonic_ns()
        elif isinstance(event, Trade):
            self.trades.appendleft(
                LastTrade(event.timestamp, event.is_taker_buyer, event.price, abs(event.taker_qty))
            )

    def look(self, now_ns: int) -> None:
        """Take note of how many updates there have been until *now_ns*."""
        self._looks.append((now_ns, self.book.updates))
        while now_ns - self._looks[0][0] > _RATE_NS:
            self._looks.popleft()

    @property
    def per_second(self) -> float | None:
        """Updates a second of late; ``None`` until it has been looked at for long enough to say."""
        (first_ns, first), (last_ns, last) = self._looks[0], self._looks[-1]
        return (
            (last - first) * _SECOND_NS / (last_ns - first_ns) if last_ns - first_ns >= _SECOND_NS else None
        )

    @property
    def own(self) -> list[tuple[bool, int, int]]:
        """Own open orders: whether they buy, price, and what is left; none without a key."""
        if self._client.signer is None:
            return []
        return [
            (order.is_buy, order.price, order.leaves_qty)
            for order in self._client.account.open_orders()
            # The price of one that another session placed may not be known yet.
            if order.product_id == self.product.product_id and order.price
        ]

    def seen(self) -> tuple[Any, ...]:
        """Return what a picture depends on, to know whether it would be another one."""
        last = self.trades[0] if self.trades else None
        return self.book.updates, self.book.max_timestamp, self.book.state, tuple(self.own), last

    def view(self, depth: int, **about: Any) -> BookView:
        """Look at it as it is now."""
        return BookView.of(
            self.book,
            self.product,
            depth,
            own=self.own,
            trades=tuple(self.trades),
            network=self._client.network.name,
            **about,
        )


def _print_once(live: Sequence[_Live], depth: int, output: Output) -> None:
    for number, each in enumerate(live):
        if output.as_json:
            output.json(_book_json(each, depth))
        else:
            output.text("" if number else Text())
            output.text(ladder(each.view(depth), width=output.console.width, height=2 * depth + 6))
    output.flush()


def _draw(live: Sequence[_Live], options: BookOptions, path: Path, output: Output) -> None:
    """Draw all books beside each other into a picture."""
    width, height = len(live) * _PICTURE[0], min(_PICTURE[1], 2 * options.depth + 6)
    console = Console(
        width=width,
        height=height,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(beside([each.view(options.depth) for each in live], width=width, height=height))
    svg = console.export_svg(title=f"nadows book {' '.join(each.product.symbol for each in live)}")
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the picture {path}: {error.strerror}") from error
    output.say(f"drawn in {path}")


def _book_json(live: _Live, depth: int) -> dict[str, Any]:
    """Describe a book as JSON; prices and sizes are exact decimal strings, if it is LIVE or POLLED."""
    book = live.book
    described: dict[str, Any] = {
        "type": "book",
        "product_id": live.product.product_id,
        "symbol": live.product.symbol,
        "state": book.state.value,
    }
    if not book.is_readable:
        return described
    bids, asks = book.levels(depth)
    imbalance = book.imbalance(depth)
    return described | {
        "timestamp": str(book.max_timestamp),
        "spread": None if book.spread is None else format_x18(book.spread),
        "microprice": None if book.microprice is None else format_x18(book.microprice),
        "imbalance": None if imbalance is None else format_x18(imbalance),
        "bids": [[format_x18(level.price), format_x18(level.qty)] for level in bids],
        "asks": [[format_x18(level.price), format_x18(level.qty)] for level in asks],
    }


async def _stream(live: Sequence[_Live], depth: int, output: Output) -> None:
    """Print the top levels of a book whenever they have changed, at most ten times a second."""
    shown: dict[int, dict[str, Any]] = {}
    async for _ in beats():
        for each in live:
            described = _book_json(each, depth)
            what = described | {"timestamp": None}
            if what != shown.get(each.product.product_id):
                output.json(described)
                output.flush()
                shown[each.product.product_id] = what


class _Choice:
    """What keys have changed: depth, grouping, and the first product that is shown."""

    def __init__(self, depth: int, count: int) -> None:
        self.depth = depth
        self.group = 0
        self.first = 0
        self._count = count

    def take(self, key: str) -> bool:
        """Take a key; return whether it ends the show."""
        match key:
            case "q" | "Q" | "\x04":
                return True
            case "+" | "=":
                self.depth = min(self.depth + 5, _MAX_DEPTH)
            case "-":
                self.depth = max(self.depth - 5, 1)
            case "]":
                self.group = min(self.group + 1, len(_GROUPS) - 1)
            case "[":
                self.group = max(self.group - 1, 0)
            case "n" | "\t":
                self.first = (self.first + 1) % self._count
            case "p":
                self.first = (self.first - 1) % self._count
        return False

    def shown(self, live: Sequence[_Live], width: int) -> list[_Live]:
        """Choose the books for which there is room, from the first one on."""
        room = max(1, min(len(live), width // _NARROWEST))
        return [live[(self.first + number) % len(live)] for number in range(room)]


async def _show(client: Client, live: Sequence[_Live], depth: int) -> None:
    """Draw books until the user has seen enough: when they have changed, and once a second for their age."""
    for each in live:
        product_id = each.product.product_id
        client.on(each.saw, Stream.book_depth(product_id), Stream.trade(product_id))
    await client.subscribe(*(Stream.trade(each.product.product_id) for each in live))
    choice = _Choice(depth, len(live))
    drawn_ns, drawn = 0, None
    learnt_ns = time.monotonic_ns()
    with Screen() as screen, screen.keys() as typed:
        async for now_ns in beats():
            while typed:
                if choice.take(typed.pop(0)):
                    return
            for each in live:
                each.look(now_ns)
            if now_ns - learnt_ns > _SECOND_NS and (unknown := unknown_orders(client)):
                learnt_ns = now_ns
                await learn_orders(client, unknown)
            size = screen.size
            seen = (choice.depth, choice.group, choice.first, size, [each.seen() for each in live])
            if seen == drawn and now_ns - drawn_ns < _SECOND_NS:
                continue
            drawn_ns, drawn = now_ns, seen
            screen.draw(_picture(live, choice, size, now_ns))


def _picture(live: Sequence[_Live], choice: _Choice, size: tuple[int, int], now_ns: int) -> Text:
    width, height = size
    shown = choice.shown(live, width)
    hint = _HINT_SEVERAL if len(live) > 1 else _HINT
    views = [
        each.view(
            choice.depth,
            group=_GROUPS[choice.group] * each.product.tick,
            age_ns=now_ns - each.changed_ns,
            updates_per_s=each.per_second,
            hint=hint if each is shown[0] else "",
        )
        for each in shown
    ]
    return beside(views, width=width, height=height)
