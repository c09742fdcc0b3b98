"""What the venue shows of its state: orders, products, symbols, balances, as plain JSON.

Written apart from `nadows.messages` on purpose: the client's types are then tested against shapes that
were not made from them. Integers beyond 2**53 are strings. Source: protocol.md 5.3 to 5.7.
"""

from __future__ import annotations

from typing import Any, Final

from nadows.signing import OrderType
from nadows.units import ONE_X18
from nadows.venue.engine import Engine
from nadows.venue.ledger import Account, Health
from nadows.venue.market import Market
from nadows.venue.orders import LiveOrder
from nadows.venue.products import FEE_TIERS, PRODUCTS, QUOTE_ID, Product

__all__ = [
    "WITHDRAW_FEE",
    "Json",
    "archived_balance",
    "archived_product",
    "as_float",
    "fee_rates",
    "isolated_position",
    "levels",
    "order_object",
    "product_lists",
    "signed_order",
    "subaccount_info",
    "symbol_object",
]

Json = dict[str, Any]

_ORDER_TYPES: Final = {
    OrderType.DEFAULT: "default",
    OrderType.IOC: "ioc",
    OrderType.FOK: "fok",
    OrderType.POST_ONLY: "post_only",
}

WITHDRAW_FEE: Final = ONE_X18
"""What a withdrawal of USDT0 costs."""

_NO_HEALTH: Final = {"assets": "0", "liabilities": "0", "health": "0"}

# Interest is not simulated; the models of the official clients demand its parameters all the same.
_INTEREST: Final = {
    "interest_inflection_util_x18": str(8 * ONE_X18 // 10),
    "interest_floor_x18": str(ONE_X18 // 100),
    "interest_small_cap_x18": str(4 * ONE_X18 // 100),
    "interest_large_cap_x18": str(ONE_X18),
    "withdraw_fee_x18": str(ONE_X18),
    "min_deposit_rate_x18": "0",
}


def as_float(value: int) -> float:
    """Turn x18 into the JSON number that the v2 REST answers use; for showing only."""
    return value / ONE_X18


def levels(pairs: list[tuple[int, int]]) -> list[tuple[str, str]]:
    """Write book levels."""
    return [(str(price), str(qty)) for price, qty in pairs]


def signed_order(order: LiveOrder) -> Json:
    """Return the signed struct, spelt as it was sent."""
    return {
        "sender": order.account.subaccount,
        "priceX18": str(order.price),
        "amount": str(order.amount),
        "expiration": str(order.expiration),
        "nonce": str(order.nonce),
        "appendix": str(order.appendix),
    }


def order_object(order: LiveOrder) -> Json:
    """Describe an open order."""
    shown: Json = {
        "product_id": order.product.product_id,
        "sender": order.account.subaccount,
        "price_x18": str(order.price),
        "amount": str(order.amount),
        "expiration": str(order.expiration),
        "order_type": _ORDER_TYPES[order.order_type],
        "nonce": str(order.nonce),
        "appendix": str(order.appendix),
        "unfilled_amount": str(order.leaves * order.sign),
        "digest": order.digest,
        "placed_at": order.placed_at_s,
    }
    if order.client_id is not None:
        shown["id"] = order.client_id
    return shown


def symbol_object(market: Market) -> Json:
    """Describe a market as `symbols` does."""
    product = market.product
    cap = product.max_open_interest
    return {
        "type": product.kind.value,
        "product_id": product.product_id,
        "symbol": product.symbol,
        "price_increment_x18": str(product.price_increment),
        "size_increment": str(product.size_increment),
        "min_size": str(product.min_size),
        "maker_fee_rate_x18": str(product.maker_fee_rate),
        "taker_fee_rate_x18": str(product.taker_fee_rate),
        "long_weight_initial_x18": str(product.long_weight_initial),
        "long_weight_maintenance_x18": str(product.long_weight_maintenance),
        "max_open_interest_x18": None if cap is None else str(cap),
        "trading_status": market.status.value,
        "isolated_only": market.isolated_only,
    }


def product_lists(engine: Engine) -> Json:
    """Describe all products, spot (with the quote) and perp, as `all_products` does."""
    products = PRODUCTS.values()
    return {
        "spot_products": [_spot_product(engine, product) for product in products if not product.is_perp],
        "perp_products": [_perp_product(engine, product) for product in products if product.is_perp],
    }


def subaccount_info(engine: Engine, subaccount: str, account: Account | None) -> Json:
    """Describe an account; one that does not exist has no lists and no health."""
    if account is None:
        return {
            "subaccount": subaccount,
            "exists": False,
            "healths": [_NO_HEALTH] * 3,
            "health_contributions": [],
            "spot_count": 0,
            "perp_count": 0,
            "spot_balances": [],
            "perp_balances": [],
            "spot_products": [],
            "perp_products": [],
        }
    ledger = engine.ledger
    contributions = [["0", "0", "0"] for _ in range(max(PRODUCTS) + 1)]
    spots: list[Json] = []
    perps: list[Json] = []
    for product_id, product in PRODUCTS.items():
        contributions[product_id] = [str(value) for value in ledger.contributions(account, product)]
        (perps if product.is_perp else spots).append(
            {"product_id": product_id, "balance": balance(engine, account, product)}
        )
    return {
        "subaccount": subaccount,
        "exists": True,
        "healths": [_health(health) for health in ledger.healths(account)],
        "health_contributions": contributions,
        "spot_count": len(spots),
        "perp_count": len(perps),
        "spot_balances": spots,
        "perp_balances": perps,
        **product_lists(engine),
    }


def isolated_position(engine: Engine, account: Account, product: Product) -> Json:
    """Describe an isolated subaccount: its margin, its position, and what both add to its health."""
    quote = PRODUCTS[QUOTE_ID]
    contributions = engine.ledger.contributions
    return {
        "subaccount": account.subaccount,
        "quote_balance": {"product_id": QUOTE_ID, "balance": balance(engine, account, quote)},
        "base_balance": {"product_id": product.product_id, "balance": balance(engine, account, product)},
        "quote_product": _spot_product(engine, quote),
        "base_product": _perp_product(engine, product),
        "healths": [_health(health) for health in engine.ledger.healths(account)],
        "quote_healths": [str(value) for value in contributions(account, quote)],
        "base_healths": [str(value) for value in contributions(account, product)],
    }


def balance(engine: Engine, account: Account, product: Product) -> Json:
    """Describe what an account holds of a product."""
    amount, v_quote = account.balance(product)
    if not product.is_perp:
        return {"amount": str(amount)}
    return perp_balance(engine, product.product_id, amount, v_quote)


def perp_balance(engine: Engine, product_id: int, amount: int, v_quote: int) -> Json:
    """Describe a perpetual position."""
    funding = engine.ledger.funding.get(product_id, 0)
    return {
        "amount": str(amount),
        "v_quote_balance": str(v_quote),
        "last_cumulative_funding_x18": str(funding),
    }


def archived_balance(engine: Engine, product: Product, amount: int, v_quote: int) -> Json:
    """Describe what was held of a product, under its kind, as the archive does."""
    product_id = product.product_id
    if product.is_perp:
        held = perp_balance(engine, product_id, amount, v_quote)
        return {"perp": {"product_id": product_id, "balance": held}}
    return {"spot": {"product_id": product_id, "balance": {"amount": str(amount)}}}


def archived_product(engine: Engine, product: Product) -> Json:
    """Describe a product as it is now, under its kind, as the archive does."""
    if product.is_perp:
        return {"perp": _perp_product(engine, product)}
    return {"spot": _spot_product(engine, product)}


def _health(health: Health) -> Json:
    return {
        "assets": str(health.assets),
        "liabilities": str(health.liabilities),
        "health": str(health.health),
    }


def _product(engine: Engine, product: Product) -> Json:
    price = str(engine.oracle[product.product_id])
    short_initial, short_maintenance = (product.weight(-1, maintenance=flag) for flag in (False, True))
    return {
        "product_id": product.product_id,
        "oracle_price_x18": price,
        "risk": {
            "long_weight_initial_x18": str(product.long_weight_initial),
            "short_weight_initial_x18": str(short_initial),
            "long_weight_maintenance_x18": str(product.long_weight_maintenance),
            "short_weight_maintenance_x18": str(short_maintenance),
            "price_x18": price,
        },
        "book_info": {
            # Where there is no market ones rather than zeros, as clients divide by them.
            "size_increment": str(product.size_increment or 1),
            "price_increment_x18": str(product.price_increment or 1),
            "min_size": str(product.min_size),
            "collected_fees": str(engine.ledger.fees.get(product.product_id, 0)),
        },
    }


def _spot_product(engine: Engine, product: Product) -> Json:
    return _product(engine, product) | {
        "config": {"token": product.token} | _INTEREST,
        "state": {
            "cumulative_deposits_multiplier_x18": str(ONE_X18),
            "cumulative_borrows_multiplier_x18": str(ONE_X18),
            "total_deposits_normalized": str(engine.ledger.deposited.get(product.product_id, 0)),
            "total_borrows_normalized": "0",
        },
    }


def _perp_product(engine: Engine, product: Product) -> Json:
    ledger = engine.ledger
    funding = str(ledger.funding.get(product.product_id, 0))
    return _product(engine, product) | {
        "state": {
            "cumulative_funding_long_x18": funding,
            "cumulative_funding_short_x18": funding,
            "available_settle": "0",
            "open_interest": str(ledger.open_interest.get(product.product_id, 0)),
        },
    }


def fee_rates(tier: int) -> Json:
    """Describe the fees of a tier; lists are indexed by product id."""
    size = max(PRODUCTS) + 1
    taker, maker, withdraw = ["0"] * size, ["0"] * size, ["0"] * size
    for product_id, product in PRODUCTS.items():
        if product.has_market:
            maker[product_id], taker[product_id] = map(str, FEE_TIERS[tier])
    withdraw[QUOTE_ID] = str(WITHDRAW_FEE)
    return {
        "taker_fee_rates_x18": taker,
        "maker_fee_rates_x18": maker,
        "liquidation_sequencer_fee": str(ONE_X18),
        "health_check_sequencer_fee": str(ONE_X18 // 10),
        "taker_sequencer_fee": "0",
        "withdraw_sequencer_fees": withdraw,
        "fee_tier": tier,
    }
