"""What is in the ``data`` of the gateway's answers.

Prices, amounts, rates, weights and balances are x18; ids of products are u32.

Source: protocol.md 3.4 to 3.8 and 5.1 to 5.6 (the venue's pages, live answers, the official SDKs).
"""

from __future__ import annotations

from typing import Any

from nadows.messages.events import Levels, check_levels
from nadows.messages.wire import UNSET, IntOrText, ProductId, RequestId, UnsetType, WireStruct
from nadows.units import X18, Millis, Nanos, StrInt

__all__ = [
    "AllProducts",
    "BboHistory",
    "BboSample",
    "BookInfo",
    "CancelledOrders",
    "Contracts",
    "EdgeAllProducts",
    "FeeRates",
    "Health",
    "HealthGroups",
    "Insurance",
    "IsolatedPosition",
    "IsolatedPositions",
    "LinkedSigner",
    "MarketLiquidity",
    "MarketPrice",
    "MarketPrices",
    "MaxNlpBurnable",
    "MaxNlpMintable",
    "MaxOrderSize",
    "MaxWithdrawable",
    "Nonces",
    "OrderObject",
    "OrderValidity",
    "Orders",
    "PerpBalance",
    "PerpBalanceAmounts",
    "PerpProduct",
    "PerpState",
    "PlaceOrdersItem",
    "PlaceOrdersResult",
    "PlacedOrder",
    "ProductOrders",
    "Risk",
    "SpotBalance",
    "SpotBalanceAmount",
    "SpotConfig",
    "SpotProduct",
    "SpotState",
    "SubaccountInfo",
    "SubaccountOrders",
    "SymbolInfo",
    "Symbols",
]


# ---------------------------------------------------------------------------------- orders


class OrderObject(WireStruct, frozen=True):
    """An open order, or one that was just cancelled. Source: protocol.md 5.3."""

    product_id: ProductId
    sender: str
    price_x18: X18
    amount: X18
    """Signed: negative sells."""
    expiration: StrInt
    """Seconds."""
    order_type: str
    """``default``, ``ioc``, ``fok`` or ``post_only``."""
    nonce: StrInt
    appendix: StrInt
    unfilled_amount: X18
    """Signed like `amount`; ``amount - unfilled_amount`` is what was filled, exactly."""
    digest: str
    placed_at: IntOrText
    """Seconds."""
    id: RequestId | UnsetType | None = UNSET
    """The client's number, only if the order has one."""


class PlacedOrder(WireStruct, frozen=True):
    """Answer to ``place_order`` and ``cancel_and_place``: the venue took the order."""

    digest: str


class PlaceOrdersItem(WireStruct, frozen=True):
    """What became of one order of a batch; one of the two is ``None``, and errors have no code."""

    digest: str | None = None
    error: str | None = None


class PlaceOrdersResult:
    """Answer to ``place_orders``, in the order of the request.

    The venue's page and its Python SDK show an object, its engine's own types a bare list: both are
    read, and `is_bare` keeps which it was for writing it back. Source: protocol.md 3.5.
    """

    __slots__ = ("is_bare", "items")

    def __init__(self, items: tuple[PlaceOrdersItem, ...], *, is_bare: bool = False) -> None:
        self.items = items
        self.is_bare = is_bare

    def wire_form(self) -> Any:
        """Give what JSON is to be written."""
        return self.items if self.is_bare else {"place_orders": self.items}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlaceOrdersResult) and (self.items, self.is_bare) == (
            other.items,
            other.is_bare,
        )

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        return f"PlaceOrdersResult({self.items!r}, is_bare={self.is_bare})"


class CancelledOrders(WireStruct, frozen=True):
    """Answer to ``cancel_orders`` and ``cancel_product_orders``."""

    cancelled_orders: tuple[OrderObject, ...]


class SubaccountOrders(WireStruct, frozen=True):
    """Answer to ``subaccount_orders``."""

    sender: str
    product_id: ProductId
    orders: tuple[OrderObject, ...]


class ProductOrders(WireStruct, frozen=True):
    """One product's part of `Orders`."""

    product_id: ProductId
    orders: tuple[OrderObject, ...]


class Orders(WireStruct, frozen=True):
    """Answer to ``orders``: one group for each product asked for, empty ones included."""

    sender: str
    product_orders: tuple[ProductOrders, ...]


class OrderValidity(WireStruct, frozen=True):
    """Answer to ``validate_order``."""

    product_id: ProductId
    order: str
    valid: bool


# --------------------------------------------------------------------------------- markets


class MarketLiquidity(WireStruct, frozen=True):
    """Answer to ``market_liquidity``: a book, best levels first, on the clock of ``book_depth``."""

    bids: Levels
    asks: Levels
    product_id: ProductId
    timestamp: Nanos

    def __post_init__(self) -> None:
        """Refuse levels that a book could not be keyed by (`check_levels`)."""
        check_levels(self.bids)
        check_levels(self.asks)


class MarketPrice(WireStruct, frozen=True):
    """Best prices of one product; 0 and `nadows.units.NO_ASK` stand for empty sides."""

    product_id: ProductId
    bid_x18: X18
    ask_x18: X18


class MarketPrices(WireStruct, frozen=True):
    """Answer to ``market_prices`` and ``cached_prices``."""

    market_prices: tuple[MarketPrice, ...]


class BboSample(WireStruct, frozen=True):
    """Best prices at one instant."""

    product_id: ProductId
    timestamp: Millis
    bid: X18
    ask: X18


class BboHistory(WireStruct, frozen=True):
    """Answer to ``cached_bbo_history``, oldest first."""

    interval_ms: IntOrText
    limit: IntOrText
    history: tuple[BboSample, ...]


class SymbolInfo(WireStruct, frozen=True):
    """One tradable product. Source: protocol.md 5.5."""

    type: str
    """``spot`` or ``perp``."""
    product_id: ProductId
    symbol: str
    price_increment_x18: X18
    size_increment: X18
    min_size: X18
    """Smallest price times size, in USDT0."""
    maker_fee_rate_x18: X18
    taker_fee_rate_x18: X18
    long_weight_initial_x18: X18
    long_weight_maintenance_x18: X18
    max_open_interest_x18: X18 | None
    trading_status: str
    """``live``, ``post_only``, ``not_tradable``, ``reduce_only`` or ``soft_reduce_only``."""
    isolated_only: bool


class Symbols(WireStruct, frozen=True):
    """Answer to ``symbols``; the quote asset (product 0) is not among them."""

    symbols: dict[str, SymbolInfo]
    """By symbol."""


class FeeRates(WireStruct, frozen=True):
    """Answer to ``fee_rates``; lists are indexed by product id."""

    taker_fee_rates_x18: tuple[X18, ...]
    maker_fee_rates_x18: tuple[X18, ...]
    liquidation_sequencer_fee: X18
    health_check_sequencer_fee: X18
    taker_sequencer_fee: X18
    withdraw_sequencer_fees: tuple[X18, ...]
    fee_tier: int | UnsetType = UNSET


# -------------------------------------------------------------------------------- products


class Risk(WireStruct, frozen=True):
    """Weights of a product in health."""

    long_weight_initial_x18: X18
    short_weight_initial_x18: X18
    long_weight_maintenance_x18: X18
    short_weight_maintenance_x18: X18
    price_x18: X18


class BookInfo(WireStruct, frozen=True):
    """Increments of a product's book; all 0 where there is no book."""

    size_increment: X18
    price_increment_x18: X18
    min_size: X18
    collected_fees: X18


class SpotConfig(WireStruct, frozen=True):
    """Interest and fees of a token."""

    token: str
    interest_inflection_util_x18: X18
    interest_floor_x18: X18
    interest_small_cap_x18: X18
    interest_large_cap_x18: X18
    withdraw_fee_x18: X18
    min_deposit_rate_x18: X18


class SpotState(WireStruct, frozen=True):
    """Deposits and borrows of a token."""

    cumulative_deposits_multiplier_x18: X18
    cumulative_borrows_multiplier_x18: X18
    total_deposits_normalized: X18
    total_borrows_normalized: X18


class PerpState(WireStruct, frozen=True):
    """Funding and open interest of a perp."""

    cumulative_funding_long_x18: X18
    cumulative_funding_short_x18: X18
    available_settle: X18
    open_interest: X18


class SpotProduct(WireStruct, frozen=True):
    """A spot product."""

    product_id: ProductId
    oracle_price_x18: X18
    risk: Risk
    config: SpotConfig
    state: SpotState
    book_info: BookInfo


class PerpProduct(WireStruct, frozen=True):
    """A perp product."""

    product_id: ProductId
    oracle_price_x18: X18
    risk: Risk
    state: PerpState
    book_info: BookInfo


class AllProducts(WireStruct, frozen=True):
    """Answer to ``all_products``, products without a book included."""

    spot_products: tuple[SpotProduct, ...]
    perp_products: tuple[PerpProduct, ...]


class EdgeAllProducts(WireStruct, frozen=True):
    """Answer to ``edge_all_products``."""

    edge_all_products: dict[str, AllProducts]
    """By chain id, a decimal string."""


class HealthGroups(WireStruct, frozen=True):
    """Answer to ``health_groups``: pairs of (spot, perp)."""

    health_groups: tuple[tuple[ProductId, ...], ...]


class Insurance(WireStruct, frozen=True):
    """Answer to ``insurance``."""

    insurance: X18


# -------------------------------------------------------------------------------- accounts


class Contracts(WireStruct, frozen=True):
    """Answer to ``contracts``; compare it with one's own settings before signing anything."""

    chain_id: IntOrText
    endpoint_addr: str


class Nonces(WireStruct, frozen=True):
    """Answer to ``nonces``."""

    tx_nonce: IntOrText
    order_nonce: IntOrText
    """Informative; orders carry a nonce made from the time."""


class Health(WireStruct, frozen=True):
    """One measure of health."""

    assets: X18
    liabilities: X18
    health: X18


class SpotBalanceAmount(WireStruct, frozen=True):
    """A token balance; negative is borrowed."""

    amount: X18


class SpotBalance(WireStruct, frozen=True):
    """A token balance and its product."""

    product_id: ProductId
    balance: SpotBalanceAmount


class PerpBalanceAmounts(WireStruct, frozen=True):
    """A position; its profit is ``amount * price + v_quote_balance``, besides accrued funding."""

    amount: X18
    v_quote_balance: X18
    last_cumulative_funding_x18: X18


class PerpBalance(WireStruct, frozen=True):
    """A position and its product."""

    product_id: ProductId
    balance: PerpBalanceAmounts


class SubaccountInfo(WireStruct, frozen=True):
    """Answer to ``subaccount_info``; one that does not exist has ``exists`` false and empty lists."""

    subaccount: str
    exists: bool
    healths: tuple[Health, ...]
    """Initial (at least 0 to open risk), maintenance (below 0: liquidatable), unweighted (equity)."""
    health_contributions: tuple[tuple[X18, ...], ...]
    """By product id, unused ids included: (initial, maintenance, unweighted)."""
    spot_count: int
    perp_count: int
    spot_balances: tuple[SpotBalance, ...]
    perp_balances: tuple[PerpBalance, ...]
    spot_products: tuple[SpotProduct, ...]
    perp_products: tuple[PerpProduct, ...]


class IsolatedPosition(WireStruct, frozen=True):
    """A position with margin of its own."""

    subaccount: str
    """The isolated subaccount, derived by the venue."""
    quote_balance: SpotBalance
    base_balance: PerpBalance
    quote_product: SpotProduct
    base_product: PerpProduct
    healths: tuple[Health, ...]
    quote_healths: tuple[X18, ...]
    base_healths: tuple[X18, ...]


class IsolatedPositions(WireStruct, frozen=True):
    """Answer to ``isolated_positions``."""

    isolated_positions: tuple[IsolatedPosition, ...]


class MaxOrderSize(WireStruct, frozen=True):
    """Answer to ``max_order_size``."""

    max_order_size: X18


class MaxWithdrawable(WireStruct, frozen=True):
    """Answer to ``max_withdrawable``."""

    max_withdrawable: X18


class MaxNlpMintable(WireStruct, frozen=True):
    """Answer to ``max_nlp_mintable``."""

    max_quote_amount: X18


class MaxNlpBurnable(WireStruct, frozen=True):
    """Answer to ``max_nlp_burnable``."""

    max_nlp_amount: X18


class LinkedSigner(WireStruct, frozen=True):
    """Answer to ``linked_signer``."""

    linked_signer: str
    """bytes20; the zero address is none."""
