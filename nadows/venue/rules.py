"""The admission rules: what an order must be before it may meet the book.

Each rule is a function that raises `Refusal` with its code, or does nothing. They run in the order of
`admit`; where an order breaks several, the first one answers (the real order is not known).
Source: protocol.md 3.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nadows.signing import Appendix, OrderType, Trigger
from nadows.units import mul_x18
from nadows.venue.engine import Engine
from nadows.venue.market import Market, TradingStatus
from nadows.venue.orders import LiveOrder
from nadows.venue.products import QUOTE_ID
from nadows.venue.refusal import Refusal

__all__ = ["MAX_OPEN_ORDERS", "Candidate", "admit", "check_increments"]

MAX_OPEN_ORDERS: Final = 500
"""Open orders of one subaccount in one product."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order whose signature is good, with what is not part of the order itself."""

    order: LiveOrder
    appendix: Appendix
    market: Market
    spot_leverage: bool | None
    freed: int = 0
    """Open orders of the same product that the same request takes away."""
    is_triggered: bool = False
    """Whether it comes from the trigger service."""
    may_borrow_margin: bool = True
    """Whether the account may go into debt for isolated margin."""


def admit(candidate: Candidate, engine: Engine, builders: frozenset[int], now_ns: int) -> None:
    """Check every rule.

    Args:
        candidate: The order.
        engine: For oracle prices, open interest and health.
        builders: Ids of registered builders.
        now_ns: The venue's clock.

    Raises:
        Refusal: With the code of the first rule that is broken.
    """
    _check_kind(candidate, builders)
    check_increments(candidate)
    _check_expiration(candidate, now_ns)
    _check_price(candidate, engine)
    _check_size(candidate)
    _check_reduce_only(candidate)
    _check_open_orders(candidate)
    _check_open_interest(candidate, engine)
    _check_borrowing(candidate)
    _check_health(candidate, engine)


def _check_kind(candidate: Candidate, builders: frozenset[int]) -> None:
    appendix, product = candidate.appendix, candidate.market.product
    if candidate.market.status is not TradingStatus.LIVE:
        _check_status(candidate)
    _check_isolation(candidate)
    if appendix.trigger is not Trigger.NONE and not candidate.is_triggered:
        raise Refusal(2097, "Trigger orders go to the trigger service, not to the gateway.")
    if appendix.builder_id and appendix.builder_id not in builders:
        raise Refusal(2118, f"Builder {appendix.builder_id} is not registered.")
    if product.is_perp and candidate.spot_leverage is False:
        raise Refusal(2019, "spot_leverage applies to spot products only.")


def _check_status(candidate: Candidate) -> None:
    """Check an order for a market that takes some kinds only."""
    order, status, symbol = candidate.order, candidate.market.status, candidate.market.product.symbol
    held, _ = order.holder.balance(order.product)
    reduces = held * order.sign < 0 and order.qty <= abs(held)
    taken = {
        TradingStatus.POST_ONLY: order.order_type is OrderType.POST_ONLY,
        TradingStatus.REDUCE_ONLY: candidate.appendix.reduce_only,
        TradingStatus.SOFT_REDUCE_ONLY: reduces,
    }
    if not taken.get(status, False):
        raise Refusal(2069, f"Trading is blocked for {symbol}, which is {status}.")


def _check_isolation(candidate: Candidate) -> None:
    """Check what an isolated order may be, and what an isolated subaccount may send itself."""
    appendix, product, account = candidate.appendix, candidate.market.product, candidate.order.account
    if account.parent is not None:
        if appendix.isolated:
            raise Refusal(2081, "An isolated subaccount cannot place an isolated order.")
        if account.parent.isolated.get(product.product_id) is not account:
            raise Refusal(2082, f"{product.symbol} is not the product of this isolated subaccount.")
        if not appendix.reduce_only:
            raise Refusal(2088, "Orders from isolated subaccount must be reduce-only.")
    elif appendix.isolated:
        if not product.is_perp:
            raise Refusal(2083, "Isolated orders cannot be placed on spots.")
        if appendix.trigger is not Trigger.NONE:
            raise Refusal(2084, "Isolated orders cannot be trigger orders.")
        if appendix.reduce_only and not candidate.order.holder.balance(product)[0]:
            raise Refusal(2085, "There is no isolated position that the order could reduce.")
    elif candidate.market.isolated_only:
        raise Refusal(2122, f"{product.symbol} takes isolated orders only.")


def check_increments(candidate: Candidate) -> None:
    """Check that price and amount are multiples of their increments, and the amount not zero."""
    order, product = candidate.order, candidate.market.product
    if not order.qty:
        raise Refusal(2002, "The amount must not be zero.")
    if order.price % product.price_increment:
        raise Refusal(
            2000, f"The price {order.price} is not a multiple of the increment {product.price_increment}."
        )
    if order.qty % product.size_increment:
        raise Refusal(
            2001, f"The amount {order.qty} is not a multiple of the increment {product.size_increment}."
        )


def _check_expiration(candidate: Candidate, now_ns: int) -> None:
    if candidate.order.expiration * 10**9 <= now_ns:
        raise Refusal(2004, f"The order expired at {candidate.order.expiration}.")


def _check_price(candidate: Candidate, engine: Engine) -> None:
    low, high = engine.switches.oracle_band_percent
    oracle = engine.oracle[candidate.market.product.product_id]
    if not low * oracle <= candidate.order.price * 100 <= high * oracle:
        raise Refusal(2007, f"The price must lie between {low} % and {high} % of the oracle price {oracle}.")


def _check_size(candidate: Candidate) -> None:
    order, product = candidate.order, candidate.market.product
    if mul_x18(order.qty, order.price) < product.min_size:
        raise Refusal(2094, f"The notional must be at least {product.min_size} (x18 USDT0).")


def _check_reduce_only(candidate: Candidate) -> None:
    order = candidate.order
    if not candidate.appendix.reduce_only:
        return
    if order.order_type not in (OrderType.IOC, OrderType.FOK):
        raise Refusal(2067, "A reduce-only order must be IOC or FOK.")
    held, _ = order.holder.balance(order.product)
    if held * order.sign >= 0 or order.qty > abs(held):
        raise Refusal(2064, f"A reduce-only order must not increase or turn the position of {held}.")


def _check_open_orders(candidate: Candidate) -> None:
    order = candidate.order
    if order.order_type in (OrderType.IOC, OrderType.FOK):
        return
    still_open = len(order.account.orders.get(order.product.product_id, ())) - candidate.freed
    if still_open >= MAX_OPEN_ORDERS:
        raise Refusal(2005, f"At most {MAX_OPEN_ORDERS} orders may be open in one product.")


def _check_open_interest(candidate: Candidate, engine: Engine) -> None:
    order, product = candidate.order, candidate.market.product
    if product.max_open_interest is None:
        return
    held, _ = order.holder.balance(product)
    opened = max(0, abs(held + order.amount) - abs(held))
    interest = engine.ledger.open_interest.get(product.product_id, 0) + opened
    if opened and mul_x18(interest, engine.oracle[product.product_id]) > product.max_open_interest:
        raise Refusal(2070, f"The open interest of {product.symbol} may not exceed its cap.")


def _check_borrowing(candidate: Candidate) -> None:
    """Without spot leverage one sells what one has and buys with the quote one has."""
    order, product = candidate.order, candidate.market.product
    if product.is_perp or candidate.spot_leverage is not False:
        return
    base, quote = order.account.balance(product)[0], order.account.spots[QUOTE_ID]
    needs = order.quote_change(order.qty, order.price)
    if base + order.amount < min(0, base) or quote + needs < min(0, quote):
        raise Refusal(2017, "The order would borrow, and spot_leverage is false.")


def _check_health(candidate: Candidate, engine: Engine) -> None:
    """Initial health must not be negative if the order fills whole, unless the fill improves it.

    The fill is supposed to be at the limit, or where the market is if that is better: a market order with a
    generous limit is not refused for it. Open orders do not count; makers are checked again when they match.
    """
    order, product_id = candidate.order, candidate.market.product.product_id
    top, oracle = candidate.market.top(), engine.oracle[product_id]
    if order.is_bid:
        market_price = max(oracle, top.ask_price) if top.ask_qty else order.price
        price = min(order.price, market_price)
    else:
        market_price = min(oracle, top.bid_price) if top.bid_qty else order.price
        price = max(order.price, market_price)
    margin = order.margin if order.holder is not order.account else 0
    if margin:
        _check_margin(candidate, engine, margin)
    quote = margin + order.quote_change(order.qty, price)
    after = engine.ledger.health(order.holder, product_id=product_id, base=order.amount, quote=quote)
    if after < 0 and after < engine.ledger.health(order.holder):
        raise Refusal(2006, f"The order would leave an initial health of {after}.")


def _check_margin(candidate: Candidate, engine: Engine, margin: int) -> None:
    """The account that gives isolated margin must stay healthy without it."""
    account = candidate.order.account
    if not candidate.may_borrow_margin and account.spots[QUOTE_ID] < margin:
        raise Refusal(2017, "The margin would have to be borrowed, and borrow_margin is false.")
    after = engine.ledger.health(account, quote=-margin)
    if after < 0:
        raise Refusal(2006, f"The margin would leave the cross account an initial health of {after}.")
