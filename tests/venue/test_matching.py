"""Tests of nadows.venue.matching."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

import pytest

from nadows.venue.matching import Order, OrderBook


@dataclass
class _Row:
    key: int
    owner: str
    is_bid: bool
    price: int
    qty: int


class _SlowBook:
    """A matcher that is obviously right: one list of resting orders, searched from end to end each time."""

    def __init__(self) -> None:
        self.resting: list[_Row] = []
        self.trades: list[tuple[int, int, int, int]] = []

    def enter(self, order: _Row, *, rests: bool) -> None:
        while order.qty:
            facing = [row for row in self.resting if row.is_bid is not order.is_bid]
            facing = [
                r for r in facing if (r.price <= order.price if order.is_bid else r.price >= order.price)
            ]
            if not facing:
                break
            best = (min if order.is_bid else max)(row.price for row in facing)
            maker = next(row for row in facing if row.price == best)
            if maker.owner == order.owner:
                self.resting.remove(maker)
                continue
            traded = min(order.qty, maker.qty)
            order.qty -= traded
            maker.qty -= traded
            self.trades.append((order.key, maker.key, traded, best))
            if not maker.qty:
                self.resting.remove(maker)
        if order.qty and rests:
            self.resting.append(order)

    def cancel(self, key: int) -> None:
        self.resting = [row for row in self.resting if row.key != key]

    def depth(self, is_bid: bool) -> list[tuple[int, int]]:
        levels: dict[int, int] = {}
        for row in self.resting:
            if row.is_bid is is_bid:
                levels[row.price] = levels.get(row.price, 0) + row.qty
        return sorted(levels.items(), reverse=is_bid)


def _is_own(owner: str, maker: Order, qty: int) -> bool:
    return maker.owner == owner


def _never(maker: Order, qty: int) -> bool:
    return False


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_match_as_the_slow_book_does(seed: int) -> None:
    """Every trade and every level of 5,000 random operations equals the reference matcher's."""
    rng = Random(seed)
    book: OrderBook[Order] = OrderBook()
    slow = _SlowBook()
    orders: dict[int, Order] = {}
    keys: dict[Order, int] = {}
    trades: list[tuple[int, int, int, int]] = []
    told: dict[tuple[bool, int], int] = {}
    for key in range(5_000):
        if rng.random() < 0.3 and orders:
            victim = rng.choice(list(orders))
            book.remove(orders.pop(victim))
            slow.cancel(victim)
        else:
            is_bid, owner, rests = rng.random() < 0.5, rng.choice("abc"), rng.random() < 0.8
            price, qty = rng.randint(90, 110), rng.randint(1, 20)
            taker = Order(owner, is_bid, price, qty)
            keys[taker] = key
            for maker, matched in book.match(taker, partial(_is_own, owner)):
                if matched:
                    trades.append((key, keys[maker], matched, maker.price))
                if maker.level is None:
                    orders.pop(keys[maker])
            if taker.leaves and rests:
                book.add(taker)
                orders[key] = taker
            slow.enter(_Row(key, owner, is_bid, price, qty), rests=rests)

        assert slow.depth(True) == book.bids.depth()
        assert slow.depth(False) == book.asks.depth()
        if key % 7 == 0:
            for is_bid, levels in zip((True, False), book.drain_changes(), strict=True):
                told.update({(is_bid, price): qty for price, qty in levels})
            assert {(True, p): q for p, q in book.bids.depth()} | {
                (False, p): q for p, q in book.asks.depth()
            } == {level: qty for level, qty in told.items() if qty}

    assert slow.trades == trades
    assert len(trades) > 1_000


def _book(*orders: Order) -> OrderBook[Order]:
    book: OrderBook[Order] = OrderBook()
    for order in orders:
        book.add(order)
    return book


def test_the_oldest_order_of_the_best_price_trades_first() -> None:
    """Price comes before time, and time before size."""
    worse, first, second = Order("w", False, 101, 5), Order("a", False, 100, 5), Order("b", False, 100, 50)
    book = _book(worse, first, second)
    taker = Order("t", True, 101, 6)

    steps = list(book.match(taker, _never))

    assert [(first, 5), (second, 1)] == steps
    assert 49 == book.asks.qty_at(100)


def test_a_partial_fill_keeps_its_place_in_the_queue() -> None:
    """An order that was hit in part is still the first to be hit next."""
    first, second = Order("a", False, 100, 5), Order("b", False, 100, 5)
    book = _book(first, second)
    list(book.match(Order("t", True, 100, 2), _never))

    steps = list(book.match(Order("t", True, 100, 4), _never))

    assert [(first, 3), (second, 1)] == steps


def test_a_vetoed_maker_leaves_the_book_without_a_trade() -> None:
    """A veto takes the maker away and the taker goes on with the next."""
    own, other = Order("t", False, 100, 5), Order("b", False, 100, 5)
    book = _book(own, other)
    taker = Order("t", True, 100, 3)

    steps = list(book.match(taker, partial(_is_own, "t")))

    assert [(own, 0), (other, 3)] == steps
    assert 2 == book.asks.qty_at(100)
    assert 5 == own.leaves


def test_an_order_in_the_middle_of_a_queue_can_be_removed() -> None:
    """Cancelling does not disturb the order of the others."""
    queue = [Order(name, True, 100, 1) for name in "abc"]
    book = _book(*queue)

    book.remove(queue[1])

    level = book.bids.best
    assert level is not None
    assert [queue[0], queue[2]] == list(level)


def test_removing_what_does_not_rest_changes_nothing() -> None:
    """A cancel that comes too late is harmless."""
    book = _book(Order("a", True, 100, 1))

    book.remove(Order("b", True, 100, 1))

    assert [(100, 1)] == book.bids.depth()


def test_growing_keeps_the_place_and_counts_as_a_change() -> None:
    """A grown order stays where it stood; one that does not rest cannot grow."""
    first, second = Order("a", False, 100, 5), Order("b", False, 100, 5)
    book = _book(first, second)
    book.drain_changes()
    loose = Order("c", False, 100, 5)

    book.grow(first, 7)
    book.grow(loose, 7)

    assert ([], [(100, 17)]) == book.drain_changes()
    assert first is next(iter(book.facing(True, 100)))
    assert 5 == loose.leaves


@pytest.mark.parametrize(
    ("is_bid", "price", "expected"),
    [(True, 100, False), (True, 101, True), (False, 99, True), (False, 100, False)],
)
def test_crossing_is_at_or_through_the_best_price(is_bid: bool, price: int, expected: bool) -> None:
    """An order crosses if it would trade at once; an empty side is never crossed."""
    book = _book(Order("a", True, 99, 1), Order("b", False, 101, 1))

    assert expected is book.crosses(is_bid, price)
    assert not OrderBook().crosses(is_bid, price)


def test_facing_orders_come_in_the_order_of_matching_up_to_the_limit() -> None:
    """Looking ahead sees what matching would meet, and changes nothing."""
    far, near, beyond = Order("a", True, 98, 1), Order("b", True, 99, 1), Order("c", True, 97, 1)
    book = _book(far, near, beyond)

    assert [near, far] == list(book.facing(False, 98))
    assert [near, far, beyond] == list(book.facing(False, 1))


def test_changes_are_absolute_sorted_and_told_once() -> None:
    """Bids descend, asks ascend, an emptied level has quantity zero, and a second drain is empty."""
    gone = Order("a", True, 99, 1)
    book = _book(gone, Order("a", True, 98, 1), Order("b", False, 102, 2), Order("b", False, 101, 1))
    book.remove(gone)

    assert ([(99, 0), (98, 1)], [(101, 1), (102, 2)]) == book.drain_changes()
    assert ([], []) == book.drain_changes()


def test_depth_can_be_limited() -> None:
    """A limit keeps the best levels."""
    book = _book(*(Order("a", True, price, 1) for price in range(90, 100)))

    assert [(99, 1), (98, 1)] == book.bids.depth(2)
    assert 10 == len(book.bids)
    assert 10 == len(book.bids.depth(50))
