"""The v2 REST answers: plain lists and maps without an envelope, with JSON numbers.

They are for display and for other tools; the numbers are floats on the wire and stay what they
are, so nothing that trades may be built on them.

Source: protocol.md 5.7.
"""

from __future__ import annotations

from nadows.messages.wire import UNSET, ProductId, UnsetType, WireStruct

__all__ = ["Apr", "Asset", "Contract", "Pair", "Ticker", "TickerBook", "TickerTrade"]


class Asset(WireStruct, frozen=True):
    """A member of gateway ``/v2/assets``."""

    product_id: ProductId
    ticker_id: str | None
    market_type: str | None
    """``spot`` or ``perp``; none for the quote asset."""
    name: str
    symbol: str
    maker_fee: float | None
    taker_fee: float | None
    can_withdraw: bool
    can_deposit: bool


class Pair(WireStruct, frozen=True):
    """A member of gateway ``/v2/pairs``; ``ticker_id`` is base_quote."""

    product_id: ProductId
    ticker_id: str
    base: str
    quote: str


class TickerBook(WireStruct, frozen=True):
    """Gateway ``/v2/orderbook``."""

    product_id: ProductId
    ticker_id: str
    bids: tuple[tuple[float, float], ...]
    """(price, quantity), best first."""
    asks: tuple[tuple[float, float], ...]
    timestamp: int
    """Milliseconds of the wall clock: not comparable with ``book_depth``."""


class Apr(WireStruct, frozen=True):
    """A member of gateway ``/v2/apr``."""

    name: str
    symbol: str
    product_id: ProductId
    deposit_apr: float
    borrow_apr: float
    tvl: float


class Ticker(WireStruct, frozen=True):
    """A value of archive ``/v2/tickers``, by ticker id."""

    product_id: ProductId
    ticker_id: str
    base_currency: str
    quote_currency: str
    last_price: float
    base_volume: float
    quote_volume: float
    price_change_percent_24h: float


class Contract(Ticker, frozen=True):
    """A value of archive ``/v2/contracts``, by ticker id: perps alone."""

    product_type: str
    contract_price: float
    contract_price_currency: str
    open_interest: float
    open_interest_usd: float
    index_price: float
    mark_price: float
    funding_rate: float
    next_funding_rate_timestamp: int
    """Seconds."""


class TickerTrade(WireStruct, frozen=True):
    """A member of archive ``/v2/trades``, newest first."""

    product_id: ProductId
    ticker_id: str
    trade_id: int
    price: float
    base_filled: float
    """Negative when the taker sold."""
    quote_filled: float
    timestamp: int
    """Seconds."""
    trade_type: str | UnsetType = UNSET
    """``buy`` or ``sell``."""
