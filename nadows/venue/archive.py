"""What the venue remembers of matches: the indexer's store.

Bounded, so that a venue can run for days: the oldest matches go first. House accounts trade among
themselves all the time; those matches are kept only in a short list of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from typing import Any, Final, NamedTuple

from nadows.venue.ledger import Account, Booking
from nadows.venue.orders import LiveOrder
from nadows.venue.products import Product

__all__ = [
    "DEFAULT_CAPACITY",
    "Archive",
    "BalanceChange",
    "FilledOrder",
    "FundingPayment",
    "Match",
    "MatchSide",
]

DEFAULT_CAPACITY: Final = 100_000
"""Matches of users that are kept; about 1.5 kB each."""

_HOUSE_CAPACITY: Final = 1_000


class MatchSide(NamedTuple):
    """One side of a match, with the running totals of its order after it; x18."""

    order: LiveOrder
    booking: Booking
    fee: int
    builder_fee: int
    cumulative_fee: int
    cumulative_base: int
    cumulative_quote: int
    is_taker: bool


class Match(NamedTuple):
    """One match, both sides: the taker's first."""

    submission_idx: int
    ts: int
    product: Product
    taker: MatchSide
    maker: MatchSide

    @property
    def sides(self) -> tuple[MatchSide, MatchSide]:
        """Taker and maker."""
        return self.taker, self.maker


class BalanceChange(NamedTuple):
    """One balance before and after a transaction that is no match: a deposit, a transfer, a liquidation."""

    submission_idx: int
    ts: int
    kind: str
    """As `events` spells it, for example ``deposit_collateral``."""
    account: Account
    product: Product
    pre: tuple[int, int]
    """Amount and virtual quote, x18."""
    post: tuple[int, int]
    tx: dict[str, Any]
    """What the transaction said, plain JSON; the same for all its changes."""


class FundingPayment(NamedTuple):
    """What one position received (negative: paid) at one funding; x18."""

    submission_idx: int
    ts: int
    account: Account
    product: Product
    amount: int
    position: int
    rate: int
    oracle: int


class FilledOrder:
    """An order with at least one match: its first and last one, and sums over all of them; x18."""

    __slots__ = ("builder_fee", "closed_amount", "closed_entry", "first", "last", "realized_pnl", "side")

    def __init__(self, match: Match, side: MatchSide) -> None:
        self.first = self.last = match
        self.side = side
        self.builder_fee = self.closed_amount = self.closed_entry = self.realized_pnl = 0
        self.add(match, side)

    def add(self, match: Match, side: MatchSide) -> None:
        """Count a further match of the order."""
        self.last = match
        self.side = side
        self.builder_fee += side.builder_fee
        self.closed_amount += side.booking.closed_amount
        self.closed_entry += side.booking.closed_entry
        self.realized_pnl += side.booking.realized_pnl


class Archive:
    """Matches and the orders that had any, newest last."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._matches: deque[Match] = deque()
        self._house: deque[Match] = deque(maxlen=_HOUSE_CAPACITY)
        self._by_subaccount: dict[str, deque[Match]] = {}
        self._orders: dict[str, FilledOrder] = {}
        self.changes: deque[BalanceChange] = deque(maxlen=capacity)
        """Changes of users' balances but by matches and funding, newest last."""
        self.payments: deque[FundingPayment] = deque(maxlen=capacity)
        """Funding of users' positions, newest last."""

    def record(self, match: Match) -> None:
        """Keep a match."""
        users = [side for side in match.sides if not side.order.account.house]
        if not users:
            self._house.append(match)
            return
        self._matches.append(match)
        for side in users:
            self._by_subaccount.setdefault(side.order.account.subaccount, deque()).append(match)
            known = self._orders.get(side.order.digest)
            if known is None:
                self._orders[side.order.digest] = FilledOrder(match, side)
            else:
                known.add(match, side)
        if len(self._matches) > self._capacity:
            self._forget(self._matches.popleft())

    def matches(self, subaccounts: list[str] | None) -> Iterator[Match]:
        """Yield matches, newest first: of these subaccounts, or of everybody when ``None``."""
        if subaccounts is None:
            return merge(
                reversed(self._matches), reversed(self._house), key=lambda match: -match.submission_idx
            )
        chosen = [
            self._by_subaccount.get(subaccount, deque[Match]()) for subaccount in dict.fromkeys(subaccounts)
        ]
        if len(chosen) == 1:
            return reversed(chosen[0])
        # A match between two of them would come twice; its index tells.
        unique = {match.submission_idx: match for match in chain.from_iterable(chosen)}
        return iter([unique[idx] for idx in sorted(unique, reverse=True)])

    def order(self, digest: str) -> FilledOrder | None:
        """Return the record of an order, ``None`` if it never matched or is forgotten."""
        return self._orders.get(digest)

    def orders(self) -> Iterator[FilledOrder]:
        """Yield filled orders, the one that matched first last."""
        return reversed(self._orders.values())

    def _forget(self, match: Match) -> None:
        for side in match.sides:
            subaccount = side.order.account.subaccount
            theirs = self._by_subaccount.get(subaccount)
            if theirs is None:
                continue
            theirs.popleft()
            if not theirs:
                del self._by_subaccount[subaccount]
            record = self._orders.get(side.order.digest)
            if record is not None and record.last is match:
                del self._orders[side.order.digest]
