"""The real market data over real sockets: recorded at the venue, rebuilt by the client."""

from __future__ import annotations

import asyncio
import gzip
import json
from fractions import Fraction

import pytest

from nadows.book import Book
from nadows.client import connect
from nadows.desk import Disconnected
from nadows.messages import BestBidOffer, BookDepth, Stream
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.server import VenueOptions, serve

from .market_data import ETH_PERP, needs_market_data

SPEED = Fraction(50)
"""344 s of market in 7 s: some 10,000 frames a second, bursts above that."""


def final_book() -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
    """Rebuild the end of the data by the shortest means there are: bids, asks, and their time."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    with gzip.open(ETH_PERP, "rt") as lines:
        changes = [json.loads(next(lines))["snapshot"]]
        changes += (frame for _, frame in map(json.loads, lines) if frame["type"] == "book_depth")
    for change in changes:
        for side, levels in ((bids, change["bids"]), (asks, change["asks"])):
            side.update((int(price), int(qty)) for price, qty in levels)
    return (
        sorted(((price, qty) for price, qty in bids.items() if qty), reverse=True),
        sorted((price, qty) for price, qty in asks.items() if qty),
        int(changes[-1]["max_timestamp"]),
    )


class Watch:
    """What a client of the real market should never see, and how much it saw."""

    def __init__(self, book: Book, last_timestamp: int) -> None:
        self.done = asyncio.Event()
        self.depths = 0
        self.tops = 0
        self.amiss: list[object] = []
        self._book = book
        self._last_timestamp = last_timestamp
        self._chain: int | None = None

    def __call__(self, event: object) -> None:
        """Look at an event and at the book that has taken it."""
        if isinstance(event, Disconnected):
            self.amiss.append(event)
        if isinstance(event, BestBidOffer) and event.product_id == 4:
            self.tops += 1
        if isinstance(event, BookDepth) and event.product_id == 4:
            self.depths += 1
            if self._chain not in (None, event.last_max_timestamp):
                self.amiss.append(event)
            self._chain = event.max_timestamp
            # It may be ahead: what was received together is taken together, and told afterwards.
            if self._book.is_live and (self._book.is_crossed or self._book.max_timestamp < self._chain):
                self.amiss.append(event)
            if self._chain == self._last_timestamp:
                self.done.set()


@needs_market_data
@pytest.mark.slow
async def test_the_real_market_over_sockets_ends_in_its_own_book() -> None:
    """No batch missing, never crossed, and at the end every known level is the recorded market's."""
    bids, asks, last_timestamp = final_book()
    options = VenueOptions(replay=ETH_PERP, speed=SPEED, exchange=ExchangeOptions(limits=False))
    async with asyncio.timeout(100), serve(options) as venue, connect(venue.network) as client:
        book = client.desk.books.setdefault(4, Book(4))
        watch = Watch(book, last_timestamp)
        client.on(watch)
        await client.subscribe(Stream.best_bid_offer(4), Stream.trade(4), Stream.book_depth(4))
        await watch.done.wait()
        # The market may have left the levels that the last snapshot proved just before the end.
        assert book is await client.book("ETH")

        assert last_timestamp == book.max_timestamp
        known_bids, known_asks = list(book.bids), list(book.asks)

    assert [] == watch.amiss
    assert (5727, 53960) == (watch.depths, watch.tops)
    # Below the deepest level of its snapshot a client knows nothing, and says so.
    assert bids[: len(known_bids)] == known_bids
    assert asks[: len(known_asks)] == known_asks
    assert min(len(known_bids), len(known_asks)) >= 1
