"""Questions to the gateway, its cached edge and the trigger service.

They are told apart by ``type``. Numbers may also come as strings, because ``GET /query`` has
nothing else; on the structs they are integers either way. ``sender`` and ``subaccount`` are
bytes32 hex. What comes back is in `nadows.messages.answers`.

Source: protocol.md 5.1, 5.2 and 6.4.
"""

from __future__ import annotations

from typing import Any, Final

from nadows.messages.wire import UNSET, IntOrText, UnsetType, WireStruct
from nadows.units import X18, Millis

__all__ = [
    "QUERIES",
    "AllProductsQuery",
    "CachedAllProductsQuery",
    "CachedBboHistoryQuery",
    "CachedContractsQuery",
    "CachedEdgeAllProductsQuery",
    "CachedHealthGroupsQuery",
    "CachedNlpPoolInfoQuery",
    "CachedPricesQuery",
    "CachedStatusQuery",
    "CachedSymbolsQuery",
    "ContractsQuery",
    "EdgeAllProductsQuery",
    "EdgePing",
    "EdgeTime",
    "FeeRatesQuery",
    "HealthGroupsQuery",
    "InsuranceQuery",
    "IsolatedPositionsQuery",
    "LinkedSignerQuery",
    "ListTriggerOrdersQuery",
    "ListTriggerOrdersTx",
    "MarketLiquidityQuery",
    "MarketPriceQuery",
    "MarketPricesQuery",
    "MaxNlpBurnableQuery",
    "MaxNlpMintableQuery",
    "MaxOrderSizeQuery",
    "MaxWithdrawableQuery",
    "NlpLockedBalancesQuery",
    "NlpPoolInfoQuery",
    "NoncesQuery",
    "OrderQuery",
    "OrdersQuery",
    "Query",
    "StatusQuery",
    "SubaccountInfoQuery",
    "SubaccountOrdersQuery",
    "SymbolsQuery",
    "ValidateOrderQuery",
    "query_type",
]

Flag = bool | str | None | UnsetType
"""A boolean that the venue's pages write as "true" or "false"."""


class _Query(WireStruct, frozen=True, tag_field="type"):
    """Base of all."""


class StatusQuery(_Query, frozen=True, tag="status"):
    """Ask whether executes are accepted."""


class ContractsQuery(_Query, frozen=True, tag="contracts"):
    """Ask for the chain id and the endpoint contract."""


class NoncesQuery(_Query, frozen=True, tag="nonces"):
    """Ask for an address's counters; only ``tx_nonce`` is needed, for withdrawals and the like."""

    address: str
    """bytes20, hex."""


class OrderQuery(_Query, frozen=True, tag="order"):
    """Ask for one open order; 2020 when it is open no more."""

    product_id: IntOrText
    digest: str


class SubaccountOrdersQuery(_Query, frozen=True, tag="subaccount_orders"):
    """Ask for the open orders in one product."""

    sender: str
    product_id: IntOrText


class OrdersQuery(_Query, frozen=True, tag="orders"):
    """Ask for the open orders in several products."""

    sender: str
    product_ids: tuple[IntOrText, ...]


class SubaccountInfoQuery(_Query, frozen=True, tag="subaccount_info"):
    """Ask for balances, positions and health."""

    subaccount: str
    txns: str | UnsetType | None = UNSET
    """JSON text of deltas to apply before answering."""
    pre_state: Flag = UNSET


class IsolatedPositionsQuery(_Query, frozen=True, tag="isolated_positions"):
    """Ask for the positions that have margin of their own."""

    subaccount: str


class MarketLiquidityQuery(_Query, frozen=True, tag="market_liquidity"):
    """Ask for a book."""

    product_id: IntOrText
    depth: IntOrText
    """Levels a side, at most 100."""


class MarketPriceQuery(_Query, frozen=True, tag="market_price"):
    """Ask for the best prices of a product."""

    product_id: IntOrText


class MarketPricesQuery(_Query, frozen=True, tag="market_prices"):
    """Ask for the best prices of several products."""

    product_ids: tuple[IntOrText, ...]


class AllProductsQuery(_Query, frozen=True, tag="all_products"):
    """Ask for the state of all products."""


class EdgeAllProductsQuery(_Query, frozen=True, tag="edge_all_products"):
    """Ask for the state of all products, by chain."""


class SymbolsQuery(_Query, frozen=True, tag="symbols"):
    """Ask for the products' names, increments and fees."""

    product_ids: tuple[IntOrText, ...] | UnsetType | None = UNSET
    product_type: str | UnsetType | None = UNSET
    """``spot`` or ``perp``."""


class FeeRatesQuery(_Query, frozen=True, tag="fee_rates"):
    """Ask for a subaccount's fees."""

    sender: str


class MaxOrderSizeQuery(_Query, frozen=True, tag="max_order_size"):
    """Ask how much could be bought or sold at a price."""

    sender: str
    product_id: IntOrText
    price_x18: X18
    direction: str
    """``long`` or ``short``."""
    spot_leverage: Flag = UNSET
    reduce_only: Flag = UNSET
    isolated: Flag = UNSET
    borrow_margin: Flag = UNSET
    avg_price_x18: X18 | UnsetType | None = UNSET


class MaxWithdrawableQuery(_Query, frozen=True, tag="max_withdrawable"):
    """Ask how much of a token could be withdrawn."""

    sender: str
    product_id: IntOrText
    spot_leverage: Flag = UNSET


class LinkedSignerQuery(_Query, frozen=True, tag="linked_signer"):
    """Ask which other key may sign for a subaccount."""

    subaccount: str


class HealthGroupsQuery(_Query, frozen=True, tag="health_groups"):
    """Ask which spot and perp products offset each other."""


class InsuranceQuery(_Query, frozen=True, tag="insurance"):
    """Ask for the insurance fund's balance."""


class ValidateOrderQuery(_Query, frozen=True, tag="validate_order"):
    """Ask whether an order would be valid."""

    product_id: IntOrText
    order: str
    """ABI-encoded, hex."""


class MaxNlpMintableQuery(_Query, frozen=True, tag="max_nlp_mintable"):
    """Ask how much could be put into the liquidity pool."""

    sender: str
    spot_leverage: Flag = UNSET


class MaxNlpBurnableQuery(_Query, frozen=True, tag="max_nlp_burnable"):
    """Ask how much could be taken out of the liquidity pool."""

    sender: str


class NlpPoolInfoQuery(_Query, frozen=True, tag="nlp_pool_info"):
    """Ask for the liquidity pool's state."""


class NlpLockedBalancesQuery(_Query, frozen=True, tag="nlp_locked_balances"):
    """Ask for what is still locked in the liquidity pool."""

    subaccount: str


class CachedPricesQuery(_Query, frozen=True, tag="cached_prices"):
    """Ask the edge for best prices."""

    product_ids: tuple[IntOrText, ...] | UnsetType | None = UNSET


class CachedSymbolsQuery(_Query, frozen=True, tag="cached_symbols"):
    """Ask the edge for the products."""

    product_ids: tuple[IntOrText, ...] | UnsetType | None = UNSET
    product_type: str | UnsetType | None = UNSET
    """``spot`` or ``perp``."""


class CachedContractsQuery(_Query, frozen=True, tag="cached_contracts"):
    """Ask the edge for the chain."""


class CachedStatusQuery(_Query, frozen=True, tag="cached_status"):
    """Ask the edge for the status."""


class CachedAllProductsQuery(_Query, frozen=True, tag="cached_all_products"):
    """Ask the edge for the state of all products."""


class CachedEdgeAllProductsQuery(_Query, frozen=True, tag="cached_edge_all_products"):
    """Ask the edge for the state of all products, by chain."""


class CachedHealthGroupsQuery(_Query, frozen=True, tag="cached_health_groups"):
    """Ask the edge for the health groups."""


class CachedNlpPoolInfoQuery(_Query, frozen=True, tag="cached_nlp_pool_info"):
    """Ask the edge for the liquidity pool's state."""


class CachedBboHistoryQuery(_Query, frozen=True, tag="cached_bbo_history"):
    """Ask the edge for best prices over the last 30 minutes or so."""

    product_ids: tuple[IntOrText, ...] | UnsetType | None = UNSET
    interval_ms: IntOrText | UnsetType = UNSET
    """A multiple of 500, which is also the default."""
    max_time_ms: IntOrText | UnsetType | None = UNSET
    limit: IntOrText | UnsetType = UNSET
    """500 by default, at most 3600."""


class EdgeTime(_Query, frozen=True, tag="time"):
    """Ask for the venue's clock: the way to measure the skew before building nonces."""

    id: IntOrText | UnsetType | None = UNSET


class EdgePing(_Query, frozen=True, tag="ping"):
    """Ask for the venue's clock, with one's own echoed (milliseconds)."""

    id: IntOrText | UnsetType | None = UNSET
    client_time: Millis | UnsetType | None = UNSET


class ListTriggerOrdersTx(WireStruct, frozen=True):
    """What `ListTriggerOrdersQuery` signs (EIP-712 ``ListTriggerOrders``)."""

    sender: str
    recvTime: Millis  # noqa: N815 - the wire's name


class ListTriggerOrdersQuery(_Query, frozen=True, tag="list_trigger_orders"):
    """Ask the trigger service for orders that wait for a condition. Source: protocol.md 6.4."""

    tx: ListTriggerOrdersTx
    signature: str
    product_ids: tuple[IntOrText, ...] | UnsetType | None = UNSET
    trigger_types: tuple[str, ...] | UnsetType | None = UNSET
    status_types: tuple[str, ...] | UnsetType | None = UNSET
    max_update_time: IntOrText | UnsetType | None = UNSET
    """Seconds."""
    max_digest: str | UnsetType | None = UNSET
    digests: tuple[str, ...] | UnsetType | None = UNSET
    reduce_only: Flag = UNSET
    limit: IntOrText | UnsetType | None = UNSET
    """100 by default, at most 500."""


Query = (
    StatusQuery
    | ContractsQuery
    | NoncesQuery
    | OrderQuery
    | SubaccountOrdersQuery
    | OrdersQuery
    | SubaccountInfoQuery
    | IsolatedPositionsQuery
    | MarketLiquidityQuery
    | MarketPriceQuery
    | MarketPricesQuery
    | AllProductsQuery
    | EdgeAllProductsQuery
    | SymbolsQuery
    | FeeRatesQuery
    | MaxOrderSizeQuery
    | MaxWithdrawableQuery
    | LinkedSignerQuery
    | HealthGroupsQuery
    | InsuranceQuery
    | ValidateOrderQuery
    | MaxNlpMintableQuery
    | MaxNlpBurnableQuery
    | NlpPoolInfoQuery
    | NlpLockedBalancesQuery
    | CachedPricesQuery
    | CachedSymbolsQuery
    | CachedContractsQuery
    | CachedStatusQuery
    | CachedAllProductsQuery
    | CachedEdgeAllProductsQuery
    | CachedHealthGroupsQuery
    | CachedNlpPoolInfoQuery
    | CachedBboHistoryQuery
    | EdgeTime
    | EdgePing
    | ListTriggerOrdersQuery
)


def query_type(query: Query) -> str:
    """Name a query as the wire does, for example ``market_liquidity``."""
    return str(query.__struct_config__.tag)


_KINDS: Final[tuple[Any, ...]] = Query.__args__
QUERIES: Final[dict[str, type[Query]]] = {str(kind.__struct_config__.tag): kind for kind in _KINDS}
"""The wire's ``type`` to the query's type."""
