"""Comparing a live book with a snapshot of it."""

from __future__ import annotations

import pytest

from nadows.audit import Audit, Verdict
from nadows.book import Book
from nadows.messages import BookDepth, MarketLiquidity
from nadows.units import Nanos

Levels = tuple[tuple[str, str], ...]
BIDS: Levels = (("99", "1"), ("98", "2"), ("97", "3"))
ASKS: Levels = (("101", "1"), ("102", "2"), ("103", "3"))


def snapshot(taken: int, bids: Levels = BIDS, asks: Levels = ASKS) -> MarketLiquidity:
    return MarketLiquidity(bids, asks, 4, Nanos(taken))


def update(last: int, newest: int, bids: Levels = (), asks: Levels = ()) -> BookDepth:
    return BookDepth(Nanos(last), Nanos(newest), Nanos(newest), 4, bids, asks)


def book(depth: int | None = 3) -> Book:
    made = Book(4)
    made.subscribed()
    made.load(snapshot(10), depth)
    return made


def audit(made: Book, depth: int = 3) -> Audit:
    return Audit(made, depth, now_ns=0)


def test_equal_at_the_same_instant() -> None:
    """A book that stands where the snapshot stands must equal it."""
    made = book()
    compared = audit(made)
    assert compared.verdict(made) is None
    assert not compared.is_answered
    compared.answered(snapshot(10))
    assert compared.is_answered

    assert Verdict.EQUAL is compared.verdict(made)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        pytest.param((("99", "2"), *BIDS[1:]), ASKS, id="quantity"),
        pytest.param((BIDS[0], BIDS[2]), ASKS, id="level missing there"),
        pytest.param(BIDS, (ASKS[0], ("101", "1"), ASKS[2]), id="level missing here"),
    ],
)
def test_difference_is_drift(bids: Levels, asks: Levels) -> None:
    """Any difference within the depth that both know."""
    made = book()
    compared = audit(made)
    compared.answered(snapshot(10, bids, asks))

    assert Verdict.DRIFTED is compared.verdict(made)


def test_waits_until_the_book_has_caught_up() -> None:
    """A snapshot may be ahead of the batches; what straddles it is laid over it."""
    made = book()
    compared = audit(made)
    compared.answered(snapshot(25, (("99", "5"), *BIDS[1:])))
    assert compared.verdict(made) is None
    for each in (update(10, 20, (("99", "5"),)), update(20, 30, (("98", "7"),))):
        made.apply(each)
        compared.note(each)

    assert Verdict.EQUAL is compared.verdict(made)


def test_an_old_snapshot_proves_nothing() -> None:
    """What came before the asking was not kept, so it cannot be laid over."""
    made = book()
    compared = audit(made)
    compared.answered(snapshot(9))

    assert Verdict.UNFIT is compared.verdict(made)


def test_deeper_levels_are_no_difference() -> None:
    """Beyond what either knows there is nothing to compare."""
    made = book()
    compared = audit(made, depth=5)
    deep = (*BIDS, ("96", "1"), ("95", "1"))
    compared.answered(snapshot(10, deep, (*ASKS, ("104", "1"), ("105", "1"))))

    assert Verdict.EQUAL is compared.verdict(made)
    compared.deepen(made)
    assert [99, 98, 97, 96, 95] == [level.price for level in made.bids]
    assert (95, 105) == (made.bids.edge, made.asks.edge)


def test_deepening_to_the_whole_side() -> None:
    """A snapshot that shows less than was asked for shows all."""
    made = book()
    compared = audit(made, depth=50)
    compared.answered(snapshot(10, (*BIDS, ("90", "1")), (*ASKS, ("104", "1"))))
    assert Verdict.EQUAL is compared.verdict(made)
    compared.deepen(made)

    assert [99, 98, 97, 90] == [level.price for level in made.bids]
    assert made.bids.edge is None
    assert made.asks.edge is None


def test_a_shallower_snapshot_takes_nothing_away() -> None:
    """The book keeps what it knows better."""
    made = book(depth=None)
    compared = audit(made, depth=2)
    compared.answered(snapshot(10, BIDS[:2], ASKS[:2]))
    assert Verdict.EQUAL is compared.verdict(made)
    compared.deepen(made)

    assert 3 == len(made.bids)


def test_two_whole_books() -> None:
    """Without edges everything is compared."""
    made = book(depth=None)
    compared = audit(made, depth=50)
    compared.answered(snapshot(10, BIDS[:2]))

    assert Verdict.DRIFTED is compared.verdict(made)


def test_an_edge_here_only() -> None:
    """The snapshot shows all, the book less: compared as deep as the book."""
    made = book(depth=3)
    compared = audit(made, depth=50)
    compared.answered(snapshot(10, (*BIDS, ("90", "1"))))

    assert Verdict.EQUAL is compared.verdict(made)
