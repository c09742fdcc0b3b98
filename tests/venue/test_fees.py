"""Tests of nadows.venue.fees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.units import ONE_X18
from nadows.venue.fees import builder_fee, maker_fee, notional, taker_fee

MAKER, TAKER = 10**14, 35 * 10**13
MIN = 100 * ONE_X18


def test_notional_is_price_times_quantity() -> None:
    """0.004 BTC at 95000 is worth 380."""
    assert 380 * ONE_X18 == notional(95_000 * ONE_X18, 4 * 10**15)


@pytest.mark.parametrize(
    ("is_bid", "expected"),
    [
        # The captured fill of frames.jsonl (event.fill.maker): 380 / (1 - 0.0001) - 380, rounded down.
        (True, 38003800380038003),
        (False, 38000000000000000),
    ],
)
def test_maker_fee(is_bid: bool, expected: int) -> None:
    """A buyer pays quote / (1 - rate) in all, a seller keeps quote * (1 - rate)."""
    assert expected == maker_fee(380 * ONE_X18, MAKER, is_bid)


def test_a_negative_rate_is_a_rebate() -> None:
    """A maker with a rebate is paid, on either side."""
    assert maker_fee(380 * ONE_X18, -MAKER, True) < 0
    assert -38 * 10**15 == maker_fee(380 * ONE_X18, -MAKER, False)


@pytest.mark.parametrize(
    ("quote", "matched", "metered"),
    [
        (380, 0, 380),
        (30, 0, 100),  # the first match pays at least for min_size
        (30, 30, 0),  # still below min_size in all: paid for already
        (90, 30, 20),  # only what exceeds min_size in all
        (50, 380, 50),
    ],
)
def test_taker_fee_meters_the_minimum_once(quote: int, matched: int, metered: int) -> None:
    """However an order is split, it pays for min_size once and for what exceeds it."""
    fee = taker_fee(quote * ONE_X18, TAKER, False, matched=matched * ONE_X18, min_size=MIN)

    assert metered * TAKER == fee


@given(st.lists(st.integers(1, 10**24), min_size=1, max_size=6), st.booleans())
def test_splitting_an_order_does_not_change_its_fee_by_more_than_rounding(
    parts: list[int], is_bid: bool
) -> None:
    """The fees of the parts add up to the fee of the whole, within one unit a part."""
    matched = total = 0
    for part in parts:
        total += taker_fee(part, TAKER, is_bid, matched=matched, min_size=MIN)
        matched += part

    whole = taker_fee(matched, TAKER, is_bid, matched=0, min_size=MIN)

    assert abs(whole - total) <= len(parts)


def test_builder_fee_counts_tenths_of_a_basis_point() -> None:
    """10 units are 1 bp."""
    assert 38 * 10**15 == builder_fee(380 * ONE_X18, 10)
