"""Open orders that another session of the same wallet placed."""

from __future__ import annotations

from collections.abc import Iterable

from nadows.client import Client
from nadows.messages import Orders, OrdersQuery

__all__ = ["learn_orders", "unknown_orders"]


async def learn_orders(client: Client, product_ids: Iterable[int]) -> None:
    """Ask the venue for one's open orders in some products; nothing is asked without a key.

    Events tell that another session's order was placed, and not at which price.
    """
    products = tuple(product_ids)
    if client.subaccount is None or not products:
        return
    answer: Orders = await client.query(OrdersQuery(client.subaccount.hex, products))
    for group in answer.product_orders:
        for order in group.orders:
            client.account.reconcile_order(order)


def unknown_orders(client: Client) -> set[int]:
    """Name the products with open orders of which the price is not known."""
    if client.subaccount is None:
        return set()
    return {order.product_id for order in client.account.open_orders() if not order.price}
