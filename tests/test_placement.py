"""Products spread over connections."""

from __future__ import annotations

import pytest

from nadows.errors import UsageError
from nadows.messages import Stream
from nadows.placement import Placement


def test_products_are_spread_evenly_and_stay() -> None:
    """Each new product goes where the fewest are; all that is said of it goes the same way."""
    placement = Placement(3)
    streams = [Stream.trade(product) for product in (2, 4, 8, 10, 2, 4)]

    assert [0, 1, 2, 0, 0, 1] == [placement.of(stream) for stream in streams]
    assert [1, 2] == [placement.of(Stream.book_depth(4)), placement.of_product(8)]
    assert [[2, 10], [4], [8]] == placement.products


def test_what_is_private_or_of_no_product_goes_first() -> None:
    """The first connection has the key."""
    placement = Placement(2)
    placement.of_product(2)
    streams = [Stream.fill("0xaa", 4), Stream.order_update("0xaa"), Stream.all_bbo(), Stream.liquidation()]

    assert [0] * 4 == [placement.of(stream) for stream in streams]
    assert [[2], []] == placement.products


def test_no_connection() -> None:
    """There must be one."""
    with pytest.raises(UsageError, match="at least 1"):
        Placement(0)
