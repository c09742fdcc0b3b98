"""Rate limits: what each request weighs, and who has how much left.

Two windows each (10 s and a minute) for a wallet's executes, an address's queries, and an address's
archive queries. Source: protocol.md section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nadows.messages import archive, executes, queries, triggers
from nadows.messages.wire import UnsetType
from nadows.pacing import IP_QUERY_LIMITS, WALLET_EXECUTE_LIMITS, Window, WindowLimit
from nadows.venue.refusal import Refusal

__all__ = ["Limits", "archive_weight", "execute_weight", "query_weight", "sender_of"]


def sender_of(request: executes.Execute | triggers.PlaceTriggerOrders) -> str:
    """Return the subaccount that an execute claims to come from, as written; empty for an empty batch."""
    if isinstance(request, executes.PlaceOrder):
        return request.order.sender
    if isinstance(request, executes.PlaceOrders | triggers.PlaceTriggerOrders):
        return request.orders[0].order.sender if request.orders else ""
    if isinstance(request, executes.CancelAndPlace):
        return request.cancel_tx.sender
    return request.tx.sender


def execute_weight(request: executes.Execute | triggers.PlaceTriggerOrders) -> int:
    """Return what an execute costs its wallet."""
    if isinstance(request, executes.PlaceOrder):
        return 20 if request.spot_leverage is False else 1
    if isinstance(request, executes.PlaceOrders | triggers.PlaceTriggerOrders):
        return sum(execute_weight(order) for order in request.orders)
    if isinstance(request, executes.CancelOrders):
        return len(request.tx.digests)
    if isinstance(request, executes.CancelProductOrders):
        return 5 * len(request.tx.productIds) or 50
    if isinstance(request, executes.CancelAndPlace):
        return len(request.cancel_tx.digests) + execute_weight(request.place_order)
    if isinstance(request, executes.WithdrawCollateral | executes.WithdrawCollateralV2):
        return 20 if request.spot_leverage is False else 10
    return _OTHER_EXECUTES[type(request)]


_OTHER_EXECUTES: Final[dict[type[Any], int]] = {
    executes.LiquidateSubaccount: 20,
    executes.MintNlp: 10,
    executes.BurnNlp: 10,
    executes.LinkSigner: 30,
    executes.TransferQuote: 10,
}

_QUERIES: Final[dict[type[Any], int]] = {
    queries.NoncesQuery: 2,
    queries.SubaccountOrdersQuery: 2,
    queries.SubaccountInfoQuery: 2,
    queries.IsolatedPositionsQuery: 10,
    queries.SymbolsQuery: 2,
    queries.AllProductsQuery: 5,
    queries.EdgeAllProductsQuery: 5,
    queries.MaxOrderSizeQuery: 5,
    queries.MaxWithdrawableQuery: 5,
    queries.MaxNlpMintableQuery: 20,
    queries.MaxNlpBurnableQuery: 20,
    queries.HealthGroupsQuery: 2,
    queries.LinkedSignerQuery: 5,
    queries.InsuranceQuery: 2,
    queries.FeeRatesQuery: 2,
}
"""Queries of fixed weight; those not named weigh 1."""


def query_weight(query: queries.Query) -> int:
    """Return what a gateway query costs its address."""
    if isinstance(query, queries.OrdersQuery):
        return 2 * len(query.product_ids)
    if isinstance(query, queries.MarketPricesQuery):
        return len(query.product_ids)
    return _QUERIES.get(type(query), 1)


def archive_weight(query: archive.ArchiveQuery) -> int:
    """Return what an archive query costs its address."""
    if isinstance(query, archive.MatchesQuery | archive.OrderHistoryQuery):
        subaccounts = query.subaccounts
        count = 1 if isinstance(subaccounts, UnsetType) or not subaccounts else len(subaccounts)
        return 2 + _rows(query.limit) * count // (10 if isinstance(query, archive.MatchesQuery) else 20)
    if isinstance(query, archive.CandlesticksQuery):
        return 1 + _rows(query.limit) // 20
    return 1


def _rows(limit: Any) -> int:
    return 100 if limit is None or isinstance(limit, UnsetType) else max(1, min(500, int(limit)))


class Limits:
    """Spends weights; refuses with 1000 what is over."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._wallets: dict[str, WindowLimit] = {}
        self._gateway: dict[str, WindowLimit] = {}
        self._archive: dict[str, WindowLimit] = {}

    def spend_execute(self, request: executes.Execute | triggers.PlaceTriggerOrders, now_ns: int) -> None:
        """Charge an execute to the wallet that it claims to come from."""
        if self.enabled:
            wallet = sender_of(request)[:42].lower()
            _spend(self._wallets, wallet, WALLET_EXECUTE_LIMITS, execute_weight(request), now_ns)

    def spend_query(self, query: queries.Query, address: str, now_ns: int) -> None:
        """Charge a gateway query to an IP address."""
        if self.enabled:
            _spend(self._gateway, address, IP_QUERY_LIMITS, query_weight(query), now_ns)

    def spend_archive(self, query: archive.ArchiveQuery, address: str, now_ns: int) -> None:
        """Charge an archive query to an IP address."""
        if self.enabled:
            _spend(self._archive, address, IP_QUERY_LIMITS, archive_weight(query), now_ns)


_MOST_BUCKETS: Final = 10_000
"""Anybody can claim any sender; the buckets of those who did must not fill the memory."""


def _spend(
    buckets: dict[str, WindowLimit], key: str, windows: Sequence[Window], weight: int, now_ns: int
) -> None:
    limit = buckets.get(key)
    if limit is None:
        if len(buckets) >= _MOST_BUCKETS:
            del buckets[next(iter(buckets))]
        limit = buckets[key] = WindowLimit(windows)
    if weight > windows[0].weight or limit.try_spend(weight, now_ns):
        raise Refusal(1000, "Too Many Requests!")
