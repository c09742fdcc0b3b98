"""What each request weighs against the venue's rate limits.

Executes count for the wallet, queries for the IP address at the gateway, archive queries for the address at
the archive. The windows are in `nadows.pacing`. Where the venue's page gives no number the twin's is taken,
else the heaviest that its range allows: to overrate costs a moment, to underrate a refusal.

Source: protocol.md 7 (the venue's Rate limits page).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nadows.messages import UNSET, ArchiveQuery, Query, archive_query_type, query_type
from nadows.signing import SignedOrder

__all__ = [
    "ARCHIVE_WEIGHTS",
    "EXECUTE_WEIGHTS",
    "QUERY_WEIGHTS",
    "ArchiveWeight",
    "ExecuteWeight",
    "QueryWeight",
    "archive_weight",
    "execute_weight",
    "order_weight",
    "query_weight",
]


@dataclass(frozen=True, slots=True)
class ExecuteWeight:
    """Of one order, digest, product or whatever the execute is about."""

    each: int
    without_leverage: int | None = None
    """When ``spot_leverage`` is false, if that makes a difference."""
    all: int | None = None
    """When nothing is named, which means everything."""


EXECUTE_WEIGHTS: Final[dict[str, ExecuteWeight]] = {
    "place_order": ExecuteWeight(1, without_leverage=20),
    "place_orders": ExecuteWeight(1, without_leverage=20),
    "cancel_orders": ExecuteWeight(1),
    "cancel_product_orders": ExecuteWeight(5, all=50),
    "cancel_and_place": ExecuteWeight(1, without_leverage=20),
    "withdraw_collateral": ExecuteWeight(10, without_leverage=20),
    "withdraw_collateral_v2": ExecuteWeight(10, without_leverage=20),
    "liquidate_subaccount": ExecuteWeight(20),
    "mint_nlp": ExecuteWeight(10),
    "burn_nlp": ExecuteWeight(10),
    "link_signer": ExecuteWeight(30),
    "transfer_quote": ExecuteWeight(10),
}
"""By the wire's name. A batch weighs what its orders weigh, a replacement also what its cancellations do."""


@dataclass(frozen=True, slots=True)
class QueryWeight:
    """Of one query, or of each product that it names."""

    fixed: int = 0
    each_product: int = 0


QUERY_WEIGHTS: Final[dict[str, QueryWeight]] = {
    "status": QueryWeight(1),
    "contracts": QueryWeight(1),
    "nonces": QueryWeight(2),
    "order": QueryWeight(1),
    "subaccount_orders": QueryWeight(2),
    "orders": QueryWeight(each_product=2),
    "subaccount_info": QueryWeight(2),
    "isolated_positions": QueryWeight(10),
    "market_liquidity": QueryWeight(1),
    "market_price": QueryWeight(1),
    "market_prices": QueryWeight(each_product=1),
    "all_products": QueryWeight(5),
    "edge_all_products": QueryWeight(5),
    "symbols": QueryWeight(2),
    "fee_rates": QueryWeight(2),
    "max_order_size": QueryWeight(5),
    "max_withdrawable": QueryWeight(5),
    "linked_signer": QueryWeight(5),
    "health_groups": QueryWeight(2),
    "insurance": QueryWeight(2),
    "max_nlp_mintable": QueryWeight(20),
    "max_nlp_burnable": QueryWeight(20),
    # From here on the venue's page has no number.
    "validate_order": QueryWeight(5),
    "nlp_pool_info": QueryWeight(20),
    "nlp_locked_balances": QueryWeight(20),
    "cached_prices": QueryWeight(5),
    "cached_symbols": QueryWeight(2),
    "cached_contracts": QueryWeight(1),
    "cached_status": QueryWeight(1),
    "cached_all_products": QueryWeight(5),
    "cached_edge_all_products": QueryWeight(5),
    "cached_health_groups": QueryWeight(2),
    "cached_nlp_pool_info": QueryWeight(20),
    "cached_bbo_history": QueryWeight(5),
    "time": QueryWeight(1),
    "ping": QueryWeight(1),
    "list_trigger_orders": QueryWeight(5),
}
"""By the wire's name. ``subaccount_info`` weighs more with options: see `query_weight`."""

_WITH_TXNS: Final = 10
_WITH_PRE_STATE: Final = 15


@dataclass(frozen=True, slots=True)
class ArchiveWeight:
    """Of one query: *fixed*, and one for each *rows* asked for, for every subaccount named."""

    fixed: int
    rows: int | None = None


ARCHIVE_WEIGHTS: Final[dict[str, ArchiveWeight]] = {
    "matches": ArchiveWeight(2, rows=10),
    "orders": ArchiveWeight(2, rows=20),
    "candlesticks": ArchiveWeight(1, rows=20),
}
"""By the wire's name; those not named weigh from 1 to 5, and are taken for 5."""
_OTHER_ARCHIVE: Final = ArchiveWeight(5)
_DEFAULT_ROWS: Final = 100
_MAX_ROWS: Final = 500


def execute_weight(kind: str, count: int = 1, *, spot_leverage: bool | None = None) -> int:
    """Weigh an execute.

    Args:
        kind: The wire's name.
        count: How many orders, digests or products it names; 0 where that means all.
        spot_leverage: As in the request.
    """
    weight = EXECUTE_WEIGHTS[kind]
    if count == 0 and weight.all is not None:
        return weight.all
    if spot_leverage is False and weight.without_leverage is not None:
        return count * weight.without_leverage
    return count * weight.each


def order_weight(order: SignedOrder) -> int:
    """Weigh an order, alone or within a batch or a replacement."""
    return execute_weight("place_order", spot_leverage=order.spot_leverage)


def query_weight(query: Query) -> int:
    """Weigh a gateway query."""
    kind = query_type(query)
    weight = QUERY_WEIGHTS[kind]
    if kind == "subaccount_info":
        if getattr(query, "pre_state", UNSET) not in (UNSET, None, False, "false"):
            return _WITH_PRE_STATE
        if getattr(query, "txns", UNSET) not in (UNSET, None):
            return _WITH_TXNS
    products = len(getattr(query, "product_ids", ())) if weight.each_product else 0
    return weight.fixed + weight.each_product * products


def archive_weight(query: ArchiveQuery) -> int:
    """Weigh an archive query, fractions rounded up."""
    weight = ARCHIVE_WEIGHTS.get(archive_query_type(query), _OTHER_ARCHIVE)
    if weight.rows is None:
        return weight.fixed
    limit = getattr(query, "limit", UNSET)
    rows = _DEFAULT_ROWS if limit in (UNSET, None) else min(int(limit), _MAX_ROWS)
    named = getattr(query, "subaccounts", UNSET)
    subaccounts = 1 if named in (UNSET, None) else max(len(named), 1)
    return weight.fixed + -(-rows * subaccounts // weight.rows)
