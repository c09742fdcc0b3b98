"""Accounts, balances and health: where the money is.

Money is conserved to the last unit. For each perpetual the positions sum to zero, and their virtual
quote plus the fees taken and what was settled sums to zero; for each token the balances, the fees taken
and the insurance fund sum to what was deposited (and settled). `Ledger.imbalance` says by how much this
fails (tests hold it at nothing).

Health is the sum over products of balance times oracle price times weight, plus virtual quote.
The real venue relaxes it for hedged spot/perp pairs; this one does not.
Source: protocol.md 5.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from nadows.units import ONE_X18, mul_x18
from nadows.venue.products import PRODUCTS, QUOTE_ID, Product

if TYPE_CHECKING:
    from nadows.venue.orders import LiveOrder

__all__ = ["INSURANCE", "PAPER_MONEY", "Account", "Booking", "Health", "Ledger", "Position"]

PAPER_MONEY: Final = 1_000_000 * ONE_X18
"""USDT0 that a wallet gets when it is first seen. No base tokens: a spot seller borrows, or buys first."""


INSURANCE: Final = 500_000 * ONE_X18
"""USDT0 in the insurance fund when the venue opens."""


class Position:
    """A perpetual position: signed amount, virtual quote (minus what was paid, with fees), entry cost.

    ``entry`` is the signed cost of what is open now, fees included; ``v_quote`` also keeps what earlier
    closings earned, as nothing settles it.
    """

    __slots__ = ("amount", "entry", "v_quote")

    def __init__(self) -> None:
        self.amount = 0
        self.v_quote = 0
        self.entry = 0


class Booking(NamedTuple):
    """What one fill did to one account; all x18, signed from the account's view."""

    base: int
    quote: int
    """Quote balance change, net of fees."""
    pre_amount: int
    pre_quote: int
    """Virtual quote of the position, or the USDT0 balance if the product is spot; before the fill."""
    post_amount: int
    post_quote: int
    entry: int
    """Entry cost of what is open after the fill; 0 for spot."""
    closed_amount: int
    closed_entry: int
    realized_pnl: int


class Health(NamedTuple):
    """Weighted value of an account, x18; ``health`` is assets minus liabilities."""

    assets: int
    liabilities: int

    @property
    def health(self) -> int:
        """Assets minus liabilities."""
        return self.assets - self.liabilities


class Account:
    """One subaccount. ``house`` accounts quote for the venue itself and are not checked for health."""

    __slots__ = (
        "address",
        "created_s",
        "fee_tier",
        "house",
        "isolated",
        "linked_signer",
        "orders",
        "parent",
        "perps",
        "spots",
        "subaccount",
    )

    def __init__(self, subaccount: str, *, house: bool = False, parent: Account | None = None) -> None:
        self.subaccount = subaccount
        self.address = subaccount[:42]
        self.house = house
        self.fee_tier = 0
        self.parent = parent
        """Whose margin an isolated subaccount holds; ``None`` for all others."""
        self.isolated: dict[int, Account] = {}
        """The isolated subaccounts that hold margin of this one, by product."""
        self.linked_signer: str | None = None
        self.created_s = 0
        """Unix seconds."""
        self.spots: dict[int, int] = {QUOTE_ID: 0}
        self.perps: dict[int, Position] = {}
        self.orders: dict[int, dict[str, LiveOrder]] = {}
        """Open orders by product, then by digest, oldest first."""

    @property
    def shown(self) -> str:
        """The subaccount under which its events are told: an isolated one's are told under its parent's."""
        return self.subaccount if self.parent is None else self.parent.subaccount

    def copy(self) -> Account:
        """Return an account with the same balances that belongs to no ledger."""
        copy = Account(self.subaccount, parent=self.parent)
        copy.spots = dict(self.spots)
        for product_id, position in self.perps.items():
            copy.suppose(PRODUCTS[product_id], position.amount, position.v_quote)
        return copy

    def suppose(self, product: Product, amount: int, v_quote: int) -> None:
        """Change a balance of a copy; `Ledger.move` is for real ones."""
        if product.is_perp:
            position = self.perps.setdefault(product.product_id, Position())
            position.amount += amount
            position.v_quote += v_quote
        else:
            self.spots[product.product_id] = self.spots.get(product.product_id, 0) + amount

    def balance(self, product: Product) -> tuple[int, int]:
        """Return (amount, virtual quote) held in *product*; spot has no virtual quote."""
        if not product.is_perp:
            return self.spots.get(product.product_id, 0), 0
        position = self.perps.get(product.product_id)
        return (0, 0) if position is None else (position.amount, position.v_quote)


class Ledger:
    """All accounts, and what the venue itself took in."""

    def __init__(self, oracle: Mapping[int, int]) -> None:
        """Start empty. *oracle* maps product ids to prices in x18; it is read at each check, never copied."""
        self._oracle = oracle
        self.accounts: dict[str, Account] = {}
        self.deposited: dict[int, int] = {}
        """Tokens put in from outside, by product."""
        self.fees: dict[int, int] = {}
        """Quote taken in fees, builder fees and funding rounding, by the product it was taken on."""
        self.open_interest: dict[int, int] = {}
        """Sum of the long positions, by perpetual."""
        self.insurance = 0
        """The fund that pays for what liquidated accounts cannot, USDT0."""
        self.settled: dict[int, int] = {}
        """Virtual quote that became USDT0 when positions were closed for good, by perpetual."""
        self.funding: dict[int, int] = {}
        """Funding paid so far by one unit of a long position, by perpetual, x18."""

    def account(self, subaccount: str) -> Account | None:
        """Return the account, or ``None`` for one that was never funded."""
        return self.accounts.get(subaccount)

    def open(self, subaccount: str, *, house: bool = False, parent: Account | None = None) -> Account:
        """Create an empty account; one with a *parent* is isolated.

        Raises:
            ValueError: If it exists.
        """
        if subaccount in self.accounts:
            raise ValueError(f"account {subaccount} exists already")
        account = self.accounts[subaccount] = Account(subaccount, house=house, parent=parent)
        return account

    def let_in(self, product_id: int, amount: int) -> None:
        """Note tokens that come from outside (negative: leave); `move` says whose they are."""
        self.deposited[product_id] = self.deposited.get(product_id, 0) + amount

    def deposit(self, account: Account, product_id: int, amount: int) -> int:
        """Add tokens from outside; returns the new balance."""
        self.let_in(product_id, amount)
        self.move(account, PRODUCTS[product_id], amount, 0)
        return account.spots[product_id]

    def move(self, account: Account, product: Product, amount: int, v_quote: int) -> None:
        """Change one balance; *v_quote* is for perpetuals only, and is where their quote goes."""
        if product.is_perp:
            self.book(account, product, amount, v_quote, 0)
        else:
            held = account.spots.get(product.product_id, 0)
            account.spots[product.product_id] = held + amount

    def book(self, account: Account, product: Product, base: int, quote: int, fee: int) -> Booking:
        """Settle one side of a match.

        Args:
            account: Whose side it is.
            product: What was traded.
            base: Base received (positive) or given (negative).
            quote: Quote received or given, before fees.
            fee: All fees of this side together; the venue books them.
        """
        product_id = product.product_id
        self.fees[product_id] = self.fees.get(product_id, 0) + fee
        net = quote - fee
        if not product.is_perp:
            held, money = account.spots.get(product_id, 0), account.spots[QUOTE_ID]
            account.spots[product_id] = held + base
            account.spots[QUOTE_ID] = money + net
            return Booking(base, net, held, money, held + base, money + net, 0, 0, 0, 0)

        position = account.perps.get(product_id)
        if position is None:
            position = account.perps[product_id] = Position()
        before, before_quote = position.amount, position.v_quote
        closed, closed_entry, pnl = _close(position, base, net)
        position.amount = after = before + base
        position.v_quote = before_quote + net
        if before > 0 or after > 0:
            self.open_interest[product_id] = (
                self.open_interest.get(product_id, 0) + max(after, 0) - max(before, 0)
            )
        return Booking(
            base,
            net,
            before,
            before_quote,
            after,
            position.v_quote,
            position.entry,
            closed,
            closed_entry,
            pnl,
        )

    def insure(self, amount: int) -> None:
        """Add USDT0 from outside to the insurance fund."""
        self.let_in(QUOTE_ID, amount)
        self.insurance += amount

    def claim_insurance(self, debt: int) -> int:
        """Take what the fund can pay of a *debt* (nothing of a negative one); returns how much that is."""
        paid = max(0, min(debt, self.insurance))
        self.insurance -= paid
        return paid

    def settle(self, account: Account) -> int:
        """Turn the virtual quote of closed positions into USDT0, and forget them; returns how much it was."""
        total = 0
        for product_id, position in list(account.perps.items()):
            if not position.amount:
                self.settled[product_id] = self.settled.get(product_id, 0) + position.v_quote
                total += position.v_quote
                del account.perps[product_id]
        account.spots[QUOTE_ID] += total
        return total

    def pay_funding(self, product: Product, per_unit: int) -> list[tuple[Account, int, int]]:
        """Let longs pay shorts *per_unit* quote per unit of base (x18; negative the other way).

        Returns:
            Whose position, its amount, and what it paid (negative: received). Remainders of rounding go to
            the venue, so that nothing is lost.
        """
        product_id = product.product_id
        self.funding[product_id] = self.funding.get(product_id, 0) + per_unit
        paid: list[tuple[Account, int, int]] = []
        for account in self.accounts.values():
            position = account.perps.get(product_id)
            if position is None or not position.amount:
                continue
            due = -mul_x18(-position.amount, per_unit)
            position.v_quote -= due
            paid.append((account, position.amount, due))
        self.fees[product_id] = self.fees.get(product_id, 0) + sum(due for _, _, due in paid)
        return paid

    def health(
        self,
        account: Account,
        *,
        maintenance: bool = False,
        product_id: int = QUOTE_ID,
        base: int = 0,
        quote: int = 0,
    ) -> int:
        """Return the account's health, as if it had traded *base* of *product_id* for *quote*.

        Args:
            account: Whose.
            maintenance: Maintenance weights instead of the initial ones.
            product_id: Product of the supposed trade.
            base: Base received (negative: given) in it.
            quote: Quote received (negative: given) in it.
        """
        total = quote
        for spot_id, amount in account.spots.items():
            if spot_id == QUOTE_ID:
                total += amount
            elif spot_id != product_id:
                total += self.weighted(PRODUCTS[spot_id], amount, maintenance=maintenance)
        for perp_id, position in account.perps.items():
            total += position.v_quote
            if perp_id != product_id:
                total += self.weighted(PRODUCTS[perp_id], position.amount, maintenance=maintenance)
        if product_id != QUOTE_ID:
            product = PRODUCTS[product_id]
            held = account.balance(product)[0] + base
            total += self.weighted(product, held, maintenance=maintenance)
        return total

    def weighted(self, product: Product, amount: int, *, maintenance: bool) -> int:
        """Return amount times oracle price times weight, x18."""
        if not amount:
            return 0
        value = amount * self._oracle[product.product_id]
        return value * product.weight(amount, maintenance=maintenance) // (ONE_X18 * ONE_X18)

    def contributions(self, account: Account, product: Product) -> tuple[int, int, int]:
        """Return what one product adds to initial, maintenance and unweighted health, x18."""
        amount, v_quote = account.balance(product)
        return (
            self.weighted(product, amount, maintenance=False) + v_quote,
            self.weighted(product, amount, maintenance=True) + v_quote,
            mul_x18(amount, self._oracle[product.product_id]) + v_quote,
        )

    def healths(self, account: Account) -> tuple[Health, Health, Health]:
        """Return initial, maintenance and unweighted health, each as assets and liabilities."""
        rows = [self.contributions(account, product) for product in PRODUCTS.values()]
        initial, maintenance, unweighted = (
            Health(sum(v for v in column if v > 0), -sum(v for v in column if v < 0))
            for column in zip(*rows, strict=True)
        )
        return initial, maintenance, unweighted

    def imbalance(self) -> dict[str, int]:
        """Return every sum that should be zero and is not; empty when money is conserved."""
        sums: dict[str, int] = {}
        fees_on_spot = 0
        for product in PRODUCTS.values():
            product_id = product.product_id
            if product.is_perp:
                positions = [a.perps[product_id] for a in self.accounts.values() if product_id in a.perps]
                sums[f"{product.symbol} amount"] = sum(p.amount for p in positions)
                sums[f"{product.symbol} quote"] = (
                    sum(p.v_quote for p in positions)
                    + self.fees.get(product_id, 0)
                    + self.settled.get(product_id, 0)
                )
                longs = sum(p.amount for p in positions if p.amount > 0)
                sums[f"{product.symbol} open interest"] = longs - self.open_interest.get(product_id, 0)
            else:
                fees_on_spot += self.fees.get(product_id, 0)
                held = sum(account.spots.get(product_id, 0) for account in self.accounts.values())
                sums[product.symbol] = held - self.deposited.get(product_id, 0)
        sums[PRODUCTS[QUOTE_ID].symbol] += fees_on_spot + self.insurance - sum(self.settled.values())
        return {name: total for name, total in sums.items() if total}


def _close(position: Position, base: int, quote: int) -> tuple[int, int, int]:
    """Update the entry cost for a fill; returns (closed amount, its entry cost, realized profit)."""
    held = position.amount
    if held == 0 or (held > 0) == (base > 0):
        position.entry -= quote
        return 0, 0, 0
    closed = min(abs(held), abs(base))
    closed_entry = position.entry * closed // abs(held)
    closed_quote = quote * closed // abs(base)
    position.entry -= closed_entry + (quote - closed_quote)
    return closed, closed_entry, closed_quote - closed_entry
