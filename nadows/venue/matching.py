"""A price-time priority order book: what rests, who trades with whom, which levels changed.

The book knows nothing of money, signatures or messages. Prices and quantities are x18 integers;
quantities are absolute, the side says the direction. It is checked in the tests against a
deliberately simple matcher on random operations.

Each side keeps its prices in one sorted list with the best *last*, so that the best price is an
index, and taking the best away does not move the rest. A price enters or leaves the list only when
its level appears or empties; `bisect` and a memmove over some hundreds of pointers cost less than
any tree written in Python.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Final, Generic, Self, TypeVar

__all__ = ["Level", "Order", "OrderBook", "Side"]

_QTY: Final = attrgetter("qty")


class Order:
    """An order as the book sees it: a link in the queue of its price level.

    Attributes:
        owner: Compared by identity; two orders of one owner never trade with each other.
        is_bid: Whether it buys.
        price: Limit price, x18.
        leaves: What is still to be filled, x18, absolute.
        level: The level it rests in; ``None`` while it does not rest.
    """

    __slots__ = ("is_bid", "leaves", "level", "next", "owner", "prev", "price")

    def __init__(self, owner: object, is_bid: bool, price: int, leaves: int) -> None:
        self.owner = owner
        self.is_bid = is_bid
        self.price = price
        self.leaves = leaves
        self.level: Level[Self] | None = None
        self.prev: Self | None = None
        self.next: Self | None = None


OrderT = TypeVar("OrderT", bound=Order)


class Level(Generic[OrderT]):
    """All orders resting at one price, oldest first, as an intrusive linked list: cancelling is O(1)."""

    __slots__ = ("head", "price", "qty", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.qty = 0
        self.head: OrderT | None = None
        self.tail: OrderT | None = None

    def __iter__(self) -> Iterator[OrderT]:
        order = self.head
        while order is not None:
            following = order.next
            yield order
            order = following

    def append(self, order: OrderT) -> None:
        """Queue *order* behind all others of this price."""
        order.level = self
        order.prev = self.tail
        if self.tail is None:
            self.head = order
        else:
            self.tail.next = order
        self.tail = order
        self.qty += order.leaves

    def unlink(self, order: OrderT) -> None:
        """Take *order* out of the queue, wherever in it it stands."""
        if order.prev is None:
            self.head = order.next
        else:
            order.prev.next = order.next
        if order.next is None:
            self.tail = order.prev
        else:
            order.next.prev = order.prev
        order.level = order.prev = order.next = None
        self.qty -= order.leaves


class Side(Generic[OrderT]):
    """One side of the book."""

    __slots__ = ("_keys", "_sign", "changed", "levels")

    def __init__(self, is_bid: bool) -> None:
        # Ascending keys with the best last: bids by price, asks by its negative.
        self._sign = 1 if is_bid else -1
        self._keys: list[int] = []
        self.levels: dict[int, Level[OrderT]] = {}
        self.changed: set[int] = set()
        """Prices whose quantity changed since the last `OrderBook.drain_changes`."""

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def best(self) -> Level[OrderT] | None:
        """The level with the best price, or ``None`` when the side is empty."""
        return self.levels[self._keys[-1] * self._sign] if self._keys else None

    def prices(self, depth: int | None = None) -> list[int]:
        """Return prices, best first; at most *depth* of them."""
        keys = self._keys if depth is None else self._keys[max(0, len(self._keys) - depth) :]
        return [key * self._sign for key in reversed(keys)]

    def depth(self, limit: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) pairs, best first; at most *limit* of them."""
        prices = self.prices(limit)
        return list(zip(prices, map(_QTY, map(self.levels.__getitem__, prices)), strict=True))

    def qty_at(self, price: int) -> int:
        """Return the quantity resting at *price*; zero where there is no level."""
        level = self.levels.get(price)
        return 0 if level is None else level.qty

    def add(self, order: OrderT) -> None:
        """Rest *order* behind the others of its price."""
        level = self.levels.get(order.price)
        if level is None:
            level = self.levels[order.price] = Level(order.price)
            insort(self._keys, order.price * self._sign)
        level.append(order)
        self.changed.add(order.price)

    def remove(self, order: OrderT, level: Level[OrderT]) -> None:
        """Take *order* out of *level*, and the level out of the book when it was the last."""
        level.unlink(order)
        self.changed.add(level.price)
        if level.head is None:
            del self.levels[level.price]
            del self._keys[bisect_left(self._keys, level.price * self._sign)]

    def reduce(self, order: OrderT, level: Level[OrderT], qty: int) -> None:
        """Fill *qty* of *order*, which keeps its place in the queue unless nothing is left."""
        if qty == order.leaves:
            self.remove(order, level)
            order.leaves = 0
        else:
            order.leaves -= qty
            level.qty -= qty
            self.changed.add(level.price)


class OrderBook(Generic[OrderT]):
    """Both sides of one market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids: Side[OrderT] = Side(is_bid=True)
        self.asks: Side[OrderT] = Side(is_bid=False)

    def side(self, is_bid: bool) -> Side[OrderT]:
        """Return the side on which bids (or asks) rest."""
        return self.bids if is_bid else self.asks

    def crosses(self, is_bid: bool, price: int) -> bool:
        """Whether an order at *price* would meet the other side."""
        best = self.side(not is_bid).best
        return best is not None and (best.price <= price if is_bid else best.price >= price)

    def add(self, order: OrderT) -> None:
        """Rest *order*. The caller matched it first, so that the book is never crossed."""
        self.side(order.is_bid).add(order)

    def remove(self, order: OrderT) -> None:
        """Take a resting order out of the book; one that does not rest is left alone."""
        if order.level is not None:
            self.side(order.is_bid).remove(order, order.level)

    def grow(self, order: OrderT, qty: int) -> None:
        """Add *qty* to a resting order, which keeps its place in the queue."""
        if order.level is not None:
            order.leaves += qty
            order.level.qty += qty
            self.side(order.is_bid).changed.add(order.price)

    def facing(self, is_bid: bool, limit: int) -> Iterator[OrderT]:
        """Yield the orders that one at *limit* would meet, in the order of matching, leaving them alone."""
        side = self.side(not is_bid)
        for price in side.prices():
            if price > limit if is_bid else price < limit:
                return
            yield from side.levels[price]

    def match(self, taker: OrderT, vetoed: Callable[[OrderT, int], bool]) -> Iterator[tuple[OrderT, int]]:
        """Trade *taker* against the other side: best price first, within a price the oldest first.

        Args:
            taker: Not resting; its `leaves` shrinks with each match.
            vetoed: Asked before each match with the maker and the quantity. If true, the maker is taken
                out of the book instead (own order, or an owner who cannot pay).

        Yields:
            ``(maker, qty)`` after each step, already booked; *qty* is 0 where the maker was vetoed.
            The price of a match is the maker's. The caller must exhaust the iterator and leave the book
            alone meanwhile.
        """
        side = self.side(not taker.is_bid)
        while taker.leaves:
            level = side.best
            if level is None or (level.price > taker.price if taker.is_bid else level.price < taker.price):
                return
            for maker in level:
                qty = min(maker.leaves, taker.leaves)
                if vetoed(maker, qty):
                    side.remove(maker, level)
                    yield maker, 0
                    continue
                taker.leaves -= qty
                side.reduce(maker, level, qty)
                yield maker, qty
                if not taker.leaves:
                    return

    def drain_changes(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return and forget the levels that changed, as (price, new quantity).

        Bids are sorted descending and asks ascending; a quantity of 0 says that the level is gone.
        """
        bids = [(price, self.bids.qty_at(price)) for price in sorted(self.bids.changed, reverse=True)]
        asks = [(price, self.asks.qty_at(price)) for price in sorted(self.asks.changed)]
        self.bids.changed.clear()
        self.asks.changed.clear()
        return bids, asks
