"""Liquidation: who is under maintenance health loses positions to somebody who can carry them, at a discount.

A position is taken over at the oracle price moved against its owner by a fifth of what its maintenance
weight takes off; half of that discount goes from the liquidator to the insurance fund. Perpetuals go first,
then tokens held, then tokens owed; an account that has nothing left but a debt is finalized, and the fund
pays as much of the debt as it can.

Source: protocol.md 3.9 and 2.5, the venue's error texts (2042 to 2051), the exchange's contracts.
"""

from __future__ import annotations

from typing import Final

from nadows.units import ONE_X18, mul_x18
from nadows.venue import event_frames
from nadows.venue.answers import Json
from nadows.venue.engine import Engine, Move
from nadows.venue.feed import Topic
from nadows.venue.ledger import Account
from nadows.venue.products import PRODUCTS, QUOTE_ID, Kind, Product
from nadows.venue.refusal import Refusal

__all__ = ["FINALIZE", "HOUSE_LIQUIDATOR", "Liquidation"]

FINALIZE: Final = 2**32 - 1
"""The product id by which `liquidate_subaccount` asks to finalize."""

HOUSE_LIQUIDATOR: Final = "0x" + "00" * 20 + b"liquidator".hex().ljust(24, "0")

_DISCOUNT_PARTS: Final = 5
_INSURANCE_SHARE: Final = 2
"""The fund's part of the discount is one half."""


class Liquidation:
    """Takes over positions of unhealthy accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = engine.ledger
        self._house = engine.ledger.open(HOUSE_LIQUIDATOR, house=True)

    def liquidate(
        self, liquidator: Account, liquidatee: Account, product_id: int, amount: int, now_ns: int, tx: Json
    ) -> None:
        """Take over *amount* of a product (x18, signed like the balance), or finalize the account.

        Raises:
            Refusal: If the account is healthy (2042, 2044), there is no such position (2045 to 2048, 2051),
                or the liquidator cannot carry it (2043). The liquidatee's open orders may be cancelled then.
        """
        self._check_liquidatable(liquidator, liquidatee)
        self._cancel_orders(liquidatee, now_ns)
        if product_id == FINALIZE:
            self._finalize(liquidatee, tx, now_ns)
            return
        product = PRODUCTS.get(product_id)
        if product is None or product.kind in (Kind.QUOTE, Kind.POOL):
            raise Refusal(2045, "Attempted to liquidate quote or provided invalid liquidation parameters.")
        self._check_amount(liquidatee, product, amount)
        self._check_order(liquidatee, product, amount)
        self._take_over(liquidator, liquidatee, product, amount, now_ns, tx)

    def sweep(self, now_ns: int) -> None:
        """Liquidate whoever is under maintenance health, whole, for the account of the house."""
        for account in list(self._ledger.accounts.values()):
            if not account.house and self.is_liquidatable(account):
                self._cancel_orders(account, now_ns)
                self._liquidate_whole(account, now_ns)

    def is_liquidatable(self, account: Account) -> bool:
        """Whether an account is under maintenance health."""
        return self._ledger.health(account, maintenance=True) < 0

    def price(self, product: Product, amount: int) -> int:
        """Return the price at which a position of this sign is taken over, x18."""
        weight = product.weight(amount, maintenance=True)
        oracle = self._engine.oracle[product.product_id]
        return oracle + oracle * (weight - ONE_X18) // (_DISCOUNT_PARTS * ONE_X18)

    def _check_liquidatable(self, liquidator: Account, liquidatee: Account) -> None:
        if liquidator is liquidatee or liquidatee.house or liquidator.parent is not None:
            raise Refusal(2045, "An account cannot liquidate itself, the house, or from isolated margin.")
        if self._ledger.health(liquidatee) >= 0:
            raise Refusal(2044, "The account to be liquidated has positive initial health.")
        if not self.is_liquidatable(liquidatee):
            raise Refusal(2042, "The account does not meet the requirements for liquidation.")

    def _check_amount(self, liquidatee: Account, product: Product, amount: int) -> None:
        held, _ = liquidatee.balance(product)
        if product.is_perp and amount % product.size_increment:
            raise Refusal(2046, f"The amount must be a multiple of {product.size_increment}.")
        if not amount or held * amount <= 0 or abs(amount) > abs(held):
            raise Refusal(2047, f"The amount must lie between nothing and {held}.")

    def _check_order(self, liquidatee: Account, product: Product, amount: int) -> None:
        if product.is_perp or amount > 0:
            return
        perps = any(position.amount for position in liquidatee.perps.values())
        if perps or any(held > 0 for number, held in liquidatee.spots.items() if number != QUOTE_ID):
            raise Refusal(2048, "Attempted to liquidate liabilities before perpetual contracts.")

    def _cancel_orders(self, account: Account, now_ns: int) -> None:
        """Cancel what could still trade the account's balances."""
        owner = account.parent or account
        self._engine.cancel_all(
            [
                order
                for known in {owner: None, account: None}
                for orders in known.orders.values()
                for order in orders.values()
                if order.holder is account
            ],
            now_ns,
        )

    def _take_over(
        self, liquidator: Account, liquidatee: Account, product: Product, amount: int, now_ns: int, tx: Json
    ) -> None:
        product_id, price = product.product_id, self.price(product, amount)
        paid = mul_x18(amount, price)
        fee = abs(amount * (self._engine.oracle[product_id] - price) // ONE_X18) // _INSURANCE_SHARE
        if not liquidator.house:
            after = self._ledger.health(liquidator, product_id=product_id, base=amount, quote=-paid - fee)
            if after < 0:
                raise Refusal(2043, "The liquidator's account health is too low.")
        if product.is_perp:
            moves = [
                Move(liquidatee, product_id, -amount, paid),
                Move(liquidator, product_id, amount, -paid),
                Move(liquidator, QUOTE_ID, -fee),
            ]
        else:
            moves = [
                Move(liquidatee, product_id, -amount),
                Move(liquidatee, QUOTE_ID, paid),
                Move(liquidator, product_id, amount),
                Move(liquidator, QUOTE_ID, -paid - fee),
            ]
        self._ledger.insurance += fee
        ts = self._engine.transact("liquidate_subaccount", moves, tx, now_ns)
        topics = Topic("liquidation", product_id), Topic("liquidation")
        audience = self._engine.feed.audience(*topics)
        if audience is not None:
            frame = event_frames.liquidation(
                ts, product_id, liquidator.subaccount, liquidatee.shown, amount, price
            )
            self._engine.feed.publish(frame, audience)
        self._engine.watch_idle(liquidatee)
        self._engine.release_idle(now_ns)

    def _finalize(self, account: Account, tx: Json, now_ns: int) -> None:
        """Close the books of an account that owns nothing: the insurance fund pays what it owes."""
        others = any(held for number, held in account.spots.items() if number != QUOTE_ID)
        if others or any(position.amount for position in account.perps.values()):
            raise Refusal(2051, "Attempted to finalize a subaccount which is not eligible for finalization.")
        self._ledger.settle(account)
        paid = self._ledger.claim_insurance(-account.spots[QUOTE_ID])
        self._engine.transact("liquidate_subaccount", [Move(account, QUOTE_ID, paid)], tx, now_ns)

    def _liquidate_whole(self, account: Account, now_ns: int) -> None:
        steps = [(PRODUCTS[number], each.amount) for number, each in account.perps.items() if each.amount]
        tokens = [(PRODUCTS[number], held) for number, held in account.spots.items() if number != QUOTE_ID]
        steps += [step for step in tokens if step[1] > 0] + [step for step in tokens if step[1] < 0]
        for product, amount in steps:
            if product.kind is not Kind.POOL and self.is_liquidatable(account):
                tx = _tx(account, product.product_id, amount)
                self._take_over(self._house, account, product, amount, now_ns, tx)
        empty = not any(each.amount for each in account.perps.values())
        owes = account.spots[QUOTE_ID] < 0 and self._ledger.insurance > 0
        if empty and owes and not any(held for number, held in account.spots.items() if number != QUOTE_ID):
            self._finalize(account, _tx(account, FINALIZE, 0), now_ns)


def _tx(liquidatee: Account, product_id: int, amount: int) -> Json:
    return {
        "sender": HOUSE_LIQUIDATOR,
        "liquidatee": liquidatee.subaccount,
        "product_id": product_id,
        "amount": str(amount),
    }
