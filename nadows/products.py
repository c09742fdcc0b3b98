"""The products a venue lists, and how people name them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nadows.errors import UsageError
from nadows.messages import SymbolInfo
from nadows.units import round_down, round_nearest, round_up

__all__ = ["Product", "Products"]


@dataclass(frozen=True, slots=True)
class Product:
    """One tradable product. Prices, sizes and rates are x18."""

    product_id: int
    symbol: str
    is_perp: bool
    tick: int
    """Prices are multiples of it."""
    step: int
    """Sizes are multiples of it."""
    min_notional: int
    """Smallest price times size, in USDT0."""
    maker_fee: int
    """Fraction of the quote; negative is a rebate."""
    taker_fee: int
    status: str = "live"

    @property
    def price_decimals(self) -> int:
        """Decimals that show every price of the product exactly."""
        return _decimals(self.tick)

    @property
    def size_decimals(self) -> int:
        """Decimals that show every size of the product exactly."""
        return _decimals(self.step)

    def price_near(self, price: int) -> int:
        """Round a price to the nearest tick (x18)."""
        return round_nearest(price, self.tick)

    def size_within(self, size: int) -> int:
        """Round a positive size down to the step (x18)."""
        return round_down(size, self.step)

    def min_size(self, price: int) -> int:
        """Smallest size that the venue accepts at a price (x18).

        Source: protocol.md 3.10, sizing rule.
        """
        return round_up(-(-self.min_notional * 10**18 // price), self.step)


def _decimals(increment: int) -> int:
    decimals = 18
    while decimals and increment % 10 == 0:
        increment //= 10
        decimals -= 1
    return decimals


class Products:
    """The list, findable by what people type: ``ETH``, ``eth-perp``, ``4``."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._by_id = {
            product.product_id: product for product in sorted(products, key=lambda p: p.product_id)
        }
        self._by_symbol = {product.symbol.upper(): product for product in self._by_id.values()}

    @classmethod
    def from_symbols(cls, symbols: Iterable[SymbolInfo]) -> Products:
        """Read the answer to the ``symbols`` query."""
        return cls(
            Product(
                product_id=int(info.product_id),
                symbol=info.symbol,
                is_perp=info.type == "perp",
                tick=int(info.price_increment_x18),
                step=int(info.size_increment),
                min_notional=int(info.min_size),
                maker_fee=int(info.maker_fee_rate_x18),
                taker_fee=int(info.taker_fee_rate_x18),
                status=info.trading_status,
            )
            for info in symbols
        )

    def __iter__(self) -> Iterator[Product]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, product_id: object) -> bool:
        return product_id in self._by_id

    def __getitem__(self, product_id: int) -> Product:
        return self._by_id[product_id]

    def symbol(self, product_id: int) -> str:
        """Symbol of a product, or its number as text if the venue does not list it."""
        product = self._by_id.get(product_id)
        return product.symbol if product else str(product_id)

    def find(self, name: str | int) -> Product:
        """Find a product by id, symbol, or the symbol of its perpetual without ``-PERP``.

        Raises:
            UsageError: If there is none; names the nearest ones.
        """
        text = str(name).strip().upper()
        found = self._by_symbol.get(text) or self._by_symbol.get(f"{text}-PERP")
        if found is None and text.isdecimal():
            found = self._by_id.get(int(text))
        if found is None:
            raise UsageError(self._not_found(str(name), text))
        return found

    def _not_found(self, name: str, text: str) -> str:
        names = [product.symbol for product in self]
        near = difflib.get_close_matches(
            text, [n.upper() for n in names] + [n.removesuffix("-PERP") for n in names]
        )
        hint = f"did you mean {near[0]}?" if near else f"the venue lists {', '.join(names) or 'nothing'}"
        return f"no product is called {name!r}: {hint}"
