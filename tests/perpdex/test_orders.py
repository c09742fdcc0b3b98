"""What a strategy is told about an order: each change once, the end once and last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.account import OrderStatus, TrackedOrder
from nadows.perpdex.orders import Kind, Order, Standing, standing_of


def order(size: int = 10) -> Order:
    return Order("0x01", 2, size=size, price=95_000, kind=Kind.OPEN)


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        (OrderStatus.PENDING_NEW, 0, None),
        (OrderStatus.UNKNOWN, 0, None),
        (OrderStatus.UNKNOWN, 3, None),
        (OrderStatus.REJECTED, 0, None),
        (OrderStatus.NEW, 0, Standing.OPEN),
        (OrderStatus.NEW, 3, Standing.PARTIALLY_FILLED),
        (OrderStatus.PENDING_CANCEL, 0, Standing.OPEN),
        (OrderStatus.PENDING_CANCEL, 3, Standing.PARTIALLY_FILLED),
        (OrderStatus.PARTIALLY_FILLED, 3, Standing.PARTIALLY_FILLED),
        (OrderStatus.FILLED, 10, Standing.FILLED),
        (OrderStatus.CANCELED, 0, Standing.CANCELED),
        (OrderStatus.CANCELED, 3, Standing.CANCELED),
        (OrderStatus.EXPIRED, 0, Standing.CANCELED),
    ],
)
def test_standing_of_each_status(status: OrderStatus, filled: int, expected: Standing | None) -> None:
    """An order of unknown fate has no standing: it is never cancelled for want of knowledge."""
    tracked = TrackedOrder("0x01", 2, is_buy=True, price=1, qty=10, status=status, told_qty=filled)

    assert expected is standing_of(tracked)


def test_each_status_has_been_thought_of() -> None:
    """A new status of the account must find its place here."""
    covered = {OrderStatus.PENDING_NEW, OrderStatus.UNKNOWN, OrderStatus.REJECTED}
    for status in set(OrderStatus) - covered:
        assert standing_of(TrackedOrder("0x01", 2, is_buy=True, price=1, qty=1, status=status)) is not None


@pytest.mark.parametrize(
    ("news", "told"),
    [
        ([(Standing.OPEN, 0), (Standing.OPEN, 0)], [Standing.OPEN, None]),
        ([(Standing.OPEN, 0), (Standing.PARTIALLY_FILLED, 3)], [Standing.OPEN, Standing.PARTIALLY_FILLED]),
        (
            [(Standing.PARTIALLY_FILLED, 3), (Standing.PARTIALLY_FILLED, 3), (Standing.PARTIALLY_FILLED, 4)],
            [Standing.PARTIALLY_FILLED, None, Standing.PARTIALLY_FILLED],
        ),
        # The answer to the placement comes after its fills.
        ([(Standing.PARTIALLY_FILLED, 3), (Standing.OPEN, 0)], [Standing.PARTIALLY_FILLED, None]),
        ([(Standing.FILLED, 10), (Standing.OPEN, 0)], [Standing.FILLED, None]),
        ([(Standing.FILLED, 10), (Standing.FILLED, 10)], [Standing.FILLED, None]),
        ([(Standing.CANCELED, 3), (Standing.CANCELED, 3)], [Standing.CANCELED, None]),
        ([(Standing.CANCELED, 3), (Standing.PARTIALLY_FILLED, 5)], [Standing.CANCELED, None]),
        # What is filled whole was not cancelled, whoever says so.
        ([(Standing.PARTIALLY_FILLED, 10), (Standing.CANCELED, 10)], [Standing.FILLED, None]),
        ([(Standing.OPEN, 10)], [Standing.FILLED]),
        ([(None, 0), (Standing.OPEN, 0)], [None, Standing.OPEN]),
    ],
)
def test_what_is_told(news: list[tuple[Standing | None, int]], told: list[Standing | None]) -> None:
    """Each change is told once, and nothing after the end."""
    subject = order()

    assert told == [subject.advance(standing, filled) for standing, filled in news]


STANDINGS = st.sampled_from([*Standing, None])


@given(st.lists(st.tuples(STANDINGS, st.integers(0, 10))))
def test_filled_sizes_never_shrink_and_one_end_comes_last(
    news: list[tuple[Standing | None, int]],
) -> None:
    """Whatever comes in whatever order, there is at most one end, it is last, and sizes grow."""
    subject, told = order(), []
    for standing, filled in news:
        said = subject.advance(standing, filled)
        if said is not None:
            told.append((said, subject.filled))

    ends = [index for index, (standing, _) in enumerate(told) if standing.is_end]
    assert ends in ([], [len(told) - 1])
    assert [filled for _, filled in told] == sorted(filled for _, filled in told)
    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, "OPEN"),
        (Standing.OPEN, "OPEN"),
        (Standing.PARTIALLY_FILLED, "OPEN"),
        (Standing.FILLED, "FILLED"),
        (Standing.CANCELED, "CANCELLED"),
    ],
)
def test_the_other_spelling(told: Standing | None, expected: str) -> None:
    """`get_order_info` spells cancelled with two l, callbacks with one; partly filled is open."""
    subject = order()
    subject.told = told

    assert expected == subject.info_status


def test_side_of_an_order_that_is_not_known() -> None:
    """Nothing is made up about an order of which nobody told anything."""
    assert ["", "buy", "sell"] == [
        Order("0x01", 2).side,
        Order("0x01", 2, is_buy=True, size=1).side,
        Order("0x01", 2, is_buy=False, size=1).side,
    ]
