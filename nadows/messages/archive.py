"""Questions to the archive (indexer) and their answers.

A request is ``{"<query>": {...}}``, an answer the bare object, an error ``{"error", "error_code"}``.
Amounts and prices are x18; times are seconds since the epoch; every filter is optional.

Source: protocol.md 6.1 to 6.3 (the venue's Archive pages, the official SDKs).
"""

from __future__ import annotations

from typing import Any, Final

from nadows.messages import archive_history as history
from nadows.messages.archive_history import BalanceBase
from nadows.messages.executes import Order
from nadows.messages.wire import (
    FOREIGN,
    UNSET,
    IntOrText,
    ProductId,
    UnreadableRequest,
    UnsetType,
    WireStruct,
    convert,
    decoder,
    encode,
    malformed,
    serde_words,
    unknown_variant,
)
from nadows.units import X18, StrInt

__all__ = [
    "ARCHIVE_QUERIES",
    "ArchiveError",
    "ArchiveQuery",
    "ArchivedOrder",
    "BalancePair",
    "Candlestick",
    "Candlesticks",
    "CandlesticksQuery",
    "FundingRateQuery",
    "FundingRateSample",
    "FundingRatesQuery",
    "Match",
    "MatchOrders",
    "MatchTx",
    "MatchTxBody",
    "Matches",
    "MatchesQuery",
    "OraclePrice",
    "OraclePriceQuery",
    "OraclePrices",
    "OrderHistory",
    "OrderHistoryQuery",
    "PerpPrice",
    "PerpPriceQuery",
    "PerpPricesQuery",
    "SettledOrder",
    "SignedOrderText",
    "SubaccountEntry",
    "Subaccounts",
    "SubaccountsQuery",
    "archive_query_type",
    "decode_archive_answer",
    "decode_archive_request",
    "encode_archive_request",
]

Maybe = UnsetType | None
Ids = tuple[IntOrText, ...] | Maybe
Texts = tuple[str, ...] | Maybe

# ------------------------------------------------------------------------------- questions


class MatchesQuery(WireStruct, frozen=True):
    """Ask for matches, newest first: the way to make good lost `nadows.messages.Fill` events."""

    subaccounts: Texts = UNSET
    product_ids: Ids = UNSET
    idx: IntOrText | Maybe = UNSET
    """Only ``submission_idx <= idx``. To page, repeat the smallest one seen and drop what was seen."""
    max_time: IntOrText | Maybe = UNSET
    """Seconds; not looked at when `idx` is given."""
    limit: IntOrText | Maybe = UNSET
    """100 by default, at most 500."""
    isolated: bool | Maybe = UNSET


class OrderHistoryQuery(WireStruct, frozen=True):
    """Ask for orders that had at least one match; by `digests` alone (else 3000), or by the other filters."""

    digests: Texts = UNSET
    subaccounts: Texts = UNSET
    product_ids: Ids = UNSET
    idx: IntOrText | Maybe = UNSET
    max_time: IntOrText | Maybe = UNSET
    limit: IntOrText | Maybe = UNSET
    """At most 500."""
    isolated: bool | Maybe = UNSET
    trigger_types: Texts = UNSET


class CandlesticksQuery(WireStruct, frozen=True):
    """Ask for bars, newest first."""

    product_id: IntOrText
    granularity: IntOrText
    """Seconds."""
    max_time: IntOrText | Maybe = UNSET
    limit: IntOrText | Maybe = UNSET
    """At most 500."""


class FundingRateQuery(WireStruct, frozen=True):
    """Ask for the funding rate of a product."""

    product_id: IntOrText


class FundingRatesQuery(WireStruct, frozen=True):
    """Ask for the funding rates of several products."""

    product_ids: tuple[IntOrText, ...]


class PerpPriceQuery(WireStruct, frozen=True):
    """Ask for index and mark price of a perp."""

    product_id: IntOrText


class PerpPricesQuery(WireStruct, frozen=True):
    """Ask for index and mark prices of several perps."""

    product_ids: tuple[IntOrText, ...]


class OraclePriceQuery(WireStruct, frozen=True):
    """Ask for oracle prices."""

    product_ids: tuple[IntOrText, ...]


class SubaccountsQuery(WireStruct, frozen=True):
    """Ask which subaccounts there are, of an address or at all."""

    address: str | Maybe = UNSET
    start: IntOrText | Maybe = UNSET
    limit: IntOrText | Maybe = UNSET


ArchiveQuery = (
    MatchesQuery
    | OrderHistoryQuery
    | CandlesticksQuery
    | FundingRateQuery
    | FundingRatesQuery
    | PerpPriceQuery
    | PerpPricesQuery
    | OraclePriceQuery
    | SubaccountsQuery
    | history.EventsQuery
    | history.InterestAndFundingQuery
    | history.SignaturesQuery
    | history.LinkedSignerRateLimitQuery
    | history.MarketSnapshotsQuery
    | history.BacklogQuery
    | history.QuotePriceQuery
)

# --------------------------------------------------------------------------------- answers


class SettledOrder(WireStruct, frozen=True):
    """The signed part of an order inside a transaction; two members are plain numbers there."""

    sender: str
    priceX18: X18  # noqa: N815 - the wire's name
    amount: X18
    expiration: IntOrText
    nonce: IntOrText
    appendix: StrInt


class SignedOrderText(WireStruct, frozen=True):
    """An order and its signature, as a transaction holds them."""

    order: SettledOrder
    signature: str


class MatchOrders(WireStruct, frozen=True):
    """The transaction that settled a match."""

    product_id: ProductId
    amm: bool
    taker: SignedOrderText
    maker: SignedOrderText


class MatchTxBody(WireStruct, frozen=True):
    """The wrapper around a transaction."""

    match_orders: MatchOrders


class MatchTx(WireStruct, frozen=True):
    """A settled match, and when."""

    tx: MatchTxBody
    submission_idx: StrInt
    timestamp: StrInt
    """Seconds."""


class BalancePair(WireStruct, frozen=True):
    """Balances before or after; ``quote`` is there for spot alone."""

    base: BalanceBase
    quote: dict[str, Any] | UnsetType | None = UNSET


class Match(WireStruct, frozen=True):
    """One order's part in one match. Amounts are signed from the order's side."""

    digest: str
    order: Order
    base_filled: X18
    quote_filled: X18
    """Net of `fee`."""
    fee: X18
    sequencer_fee: X18
    cumulative_fee: X18
    cumulative_base_filled: X18
    """The order's total up to this match, as of every ``cumulative_`` member."""
    cumulative_quote_filled: X18
    pre_balance: BalancePair
    post_balance: BalancePair
    net_entry_unrealized: X18
    net_entry_cumulative: X18
    submission_idx: StrInt
    isolated: bool
    is_taker: bool
    closed_amount: X18
    realized_pnl: X18
    builder_fee: X18
    closed_net_entry: X18
    margin: X18 | None

    @property
    def key(self) -> tuple[int, str]:
        """What makes it unique, equal to `nadows.messages.Fill.key`: (submission_idx, digest)."""
        return int(self.submission_idx), self.digest

    @property
    def product_id(self) -> int | None:
        """The product, from the balance before."""
        return self.pre_balance.base.product_id


class Matches(WireStruct, frozen=True):
    """Answer to ``matches``; `matches` and `txs` join on ``submission_idx``."""

    matches: tuple[Match, ...]
    txs: tuple[MatchTx, ...]


class ArchivedOrder(WireStruct, frozen=True):
    """An order that had at least one match. Whether the rest is still open, only the gateway knows."""

    digest: str
    subaccount: str
    product_id: ProductId
    submission_idx: StrInt
    last_fill_submission_idx: StrInt
    amount: X18
    price_x18: X18
    base_filled: X18
    quote_filled: X18
    fee: X18
    expiration: StrInt
    nonce: StrInt
    appendix: StrInt
    isolated: bool
    closed_amount: X18
    realized_pnl: X18
    builder_fee: X18
    closed_net_entry: X18
    closed_margin: X18 | None
    first_fill_timestamp: StrInt
    """Seconds, as is `last_fill_timestamp`."""
    last_fill_timestamp: StrInt
    pre_balance: BalancePair
    post_balance: BalancePair


class OrderHistory(WireStruct, frozen=True):
    """Answer to ``orders``."""

    orders: tuple[ArchivedOrder, ...]


class Candlestick(WireStruct, frozen=True):
    """One bar."""

    product_id: ProductId
    granularity: int
    """Seconds."""
    submission_idx: StrInt
    timestamp: StrInt
    """The bar's start, seconds."""
    open_x18: X18
    high_x18: X18
    low_x18: X18
    close_x18: X18
    volume: X18


class Candlesticks(WireStruct, frozen=True):
    """Answer to ``candlesticks``, newest first."""

    candlesticks: tuple[Candlestick, ...]


class FundingRateSample(WireStruct, frozen=True):
    """Answer to ``funding_rate``, and by product id to ``funding_rates``."""

    product_id: ProductId
    funding_rate_x18: X18
    """Over 24 h."""
    update_time: StrInt
    """Seconds."""


class PerpPrice(WireStruct, frozen=True):
    """Answer to ``price``, and by product id to ``perp_prices``."""

    product_id: ProductId
    index_price_x18: X18
    mark_price_x18: X18
    update_time: StrInt
    """Seconds."""


class OraclePrice(WireStruct, frozen=True):
    """One product's oracle price."""

    product_id: ProductId
    oracle_price_x18: X18
    update_time: StrInt
    """Seconds."""


class OraclePrices(WireStruct, frozen=True):
    """Answer to ``oracle_price``."""

    prices: tuple[OraclePrice, ...]


class SubaccountEntry(WireStruct, frozen=True):
    """One subaccount."""

    id: IntOrText
    subaccount: str
    address: str
    subaccount_name: str
    created_at: IntOrText
    """Seconds."""
    isolated: bool


class Subaccounts(WireStruct, frozen=True):
    """Answer to ``subaccounts``."""

    subaccounts: tuple[SubaccountEntry, ...]


class ArchiveError(WireStruct, frozen=True):
    """A refusal of the archive."""

    error: str
    error_code: int


# ------------------------------------------------------------------------------- envelopes

_EXCHANGES: Final[dict[str, tuple[type[ArchiveQuery], Any]]] = {
    "matches": (MatchesQuery, Matches),
    "orders": (OrderHistoryQuery, OrderHistory),
    "candlesticks": (CandlesticksQuery, Candlesticks),
    "funding_rate": (FundingRateQuery, FundingRateSample),
    "funding_rates": (FundingRatesQuery, dict[ProductId, FundingRateSample]),
    "price": (PerpPriceQuery, PerpPrice),
    "perp_prices": (PerpPricesQuery, dict[ProductId, PerpPrice]),
    "oracle_price": (OraclePriceQuery, OraclePrices),
    "subaccounts": (SubaccountsQuery, Subaccounts),
    "events": (history.EventsQuery, history.AccountEvents),
    "interest_and_funding": (history.InterestAndFundingQuery, history.InterestAndFunding),
    "signatures": (history.SignaturesQuery, history.OrderSignatures),
    "linked_signer_rate_limit": (history.LinkedSignerRateLimitQuery, history.LinkedSignerRateLimit),
    "market_snapshots": (history.MarketSnapshotsQuery, history.MarketSnapshots),
    "backlog": (history.BacklogQuery, history.Backlog),
    "quote_price": (history.QuotePriceQuery, history.QuotePrice),
}
ARCHIVE_QUERIES: Final[dict[str, type[ArchiveQuery]]] = {name: pair[0] for name, pair in _EXCHANGES.items()}
"""The envelope's key to the type of what is inside."""
_TYPE_NAMES: Final = {kind: name for name, kind in ARCHIVE_QUERIES.items()}
_ANSWERS: Final = {kind: decoder(answer) for kind, answer in _EXCHANGES.values()}
_ERROR: Final = decoder(ArchiveError)
_ENVELOPE: Final = decoder(dict[str, Any])


def archive_query_type(query: ArchiveQuery) -> str:
    """Name a query as the wire does, for example ``matches``."""
    return _TYPE_NAMES[type(query)]


def encode_archive_request(query: ArchiveQuery) -> bytes:
    """Write a query in its envelope, ready to send."""
    return encode({archive_query_type(query): query})


def decode_archive_request(frame: bytes | str) -> ArchiveQuery:
    """Read a client's query, as the venue reads it.

    Raises:
        UnreadableRequest: With the text to answer.
    """
    try:
        envelope = _ENVELOPE.decode(frame)
        name = next(iter(envelope), "")
        kind = ARCHIVE_QUERIES.get(name)
        query = None if kind is None else convert(envelope[name], kind)
    except FOREIGN as error:
        reason = f"error parsing request: {serde_words(str(error))}"
        raise UnreadableRequest(reason, malformed(error, frame).frame) from error
    if query is None:
        raise UnreadableRequest(f"error parsing request: {unknown_variant(name, ARCHIVE_QUERIES)}", frame)
    return query


def decode_archive_answer(frame: bytes | str, query: ArchiveQuery) -> Any:
    """Read the answer to *query*.

    Returns:
        The type that belongs to the query (a dictionary by product id for the plural forms), or an
        `ArchiveError`.

    Raises:
        MalformedFrame: If it is neither, for example a web page from a proxy in between.
    """
    try:
        return _ANSWERS[type(query)].decode(frame)
    except FOREIGN as error:
        try:
            return _ERROR.decode(frame)
        except FOREIGN:
            raise malformed(error, frame) from error
