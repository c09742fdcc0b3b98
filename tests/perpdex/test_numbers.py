"""Prices on the tick, sizes on the step."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.perpdex.numbers import Number, close_price, open_price, read, round_to, size_of
from nadows.products import Product
from nadows.units import to_x18


def product(tick: str = "0.05", step: str = "0.001") -> Product:
    return Product(
        2, "BTC-PERP", True, tick=to_x18(tick), step=to_x18(step), min_notional=0, maker_fee=0, taker_fee=0
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.1"), "0.1"),
        (Decimal(0.1), "0.1"),  # noqa: RUF032 - the dust is the case: argparse makes it in the public project
        (Decimal(0.3), "0.3"),  # noqa: RUF032 - and this one lies below
        (0.1, "0.1"),
        ("0.1", "0.1"),
        (7, "7"),
        (Decimal("95002") * (1 + Decimal("0.0213") / 100), "95022.235426"),
        (Decimal(1) / 3, "0.333333333333"),
    ],
)
def test_dust_falls_off(value: Number, expected: str) -> None:
    """What a strategy computes is read to twelve decimals."""
    assert to_x18(expected) == read(value)


@pytest.mark.parametrize("value", ["", "x", Decimal("NaN"), float("inf"), Decimal("1e60"), "1e40"])
def test_no_number(value: Number) -> None:
    """What is no number, or none that the venue could hold, is said in a sentence."""
    with pytest.raises(UsageError, match="expected a number"):
        read(value)


@pytest.mark.parametrize(
    ("tick", "price", "expected"),
    [
        ("0.05", "1.07", "1.05"),
        ("0.05", "1.08", "1.1"),
        ("5", "12.4", "10"),
        ("5", "12.5", "15"),
        ("1.0", "95021.9", "95022"),
    ],
)
def test_a_tick_is_an_increment(tick: str, price: str, expected: str) -> None:
    """Rounding goes to a multiple, not to as many decimals as the tick has."""
    assert Decimal(expected) == round_to(Decimal(tick), Decimal(price))


@pytest.mark.parametrize("quantity", ["0", "-0.001", "0.0015"])
def test_sizes_that_cannot_be_traded(quantity: str) -> None:
    """A size is not rounded in silence: the strategy would believe in another."""
    with pytest.raises(UsageError, match="BTC-PERP: quantity"):
        size_of(product(), quantity)


def test_an_open_price_needs_both_sides() -> None:
    """One tick from the other side; without one there is no price."""
    bid, ask = to_x18("99.95"), to_x18("100.1")

    assert to_x18("100.05") == open_price(product(), bid, ask, is_buy=True)
    assert to_x18("100") == open_price(product(), bid, ask, is_buy=False)
    for sides in ((None, ask), (bid, None)):
        with pytest.raises(UsageError, match="invalid bid/ask"):
            open_price(product(), *sides, is_buy=True)


@pytest.mark.parametrize(
    ("wanted", "is_buy", "expected"),
    [
        ("100.12", False, "100.15"),
        ("100.15", False, "100.15"),
        ("99.93", True, "99.9"),
        ("99", False, "100"),  # would sell at once to the bid of 99.95
        ("99.95", False, "100"),
        ("101", True, "100.05"),  # would buy at once from the ask of 100.1
        ("100.1", True, "100.05"),
    ],
)
def test_close_prices(wanted: str, is_buy: bool, expected: str) -> None:
    """On the tick, never worse than wanted, and one tick off the other side where it would trade at once."""
    bid, ask = to_x18("99.95"), to_x18("100.1")

    assert to_x18(expected) == close_price(product(), to_x18(wanted), bid, ask, is_buy=is_buy)


def test_close_prices_without_a_market() -> None:
    """Where there is no other side there is nothing to stay off."""
    assert to_x18("99") == close_price(product(), to_x18("99"), None, None, is_buy=False)
    assert to_x18("101") == close_price(product(), to_x18("101"), None, None, is_buy=True)


@given(
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.integers(1, 1000),
    st.sampled_from(["0.01", "0.05", "1", "5"]),
    st.booleans(),
)
def test_close_prices_are_on_the_tick_and_rest(
    wanted: int, bid: int, spread: int, tick: str, is_buy: bool
) -> None:
    """For any market: a multiple of the tick, not worse than wanted, and it does not trade at once."""
    subject = product(tick)
    wanted_x18, bid_x18 = wanted * 10**16, bid * subject.tick
    ask_x18 = bid_x18 + spread * subject.tick

    price = close_price(subject, wanted_x18, bid_x18, ask_x18, is_buy=is_buy)

    assert price % subject.tick == 0
    assert price < ask_x18 and price <= wanted_x18 if is_buy else price > bid_x18 and price >= wanted_x18
