"""The product table of the simulated venue, as data.

Source: protocol.md section 8. Products 0 (USDT0), 1 (KBTC) and 2 (BTC-PERP) carry values seen live.
The increments of 3, 4, 5 and 8 are stated nowhere and are our choice: a client must read them from
`symbols`, as with the real venue. Start prices are arbitrary round numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nadows.units import ONE_X18, to_x18

__all__ = ["FEE_TIERS", "NLP_ID", "PRODUCTS", "QUOTE_ID", "Kind", "Product", "tradable"]

QUOTE_ID: Final = 0
"""USDT0: the money everything is priced in."""

NLP_ID: Final = 11
"""The liquidity pool's token."""

FEE_TIERS: Final = tuple(
    (to_x18(maker), to_x18(taker))
    for maker, taker in (
        ("0.0001", "0.00035"),
        ("0.00008", "0.0003"),
        ("0.00005", "0.00025"),
        ("0.00002", "0.0002"),
        ("0", "0.00018"),
        ("-0.00003", "0.00015"),
    )
)
"""Maker and taker rates by tier, x18. The first is the one seen live; the others are our choice."""


class Kind(StrEnum):
    """What a product is; spot and perp are spelt as on the wire."""

    QUOTE = "quote"
    SPOT = "spot"
    PERP = "perp"
    POOL = "pool"
    """The liquidity pool's token: held and weighed like a spot product, but without a market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product; prices, sizes, rates and weights in x18."""

    product_id: int
    symbol: str
    name: str
    kind: Kind
    price_increment: int = 0
    size_increment: int = 0
    min_size: int = 0
    """Smallest order, as notional in USDT0 (protocol.md 3.10)."""
    maker_fee_rate: int = 0
    taker_fee_rate: int = 0
    long_weight_initial: int = ONE_X18
    long_weight_maintenance: int = ONE_X18
    max_open_interest: int | None = None
    start_price: int = ONE_X18
    token: str | None = None
    """Contract of a spot token, 0x and 40 hex digits; perps have none."""
    decimals: int = 18
    """Of the token: withdrawals count in its own units."""

    @property
    def has_market(self) -> bool:
        """Whether there is an order book."""
        return self.kind in (Kind.SPOT, Kind.PERP)

    @property
    def is_perp(self) -> bool:
        """Whether positions are virtual (amount and v_quote) rather than balances of a token."""
        return self.kind is Kind.PERP

    @property
    def ticker_id(self) -> str:
        """Name in the v2 REST API, for example ``BTC-PERP_USDT0``."""
        return f"{self.symbol}_USDT0"

    def weight(self, amount: int, *, maintenance: bool) -> int:
        """Return the risk weight of a balance of this sign; shorts weigh as much above one as longs below."""
        long = self.long_weight_maintenance if maintenance else self.long_weight_initial
        return long if amount >= 0 else 2 * ONE_X18 - long


def _traded(
    product_id: int,
    symbol: str,
    name: str,
    kind: Kind,
    *,
    tick: str,
    step: str,
    weights: tuple[str, str],
    price: str,
    max_open_interest: str | None = None,
    token: str | None = None,
    decimals: int = 18,
) -> Product:
    return Product(
        product_id=product_id,
        symbol=symbol,
        name=name,
        kind=kind,
        price_increment=to_x18(tick),
        size_increment=to_x18(step),
        min_size=to_x18("100"),
        maker_fee_rate=FEE_TIERS[0][0],
        taker_fee_rate=FEE_TIERS[0][1],
        long_weight_initial=to_x18(weights[0]),
        long_weight_maintenance=to_x18(weights[1]),
        max_open_interest=None if max_open_interest is None else to_x18(max_open_interest),
        start_price=to_x18(price),
        token=token,
        decimals=decimals,
    )


_SPOT, _PERP = Kind.SPOT, Kind.PERP

# Token addresses other than USDT0's are made up: the venue moves no tokens.
_ROWS: Final = (
    Product(
        product_id=QUOTE_ID,
        symbol="USDT0",
        name="USDT0",
        kind=Kind.QUOTE,
        token="0x60f50f902b2e91aef7d6c700eb22599e297fa86f",
        decimals=6,
    ),
    _traded(
        1, "KBTC", "Kraken Bitcoin", _SPOT,
        tick="1", step="0.00005", weights=("0.9", "0.95"), price="95000", token=f"0x{1:040x}",
        decimals=8,
    ),
    _traded(
        2, "BTC-PERP", "Bitcoin Perp", _PERP,
        tick="1", step="0.00005", weights=("0.98", "0.99"), price="95000", max_open_interest="165000000",
    ),
    _traded(
        3, "wETH", "Wrapped Ether", _SPOT,
        tick="0.1", step="0.001", weights=("0.9", "0.95"), price="3000", token=f"0x{3:040x}",
    ),
    _traded(
        4, "ETH-PERP", "Ether Perp", _PERP,
        tick="0.1", step="0.001", weights=("0.98", "0.99"), price="3000", max_open_interest="100000000",
    ),
    _traded(
        5, "USDC", "USD Coin", _SPOT,
        tick="0.0001", step="0.1", weights=("0.95", "0.97"), price="1", token=f"0x{5:040x}", decimals=6,
    ),
    _traded(
        8, "SOL-PERP", "Solana Perp", _PERP,
        tick="0.01", step="0.01", weights=("0.95", "0.97"), price="150", max_open_interest="50000000",
    ),
    Product(
        product_id=NLP_ID,
        symbol="NLP",
        name="Nado Liquidity Provider",
        kind=Kind.POOL,
        long_weight_initial=to_x18("0.8"),
        long_weight_maintenance=to_x18("0.9"),
        token=f"0x{11:040x}",
    ),
)  # fmt: skip

PRODUCTS: Final[dict[int, Product]] = {row.product_id: row for row in _ROWS}
"""Every product by id, in ascending order."""


def tradable() -> tuple[Product, ...]:
    """Return the products that have an order book: all but the quote and the pool's token."""
    return tuple(product for product in PRODUCTS.values() if product.has_market)
