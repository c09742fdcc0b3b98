"""Questions to the archive about accounts and statistics: events, payments, signatures, snapshots, limits.

They travel in the envelopes of `nadows.messages.archive`, which is also where they are read and written.

Source: protocol.md 6.3; shapes from the official Python and TypeScript SDKs.
"""

from __future__ import annotations

from typing import Any

from nadows.messages.answers import PerpBalance, SpotBalance
from nadows.messages.wire import UNSET, IntOrText, ProductId, UnsetType, WireStruct
from nadows.units import X18, StrInt

__all__ = [
    "AccountEvent",
    "AccountEvents",
    "Backlog",
    "BacklogQuery",
    "BalanceBase",
    "EventTx",
    "EventsLimit",
    "EventsQuery",
    "InterestAndFunding",
    "InterestAndFundingQuery",
    "LinkedSignerRateLimit",
    "LinkedSignerRateLimitQuery",
    "MarketSnapshot",
    "MarketSnapshots",
    "MarketSnapshotsQuery",
    "OrderSignature",
    "OrderSignatures",
    "Payment",
    "QuotePrice",
    "QuotePriceQuery",
    "SignaturesQuery",
    "SnapshotInterval",
]

Maybe = UnsetType | None

# ------------------------------------------------------------------------------- questions


class EventsLimit(WireStruct, frozen=True):
    """How much to return: so many events, or the events of so many transactions."""

    raw: IntOrText | UnsetType = UNSET
    txs: IntOrText | UnsetType = UNSET


class EventsQuery(WireStruct, frozen=True):
    """Ask for changes of balances, newest first."""

    subaccounts: tuple[str, ...] | Maybe = UNSET
    product_ids: tuple[IntOrText, ...] | Maybe = UNSET
    event_types: tuple[str, ...] | Maybe = UNSET
    """For example ``match_orders``, ``deposit_collateral``, ``liquidate_subaccount``."""
    idx: IntOrText | Maybe = UNSET
    """Only ``submission_idx <= idx`` (``>=`` when ascending)."""
    max_time: IntOrText | Maybe = UNSET
    """Seconds."""
    isolated: bool | Maybe = UNSET
    desc: bool | Maybe = UNSET
    """Newest first, which is the default."""
    limit: EventsLimit | Maybe = UNSET


class InterestAndFundingQuery(WireStruct, frozen=True):
    """Ask what a subaccount paid (positive: received) in interest and funding, newest first."""

    subaccount: str
    product_ids: tuple[IntOrText, ...]
    limit: IntOrText
    """At most 100."""
    max_idx: IntOrText | Maybe = UNSET
    max_time: IntOrText | Maybe = UNSET
    """Seconds."""


class SignaturesQuery(WireStruct, frozen=True):
    """Ask for the signatures of orders."""

    digests: tuple[str, ...]


class LinkedSignerRateLimitQuery(WireStruct, frozen=True):
    """Ask how often a subaccount may still change its linked signer."""

    subaccount: str


class SnapshotInterval(WireStruct, frozen=True):
    """*count* instants, *granularity* seconds apart, the last at or before *max_time* (seconds)."""

    count: IntOrText
    granularity: IntOrText
    max_time: IntOrText | Maybe = UNSET


class MarketSnapshotsQuery(WireStruct, frozen=True):
    """Ask for statistics of the venue at several instants."""

    interval: SnapshotInterval
    product_ids: tuple[IntOrText, ...] | Maybe = UNSET


class BacklogQuery(WireStruct, frozen=True):
    """Ask how far the chain is behind the engine."""


class QuotePriceQuery(WireStruct, frozen=True):
    """Ask for the price of the quote asset."""


# --------------------------------------------------------------------------------- answers


class BalanceBase(WireStruct, frozen=True):
    """A balance of either kind: one of the two is there."""

    perp: PerpBalance | UnsetType = UNSET
    spot: SpotBalance | UnsetType = UNSET

    @property
    def product_id(self) -> int | None:
        """The product that was traded, the only place where a match names it."""
        held = self.spot if self.perp is UNSET else self.perp
        return None if held is UNSET else held.product_id


class AccountEvent(WireStruct, frozen=True):
    """One balance before and after one transaction."""

    subaccount: str
    product_id: ProductId
    submission_idx: StrInt
    event_type: str
    product: dict[str, Any]
    """The product's state, under ``spot`` or ``perp``."""
    pre_balance: BalanceBase
    post_balance: BalanceBase
    net_interest_unrealized: X18
    net_interest_cumulative: X18
    net_funding_unrealized: X18
    net_funding_cumulative: X18
    net_entry_unrealized: X18
    net_entry_cumulative: X18
    quote_volume_cumulative: X18
    isolated: bool
    isolated_product_id: ProductId | Maybe = UNSET


class EventTx(WireStruct, frozen=True):
    """The transaction that events belong to; they join on ``submission_idx``."""

    tx: dict[str, Any]
    """By its type, for example ``{"match_orders": ...}``."""
    submission_idx: StrInt
    timestamp: StrInt
    """Seconds."""


class AccountEvents(WireStruct, frozen=True):
    """Answer to ``events``."""

    events: tuple[AccountEvent, ...]
    txs: tuple[EventTx, ...]


class Payment(WireStruct, frozen=True):
    """One payment of interest or funding."""

    product_id: ProductId
    idx: StrInt
    timestamp: StrInt
    """Seconds."""
    amount: X18
    balance_amount: X18
    """What was held."""
    rate_x18: X18
    oracle_price_x18: X18


class InterestAndFunding(WireStruct, frozen=True):
    """Answer to ``interest_and_funding``."""

    interest_payments: tuple[Payment, ...]
    funding_payments: tuple[Payment, ...]
    next_idx: StrInt
    """Where the next page begins (``max_idx``); 0 when there is none."""


class OrderSignature(WireStruct, frozen=True):
    """An order's signature, and whose it is."""

    digest: str
    signature: str
    signer: str
    is_linked: bool


class OrderSignatures(WireStruct, frozen=True):
    """Answer to ``signatures``; orders that are not known are missing."""

    signatures: tuple[OrderSignature, ...]


class LinkedSignerRateLimit(WireStruct, frozen=True):
    """Answer to ``linked_signer_rate_limit``."""

    remaining_tx: StrInt
    total_tx_limit: StrInt
    wait_time: IntOrText
    """Seconds until another change is possible."""
    signer: str
    """bytes20; the zero address is none."""


class MarketSnapshot(WireStruct, frozen=True):
    """Statistics at one instant; the members of the dictionaries are product ids."""

    timestamp: IntOrText
    """Seconds."""
    cumulative_users: int
    daily_active_users: int
    tvl: X18
    cumulative_trades: dict[str, IntOrText]
    cumulative_volumes: dict[str, X18]
    cumulative_trade_sizes: dict[str, X18]
    cumulative_sequencer_fees: dict[str, X18]
    cumulative_maker_fees: dict[str, X18]
    cumulative_liquidation_amounts: dict[str, X18]
    open_interests: dict[str, X18]
    total_deposits: dict[str, X18]
    total_borrows: dict[str, X18]
    funding_rates: dict[str, X18]
    deposit_rates: dict[str, X18]
    borrow_rates: dict[str, X18]
    cumulative_inflows: dict[str, X18]
    cumulative_outflows: dict[str, X18]


class MarketSnapshots(WireStruct, frozen=True):
    """Answer to ``market_snapshots``, newest first."""

    snapshots: tuple[MarketSnapshot, ...]


class Backlog(WireStruct, frozen=True):
    """Answer to ``backlog``."""

    total_txs: StrInt
    total_submissions: StrInt
    backlog_size: StrInt
    updated_at: StrInt
    """Seconds."""
    backlog_eta_in_seconds: str | Maybe = UNSET
    txs_per_second: str | Maybe = UNSET


class QuotePrice(WireStruct, frozen=True):
    """Answer to ``quote_price``."""

    price_x18: X18
