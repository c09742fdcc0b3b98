"""Money that moves without a trade: withdrawals, transfers of quote, and the liquidity pool, all as paper.

A withdrawal takes tokens out of the venue, and there is no wallet for them to arrive in. The pool holds
what was put into it and trades nothing, so its token is worth one USDT0 for ever.

Source: protocol.md 3.9, and the venue's error texts (2017, 2036, 2037, 2077 to 2079, 2090, 2096).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from nadows.units import ONE_X18
from nadows.venue.answers import WITHDRAW_FEE, Json
from nadows.venue.engine import Engine, Move
from nadows.venue.ledger import Account
from nadows.venue.products import NLP_ID, PRODUCTS, QUOTE_ID, Kind, Product
from nadows.venue.refusal import Refusal

__all__ = ["POOL", "Treasury"]

POOL: Final = "0x" + "00" * 20 + b"nlp".hex().ljust(24, "0")
"""The subaccount of the liquidity pool."""

_LEAST_TRANSFER: Final = 5 * ONE_X18
_LEAST_MINT: Final = ONE_X18
_MOST_AMOUNT: Final = 2**127 - 1
_MOST_NEW_RECIPIENTS: Final = 5
"""A day; the real number is not known."""
_DAY_S: Final = 86_400


class Treasury:
    """Moves money at the request of its owner.

    Every method raises `Refusal` and changes nothing if the move is against a rule.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = engine.ledger
        self.pool = engine.ledger.open(POOL, house=True)
        self._locked: dict[Account, deque[tuple[int, int]]] = {}
        self._recipients: dict[str, dict[str, int]] = {}

    def withdraw(
        self, account: Account, product_id: int, units: int, now_ns: int, *, may_borrow: bool, tx: Json
    ) -> None:
        """Take tokens out; *units* are the token's own (1 USDT0 is 1,000,000)."""
        product = PRODUCTS.get(product_id)
        if product is None or product.is_perp or product.kind is Kind.POOL:
            raise Refusal(2016, f"Product {product_id} has no token to withdraw.")
        if account.parent is not None:
            raise Refusal(2050, "An isolated subaccount cannot withdraw; transfer to its parent instead.")
        amount = _checked(units * 10 ** (18 - product.decimals))
        fee = WITHDRAW_FEE if product_id == QUOTE_ID else 0
        self._check_gives(account, product, amount + fee, may_borrow=may_borrow)
        self._ledger.let_in(product_id, -amount)
        self._ledger.fees[product_id] = self._ledger.fees.get(product_id, 0) + fee
        self._engine.transact("withdraw_collateral", [Move(account, product_id, -amount - fee)], tx, now_ns)

    def transfer(
        self, account: Account, recipient: Account | str, amount: int, now_ns: int, tx: Json
    ) -> None:
        """Give USDT0 to another subaccount, opening it if it is new (given as text then)."""
        to = recipient if isinstance(recipient, str) else recipient.subaccount
        if to == account.subaccount:
            raise Refusal(2079, "Self-transfer quote is not allowed.")
        if amount < _LEAST_TRANSFER:
            raise Refusal(2077, "Transfer quote amount is too small. You must transfer a minimum of 5 USDT0.")
        _check_margin_stays(account, recipient)
        self._check_recipient(account, to, now_ns // 10**9)
        quote = PRODUCTS[QUOTE_ID]
        self._check_gives(account, quote, _checked(amount), may_borrow=account.parent is None)
        if isinstance(recipient, str):
            recipient = self._ledger.open(recipient)
            recipient.created_s = now_ns // 10**9
        if account.address != recipient.address:
            self._recipients.setdefault(account.address, {}).setdefault(to, now_ns // 10**9)
        moves = [Move(account, QUOTE_ID, -amount), Move(recipient, QUOTE_ID, amount)]
        self._engine.transact("transfer_quote", moves, tx, now_ns)

    def mint(self, account: Account, amount: int, now_ns: int, *, may_borrow: bool, tx: Json) -> None:
        """Put USDT0 into the pool; what comes out for it is locked at first."""
        if amount < _LEAST_MINT:
            raise Refusal(2090, "Nlp minting amount is too small. You must mint a minimum of 1 USDT0.")
        self._check_gives(account, PRODUCTS[QUOTE_ID], _checked(amount), may_borrow=may_borrow, gets=NLP_ID)
        self._ledger.let_in(NLP_ID, amount)
        self._engine.transact("mint_nlp", self._pooled(account, amount), tx, now_ns)
        unlocked_s = now_ns // 10**9 + self._engine.switches.nlp_lock_s
        self._locked.setdefault(account, deque()).append((unlocked_s, amount))

    def burn(self, account: Account, amount: int, now_ns: int, tx: Json) -> None:
        """Take USDT0 out of the pool again."""
        if _checked(amount) > account.spots.get(NLP_ID, 0):
            raise Refusal(
                2037, f"The subaccount has only {account.spots.get(NLP_ID, 0)} of the pool's token."
            )
        if amount > self.burnable(account, now_ns // 10**9):
            raise Refusal(2096, "Do not have enough unlocked NLP.")
        self._ledger.let_in(NLP_ID, -amount)
        self._engine.transact("burn_nlp", self._pooled(account, -amount), tx, now_ns)

    def locked(self, account: Account, now_s: int) -> list[tuple[int, int]]:
        """Return what is locked yet of the pool's token, as (when it is free, how much), soonest first."""
        locked = self._locked.get(account, deque())
        while locked and locked[0][0] <= now_s:
            locked.popleft()
        return list(locked)

    def burnable(self, account: Account, now_s: int) -> int:
        """Return how much of the pool's token may be burnt."""
        locked = sum(amount for _, amount in self.locked(account, now_s))
        return max(0, account.spots.get(NLP_ID, 0) - locked)

    def givable(self, account: Account, product: Product, *, may_borrow: bool) -> int:
        """Return how much of a token an account can part with, x18."""
        health = max(0, self._ledger.health(account))
        held = max(0, account.spots.get(product.product_id, 0))
        if product.product_id == QUOTE_ID:
            return health if may_borrow else min(held, health)
        value = self._ledger.weighted(product, ONE_X18, maintenance=False)
        affordable = health * ONE_X18 // value
        if not may_borrow or affordable < held:
            return min(held, affordable)
        left = health - self._ledger.weighted(product, held, maintenance=False)
        return held + left * ONE_X18 // -self._ledger.weighted(product, -ONE_X18, maintenance=False)

    def _pooled(self, account: Account, amount: int) -> list[Move]:
        """Exchange quote for the pool's token (negative: the other way round)."""
        return [
            Move(account, QUOTE_ID, -amount),
            Move(self.pool, QUOTE_ID, amount),
            Move(account, NLP_ID, amount),
        ]

    def _check_gives(
        self, account: Account, product: Product, amount: int, *, may_borrow: bool, gets: int | None = None
    ) -> None:
        """Check that an account stays healthy without *amount* of a token (or for another, at par)."""
        product_id = product.product_id
        if not may_borrow and amount > account.spots.get(product_id, 0):
            raise Refusal(2017, "It would borrow, and spot_leverage is false.")
        if product_id == QUOTE_ID:
            got = QUOTE_ID if gets is None else gets
            base = 0 if gets is None else amount
            after = self._ledger.health(account, product_id=got, base=base, quote=-amount)
        else:
            after = self._ledger.health(account, product_id=product_id, base=-amount)
        if after < 0:
            raise Refusal(2036, f"Subaccount health insufficient: it would be {after}.")

    def _check_recipient(self, account: Account, to: str, now_s: int) -> None:
        """Limit how many recipients of other wallets are new in a day."""
        known = self._recipients.get(account.address, {})
        if to[:42] == account.address or to in known:
            return
        if sum(since > now_s - _DAY_S for since in known.values()) >= _MOST_NEW_RECIPIENTS:
            raise Refusal(
                2078,
                "Transfer quote to new recipients limit exceeded. "
                "Please wait 24hrs before transferring quote to new recipients.",
            )


def _checked(amount: int) -> int:
    """Refuse amounts that are nothing (2002) or that no balance holds (2091)."""
    if amount <= 0:
        raise Refusal(2002, "The amount must not be zero.")
    if amount > _MOST_AMOUNT:
        raise Refusal(2091, "Amount is too large.")
    return amount


def _check_margin_stays(account: Account, recipient: Account | str) -> None:
    """Keep isolated margin between an isolated subaccount and its parent."""
    other = None if isinstance(recipient, str) else recipient
    for isolated, partner in ((account, other), (other, account)):
        if isolated is not None and isolated.parent is not None and isolated.parent is not partner:
            raise Refusal(2050, "Margin moves only between an isolated subaccount and its parent.")
