"""What requests weigh."""

from __future__ import annotations

from typing import Any

import pytest

from nadows import messages
from nadows.messages import EXECUTES, QUERIES
from nadows.network import TESTNET
from nadows.signing import Signer, Subaccount, sign_order
from nadows.weights import (
    EXECUTE_WEIGHTS,
    QUERY_WEIGHTS,
    archive_weight,
    execute_weight,
    order_weight,
    query_weight,
)

SENDER = "0x" + "aa" * 32


def test_every_request_has_a_weight() -> None:
    """A request type that the messages know and the table does not could not be sent."""
    assert set(EXECUTES) == set(EXECUTE_WEIGHTS)
    assert set(QUERIES) == set(QUERY_WEIGHTS)


@pytest.mark.parametrize(
    ("kind", "count", "spot_leverage", "expected"),
    [
        ("place_order", 1, None, 1),
        ("place_order", 1, True, 1),
        ("place_order", 1, False, 20),
        ("place_orders", 7, None, 7),
        ("place_orders", 3, False, 60),
        ("cancel_orders", 12, None, 12),
        ("cancel_product_orders", 2, None, 10),
        ("cancel_product_orders", 0, None, 50),
        ("cancel_orders", 0, None, 0),
        ("withdraw_collateral", 1, None, 10),
        ("withdraw_collateral_v2", 1, False, 20),
        ("liquidate_subaccount", 1, None, 20),
        ("mint_nlp", 1, None, 10),
        ("burn_nlp", 1, False, 10),
        ("link_signer", 1, None, 30),
        ("transfer_quote", 1, None, 10),
    ],
)
def test_executes(kind: str, count: int, spot_leverage: bool | None, expected: int) -> None:
    """The numbers of the venue's page."""
    assert expected == execute_weight(kind, count, spot_leverage=spot_leverage)


def test_orders() -> None:
    """An order that forbids borrowing is twenty times as heavy."""
    signer = Signer(b"\x01" * 32)
    sender = Subaccount.of(signer.address)

    def order(spot_leverage: bool | None) -> Any:
        return sign_order(
            signer, TESTNET.domain, 1, sender, 10**18, 10**18, 1, 1, 1, spot_leverage=spot_leverage
        )

    assert [1, 1, 20] == [order_weight(order(each)) for each in (None, True, False)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (messages.StatusQuery(), 1),
        (messages.ContractsQuery(), 1),
        (messages.NoncesQuery("0xaa"), 2),
        (messages.OrderQuery(2, "0x01"), 1),
        (messages.OrdersQuery(SENDER, (2, 4, 8)), 6),
        (messages.SubaccountOrdersQuery(SENDER, 2), 2),
        (messages.SubaccountInfoQuery(SENDER), 2),
        (messages.SubaccountInfoQuery(SENDER, txns="[]"), 10),
        (messages.SubaccountInfoQuery(SENDER, txns="[]", pre_state="true"), 15),
        (messages.SubaccountInfoQuery(SENDER, txns=None, pre_state="false"), 2),
        (messages.IsolatedPositionsQuery(SENDER), 10),
        (messages.MarketLiquidityQuery(2, 100), 1),
        (messages.MarketPricesQuery((2, 4)), 2),
        (messages.SymbolsQuery((2, 4)), 2),
        (messages.AllProductsQuery(), 5),
        (messages.MaxNlpBurnableQuery(SENDER), 20),
    ],
)
def test_queries(query: messages.Query, expected: int) -> None:
    """The numbers of the venue's page; some count products, one its options."""
    assert expected == query_weight(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (messages.MatchesQuery(), 12),
        (messages.MatchesQuery(subaccounts=(SENDER,), limit=500), 52),
        (messages.MatchesQuery(subaccounts=(SENDER, SENDER), limit=15), 5),
        (messages.MatchesQuery(subaccounts=(), limit=9_999), 52),
        (messages.OrderHistoryQuery(subaccounts=(SENDER,), limit=None), 7),
        (messages.CandlesticksQuery(2, 60, limit=30), 3),
        (messages.FundingRateQuery(2), 5),
    ],
)
def test_archive_queries(query: messages.ArchiveQuery, expected: int) -> None:
    """Rows cost; fractions are rounded up, and what has no number counts as the heaviest it may be."""
    assert expected == archive_weight(query)
