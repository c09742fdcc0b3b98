"""What the venue knows of an account, and how a client's account is held against it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from nadows.account import Account, OrderStatus, TrackedOrder
from nadows.messages import Fill, JournaledFill
from nadows.venue.exchange import Exchange

__all__ = ["check_fills", "check_orders", "true_fills"]

Told = tuple[int, int, int, bool]
"""Quantity, fee (with the builder's), price, and whether it was a purchase."""
_SHOWN: Final = 3


def true_fills(exchange: Exchange, subaccount: str) -> dict[tuple[int, str], Told]:
    """Read from the venue's record of matches what an account traded, by identity of the fill."""
    found = {}
    for match in exchange.engine.archive.matches([subaccount]):
        for side in match.sides:
            if side.order.account.subaccount == subaccount:
                # The resting order's price is the price of the match.
                told = (
                    abs(side.booking.base),
                    side.fee + side.builder_fee,
                    match.maker.order.price,
                    side.order.is_bid,
                )
                found[match.submission_idx, side.order.digest] = told
    return found


def check_fills(
    delivered: Iterable[Fill], truth: dict[tuple[int, str], Told], history: Container[tuple[int, str]] = ()
) -> list[str]:
    """Name what was lost, doubled, invented or told wrongly; *history* is no news to the client."""
    fills = list(delivered)
    expected = {key: told for key, told in truth.items() if key not in history}
    keys: set[tuple[int, str]] = set()
    doubled = 0
    for fill in fills:
        # One out of a journal says that it may be told again; tests.faults.crash knows which ones may.
        doubled += fill.key in keys and not isinstance(fill, JournaledFill)
        keys.add(fill.key)
    problems = []
    if doubled:
        problems.append(f"{doubled} fills delivered twice")
    lost = expected.keys() - keys
    if lost:
        problems.append(f"{len(lost)} fills lost: {sorted(lost)[:_SHOWN]}")
    invented = keys - expected.keys()
    if invented:
        problems.append(f"{len(invented)} fills invented")
    for fill in fills:
        told = (abs(fill.filled_qty), int(fill.fee), int(fill.price), fill.is_bid)
        if fill.key in expected and told != expected[fill.key]:
            problems.append(f"fill {fill.key} told as {told}, not {expected[fill.key]}")
    return problems


def check_orders(account: Account, exchange: Exchange) -> list[str]:
    """Name the orders whose state or filled quantity is not the venue's."""
    filled: dict[str, int] = {}
    for (_, digest), (qty, *_) in true_fills(exchange, account.subaccount).items():
        filled[digest] = filled.get(digest, 0) + qty
    problems = []
    for order in account.orders.values():
        done, is_open = filled.get(order.digest, 0), order.digest in exchange.engine.orders
        if order.status not in _possible(order, done, is_open) or order.cum_qty != done:
            problems.append(
                f"order {order.digest[:10]} is {order.status.name} with {order.cum_qty} filled, "
                f"the venue says {'open' if is_open else 'gone'} with {done}"
            )
    return problems


def _possible(order: TrackedOrder, filled: int, is_open: bool) -> set[OrderStatus]:
    if is_open:
        return {OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW}
    if filled >= order.qty:
        return {OrderStatus.FILLED}
    if filled:
        return {OrderStatus.CANCELED}
    # Nothing of it is left to tell these apart, if its answer was lost.
    return {OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
