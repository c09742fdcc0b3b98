"""Products: increments, and the names people use."""

from __future__ import annotations

import pytest

from nadows.errors import UsageError
from nadows.messages import SymbolInfo
from nadows.products import Product, Products
from nadows.units import X18

E18 = 10**18


def product(
    product_id: int = 4, symbol: str = "ETH-PERP", tick: int = E18 // 10, step: int = E18 // 1000
) -> Product:
    return Product(product_id, symbol, symbol.endswith("-PERP"), tick, step, 100 * E18, E18 // 10**4, 0)


LISTED = Products([product(), product(3, "wETH"), product(2, "BTC-PERP", tick=E18)])


@pytest.mark.parametrize("name", ["ETH", "eth", "ETH-PERP", "eth-perp", "4", 4, " ETH "])
def test_names_of_one_product(name: str | int) -> None:
    """Id, symbol, symbol without -PERP; case does not matter."""
    assert 4 == LISTED.find(name).product_id


def test_exact_symbol_wins() -> None:
    """The spot token has a name of its own."""
    assert 3 == LISTED.find("weth").product_id


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ETG", "did you mean ETH"),
        ("BTC-PREP", "did you mean BTC-PERP"),
        ("zzz", "lists BTC-PERP, wETH, ETH-PERP"),
        ("99", "lists"),
    ],
)
def test_unknown_names_get_a_hint(name: str, hint: str) -> None:
    """The nearest name is offered, else the list."""
    with pytest.raises(UsageError, match=hint):
        LISTED.find(name)


def test_empty_list() -> None:
    """A venue that lists nothing is said to list nothing."""
    with pytest.raises(UsageError, match="lists nothing"):
        Products([]).find("ETH")


def test_as_a_collection() -> None:
    """Iterated by id; an unknown id still has a name to show."""
    assert [2, 3, 4] == [listed.product_id for listed in LISTED]
    assert (3, True, False) == (len(LISTED), 4 in LISTED, 5 in LISTED)
    assert ("wETH", "77") == (LISTED.symbol(3), LISTED.symbol(77))
    assert LISTED[4] is LISTED.find("ETH")


@pytest.mark.parametrize(
    ("increment", "decimals"), [(E18, 0), (10 * E18, 0), (E18 // 10, 1), (5 * 10**13, 5), (1, 18)]
)
def test_decimals(increment: int, decimals: int) -> None:
    """As many decimals as show every multiple of the increment exactly."""
    assert decimals == product(tick=increment).price_decimals == product(step=increment).size_decimals


def test_rounding() -> None:
    """Prices go to the nearest tick, sizes down to the step, the smallest size up to the minimum."""
    eth = product()

    assert 30001 * E18 // 10 == eth.price_near(300014 * E18 // 100)
    assert 12 * E18 // 1000 == eth.size_within(129 * E18 // 10000)
    smallest = eth.min_size(3000 * E18)
    assert 34 * E18 // 1000 == smallest
    assert smallest * 3000 >= eth.min_notional > (smallest - eth.step) * 3000


def test_from_symbols() -> None:
    """The answer to the symbols query, as the venue sends it."""
    info = SymbolInfo(
        type="perp",
        product_id=2,
        symbol="BTC-PERP",
        price_increment_x18=X18(E18),
        size_increment=X18(5 * 10**13),
        min_size=X18(100 * E18),
        maker_fee_rate_x18=X18(10**14),
        taker_fee_rate_x18=X18(35 * 10**13),
        long_weight_initial_x18=X18(98 * 10**16),
        long_weight_maintenance_x18=X18(99 * 10**16),
        max_open_interest_x18=None,
        trading_status="live",
        isolated_only=False,
    )
    (btc,) = Products.from_symbols([info])

    assert Product(2, "BTC-PERP", True, E18, 5 * 10**13, 100 * E18, 10**14, 35 * 10**13, "live") == btc
